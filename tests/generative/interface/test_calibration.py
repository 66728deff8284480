"""The scale of typicality, by hand."""

import math

import pytest
import torch

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
