"""Metrics against values derived by hand and against what equal and different samples must give."""

import math

import numpy as np
import pytest
import torch

import generative as g
from generative.core.backend import seed_generator
from generative.measuring import metrics


def normal(n: int, d: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=seed_generator(seed), dtype=torch.float64)


def test_bits_per_dim_by_hand():
    """A fair coin for each of 10 pixels: 10 log 2 nats, 1 bit a dimension."""
    assert metrics.bits_per_dim(10 * math.log(2), 10) == pytest.approx(1.0)


def test_frechet_distance_by_hand():
    """Diagonal covariances 4 and 1 in two dimensions, means 3 apart in one: 9 + 2 (2 - 1)^2 = 11."""
    x = normal(200_000, 2)
    x = (x - x.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(x.T.cov())).T
    assert metrics.frechet_distance(x, x) == pytest.approx(0.0, abs=1e-6)
    assert metrics.frechet_distance(x, 2 * x + torch.tensor([3.0, 0.0])) == pytest.approx(11.0, abs=1e-6)


def test_ndb_tells_equal_from_missing_mode():
    x = normal(3000)
    bins, divergence = metrics.ndb(x, normal(3000, seed=1), bins=40)
    cut = x[x[:, 0] < 0.5]
    worse_bins, worse = metrics.ndb(x, cut, bins=40)
    assert bins <= 6 and divergence < 0.02 and worse_bins > 15 and worse > 5 * divergence


def test_ndb_of_a_set_against_itself_is_zero_even_with_empty_bins():
    few = torch.arange(6).double().view(3, 2).repeat(20, 1)  # three places, ten bins
    assert metrics.ndb(few, few, bins=10) == (0, 0.0) and metrics.ndb(normal(300), normal(300), bins=40) == (0, 0.0)


def test_frechet_distance_needs_a_covariance():
    with pytest.raises(ValueError, match=r"N >= 2 for a covariance; got shape \(1, 2\)"):
        metrics.frechet_distance(normal(9, 2), normal(1, 2))
    with pytest.raises(ValueError, match="with 2 values that are not finite"):
        metrics.frechet_distance(normal(9, 2), torch.full((3, 2), torch.inf).index_fill(0, torch.tensor([0, 1]), 0))


def test_nearest_neighbour_accuracy_is_a_half_for_equal_and_one_for_disjoint():
    assert metrics.nearest_neighbour_accuracy(normal(600), normal(600, seed=1)) == pytest.approx(0.5, abs=0.06)
    assert metrics.nearest_neighbour_accuracy(normal(100), normal(120) + 50) == 1.0


def test_independent_values_are_smoothed_frequencies():
    """Values 0, 0, 1 of two levels with one pseudo-count: probabilities 3/5 and 2/5."""
    table = metrics.independent_values(torch.tensor([[0.0], [0.0], [1.0]]), 2)
    np.testing.assert_allclose(table.exp().numpy(), [[0.6, 0.4]])
    assert metrics.independent_nats(table, torch.tensor([[1.0]])) == pytest.approx(-math.log(0.4))


def test_kernel_density_is_scikit_learn_s():
    from sklearn.neighbors import KernelDensity

    x, fresh = normal(50), normal(20, seed=1)
    peer = KernelDensity(bandwidth=0.7).fit(x.numpy()).score_samples(fresh.numpy())
    np.testing.assert_allclose(metrics.kernel_density(x, 0.7).log_prob(fresh).numpy(), peer, rtol=1e-9)


def test_discrete_nats_of_a_uniform_density():
    """A density that is flat on [0, 1) gives every one of L levels probability 1 / L."""
    x = (torch.randint(5, (300, 2), generator=seed_generator(0)) / 4).double()
    flat = metrics.dequantise(torch.randint(5, (4000, 2), generator=seed_generator(1)) / 4, 5).double()
    assert float(flat.min()) >= 0 and float(flat.max()) < 1

    class Flat(g.GenerativeModel):
        density = "exact"

        def log_prob(self, x, y=None):
            return torch.where(((x >= 0) & (x < 1)).all(1), 0.0, -torch.inf)

    assert metrics.discrete_nats(Flat(), x, 5) == pytest.approx(2 * math.log(5), abs=1e-9)


def test_classifier_features_separate_classes():
    x = torch.zeros(200, 1, 8, 8)
    y = torch.arange(200) % 2
    x[y == 0, :, :4] = 1
    x = (x + 0.1 * torch.rand(x.shape, generator=seed_generator(0))).clamp(0, 1)
    features = metrics.train_features(x[:160], y[:160], x[160:], y[160:], steps=40)
    assert features.accuracy == 1.0 and features(x).shape == (200, 64)
    same = metrics.frechet_distance(features(x[:100]), features(x[100:]))
    assert metrics.frechet_distance(features(x[y == 0]), features(x[y == 1])) > 10 * same


@pytest.mark.parametrize("metric", [metrics.ndb, metrics.duplicate_share, metrics.nearest_neighbour_accuracy])
def test_what_is_no_number_is_not_near_or_far(metric):
    x = torch.rand(200, 4, generator=torch.Generator().manual_seed(0))
    bad = x.clone()
    bad[3, 1] = torch.nan
    for pair in ((x, bad), (bad, x)):
        with pytest.raises(ValueError, match="data holds 1 values that are NaN or infinite"):
            metric(*pair)
