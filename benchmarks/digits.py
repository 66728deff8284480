"""The digits table: every model on scikit-learn's digits (1000/350/447 in order, 17 levels), five seeds, resumable.

    python -m benchmarks.digits [--models vae pixelcnn] [--seeds 5] [--threads 1]

Appends to benchmarks/results/digits.csv and skips what is there. Likelihood models: test_nats and test_bits_per_dim of
the 17 levels (exact, or a bound: VAE with 512 importance samples; mixtures and kernel density fitted on dequantised
digits, 8 draws). All models that sample: frechet (distance of 447 samples to the test set in a classifier trained on
the training set), ndb of 50 bins and nn_accuracy against the test set; the row "real" puts validation images in the
samples' place.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev

import torch

import generative as g
from benchmarks.records import RESULTS, append_row, commit, machine, markdown, read_rows
from generative.data.sources import Splits
from generative.measuring import metrics

COLUMNS = ("dataset", "model", "seed", "metric", "value", "train_s", "machine", "commit", "command")
CSV = RESULTS / "digits.csv"
LEVELS, DIMENSIONS = 17, 64
MIXTURES: dict[str, Callable[[], g.GenerativeModel]] = {
    "gmm-diag": lambda: g.GaussianMixture(50, covariance_type="diag", max_iter=200, reg_covar=5e-4),
    "gmm-full": lambda: g.GaussianMixture(3, covariance_type="full", max_iter=200, reg_covar=1e-4),
    "gmm-mfa": lambda: g.GaussianMixture(10, covariance_type="mfa", max_iter=200, n_factors=6, reg_covar=5e-4),
    "bayesian-gmm-full": lambda: g.BayesianGaussianMixture(10, covariance_type="full", max_iter=200, reg_covar=1e-4),
}
MODELS: dict[str, Callable[[], g.GenerativeModel]] = {
    "vae": lambda: g.VAE(latent=16, k_eval=512),
    "vae-mixture-prior": lambda: g.VAE(latent=16, k_eval=512, prior_components=20),
    "iwae": lambda: g.VAE(latent=16, objective="iwae", k_train=8, k_eval=512),
    "pixelcnn": lambda: g.PixelCNN(gated=False),
    "gated-pixelcnn": lambda: g.PixelCNN(gated=True),
    "pixelrnn-row": lambda: g.PixelRNN(kind="row"),
    "pixelrnn-diagonal": lambda: g.PixelRNN(kind="diagonal"),
    "autoencoder": lambda: g.AutoEncoder(latent=16, mixture=20),
    "gan": lambda: g.GAN(),
    "gan-2e-4": lambda: g.GAN(lr=2e-4),
    "gan-relativistic": lambda: g.GAN(relativistic=True),
    "gan-without-r1": lambda: g.GAN(r1=0.0, lr=2e-4),
    "dcgan": lambda: g.DCGAN(),
    "dcgan-alone": lambda: g.DCGAN(relativistic=False),
    "dcgan-batch-norm": lambda: g.DCGAN(r1=0.0, lr=2e-4, relativistic=False),
    "dcgan-spectral-r1": lambda: g.DCGAN(spectral_norm=True, r1=0.3, lr=2e-4, relativistic=False),
}
STEPS = {
    "iwae": 1500,
    "pixelcnn": 1500,
    "gated-pixelcnn": 1000,
    "pixelrnn-row": 700,
    "pixelrnn-diagonal": 500,
    "gan": 4000,
    "gan-2e-4": 4000,
    "gan-relativistic": 4000,
    "gan-without-r1": 4000,
    "dcgan": 1500,
    "dcgan-alone": 1500,
    "dcgan-batch-norm": 1500,
    "dcgan-spectral-r1": 1500,
}
BASELINES = ("real", "independent", "kde")


def baseline(name: str, s: Splits, seed: int) -> tuple[dict[str, float], torch.Tensor | None]:
    """Figures, and samples where there are any."""
    if name == "real":
        return {}, s.x_val
    if name == "independent":
        nats = metrics.independent_nats(metrics.independent_values(s.x_train, LEVELS), s.x_test)
        return _nats(nats), None
    train = metrics.dequantise(s.x_train, LEVELS, seed)
    widths = (0.1, 0.12, 0.15, 0.18)
    best = min(widths, key=lambda w: metrics.discrete_nats(metrics.kernel_density(train, w), s.x_val, LEVELS, draws=2))
    model = metrics.kernel_density(train, best)
    return {**_nats(metrics.discrete_nats(model, s.x_test, LEVELS)), "bandwidth": best}, _levels(
        model.sample(447, seed=seed)
    )


def fitted(name: str, s: Splits, seed: int) -> tuple[dict[str, float], torch.Tensor]:
    """Fit one model; its figures and 447 samples."""
    if name in MIXTURES:
        model = MIXTURES[name]().fit(metrics.dequantise(s.x_train, LEVELS, seed), seed=seed, progress=False)
        return _nats(metrics.discrete_nats(model, s.x_test, LEVELS)), _levels(model.sample(447, seed=seed))
    model = MODELS[name]().fit(s.x_train, seed=seed, steps=STEPS.get(name), val=s.x_val, progress=False)
    figures = {} if model.density == "none" else _nats(metrics.nats(model, s.x_test))
    return figures, model.sample(447, seed=seed)


def _levels(x: torch.Tensor) -> torch.Tensor:
    """Undo ``dequantise``: values in [0, 1) to the levels k / 16."""
    return (x * LEVELS).floor().clamp(0, LEVELS - 1) / (LEVELS - 1)


def _nats(nats: float) -> dict[str, float]:
    return {"test_nats": nats, "test_bits_per_dim": metrics.bits_per_dim(nats, DIMENSIONS)}


def likeness(samples: torch.Tensor, s: Splits, features: metrics.Features) -> dict[str, float]:
    """How far samples are from the test set."""
    images = (samples.float().clamp(0, 1) * (LEVELS - 1)).round() / (LEVELS - 1)
    bins, divergence = metrics.ndb(s.x_train, images, bins=50)
    return {
        "frechet": metrics.frechet_distance(features(images), features(s.x_test)),
        "ndb": bins,
        "js": divergence,
        "class_diversity": metrics.class_diversity(features, images, s.x_test),
        "nn_accuracy": metrics.nearest_neighbour_accuracy(images, s.x_test),
    }


SHOWN = {"test_nats": 2, "test_bits_per_dim": 3, "frechet": 0, "ndb": 1, "nn_accuracy": 3, "seconds": 0}
"""Columns and their digits."""


def table() -> str:
    """Mean and standard deviation over seeds, best likelihood first."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in read_rows(CSV):
        found[row["model"]][row["metric"]].append(float(row["value"]))
        found[row["model"]]["seconds"].append(float(row["train_s"]))
    lines = []
    for name, metrics_ in sorted(found.items(), key=lambda item: mean(item[1]["test_nats"] or [1e9])):
        cells = [
            f"{mean(v):.{digits}f}" + (f" ± {stdev(v):.{digits}f}" if len(v) > 1 else "")
            if (v := metrics_[metric])
            else "-"
            for metric, digits in SHOWN.items()
        ]
        lines.append([name, *cells, str(max(len(v) for k, v in metrics_.items() if k != "seconds"))])
    return markdown(["model", *SHOWN, "seeds"], lines)


