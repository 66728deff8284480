"""A policy live in a window: MuJoCo's own viewer, at the speed of the simulation."""

from __future__ import annotations

import itertools
import os
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gail_suite.demos.figures import said_return
from gail_suite.demos.policy import Policy, check_bounds
from gail_suite.envs.common import Env, check_seed
from gail_suite.runs import seeds

if TYPE_CHECKING:
    from gymnasium.envs.mujoco.mujoco_rendering import WindowViewer


def play(
    policy: Policy,
    env_id: str,
    episodes: int | None = None,
    seed: int = seeds.EVAL,
    deterministic: bool = True,
    say: Callable[[str], None] = print,
) -> list[float]:
    """Show episodes (endless without a number) from seeds `seed`, `seed` + 1, ...; the returns of the complete ones.

    Closing the window or Ctrl-C ends it.

    Raises:
        ValueError: no display to open a window on, or fewer than one episode.
    """
    if episodes is not None and episodes < 1:
        raise ValueError(f"episodes is {episodes}; at least one is needed")
    check_seed(seed)
    _need_display()
    _need_windows()
    os.environ["MUJOCO_GL"] = "glfw"  # before mujoco is imported: another value means rendering without a window
    from gail_suite import envs

    env = envs.make(env_id, render_mode="human")
    returns: list[float] = []
    try:
        check_bounds(policy, env.action_space, env_id)
        for i in itertools.count() if episodes is None else range(episodes):
            value, steps = _episode(env, policy, seed + i, deterministic)
            returns.append(value)
            say(f"episode {i + 1}: return {said_return(value)} in {steps} steps")
    except (KeyboardInterrupt, _Closed):
        pass
    finally:
        env.close()
    return returns


class _Closed(Exception):
    """Someone closed the window."""


def _episode(env: Env, policy: Policy, seed: int, deterministic: bool) -> tuple[float, int]:
    obs, _ = env.reset(seed=seed)
    _follow(env)
    value, steps, over, state = 0.0, 0, False, None
    while not over:
        action, state = policy.predict(
            obs[None], state=state, episode_start=np.array([steps == 0]), deterministic=deterministic
        )
        if _is_closed(env):
            raise _Closed
        obs, reward, terminated, truncated, _ = env.step(action[0])
        value, steps, over = value + float(reward), steps + 1, terminated or truncated
    return value, steps


def _viewer(env: Env) -> WindowViewer | None:
    return getattr(getattr(env.unwrapped, "mujoco_renderer", None), "viewer", None)


def _follow(env: Env) -> None:
    """Lets the camera go along with the first body of the model."""
    import mujoco

    viewer = _viewer(env)
    if viewer is not None:
        viewer.cam.type, viewer.cam.trackbodyid = mujoco.mjtCamera.mjCAMERA_TRACKING, 1


def _is_closed(env: Env) -> bool:
    import glfw

    viewer = _viewer(env)
    return viewer is not None and viewer.window is not None and bool(glfw.window_should_close(viewer.window))


def _need_windows() -> None:
    """GLFW ends the process where a display cannot be opened, so it is asked first."""
    import glfw

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says the same
        opened = glfw.init()
    if not opened:
        shown = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY")
        raise ValueError(
            f"the display {shown} cannot be opened: set DISPLAY to one that can, or film the policy with gail-suite "
            "render"
        )


def _need_display() -> None:
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ValueError("no display to open a window on: film the policy with gail-suite render, or set DISPLAY")
