import warnings

import pytest
import torch
from torch import nn

import generative as g
from generative.adversarial.collapse import CollapsedWarning, warn_of_collapse
from generative.measuring import metrics

X = torch.rand(300, 4, generator=torch.Generator().manual_seed(0))


def test_a_generator_that_repeats_itself_is_named():
    model = g.GAN(latent=2, hidden=8).fit(X[:20], steps=1, progress=False)
    nn.init.zeros_(model.net.average.body[0][-1].weight)  # every sample is the same
    with pytest.warns(CollapsedWarning, match=r"this GAN has collapsed: \d+ of 50 clusters .* and 100% of the samples"):
        warn_of_collapse(model, X)


def test_a_good_one_is_not():
    class Good(g.GAN):
        def _sample(self, n, y, generator):
            return torch.rand(n, 4, generator=generator)

    model = Good(latent=2, hidden=8).fit(X[:20], steps=1, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_collapse(model, X)


def test_duplicates_by_hand():
    """Real values 0, 1, ..., 99 lie 1 apart; 30 of 100 others lie 0.5 from the next one."""
    real = torch.arange(100.0)[:, None]
    half = torch.cat([torch.arange(15.0) * 3, torch.arange(15.0) * 3 + 0.5, 100 + 2 * torch.arange(70.0)])[:, None]
    assert metrics.duplicate_share(half, real) == pytest.approx(0.3) and metrics.duplicate_share(real, real) == 0.0


def test_class_diversity_is_the_ratio_of_spreads():
    """A classifier whose features are the pixels: halving their spread around the class means gives a half."""
    identity = nn.Sequential(nn.Flatten(), nn.Identity(), nn.Linear(2, 2, bias=False))
    identity[2].weight.data = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    features = metrics.Features(identity, 1.0)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(200, 2, generator=generator).clamp(-2, 2)
    centres = torch.tensor([[5.0, 0.0], [-5.0, 0.0]]).repeat(100, 1)
    images = (centres + noise).view(-1, 1, 1, 2)
    narrow = (centres + 0.5 * noise).view(-1, 1, 1, 2)
    assert metrics.class_diversity(features, images, images) == pytest.approx(1.0)
    assert metrics.class_diversity(features, narrow, images) == pytest.approx(0.5, abs=0.02)
    assert metrics.class_diversity(features, narrow[::2], images) == pytest.approx(0.25, abs=0.05)
