import numpy as np
import pytest

import envs
from demos import Demonstrations, MlpPolicy, Trajectory


@pytest.fixture
def make_demos():
    """Random demonstrations: (lengths, widths, ending) -> Demonstrations without a physics fingerprint."""

    def make(lengths=(3, 5, 2), obs_dim=4, act_dim=2, seed=0, env_id="Toy-v0"):
        rng = np.random.default_rng(seed)
        trajectories = [
            Trajectory(
                rng.normal(size=(t + 1, obs_dim)),
                rng.uniform(-1, 1, (t, act_dim)),
                rng.normal(size=t),
                terminated=i % 2 == 0,
                truncated=i % 2 == 1,
                seed=10 + i,
            )
            for i, t in enumerate(lengths)
        ]
        return Demonstrations(tuple(trajectories), {"env_id": env_id, "obs_dim": obs_dim, "act_dim": act_dim})

    return make


@pytest.fixture
def toy_policy():
    """A noisy MLP for the toy that pushes along +x, hardly steers, and so leaves the lane at very different times."""
    tensors = {
        "obs_mean": np.zeros(3),
        "obs_scale": np.ones(3),
        "hidden.0.weight": np.array([[1, 0, 0], [-1, 0, 0]]),
        "hidden.0.bias": np.zeros(2),
        "mean.weight": np.array([[0, 0], [-0.9, 0.9]]),
        "mean.bias": np.array([0.5, 0]),
        "log_std": np.array([-1.0, 0.0]),
        "act_low": -np.ones(2),
        "act_high": np.ones(2),
    }
    return MlpPolicy(tensors, {"env_id": envs.TOY_ID})


@pytest.fixture
def same():
    """Asserts that two sequences of trajectories are equal to the last bit."""

    def check(left, right, seeds=True):
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            for name in ("obs", "acts", "rews"):
                np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
            assert (a.terminated, a.truncated) == (b.terminated, b.truncated)
            assert not seeds or a.seed == b.seed

    return check
