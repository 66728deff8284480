"""Fit the small models of digits that ship with the package, into generative/pretrained.

python -m benchmarks.pretrained [NAME ...]      # all: about four minutes of one free core; a file is under 300 KB
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch

import generative as g

FOLDER = Path(g.__file__).resolve().parent / "pretrained"
LARGEST = 300_000
"""Bytes of one file."""
MODELS: dict[str, tuple[Callable[[], g.GenerativeModel], int | None]] = {
    "mixture": (lambda: g.GaussianMixture(15, covariance_type="mfa", n_factors=8, reg_covar=1e-3), None),
    "bayesian-mixture": (lambda: g.BayesianGaussianMixture(20, covariance_type="diag", reg_covar=1e-3), None),
    "autoencoder": (lambda: g.AutoEncoder(hidden=128, layers=1, mixture=20), 1500),
    "vae": (lambda: g.VAE(hidden=48, layers=1), 2500),
    "gan": (lambda: g.GAN(latent=32, hidden=96), 3000),
    "dcgan": (lambda: g.DCGAN(latent=32, features=20), 3000),
    "pixelcnn": (lambda: g.PixelCNN(features=24, layers=4), 1000),
    "pixelrnn": (lambda: g.PixelRNN(features=24, hidden=24, layers=2), 700),
    "vqvae": (lambda: g.VQVAE(codes=32, hidden=16, features=16, layers=3), 800),
}


def main() -> None:
    """Command line."""
    torch.set_num_threads(1)
    s = g.data.load("digits")
    for name in sys.argv[1:] or MODELS:
        make, steps = MODELS[name]
        path = FOLDER / f"{name}-digits.safetensors"
        fitted = make().fit(s.x_train, steps=steps, val=s.x_val, device="cpu", progress=False)
        fitted.save(path)
        size = path.stat().st_size
        figure = "" if fitted.density == "none" else f", {g.metrics.nats(fitted, s.x_test):.2f} nats"
        print(
            f"{path.name}: {size} bytes, typicality {float(fitted.typicality(s.x_test).mean()):.3f}{figure}", flush=True
        )
        if size > LARGEST:
            raise SystemExit(f"{path} has {size} bytes, more than {LARGEST}: make the model smaller")


if __name__ == "__main__":
    main()
