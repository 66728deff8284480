import re

import numpy as np
import pytest

from demos.policy import MlpPolicy


def tiny(squash=True, **changes):
    """Two inputs (the second hidden), one hidden unit, one action in [-2, 4]."""
    tensors = {
        "obs_mean": [1.0, 5.0],
        "obs_scale": [2.0, 0.0],
        "hidden.0.weight": [[0.5, 9.0]],
        "hidden.0.bias": [0.25],
        "mean.weight": [[2.0]],
        "mean.bias": [-1.0],
        "log_std.weight": [[0.0]],
        "log_std.bias": [-30.0],
        "act_low": [-2.0],
        "act_high": [4.0],
    }
    tensors = {k: np.array(v, np.float32) for k, v in {**tensors, **changes}.items()}
    return MlpPolicy(tensors, {"env_id": "Toy-v0", "squash": squash})


def random_policy(obs_dim=60, act_dim=3, width=64, seed=0, activation="tanh"):
    rng = np.random.default_rng(seed)
    shapes = {
        "obs_mean": (obs_dim,),
        "obs_scale": (obs_dim,),
        "hidden.0.weight": (width, obs_dim),
        "hidden.0.bias": (width,),
        "hidden.1.weight": (width, width),
        "hidden.1.bias": (width,),
        "mean.weight": (act_dim, width),
        "mean.bias": (act_dim,),
        "log_std.weight": (act_dim, width),
        "log_std.bias": (act_dim,),
    }
    tensors = {k: rng.standard_normal(s, np.float32) * 0.3 for k, s in shapes.items()}
    bounds = {"act_low": -np.ones(act_dim, np.float32), "act_high": np.ones(act_dim, np.float32)}
    return MlpPolicy({**tensors, **bounds}, {"env_id": "Toy-v0", "activation": activation})


def test_forward_by_hand():
    # x = (2 - 1) * 2 = 2, h = relu(0.5 * 2 + 0.25) = 1.25, u = 2 * 1.25 - 1 = 1.5
    action, state = tiny().predict(np.array([2.0, 1e6]), state="kept", deterministic=True)
    assert state == "kept"
    np.testing.assert_allclose(action, [-2 + (np.tanh(1.5) + 1) * 3], rtol=1e-6)
    np.testing.assert_allclose(tiny(squash=False).predict([2.0, 0.0], deterministic=True)[0], [1.5], rtol=1e-6)
    # x = 20: u = 2 * 10.25 - 1 = 19.5, clipped to 4
    assert tiny(squash=False).predict(np.array([11.0, 0.0]), deterministic=True)[0] == [4.0]


def test_log_std_is_clipped_below_and_may_be_state_independent():
    # log s = clip(-30) = -20: the noise 2e-9 is lost in float32 beside u = 1.5
    policy = tiny()
    np.testing.assert_array_equal(policy.predict([2.0, 0.0])[0], policy.predict([2.0, 0.0], deterministic=True)[0])
    wide = tiny(squash=False, log_std=[0.0], act_low=[-99.0], act_high=[99.0])
    wide.seed(3)
    draws = wide.predict(np.tile([2.0, 0.0], (20_000, 1)))[0]
    assert abs(draws.mean() - 1.5) < 0.03 and abs(draws.std() - 1) < 0.03  # u ~ N(1.5, 1)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_rows_do_not_depend_on_the_batch(activation):
    policy, obs = random_policy(activation=activation), np.random.default_rng(1).standard_normal((50, 60), np.float32)
    whole = policy.predict(obs, deterministic=True)[0]
    np.testing.assert_array_equal(whole, np.stack([policy.predict(row, deterministic=True)[0] for row in obs]))
    np.testing.assert_array_equal(whole[:7], policy.predict(obs[:7], deterministic=True)[0])