GANS = {
    "GAN, before": ("gan-without-r1", 3),
    "GAN, r1=0.3, rate 2e-4": ("gan-2e-4", 3),
    "GAN, r1=0.3, rate 1e-3 (its default today)": ("gan", 3),
    "GAN, the same, relativistic": ("gan-relativistic", 3),
    "DCGAN, before (a critic with batch normalisation)": ("dcgan-batch-norm", 3),
    "DCGAN, r1=0.05": ("dcgan-alone", 3),
    "DCGAN, r1=0.05, relativistic (its default today)": ("dcgan", 3),
    "DCGAN, spectral norm and r1=0.3": ("dcgan-spectral-r1", 3),
    "validation images": ("real", 1),
}
"""Line of the table -> model of the CSV, and its seeds."""
OF_GANS = {"frechet": 0, "ndb": 0, "nn_accuracy": 2, "class_diversity": 2}


def gans() -> str:
    """The GANs seed by seed, before and after their settings changed."""
    found: dict[tuple[str, str, str], str] = {
        (row["model"], row["metric"], row["seed"]): row["value"] for row in read_rows(CSV)
    }
    lines = []
    for name, (model, seeds) in GANS.items():
        cells = [
            " / ".join(
                f"{float(found[model, metric, str(seed)]):.{digits}f}" if (model, metric, str(seed)) in found else "-"
                for seed in range(seeds)
            )
            for metric, digits in OF_GANS.items()
        ]
        lines.append([name, *cells])
    return markdown(["", *(f"{metric}, seeds 0 / 1 / 2" for metric in OF_GANS)], lines)


def main() -> None:
    """Command line."""
    names = (*BASELINES, *MIXTURES, *MODELS)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=names, default=list(names))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--csv", type=Path, default=CSV)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    s = g.data.load("digits")
    features = metrics.train_features(s.x_train, s.y_train, s.x_val, s.y_val)  # type: ignore[arg-type]
    done = {(row["model"], row["seed"]) for row in read_rows(a.csv)}
    for seed in range(a.seeds):
        for name in a.models:
            if (name, str(seed)) in done:
                continue
            began = time.process_time()
            figures, samples = (baseline if name in BASELINES else fitted)(name, s, seed)
            spent = time.process_time() - began
            if samples is not None:
                figures |= likeness(samples, s, features)
            for metric, value in figures.items():
                append_row(
                    a.csv,
                    COLUMNS,
                    {
                        "dataset": "digits",
                        "model": name,
                        "seed": seed,
                        "metric": metric,
                        "value": f"{value:.6g}",
                        "train_s": f"{spent:.1f}",
                        "machine": machine(),
                        "commit": commit(),
                        "command": f"python -m benchmarks.digits --models {name} --seeds {a.seeds}",
                    },
                )
            print(f"{name} seed {seed} {spent:.0f} s", *(f"{k} {v:.4g}" for k, v in figures.items()), flush=True)


if __name__ == "__main__":
    main()
