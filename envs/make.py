"""Environments by name: one, many, and the checks that turn a bad name or space into one clear line."""

from __future__ import annotations

import difflib
import os
import sys
import warnings
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import NormalizeObservation, NormalizeReward

from gail_suite.envs.common import Env, Layer
from gail_suite.envs.flat import flat
from gail_suite.envs.names import Task, find, named, parts
from gail_suite.envs.structure import layers

if TYPE_CHECKING:
    from gail_suite.envs.savable import SavableVecEnv

WIDEST = 1e6
"""Largest distance of action bounds: beyond it they mean that there are none."""

COUNTING: dict[type[NormalizeObservation | NormalizeReward], str] = {
    NormalizeObservation: "one state is shown as other numbers in recordings, trainings and evaluations; leave it out, "
    "since observations are standardised here already",
    NormalizeReward: "returns are not those of the task; leave it out, so that they are",
}
"""Wrappers whose numbers depend on what their own environment went through before, and what comes of it."""

_said: set[str] = set()


@cache
def _quiet_simulator() -> None:
    """MuJoCo's warnings once each on standard error, but for what is deprecated in a task's own model; no
    MUJOCO_LOG.TXT.
    """
    import mujoco

    def hear(text: object) -> None:
        line = " ".join((text.decode(errors="replace") if isinstance(text, bytes) else str(text)).split())
        if "deprecated" not in line and line not in _said:
            _said.add(line)
            print(f"MuJoCo: {line}", file=sys.stderr)

    mujoco.set_mju_user_warning(hear)


def make(env_id: Task, render_mode: str | None = None, **kwargs: Any) -> Env:
    """The Gymnasium environment that `env_id` names (see `envs.names`), with further arguments.

    Warns once of a task behind statistics that every environment counts anew (NormalizeObservation, NormalizeReward).

    Raises:
        ValueError: an unknown id, a task that cannot be made here, or one whose observations or actions are no vectors
            of real numbers nor discrete choices.
    """
    name = named(env_id)
    found, arguments = parts(name)
    arguments |= kwargs
    wrappers = arguments.pop("wrappers", ())
    registered = _registered(found)
    _quiet_simulator()
    try:
        with warnings.catch_warnings():
            # who names v4 wants v4; bounds are checked below
            warnings.filterwarnings("ignore", message=".*(is out of date|Box action space)")
            env = _made(registered, render_mode, arguments)
    except (gym.error.DependencyNotInstalled, ImportError) as error:
        raise ValueError(f"cannot make {name}: {' '.join(str(error).split())}") from error
    except (gym.error.Error, TypeError) as error:
        raise ValueError(
            f"cannot make {name} with {arguments or 'no arguments'}: {' '.join(str(error).split())}"
        ) from error
    for entry_point, options in wrappers:
        env = _wrapper(entry_point)(env, **options)
    _require_control(name, env)
    for layer in layers(env):
        for kind, harm in COUNTING.items():
            if isinstance(layer, kind) and layer.update_running_mean:
                _warn_of_counting(name, kind.__name__, harm)
    return flat(name, env)


def _made(registered: str, render_mode: str | None, arguments: dict[str, Any]) -> Env:
    """The environment; a class that draws nothing need not take a render_mode."""
    try:
        # given also where it is None: the default of a task may be a window
        return gym.make(registered, render_mode=render_mode, **arguments)
    except TypeError as error:
        refused = any(words in str(error) for words in ("unexpected keyword argument 'render_mode'", "no arguments"))
        if render_mode is not None or not refused:
            raise
        return gym.make(registered, **arguments)


