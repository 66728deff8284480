"""Numbers that say how good a model or a set of samples is: nats, bits a dimension, and distances between two
samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gail_suite.generative.core.backend import fast_matmul, own_draws, own_generator, own_starts, seed_generator
from gail_suite.generative.core.checks import as_tensor, check_finite
from gail_suite.generative.core.types import ArrayLike
from gail_suite.generative.interface.model import GenerativeModel
from gail_suite.generative.mixtures.gmm import GaussianMixture
from gail_suite.generative.mixtures.kmeans import kmeans, nearest, squared_distances


def nats(model: GenerativeModel, x: ArrayLike) -> float:
    """Mean negative log-likelihood of ``x``, nats per sample (an upper bound on it where density is "bound")."""
    return -float(model.log_prob(x).double().mean())


def _numbers(x: ArrayLike) -> Tensor:
    """``x`` as a tensor; ValueError where it holds NaN or infinity, which have no distance from anything."""
    data = as_tensor(x)
    check_finite(data)
    return data


def bits_per_dim(nats_per_sample: float, dimensions: int) -> float:
    """nats / (D log 2)."""
    return nats_per_sample / (dimensions * math.log(2))


def dequantise(x: ArrayLike, levels: int, seed: int = 0) -> Tensor:
    """Uniform dequantisation: (k + u) / L with u ~ U[0, 1) for values k / (L - 1), shape as ``x``, within [0, 1).

    -log p(dequantised) + D log L bounds from above the negative log-likelihood of the levels (Theis et al. 2016), which
    makes a density comparable to a probability of levels.
    """
    data = as_tensor(x)
    noise = torch.rand(data.shape, generator=seed_generator(seed, data.device), device=data.device, dtype=data.dtype)
    return ((data * (levels - 1)).round() + noise) / levels


def discrete_nats(model: GenerativeModel, x: ArrayLike, levels: int, draws: int = 8) -> float:
    """Nats of ``levels``-valued ``x`` under a density fitted on ``dequantise(x, levels)``, log-mean-exp over
    ``draws``.
    """
    each = torch.stack([model.log_prob(dequantise(x, levels, seed)).double() for seed in range(draws)])
    dimensions = math.prod(as_tensor(x).shape[1:])
    return float((dimensions * math.log(levels) + math.log(draws) - torch.logsumexp(each, 0)).mean())


@dataclass(frozen=True)
class Features:
    """A small classifier trained on labelled images, whose last hidden layer is a feature space."""

    net: nn.Sequential
    accuracy: float

    def __call__(self, x: ArrayLike) -> Tensor:
        """Features (N, 64) in float64."""
        device = next(self.net.parameters()).device
        with torch.no_grad():
            parts = [self.net[:-1](part.to(device)) for part in _numbers(x).float().split(512)]
        return torch.cat(parts).double()


def train_features(x: Tensor, y: Tensor, x_val: Tensor, y_val: Tensor, steps: int = 600, seed: int = 0) -> Features:
    """Fit the classifier behind ``frechet_distance`` to images (N, C, H, W); its distances compare only with one
    another.
    """
    y, x_val, y_val = y.to(x.device), x_val.to(x.device), y_val.to(x.device)
    with own_draws(seed, x.device):
        with own_starts():
            net = nn.Sequential(
                nn.Conv2d(x.shape[1], 32, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(32, 64, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(4),
                nn.Flatten(),
                nn.Linear(1024, 64),
                nn.ReLU(),
                nn.Linear(64, int(y.max()) + 1),
            ).to(x.device)
        optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-3)
        for _ in range(steps):
            rows = torch.randint(len(x), (64,), device=x.device, generator=own_generator(x.device))
            with fast_matmul(x.device):
                loss = F.cross_entropy(net(x[rows]), y[rows])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        accuracy = float((net(x_val).argmax(1) == y_val).float().mean())
    return Features(net, accuracy)


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^1/2) of two feature sets (N, F) (Dowson and Landau 1982; FID: Heusel
    2017).

    The trace of the root is the sum of the square roots of the eigenvalues of S_a^1/2 S_b S_a^1/2.
    """
    a, b = a.double(), b.to(a.device).double()
    for features in (a, b):
        if features.ndim != 2 or len(features) < 2 or not bool(torch.isfinite(features).all()):
            raise ValueError(
                f"features must be (N, F), finite, with N >= 2 for a covariance; got shape {tuple(features.shape)} "
                "with "
                f"{int((~torch.isfinite(features)).sum())} values that are not finite"
            )
    values, vectors = torch.linalg.eigh(a.T.cov())
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    s_b = b.T.cov()
    cross = torch.linalg.eigvalsh(root @ s_b @ root).clamp_min(0).sqrt().sum()
    distance = (a.mean(0) - b.mean(0)).square().sum() + values.sum() + s_b.trace() - 2 * cross
    return max(0.0, float(distance))


