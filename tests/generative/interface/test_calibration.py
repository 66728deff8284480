"""The scale of typicality, by hand."""

import math

import pytest
import torch

import generative as g
from generative.interface.calibration import scale_of, typicality


def test_the_scale_is_the_median_and_the_95_quantile():
    assert scale_of(torch.arange(101.0)) == pytest.approx((50.0, 95.0))  # 0, 1, ..., 100
    median, upper = scale_of(torch.ones(5))
    assert upper > median == 1.0
    with pytest.raises(ValueError, match="not finite on held-out data"):
        scale_of(torch.tensor([0.0, math.nan]))


def test_typicality_by_hand():
    errors = torch.tensor([-7.0, 50.0, 95.0, 140.0, 1e9])
    # f = 0, 0, 1, 2 and far: exp(-f), and (1 + f)^-2
    assert typicality(errors, (50.0, 95.0)).tolist() == pytest.approx([1, 1, math.exp(-1), math.exp(-2), 0], abs=1e-7)
    assert typicality(errors, (50.0, 95.0), tail=2.0)[:4].tolist() == pytest.approx([1, 1, 1 / 4, 1 / 9])
    assert typicality(errors, (50.0, 95.0)).min() > 0


def test_much_held_out_data_is_calibrated_on_a_part_from_all_of_it(monkeypatch):
    """A VAE decodes k_eval draws a sample: 64 for each of 5000 images took 18 minutes at 64x64x3."""
    x = torch.rand(1000, 1, 4, 4, generator=torch.Generator().manual_seed(0)).round()
    x[:, 0, 0, 0] = torch.arange(1000) >= 500
    seen: list[torch.Tensor] = []
    error = g.VAE.error

    def counted(self, x, y=None):
        seen.append(x)
        return error(self, x, y)

    monkeypatch.setattr(g.VAE, "error", counted)
    monkeypatch.setattr("generative.interface.fitting.CALIBRATED_VALUES", 16 * 250 * 3)
    g.VAE(latent=2, hidden=8, k_eval=3).fit(x[:100], val=x, steps=1)
    used = torch.cat(seen)
    assert len(used) == 250 and float(used[:, 0, 0, 0].mean()) == 0.5
