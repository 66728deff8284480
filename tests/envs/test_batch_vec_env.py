"""BatchVecEnv against Gymnasium's tasks stepped one by one by SB3's DummyVecEnv: every number equal to the last bit."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv

import envs
from envs import BatchVecEnv

TASKS = ("Ant-v5", "Humanoid-v5")


def assert_same_info(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert a.keys() == b.keys()
    for key, value in a.items():
        np.testing.assert_array_equal(value, b[key], err_msg=key)


def assert_same_rollout(reference: Any, batch: Any, steps: int, dtype: type, seed: int = 0) -> tuple[int, int]:
    """Step both with the same actions and return the numbers of finished and of truncated episodes."""
    reference.seed(seed)
    batch.seed(seed)
    first = reference.reset()
    np.testing.assert_array_equal(first, batch.reset())
    rng, space = np.random.default_rng(seed), reference.action_space
    finished = truncated = 0
    for _ in range(steps):
        # actions at and beyond the bounds make both robots fall early
        signs = np.sign(rng.standard_normal((reference.num_envs, *space.shape)))
        actions = (signs * rng.uniform(0.8, 1.2, signs.shape) * space.high).astype(dtype)
        expected, got = reference.step(actions), batch.step(actions)
        for a, b in zip(expected[:3], got[:3], strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
        for a, b in zip(expected[3] + reference.reset_infos, got[3] + batch.reset_infos, strict=True):
            assert_same_info(a, b)
        finished += int(got[2].sum())
        truncated += sum(info["TimeLimit.truncated"] for info in got[3])
    return finished, truncated


def pair(env_id: str, n_envs: int, n_threads: int, **kwargs: Any) -> tuple[DummyVecEnv, BatchVecEnv]:
    reference = DummyVecEnv([lambda: gym.make(env_id, **kwargs) for _ in range(n_envs)])
    return reference, BatchVecEnv(env_id, n_envs, n_threads, **kwargs)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize(("env_id", "steps"), [("Ant-v5", 150), ("Humanoid-v5", 80)])
def test_equal_to_gymnasium_over_ten_episodes(env_id: str, steps: int, n_threads: int) -> None:
    dtype = (np.float32, np.float64)[n_threads - 1]
    reference, batch = pair(env_id, 5, n_threads)
    finished, _ = assert_same_rollout(reference, batch, steps, dtype, seed=3)
    assert finished >= 10


@pytest.mark.parametrize("env_id", TASKS)
def test_time_limit_truncates_as_gymnasium_does(env_id: str) -> None:
    reference, batch = pair(env_id, 3, 2, max_episode_steps=15)
    finished, truncated = assert_same_rollout(reference, batch, 50, np.float32)
    assert 0 < truncated <= finished


@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [
        (
            "Ant-v5",
            {
                "include_cfrc_ext_in_observation": False,
                "exclude_current_positions_from_observation": False,
                "terminate_when_unhealthy": False,
                "reset_noise_scale": 0.2,
            },
        ),
        (
            "Humanoid-v5",
            {
                "include_cinert_in_observation": False,
                "contact_cost_weight": 1e-3,
                "contact_cost_range": (0.0, 0.5),
                "exclude_current_positions_from_observation": False,
                "healthy_z_range": (1.2, 2.0),
            },
        ),
    ],
)
def test_keyword_arguments_of_the_tasks_keep_their_meaning(env_id: str, kwargs: dict[str, Any]) -> None:
    reference, batch = pair(env_id, 2, 1, **kwargs)
    assert reference.observation_space == batch.observation_space
    assert_same_rollout(reference, batch, 40, np.float32)


@pytest.mark.parametrize("env_id", TASKS)
def test_number_of_threads_and_of_environments_change_nothing(env_id: str) -> None:
    wide, narrow = BatchVecEnv(env_id, 4, 3), BatchVecEnv(env_id, 1, 1)
    wide.seed(7)
    narrow.seed(7 + 2)
    np.testing.assert_array_equal(wide.reset()[2], narrow.reset()[0])
    rng = np.random.default_rng(0)
    for _ in range(30):
        actions = rng.uniform(-0.4, 0.4, (4, *wide.action_space.shape)).astype(np.float32)
        a, b = wide.step(actions), narrow.step(actions[2:3])
        np.testing.assert_array_equal(a[0][2], b[0][0])
        assert a[1][2] == b[1][0]


@pytest.mark.parametrize("env_id", TASKS)
def test_state_continues_bit_for_bit_in_a_fresh_env(env_id: str) -> None:
    rng = np.random.default_rng(1)
    original = envs.make_vec(env_id, n_envs=3, seed=11, n_threads=2)
    original.reset()
    actions = rng.uniform(-1, 1, (60, 3, *original.action_space.shape)).astype(np.float32) * original.action_space.high
    for row in actions[:23]:  # cuts episodes in the middle
        original.step(row)
    state = original.get_state()
    assert all(isinstance(value, np.ndarray) and value.dtype != object for value in state.values())
    resumed = envs.make_vec(env_id, n_envs=3, seed=999, n_threads=1)
    resumed.set_state({key: value.copy() for key, value in state.items()})
    done_seen = False
    for row in actions[23:]:
        a, b = original.step(row), resumed.step(row)
        for x, y in zip(a[:3], b[:3], strict=True):
            np.testing.assert_array_equal(x, y)
        done_seen |= bool(a[2].any())
    assert done_seen or env_id == "Ant-v5"  # generators continue through resets too


def test_state_taken_before_the_first_reset_keeps_the_seeds() -> None:
    a, b = envs.make_vec("Ant-v5", n_envs=2, seed=5), envs.make_vec("Ant-v5", n_envs=2, seed=6)
    b.set_state(a.get_state())
    np.testing.assert_array_equal(a.reset(), b.reset())


def test_state_of_another_size_is_refused() -> None:
    a, b = BatchVecEnv("Ant-v5", 2), BatchVecEnv("Ant-v5", 3)
    with pytest.raises(ValueError, match=r"state has simulators \(2, \d+\), expected \(3, \d+\)"):
        b.set_state(a.get_state())


def test_returned_arrays_are_the_callers_own() -> None:
    env = envs.make_vec("Ant-v5", n_envs=2)
    obs = env.reset()
    kept = obs.copy()
    env.step(np.zeros((2, 8), np.float32))
    np.testing.assert_array_equal(obs, kept)


def test_minimal_infos_carry_only_what_learners_need() -> None:
    env = envs.make_vec("Humanoid-v5", n_envs=4, infos="minimal", max_episode_steps=10)
    env.reset()
    ended = [info for _ in range(12) for info in env.step(np.full((4, 17), 0.4, np.float32))[3]]
    assert {frozenset(info) for info in ended} == {
        frozenset({"TimeLimit.truncated"}),
        frozenset({"TimeLimit.truncated", "terminal_observation"}),
    }


@pytest.mark.parametrize("engine", ["batch", "gymnasium"])
def test_bad_actions_are_refused(engine: Any) -> None:
    env = envs.make_vec("Ant-v5", n_envs=3, engine=engine)
    env.reset()
    actions = np.zeros((3, 8), np.float32)
    actions[1, 4] = np.nan
    with pytest.raises(ValueError, match=r"actions of environments \[1\] are not finite: check the policy for NaN"):
        env.step(actions)
    with pytest.raises(ValueError, match=r"actions have shape \(3, 7\), expected \(3, 8\)"):
        env.step(np.zeros((3, 7), np.float32))


def test_unstable_simulation_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    env = BatchVecEnv("Ant-v5", 2)
    env.reset()
    monkeypatch.setattr(env._task, "observe", lambda: np.array([[0.0, 1.0], [np.inf, 0.0]]))
    with pytest.raises(ValueError, match=r"observations of environments \[1\] are not finite"):
        env.step(np.zeros((2, 8), np.float32))


def test_methods_and_attributes_reach_the_environment_asked_for() -> None:
    env = BatchVecEnv("Ant-v5", 3)
    env.seed(0)
    env.reset()
    states = env.env_method("state_vector")
    assert len(states) == 3 and not np.array_equal(states[0], states[2])
    assert env.get_attr("frame_skip", indices=[0, 2]) == [5, 5]
    with pytest.raises(NotImplementedError, match="engine='gymnasium'"):
        env.set_attr("frame_skip", 3)
    env.close()
