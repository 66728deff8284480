"""Exact recipes on MNIST: each model, how it is trained and what is measured of it.

Networks of likelihoods see images binarised anew in every minibatch. Their learning rate warms up linearly and falls
by one cosine over all steps, their weights are averaged, and the best of the held-out evaluations is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from generative.adversarial.dcgan import DCGAN
from generative.adversarial.gan import GAN
from generative.autoregressive.pixelcnn import PixelCNN
from generative.autoregressive.pixelrnn import PixelRNN
from generative.core.tensors import write_whole
from generative.data import sources as data
from generative.interface.model import GenerativeModel
from generative.latent.autoencoder import AutoEncoder
from generative.latent.vae import VAE
from generative.measuring import metrics
from generative.mixtures.bayesian_gmm import BayesianGaussianMixture
from generative.mixtures.gmm import GaussianMixture

HELD_OUT = 2000
"""Validation images used for the choice of the best weights."""
DRAWN = 10_000
"""Samples that figures of samples are about."""
FLOOR = 1e-5
"""Smallest noise variance of a pixel in [0, 1]; a likelihood in nats means nothing without it. Eight times the variance
of the dequantisation noise, 1 / (12 * 256^2): most pixels of a digit's background have no other, so with 1e-3 the floor
is all one sees.
"""


@dataclass(frozen=True)
class Reproduction:
    """Test figures of one run, its training time (s) and examples a second, both over all sessions of the run."""

    metrics: dict[str, float]
    train_s: float
    examples_per_s: float


@dataclass(frozen=True)
class Run:
    """Where and how a recipe runs."""

    data: Path
    """Folder of the IDX files of MNIST."""
    out: Path
    """Folder for the model, and for the checkpoints from which the same run goes on."""
    seed: int = 0
    steps: int | None = None
    """In place of the recipe's number."""
    progress: bool = True


def binarised(path: str | Path, *, seed: int = 0) -> data.Splits:
    """MNIST from IDX files: grey training images, validation and test binarised once, pixel ~ Bernoulli(grey), from
    ``seed`` and ``seed`` + 1."""
    splits = data.load(path)
    fixed = [data.binarize(x, "fixed", seed + k) for k, x in enumerate((splits.x_val, splits.x_test))]
    return data.Splits(splits.x_train, splits.y_train, fixed[0], splits.y_val, fixed[1], splits.y_test)


def train(model: GenerativeModel, splits: data.Splits, run: Run) -> tuple[float, float]:
    """Fit with checkpoints, going on from the newest if there is one; return (train_s, examples/s); save the model."""
    run.out.mkdir(parents=True, exist_ok=True)
    clock, folder = run.out / "train_s.txt", run.out / "checkpoints"
    before = float(clock.read_text()) if clock.exists() else 0.0
    began, done = time.perf_counter(), [0]

    def on_step(step: int, scalars: dict[str, float]) -> None:
        done[0] = step
        if step % 50 == 0:
            write_whole(clock, f"{before + time.perf_counter() - began:.1f}".encode())

    model.fit(
        splits.x_train,
        steps=run.steps,
        seed=run.seed,
        progress=run.progress,
        val=splits.x_val[:HELD_OUT],
        on_step=on_step,
        checkpoint=folder,
        resume=any(folder.glob("step_*.safetensors")),
    )
    spent = before + time.perf_counter() - began
    write_whole(clock, f"{spent:.1f}".encode())
    model.save(run.out / "model.safetensors")
    steps_done = done[0] or int(max(folder.glob("step_*.safetensors")).stem.removeprefix("step_"))
    return spent, steps_done * model.config.get("batch_size", 64) / spent


def likelihood(model: GenerativeModel, run: Run) -> Reproduction:
    """Train on dynamically binarised MNIST; nats and bits/dim of the 10,000 test images, binarised with the fixed seed
    1."""
    splits = binarised(run.data)
    train_s, rate = train(model, splits, run)
    nats = metrics.nats(model, splits.x_test)
    return Reproduction(
        {"test_nats": nats, "test_bits_per_dim": metrics.bits_per_dim(nats, splits.x_test[0].numel())}, train_s, rate
    )


def bound(model: VAE, run: Run) -> Reproduction:
    """``likelihood``, where ``test_nats`` is the bound of ``k_eval`` samples; ``test_nats_50`` is that of 50, and
    ``test_nats_normal_prior`` is ``test_nats`` under N(0, I), which training maximises.
    """
    result = likelihood(model, run)
    figures, test = result.metrics, binarised(run.data).x_test
    figures["test_nats_50"] = (
        figures["test_nats"] if model.config["k_eval"] == 50 else -float(model.log_prob(test, k=50).double().mean())
    )
    model.net.prior.reset()
    figures["test_nats_normal_prior"] = metrics.nats(model, test)
    return result


def adversarial(model: GenerativeModel, run: Run) -> Reproduction:
    """Train on grey MNIST; the figures of samples."""
    splits = data.load(run.data)
    train_s, rate = train(model, splits, run)
    return Reproduction(sample_figures(model, splits, run.data), train_s, rate)


def reconstruction(model: AutoEncoder, run: Run) -> Reproduction:
    """Train on grey MNIST; ``test_rmse`` is the root of the mean squared error of a test pixel in [0, 1], the rest is
    about samples.
    """
    splits = data.load(run.data)
    train_s, rate = train(model, splits, run)
    rmse = float((model.reconstruct(splits.x_test).cpu() - splits.x_test).square().mean().sqrt())
    return Reproduction({"test_rmse": rmse} | sample_figures(model, splits, run.data), train_s, rate)


