import subprocess
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.env_checker import check_env

import envs
from envs import BatchVecEnv, GymVecEnv


def test_unknown_environment_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown environment 'ant-v5': did you mean 'Ant-v5'\?"):
        envs.make("ant-v5")
    with pytest.raises(ValueError, match=r"did you mean 'Humanoid-v5'\?"):
        envs.make_vec("Humanoidv5")
    with pytest.raises(ValueError, match="pprint_registry"):
        envs.make("\u00a7\u00a7\u00a7")


@pytest.mark.filterwarnings("ignore:.*out of date.*:DeprecationWarning")
def test_environment_that_cannot_be_made_says_why() -> None:
    with pytest.raises(ValueError, match="cannot make Ant-v2: The mujoco v2 and v3 based environments have been moved"):
        envs.make("Ant-v2")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engine": "warp"}, "unknown engine 'warp': choose auto, batch or gymnasium"),
        ({"n_envs": 0}, "n_envs is 0"),
        ({"n_threads": 0}, "n_threads is 0"),
        ({"infos": "none"}, "infos is 'none'; choose 'full' or 'minimal'"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        envs.make_vec("Ant-v5", **arguments)


def test_batch_engine_refuses_other_tasks() -> None:
    with pytest.raises(ValueError, match=r"steps Ant-v5 and Humanoid-v5, not HalfCheetah-v5: use engine='gymnasium'"):
        envs.make_vec("HalfCheetah-v5", engine="batch")


def test_auto_engine_picks_the_fast_path_where_it_exists() -> None:
    assert isinstance(envs.make_vec("Ant-v5", n_envs=1), BatchVecEnv)
    assert isinstance(envs.make_vec("Ant-v5", n_envs=1, engine="gymnasium"), GymVecEnv)
    assert isinstance(envs.make_vec(envs.TOY_ID, n_envs=1), GymVecEnv)


@pytest.mark.parametrize("engine", ["batch", "gymnasium"])
def test_environment_i_takes_seed_plus_i(engine: Any) -> None:
    obs = envs.make_vec("Ant-v5", n_envs=3, seed=40, engine=engine).reset()
    for i in range(3):
        np.testing.assert_array_equal(obs[i], envs.make("Ant-v5").reset(seed=40 + i)[0])


@pytest.mark.parametrize("env_id", [envs.TOY_ID, "Ant-v5", "Reacher-v5", "Hopper-v5"])
def test_gymnasium_engine_continues_bit_for_bit(env_id: str) -> None:
    original = envs.make_vec(env_id, n_envs=2, seed=3, engine="gymnasium")
    original.reset()
    actions = np.random.default_rng(0).uniform(-1, 1, (130, 2, *original.action_space.shape)).astype(np.float32)
    for row in actions[:17]:
        original.step(row)
    resumed = envs.make_vec(env_id, n_envs=2, seed=77, engine="gymnasium")
    resumed.set_state(original.get_state())
    for row in actions[17:]:
        for a, b in zip(original.step(row)[:3], resumed.step(row)[:3], strict=True):
            np.testing.assert_array_equal(a, b)


def test_an_unknown_kind_of_environment_goes_on_with_new_episodes() -> None:
    original = envs.make_vec("Pendulum-v1", n_envs=2, seed=3)
    original.reset()
    for _ in range(5):
        original.step(np.zeros((2, 1)))
    state = original.get_state()
    assert "sim" not in state
    expected = original.reset()  # from the generators as they were when the state was taken
    resumed = envs.make_vec("Pendulum-v1", n_envs=2, seed=77)
    with pytest.warns(UserWarning, match="new episodes begin, since PendulumEnv may keep state that cannot be read"):
        resumed.set_state(state)
    np.testing.assert_array_equal(resumed._buffer, expected)
    for _ in range(200):  # a whole episode: its length is counted anew
        done = resumed.step(np.zeros((2, 1)))[2]
    assert done.all()


def test_state_of_another_environment_is_refused() -> None:
    ant, hopper = (envs.make_vec(name, n_envs=2, engine="gymnasium") for name in ("Ant-v5", "Hopper-v5"))
    ant.reset()
    with pytest.raises(ValueError, match="the state belongs to another environment"):
        hopper.set_state(ant.get_state())
    with pytest.raises(ValueError, match="state has 2 environments, this one 1"):
        envs.make_vec("Ant-v5", n_envs=1, engine="gymnasium").set_state(ant.get_state())


@pytest.mark.filterwarnings("ignore:.*symmetric and normalized Box.*", "ignore:.*float32.*", "ignore:Your observation")
def test_toy_is_a_valid_environment() -> None:
    check_env(envs.make(envs.TOY_ID).unwrapped)


def test_toy_expert_stays_in_the_lane_and_chance_does_not() -> None:
    venv = envs.make_vec(envs.TOY_ID, n_envs=20, seed=0)
    obs, alive = venv.reset(), np.ones(20, bool)
    for _ in range(99):
        obs, _, dones, _ = venv.step(envs.toy_expert.predict(obs)[0])
        alive &= ~dones
    assert alive.all()
    _, _, dones, infos = venv.step(envs.toy_expert.predict(obs)[0])
    assert dones.all() and all(info["TimeLimit.truncated"] for info in infos)
    rng, terminated = np.random.default_rng(0), np.zeros(20, bool)
    venv.reset()
    for _ in range(99):
        _, _, dones, _ = venv.step(rng.uniform(-1, 1, (20, 2)))
        terminated |= dones
    assert terminated.mean() > 0.9


def test_import_and_spec_need_no_torch() -> None:
    code = (
        "import sys, envs; envs.spec('Ant-v5'); envs.physics_fingerprint('Ant-v5'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class Plain(gym.Env[Any, Any]):
    """A task without a constructor."""

    observation_space = gym.spaces.Box(-1, 1, (2,), np.float64)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)


class Mute(Plain):
    """A task that draws nothing."""

    def __init__(self, size: float = 1.0) -> None:
        self.size = size


@pytest.mark.filterwarnings("ignore:.*initialised with render_mode:UserWarning")
def test_a_task_need_not_take_a_render_mode() -> None:
    gym.register("Mute-v0", entry_point=Mute, max_episode_steps=9)  # type: ignore[arg-type]
    gym.register("NoInit-v0", entry_point=Plain, max_episode_steps=9)  # type: ignore[arg-type]
    assert type(envs.make("NoInit-v0").unwrapped) is Plain
    with pytest.raises(ValueError, match=r"cannot make NoInit-v0\(size=2\) with .* takes no arguments"):
        envs.make("NoInit-v0(size=2)")
    assert envs.make("Mute-v0(size=2.0)").unwrapped.size == 2.0  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="unexpected keyword argument 'render_mode'"):
        envs.make("Mute-v0", render_mode="rgb_array")
