"""A recorded episode as a film: the simulation is put into each recorded state, so no policy is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from gail_suite.demos.trajectory import Demonstrations, Trajectory
from gail_suite.envs.common import Env
from gail_suite.envs.starts import put
from gail_suite.envs.structure import state_parts
from gail_suite.showing.video import MAX_FPS, Stage, check_film, rate, write_film

if TYPE_CHECKING:
    from gymnasium.envs.mujoco import MujocoEnv

TOLERANCE = 1e-3
"""How far a replayed observation may lie from the recorded one."""


def render_episode(
    demonstrations: Demonstrations,
    episode: int,
    path: str | Path,
    n_frames: int | None = None,
    renderer: str = "auto",
    width: int = 480,
    height: int = 360,
    fps: int | None = None,
    overlay: bool = True,
) -> Path:
    """Films one recorded episode, or its first `n_frames` frames, into an .mp4, .gif or .npz.

    A MuJoCo task is put into the positions and velocities that its observations show; the place on the plane, which
    they leave out, is the sum of the root's velocities. Other tasks repeat the recorded actions from the recorded seed.

    Raises:
        ValueError: no such episode, or a task that can neither be put into a state nor be repeated.
    """
    path = Path(path)
    check_film(path, n_frames or 1, width, height)
    with closing(Recorded(demonstrations, episode, renderer, width, height, overlay, max_fps=rate(path))) as stage:
        frames = stage.frames(n_frames or len(demonstrations[episode].obs))
        write_film(path, frames, fps or stage.fps)
    return path


class Recorded(Stage):
    """A recorded episode where a policy could act: `render` takes it for `compare`.

    Raises:
        ValueError: no such episode.
    """

    def __init__(
        self,
        demonstrations: Demonstrations,
        episode: int = 0,
        renderer: str = "auto",
        width: int = 480,
        height: int = 360,
        overlay: bool = True,
        label: str = "",
        max_fps: int = MAX_FPS,
    ) -> None:
        if not -len(demonstrations) <= episode < len(demonstrations):
            raise ValueError(f"there is no episode {episode}: choose 0 to {len(demonstrations) - 1}")
        self.shown = demonstrations[episode]
        label = label or f"episode {episode % len(demonstrations)}"
        seed = self.shown.seed or 0
        super().__init__(demonstrations.task, None, label, renderer, seed, width, height, overlay, max_fps)

    def frames(self, n_frames: int) -> Iterator[np.ndarray]:
        """Frames (height, width, 3) of the episode, `n_frames` of them at most."""
        t = self.shown
        totals = np.cumsum([0.0, *(np.zeros(len(t)) if t.rews is None else t.rews)])
        return islice(self.show(_states(self.env, t), totals, len(t)), n_frames)


def _states(env: Env, t: Trajectory) -> Iterator[None]:
    """The environment in one recorded state after the other."""
    return _put(env, t) if _can_be_put(env, t.obs[0]) else _repeat(env, t)


def _can_be_put(env: Env, obs: np.ndarray) -> bool:
    """Whether a MuJoCo task shows its own state, and no wrapper or class of one's own something else."""
    if state_parts(env) is None:
        return False
    env.reset(seed=0)
    try:
        put(env, obs)
    except ValueError:
        return False
    return True


def _put(env: Env, t: Trajectory) -> Iterator[None]:
    inner, parts = cast("MujocoEnv", env.unwrapped), state_parts(env)
    assert parts is not None
    env.reset(seed=t.seed or 0)
    skipped = len(inner.init_qpos) - parts[0]
    velocity = t.obs[:-1, parts[0] : parts[0] + skipped].astype(np.float64)
    places = np.concatenate([np.zeros((1, skipped)), np.cumsum(velocity * inner.dt, axis=0)])
    for obs, place in zip(t.obs, places, strict=True):
        put(env, obs, place)
        yield


def _repeat(env: Env, t: Trajectory) -> Iterator[None]:
    if t.acts is None or t.seed is None:
        raise ValueError(
            "this task cannot be put into a recorded state, and to repeat the episode its actions and its seed are "
            "needed: record it again with both"
        )
    obs, _ = env.reset(seed=t.seed)
    for step, recorded in enumerate(t.obs):
        if (away := float(np.abs(np.ravel(obs) - recorded).max())) > TOLERANCE:
            raise ValueError(
                f"repeated, the episode is {away:.3g} away from its record at step {step}: the environment here is "
                "another one, or random in more than its seed"
            )
        yield
        if step < len(t):
            obs, *_ = env.step(t.acts[step])