def mixture(model: GaussianMixture | BayesianGaussianMixture, run: Run, iterations: int) -> Reproduction:
    """Fit to uniformly dequantised grey MNIST, by at most so many iterations of EM.

    ``test_nats`` is the discrete negative log-likelihood of the 256 levels (bound by 4 draws of the dequantisation
    noise), ``test_density_nats`` minus the log density of one draw. ``components_used`` hold 99 % of the weight.
    """
    splits, began = data.load(run.data), time.perf_counter()
    model.fit(
        metrics.dequantise(splits.x_train, 256, run.seed),
        steps=run.steps or iterations,
        seed=run.seed,
        progress=run.progress,
    )
    spent = time.perf_counter() - began
    model.save(run.out / "model.safetensors")
    nats = metrics.discrete_nats(model, splits.x_test, 256, draws=4)
    heaviest = model.weights_.sort(descending=True).values.cumsum(0)
    figures = {
        "test_nats": nats,
        "test_bits_per_dim": metrics.bits_per_dim(nats, splits.x_test[0].numel()),
        "test_density_nats": metrics.nats(model, metrics.dequantise(splits.x_test, 256, run.seed)),
        "variance_floor": FLOOR,
        "components_used": int((heaviest < 0.99).sum()) + 1,
    }
    return Reproduction(figures, spent, len(splits.x_train) * model.n_iter_ / spent)


def sample_figures(model: GenerativeModel, splits: data.Splits, path: Path) -> dict[str, float]:
    """Frechet classifier distance to the test set and NDB of DRAWN samples, and of as many training images beside
    them.
    """
    x, y, x_val, y_val = splits.x_train, splits.y_train, splits.x_val, splits.y_val
    if y is None or y_val is None:
        raise ValueError(f"the Frechet classifier distance needs labels, and {path} has none")
    features = metrics.train_features(x, y, x_val, y_val)
    n = min(DRAWN, len(x) // 2)
    samples = torch.cat([model.sample(part, seed=k) for k, part in enumerate(_parts(n, 1000))]).cpu()
    figures: dict[str, float] = {"classifier_accuracy": features.accuracy}
    test = features(splits.x_test)
    for name, images in (("samples", samples), ("real", x[:n])):
        figures[f"frechet_{name}"] = metrics.frechet_distance(features(images), test)
        figures[f"ndb_{name}"], figures[f"js_{name}"] = metrics.ndb(x[n : 2 * n], images)
    return figures


def _parts(n: int, size: int) -> list[int]:
    """``n`` as parts of at most ``size``."""
    return [min(size, n - k) for k in range(0, n, size)]


AVERAGED: dict[str, Any] = {"warmup": 500, "ema": 0.9995, "eval_every": 2000, "patience": 0}
CAUSAL = AVERAGED | {"binarize": True, "optimiser": "muon", "batch_size": 32}
BOUND = AVERAGED | {
    "latent": 40,
    "hidden": 256,
    "layers": 1,
    "arch": "conv",
    "prior_components": 100,
    "binarize": True,
    "lr": 1e-3,
    "precision": "bfloat16",
}
RECIPES: dict[str, tuple[Callable[[], Any], Callable[[Any, Run], Reproduction]]] = {
    # an hour of one core with bfloat16 tiles, beside another training
    "pixelcnn": (
        partial(PixelCNN, gated=False, features=64, layers=10, kernel=7, lr=5e-3, steps=12_000, **CAUSAL),
        likelihood,
    ),
    "gated": (partial(PixelCNN, gated=True, features=32, layers=8, lr=3e-3, steps=12_000, **CAUSAL), likelihood),
    # less than 150 minutes
    "row": (partial(PixelRNN, "row", features=64, hidden=64, layers=2, lr=5e-3, steps=8_000, **CAUSAL), likelihood),
    "diagonal": (
        partial(PixelRNN, "diagonal", features=32, hidden=16, layers=3, lr=5e-3, steps=11_000, **CAUSAL),
        likelihood,
    ),
    "gan": (partial(GAN, latent=64, hidden=512, layers=2, steps=55_000, final_lr=0.02, ema=0.999), adversarial),
    "dcgan": (
        partial(
            DCGAN,
            latent=64,
            features=16,
            steps=15_000,
            batch_size=32,
            lr=2e-3,
            final_lr=0.02,
            ema=0.999,
            precision="bfloat16",
        ),
        adversarial,
    ),
    "vae": (partial(VAE, objective="elbo", k_eval=1, batch_size=128, steps=32_000, **BOUND), bound),
    "iwae": (partial(VAE, objective="iwae", k_eval=50, k_train=5, batch_size=64, steps=18_000, **BOUND), bound),
    "mfa": (
        partial(GaussianMixture, 50, covariance_type="mfa", tol=1e-2, n_factors=6, reg_covar=FLOOR),
        partial(mixture, iterations=30),
    ),
    "bayesian-gmm": (
        partial(BayesianGaussianMixture, 100, covariance_type="diag", tol=1e-2, reg_covar=FLOOR),
        partial(mixture, iterations=60),
    ),
    "autoencoder": (
        partial(
            AutoEncoder,
            latent=32,
            arch="conv",
            mixture=50,
            lr=1e-3,
            steps=10_000,
            patience=0,
            eval_every=1000,
            ema=0.999,
            precision="bfloat16",
        ),
        reconstruction,
    ),
}
"""Each model by its name in the table: how it is made, and what runs it."""


def reproduce(name: str, run: Run) -> Reproduction:
    """Train the model of that name by its recipe, or go on with it, and measure it."""
    make, measured = RECIPES[name]
    return measured(make(), run)
