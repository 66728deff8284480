"""Episodes that begin in a state that an observation shows."""

import gymnasium as gym
import numpy as np
import pytest

import envs
from envs.starts import clipped, put


def walked(env_id: str, engine: str, steps: int = 8):
    """Two environments after some random steps."""
    venv = envs.make_vec(env_id, n_envs=2, seed=3, engine=engine)
    obs, rng = venv.reset(), np.random.default_rng(0)
    for _ in range(steps):
        obs = venv.step(0.3 * rng.standard_normal((2, *venv.action_space.shape)))[0]
    return venv, obs


@pytest.mark.parametrize(
    ("env_id", "engine"),
    [("Ant-v5", "batch"), ("Humanoid-v5", "batch"), ("Ant-v5", "gymnasium"), (envs.TOY_ID, "gymnasium")],
)
def test_an_episode_begins_in_the_state_that_was_shown_and_goes_on_from_there(env_id, engine):
    venv, obs = walked(env_id, engine)
    parts = getattr(venv.get_attr("observation_structure")[0] if env_id != envs.TOY_ID else None, "get", lambda *_: 0)
    n = (parts("qpos") + parts("qvel")) or obs.shape[1]
    state = obs[1].copy()
    found = venv.begin_at(0, state)
    np.testing.assert_allclose(found[:n], state[:n], atol=1e-12)
    # both environments are in one state now but for the place on the plane, which the dynamics do not see
    actions = np.zeros((2, *venv.action_space.shape))
    after = venv.step(actions)[0]
    np.testing.assert_allclose(after[0, :n], after[1, :n], atol=1e-5)


@pytest.mark.parametrize(("env_id", "engine"), [("Ant-v5", "batch"), (envs.TOY_ID, "gymnasium")])
def test_only_that_environment_begins_anew_and_its_clock_too(env_id, engine):
    venv, obs = walked(env_id, engine)
    before = venv.get_state()
    venv.begin_at(0, obs[1])
    after = venv.get_state()
    assert (before["elapsed"].tolist(), after["elapsed"].tolist()) == ([8, 8], [0, 8])
    np.testing.assert_array_equal(after["sim"][1], before["sim"][1])
    venv.reset_one(1)
    assert venv.get_state()["elapsed"].tolist() == [0, 0]
    np.testing.assert_array_equal(venv.get_state()["sim"][0], after["sim"][0])


def test_a_state_that_ends_the_task_is_refused_and_quaternions_get_length_one():
    env = gym.make("Ant-v5").unwrapped
    obs, _ = env.reset(seed=0)
    assert put(env, np.concatenate(([5.0], obs[1:]))) is None  # above 1 m the ant's episode ends
    found = put(env, np.concatenate((obs[:1], 3 * obs[1:5], obs[5:])))
    np.testing.assert_allclose(found[1:5], obs[1:5] / np.linalg.norm(obs[1:5]), atol=1e-12)
    toy = envs.make(envs.TOY_ID).unwrapped
    assert put(toy, np.array([1.5, 0.0, 0.0])) is None


def test_a_task_that_does_not_tell_its_state_cannot_be_started_in_one():
    with pytest.raises(ValueError, match="PendulumEnv does not say what of an observation is its state"):
        put(gym.make("Pendulum-v1").unwrapped, np.zeros(3))


def test_states_that_were_cut_off_when_observed_are_told():
    generator = np.random.default_rng(0)
    states = generator.normal(0, 6, (400, 3))
    states[:, 2] = states[:, 2] > 0  # a switch has two values and no bound
    beyond = (np.abs(states[:, 1]) > 10).copy()
    states[:, 1] = np.clip(states[:, 1], -10, 10)
    assert 20 < beyond.sum() < 80
    np.testing.assert_array_equal(clipped(states), beyond)
    assert not clipped(states[:1]).any()


def test_a_walker_that_begins_at_a_clipped_velocity_does_not_repeat_what_was_shown():
    """The observation says 10 where the simulator had more; from whole states the next observation is the shown one."""
    env = envs.make_vec("Walker2d-v5", n_envs=1, seed=0)
    env.reset()
    generator, seen, next_seen, acts = np.random.default_rng(0), [], [], []
    obs = env.reset()
    for _ in range(120):
        seen.append(obs[0])
        acts.append(generator.uniform(-1, 1, (1, 6)).astype(np.float32))
        obs, _, done, infos = env.step(acts[-1])
        next_seen.append(infos[0]["terminal_observation"] if done[0] else obs[0])
    states, gaps = np.array(seen), []
    for state, act, expected in zip(seen, acts, next_seen, strict=True):
        assert env.begin_at(0, state) is not None
        found, _, done, infos = env.step(act)
        gaps.append(np.abs((infos[0]["terminal_observation"] if done[0] else found[0]) - expected).max())
    lost = clipped(states[:, :17])
    assert 10 < lost.sum() < 110
    assert np.median(np.array(gaps)[~lost]) < 1e-4 < np.median(np.array(gaps)[lost])