def test_noise_streams_follow_their_row():
    policy, obs = random_policy(), np.zeros((3, 60), np.float32)
    policy.seed([7, 8, 9])
    together = [policy.predict(obs)[0] for _ in range(2)]
    policy.seed([9])
    alone = [policy.predict(obs[2])[0] for _ in range(2)]
    np.testing.assert_array_equal([step[2] for step in together], alone)
    with pytest.raises(ValueError, match="2 observations but 3 noise streams"):
        policy.seed([7, 8, 9])
        policy.predict(obs[:2])


def test_same_seed_twice():
    policy, obs = random_policy(), np.zeros((4, 60), np.float32)
    policy.seed(5)
    first = policy.predict(obs)[0]
    policy.seed(5)
    np.testing.assert_array_equal(first, policy.predict(obs)[0])
    assert not np.array_equal(first, policy.predict(obs)[0])


def test_save_and_load(tmp_path):
    policy = random_policy()
    policy.save(tmp_path / "a päth")
    again = MlpPolicy.load(tmp_path / "a päth")
    assert again.meta == policy.meta and again.env_id == "Toy-v0"
    assert (again.obs_dim, again.act_dim) == (60, 3)
    for name, value in policy.tensors.items():
        np.testing.assert_array_equal(value, again.tensors[name])


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"mean.weight": [[1.0, 2.0]]}, "policy tensor mean.weight has shape (1, 2) but its neighbours need (1, 1)"),
        ({"mean.bias": [np.nan]}, "policy tensor mean.bias holds NaN or Inf"),
        ({"obs_scale": [1.0]}, "policy tensor obs_scale has shape (1,) but its neighbours need (2,)"),
    ],
)
def test_bad_tensors_are_named(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        tiny(**changes)


def test_other_errors(tmp_path):
    with pytest.raises(ValueError, match=r"shape \(3,\) given to a policy for Toy-v0 that reads 2 numbers"):
        tiny().predict(np.zeros(3))
    with pytest.raises(ValueError, match=r"lacks the tensors log_std.bias, log_std.weight"):
        MlpPolicy({k: v for k, v in tiny().tensors.items() if "log_std" not in k}, {"env_id": "Toy-v0"})
    with pytest.raises(ValueError, match=r"cannot be read \(No such file"):
        MlpPolicy.load(tmp_path)
    tiny().save(tmp_path)
    with pytest.raises(ValueError, match="activation 'gelu' is unknown"):
        MlpPolicy(tiny().tensors, {"env_id": "Toy-v0", "activation": "gelu"})
    (tmp_path / "policy.safetensors").write_bytes(b"\x80\x04 not tensors")
    with pytest.raises(ValueError, match="is not a sound safetensors file"):
        MlpPolicy.load(tmp_path)


def test_noise_from_other_seeds_is_for_a_while():
    policy, obs = random_policy(), np.zeros((3, 60), np.float32)
    policy.seed(5)
    expected = [policy.predict(obs)[0] for _ in range(2)]
    policy.seed(5)
    first = policy.predict(obs)[0]
    with policy.noise_from([1, 2]):
        policy.predict(obs[:2])
    np.testing.assert_array_equal([first, policy.predict(obs)[0]], expected)


@pytest.mark.parametrize(("low", "high"), [(-1.1, -0.2), (-0.4, 0.3), (-2.0, 4.0)])
def test_actions_do_not_leave_their_bounds_by_rounding(low, high):
    from gail_suite.learning.shown.actions import from_unit

    bounds = {"act_low": [low], "act_high": [high]}
    for bias in (-40.0, 40.0):
        action = tiny(**bounds, **{"mean.bias": [bias]}).predict(np.zeros(2), deterministic=True)[0]
        assert np.float32(low) <= action <= np.float32(high)
    units = np.array([[-1.0], [1.0]], np.float32)
    found = from_unit(units, np.float32([low]), np.float32([high]))
    assert found.min() >= np.float32(low) and found.max() <= np.float32(high)