def ndb(train: ArrayLike, samples: ArrayLike, bins: int = 100, seed: int = 0, level: float = 0.05) -> tuple[int, float]:
    """Number of statistically different bins and Jensen-Shannon divergence (Richardson and Weiss 2018).

    Bins are k-means clusters of ``train`` (standardised by dimension); a bin differs where a two-proportion z test
    rejects at ``level``. Real data against real data give about level * bins. Both sets are counted by the nearest
    cluster mean, and a cluster that lost its rows counts as an empty bin.
    """
    real = _numbers(train).double().flatten(1)
    fake = _numbers(samples).to(real.device).double().flatten(1)
    centre, scale = real.mean(0), real.std(0).clamp_min(1e-3)
    real, fake = (real - centre) / scale, (fake - centre) / scale
    centres = kmeans(real, bins, seed_generator(seed))
    p, q = (torch.bincount(nearest(x, centres), minlength=bins).double() / len(x) for x in (real, fake))
    pooled = (p * len(real) + q * len(fake)) / (len(real) + len(fake))
    error = (pooled * (1 - pooled) * (1 / len(real) + 1 / len(fake))).sqrt().clamp_min(1e-12)
    limit = math.sqrt(2) * float(torch.erfinv(torch.tensor(1 - level, dtype=torch.float64)))
    middle = 0.5 * (p + q)
    divergence = (
        0.5
        * (
            torch.special.xlogy(p, p / middle.clamp_min(1e-300)) + torch.special.xlogy(q, q / middle.clamp_min(1e-300))
        ).sum()
    )
    return int(((p - q).abs() / error > limit).sum()), float(divergence)


def duplicate_share(samples: ArrayLike, real: ArrayLike) -> float:
    """Share of samples whose nearest other sample is nearer than 99 % of the ``real`` ones have their nearest other
    one.

    Equal distributions and equally many of both give 0.01; a generator that repeats itself gives more.
    """
    fake = _numbers(samples).double().flatten(1)
    nearest_real, nearest_fake = (_nearest_other(x) for x in (_numbers(real).to(fake).flatten(1), fake))
    return float((nearest_fake < torch.quantile(nearest_real, 0.01)).double().mean())


def _nearest_other(x: Tensor) -> Tensor:
    return squared_distances(x, x).fill_diagonal_(torch.inf).min(1).values


def class_diversity(features: Features, samples: ArrayLike, real: ArrayLike) -> float:
    """Spread of the samples within the classes that the classifier puts them in, over that of ``real`` data.

    The spread of a class is the root of the summed variances of its features; classes with fewer than 3 of either count
    as 0 of the samples' spread. 1 is as diverse as the data; generators that draw one digit in one way are far below.
    """
    spreads = []
    both = [features(x) for x in (samples, real)]
    with torch.no_grad():
        labels = [features.net[-1](f.float()).argmax(1) for f in both]
    for k in labels[1].unique():
        fake, true = (f[y == k] for f, y in zip(both, labels, strict=True))
        if len(true) < 3:
            continue
        spreads.append(_spread(fake) / _spread(true) if len(fake) >= 3 else 0.0)
    return sum(spreads) / len(spreads)


def _spread(x: Tensor) -> float:
    return float(x.var(0).sum().sqrt())


def nearest_neighbour_accuracy(a: ArrayLike, b: ArrayLike) -> float:
    """Leave-one-out 1-nearest-neighbour accuracy at telling ``a`` from ``b``: 0.5 for equal distributions, 1 for
    disjoint ones.

    Source: Lopez-Paz and Oquab (2017). Both sets are cut to the same size.
    """
    first = _numbers(a).double().flatten(1)
    second = _numbers(b).to(first.device).double().flatten(1)
    n = min(len(first), len(second))
    both = torch.cat([first[:n], second[:n]])
    distances = squared_distances(both, both).fill_diagonal_(torch.inf)
    return float(((distances.argmin(1) < n) == (torch.arange(2 * n, device=both.device) < n)).double().mean())


def independent_values(x: ArrayLike, levels: int) -> Tensor:
    """Baseline: log-probability table (D, L) of every dimension on its own, with one pseudo-count a level."""
    index = (_numbers(x).flatten(1) * (levels - 1)).round().long()
    counts = F.one_hot(index, levels).sum(0).double() + 1
    return (counts / counts.sum(1, keepdim=True)).log()


def independent_nats(table: Tensor, x: ArrayLike) -> float:
    """Mean negative log-likelihood of ``x`` under ``independent_values``, nats per sample."""
    index = (_numbers(x).to(table.device).flatten(1) * (table.shape[1] - 1)).round().long()
    return -float(table.expand(len(index), -1, -1).gather(2, index.unsqueeze(2)).sum(1).mean())


def kernel_density(x: ArrayLike, bandwidth: float) -> GaussianMixture:
    """Baseline: a Gaussian of standard deviation ``bandwidth`` on every row of ``x``, as a mixture."""
    flat = _numbers(x).double().flatten(1)
    model = GaussianMixture(len(flat), covariance_type="spherical")
    model.device = flat.device
    model.spec = {"event_shape": list(as_tensor(x).shape[1:]), "value": "real", "levels": 0, "n_classes": 0}
    model.offset = flat.mean(0)
    model.params = {
        "weights": torch.full_like(flat[:, 0], 1 / len(flat)),
        "means": flat - model.offset,
        "covariances": torch.full_like(flat[:, 0], bandwidth**2),
    }
    return model
