"""Recorded episodes as films: the simulation stands where it stood."""

from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from PIL import Image

import demos
from demos import Demonstrations, Trajectory
from gail_suite.showing.replay import Recorded, _states, render_episode
from gail_suite.showing.video import render


def recorded(env_id: str, steps: int, seed: int = 3) -> tuple[Demonstrations, np.ndarray]:
    """An episode cut after `steps` random steps, and where the root was at each."""
    env = gym.make(env_id)
    env.action_space.seed(0)
    obs, acts, places = [env.reset(seed=seed)[0]], [], [env.unwrapped.data.qpos[:2].copy()]
    for _ in range(steps):
        acts.append(env.action_space.sample())
        obs.append(env.step(acts[-1])[0])
        places.append(env.unwrapped.data.qpos[:2].copy())
    env.close()
    t = Trajectory(np.array(obs), np.array(acts), np.ones(steps), False, False, seed)
    return Demonstrations((t,), {"env_id": env_id}), np.array(places)


@pytest.mark.parametrize("env_id, skipped", [("Ant-v5", 2), ("Hopper-v5", 1)])
def test_states_are_put_back_as_they_were(env_id: str, skipped: int) -> None:
    shown, places = recorded(env_id, 12)
    env = gym.make(env_id)
    positions = env.unwrapped.observation_structure["qpos"]
    for step, _ in enumerate(_states(env, shown[0])):
        data = env.unwrapped.data
        if step > 0:  # Gymnasium's first quaternion is noise away from length 1, ours is not
            np.testing.assert_allclose(data.qpos[skipped:], shown[0].obs[step, :positions], atol=1e-5)
        moved = places[step, :skipped] - places[0, :skipped]
        np.testing.assert_allclose(data.qpos[:skipped], moved, atol=0.05)  # velocities summed over steps of 1/20 s
    assert step == 12
    env.close()


class Mirrored(HalfCheetahEnv):
    """HalfCheetah that shows its velocities with the opposite sign, which its `observation_structure` does not say."""

    def _get_obs(self) -> np.ndarray:
        obs = super()._get_obs()
        obs[8:] *= -1
        return obs


@pytest.mark.parametrize(
    "make",
    [
        lambda: gym.wrappers.NormalizeObservation(gym.make("Hopper-v5")),
        lambda: gym.wrappers.TransformObservation(gym.make("Hopper-v5"), lambda obs: obs / 100, None),
        Mirrored,
    ],
    ids=["normalised", "rescaled", "mirrored"],
)
def test_what_shows_something_else_than_its_state_is_repeated(make) -> None:
    rng, env = np.random.default_rng(0), make()
    obs, acts = [env.reset(seed=3)[0]], []
    positions = [env.unwrapped.data.qpos.copy()]
    for _ in range(12):
        acts.append(rng.uniform(-1, 1, env.action_space.shape).astype(np.float32))
        obs.append(env.step(acts[-1])[0])
        positions.append(env.unwrapped.data.qpos.copy())
    other, t = make(), Trajectory(np.array(obs), np.array(acts), None, False, False, 3)
    shown = [other.unwrapped.data.qpos.copy() for _ in _states(other, t)]
    np.testing.assert_allclose(shown, positions, atol=1e-6)


def test_the_film_has_a_frame_a_step(tmp_path: Path) -> None:
    shown, _ = recorded("Ant-v5", 5)
    path = render_episode(shown, 0, tmp_path / "x.npz", width=32, height=32, renderer="raycast")
    with np.load(path) as film:
        assert film["x"].shape == (6, 3, 32, 32) and np.ptp(film["x"].astype(int), axis=0).max() > 20
    few = render_episode(shown, -1, tmp_path / "y.npz", n_frames=2, width=32, height=32, renderer="raycast")
    with np.load(few) as film:
        assert len(film["x"]) == 2
    with pytest.raises(ValueError, match="there is no episode 1: choose 0 to 0"):
        render_episode(shown, 1, tmp_path / "x.npz")


def test_other_tasks_repeat_the_actions_and_say_where_they_cannot() -> None:
    env = gym.make("Pendulum-v1")
    obs, acts = [env.reset(seed=2)[0]], []
    for step in range(4):
        acts.append(np.full(1, step - 1.0, np.float32))
        obs.append(env.step(acts[-1])[0])
    t = Trajectory(np.array(obs), np.array(acts), np.zeros(4), False, False, 2)
    assert sum(1 for _ in _states(env, t)) == 5
    with pytest.raises(ValueError, match=r"repeated, the episode is .* away from its record at step 0"):
        list(_states(env, replace(t, seed=1)))
    for lost in (replace(t, seed=None), replace(t, acts=None)):
        with pytest.raises(ValueError, match="its actions and its seed are needed"):
            list(_states(env, lost))
    env.close()


def test_observations_only_are_enough_for_a_film(tmp_path: Path) -> None:
    shown, _ = recorded("Hopper-v5", 2)
    seen = demos.load(shown.observations_only().save(tmp_path / "seen"))
    assert render_episode(seen, 0, tmp_path / "x.gif", width=64, height=64, renderer="raycast").stat().st_size > 100


def test_a_recorded_episode_beside_a_policy(tmp_path: Path) -> None:
    class Still:
        def predict(self, obs, state=None, episode_start=None, deterministic=False):
            return np.zeros((len(obs), 8), np.float32), state

    shown, _ = recorded("Ant-v5", 12)
    path = tmp_path / "beside.npz"
    left = Recorded(shown, 0, "raycast", 64, 48, overlay=False, max_fps=20)
    render(Still(), "Ant-v5", path, 300, "raycast", 3, compare=left, width=64, height=48)
    frames = np.load(path)["x"]
    assert frames.shape == (13, 3, 48, 128)  # as long as the episode
    apart = np.abs(frames[:, :, :, :64].astype(int) - frames[:, :, :, 64:]).mean((1, 2, 3))
    assert apart[0] < apart[-1]  # the same seed, so nearly the same start; then one of them stands still


def test_a_gif_has_fewer_frames_a_second(tmp_path: Path) -> None:
    shown, _ = recorded("Hopper-v5", 13)
    path = render_episode(shown, 0, tmp_path / "hop.gif", renderer="raycast", width=96, height=64)
    with Image.open(path) as film:
        assert film.n_frames == 2 and film.info["duration"] in (50, 60)  # 125 steps a second, every 7th is shown
