import math

import pytest
import torch

from gail_suite.learning.rewards.of_logits import REWARDS, airl, fairl, gail, logd, reward_fn


def test_values_at_zero_and_one():
    # D(0) = 1/2: -log(1 - 1/2) = log 2, log(1/2) = -log 2, logit 0, -0 * 1 = 0
    zero = torch.zeros((), dtype=torch.float64)
    assert gail(zero).item() == pytest.approx(math.log(2))
    assert logd(zero).item() == pytest.approx(-math.log(2))
    assert airl(zero).item() == 0.0 and fairl(zero).item() == 0.0
    # D = sigmoid(1): -log(1 - D) = log(1 + e)
    one = torch.ones((), dtype=torch.float64)
    assert gail(one).item() == pytest.approx(math.log(1 + math.e))
    assert fairl(one).item() == pytest.approx(-math.e)


def test_signs_and_identity():
    logits = torch.linspace(-20, 20, 401, dtype=torch.float64)
    assert (gail(logits) > 0).all() and (logd(logits) < 0).all()
    # log D - log(1 - D) = logit
    torch.testing.assert_close(logd(logits) + gail(logits), airl(logits))


@pytest.mark.parametrize("name", sorted(REWARDS))
def test_finite_at_extreme_logits_in_float32(name):
    assert torch.isfinite(REWARDS[name](torch.tensor([-50.0, 50.0]))).all()


def test_clip_and_unknown_name():
    assert reward_fn("gail", 5.0)(torch.tensor(50.0)).item() == 5.0
    with pytest.raises(ValueError, match="unknown reward 'gial': choose one of gail, logd, airl, fairl"):
        reward_fn("gial")