def make_vec(
    env_id: Task,
    n_envs: int = 8,
    seed: int = 0,
    engine: Literal["auto", "batch", "gymnasium"] = "auto",
    n_threads: int | None = None,
    infos: Literal["full", "minimal"] = "full",
    mends: bool = False,
    **kwargs: Any,
) -> SavableVecEnv:
    """SB3 VecEnv of n environments, environment i seeded with seed + i.

    `batch` steps Ant-v5 and Humanoid-v5 on `n_threads` native threads (None: one a processor, at most one an
    environment); `gymnasium` is SB3's DummyVecEnv for any id, with exact resume added; `auto` picks `batch` where it
    exists and nothing is to be rendered. `infos="minimal"` asks the batch engine to leave out the task's own info keys.
    Where an observation stops being finite ValueError is raised; an engine that `mends` ends that environment's episode
    with a warning instead.

    >>> from gail_suite import envs
    >>> venv = envs.make_vec("gail_suite/PointToy-v0", n_envs=4, seed=0)
    >>> venv.reset().shape
    (4, 3)
    >>> venv.close()
    """
    # imported here because SB3 imports torch, which `make` and `spec` do not need
    from gail_suite.envs.batch_vec_env import BatchVecEnv
    from gail_suite.envs.common import check_seed
    from gail_suite.envs.gym_vec_env import GymVecEnv
    from gail_suite.envs.tasks import BATCH_TASKS

    if engine not in ("auto", "batch", "gymnasium"):
        raise ValueError(f"unknown engine {engine!r}: choose auto, batch or gymnasium")
    check_seed(seed)
    if n_envs < 1:
        raise ValueError(f"n_envs is {n_envs}; at least one environment is needed")
    if n_threads is not None and n_threads < 1:
        raise ValueError(f"n_threads is {n_threads}; give at least 1, or None for one a processor")
    render_mode = kwargs.pop("render_mode", None)
    found, arguments = parts(named(env_id))
    arguments |= kwargs
    plain = found in BATCH_TASKS and "wrappers" not in arguments and render_mode is None
    if engine == "batch" or (engine == "auto" and plain):
        venv: SavableVecEnv = BatchVecEnv(found, n_envs, n_threads or os.cpu_count() or 1, infos, **arguments)
    else:
        venv = GymVecEnv([lambda: make(found, render_mode, **arguments) for _ in range(n_envs)])
    venv.mends = mends  # type: ignore[attr-defined]
    venv.seed(seed)
    return venv


def is_registered(env_id: Task, nearest: float = 1.0) -> bool:
    """Whether Gymnasium knows the task; ValueError where it knows one whose name is at least `nearest` alike, since
    that is a slip.
    """
    found = parts(named(env_id))[0]
    try:
        _registered(found)
    except ValueError:
        if difflib.get_close_matches(found.lower(), map(str.lower, gym.registry), n=1, cutoff=nearest):
            raise
        return False
    return True


def _registered(env_id: str) -> str:
    """The id, known to Gymnasium after the import of its module; ValueError naming the nearest otherwise."""
    known = find(env_id)
    try:
        gym.spec(known)
    except (gym.error.Error, ModuleNotFoundError) as error:
        raise ValueError(f"unknown environment {env_id!r}: {_suggestion(known)}") from error
    return known


def _wrapper(entry_point: str) -> type[Layer]:
    module, _, name = entry_point.partition(":")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"the wrapper {entry_point} cannot be imported: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, gym.Wrapper)):
        message = f"{entry_point} is no gymnasium.Wrapper: name a class of wrappers as module:Class"
        raise ValueError(message)  # noqa: TRY004 (a mistake in a name)
    return kind


def _require_control(env_id: str, env: Env) -> None:
    action = env.action_space
    if isinstance(action, gym.spaces.Discrete):
        return
    if not isinstance(action, gym.spaces.Box) or len(action.shape) != 1:
        raise ValueError(
            f"{env_id} has an unsupported action space, {action}: choose an environment with a flat Box of continuous "
            "actions, such as Ant-v5, or with a Discrete choice, such as CartPole-v1"
        )
    if not np.issubdtype(action.dtype, np.floating):
        raise ValueError(
            f"the actions of {env_id} are whole numbers, {action}: learners here answer real ones, so give it a "
            "Discrete choice, or a Box of floats that the task rounds itself"
        )
    _require_bounds(env_id, action)


@cache  # once for each task
def _warn_of_counting(env_id: str, wrapper: str, harm: str) -> None:
    warnings.warn(f"{env_id} is behind {wrapper}, which counts anew in every environment: {harm}", stacklevel=3)


def _require_bounds(env_id: str, space: gym.spaces.Box) -> None:
    """ValueError for actions that cannot be scaled to [-1, 1], which all learners do."""
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    for i, (least, most) in enumerate(zip(low, high, strict=True)):
        if not most - least <= WIDEST:
            reason = "no bounds to be scaled by: give it some in the task's action_space"
        elif least == most:
            reason = "no room between its bounds: leave it out of the task's action_space"
        else:
            continue
        raise ValueError(f"action {i} of {env_id} lies between {least:g} and {most:g}, so it has {reason}")


def _suggestion(env_id: str) -> str:
    by_lower = {name.lower(): name for name in gym.registry}
    close = difflib.get_close_matches(env_id.lower(), by_lower, n=1, cutoff=0.7)
    if close:
        return f"did you mean {by_lower[close[0]]!r}?"
    return "list the known ones with gymnasium.pprint_registry(); of a task of your own, name the module too: module:Id"
