"""Demonstrations from plain arrays: NumPy archives and D4RL's flat files; nothing is ever unpickled."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from gail_suite.demos.exchange.archives import read_hdf5, read_npz
from gail_suite.demos.exchange.foreign import ALIASES, NUMBERED, cuts, numbered
from gail_suite.demos.exchange.interchange import META_KEY, assemble, build
from gail_suite.demos.files import whole
from gail_suite.demos.pieces import horizon_of
from gail_suite.demos.sealed import parse_json
from gail_suite.demos.trajectory import Demonstrations, Trajectory

NPZ_KEYS = ("obs", "acts", "rews", "lengths", "terminated", "truncated", "seed", "env_id", META_KEY)
D4RL_KEYS = ("observations", "actions", "terminals")
D4RL_MORE = ("rewards", "timeouts", "next_observations", "episode_terminals")
DONES = ("dones", "done")
D4RL_NAMES = {
    "ant": "Ant-v5",
    "halfcheetah": "HalfCheetah-v5",
    "hopper": "Hopper-v5",
    "humanoid": "Humanoid-v5",
    "walker2d": "Walker2d-v5",
}


def from_npz(path: str | Path, env_id: str | None = None, columns: Sequence[int] | None = None) -> Demonstrations:
    """Demonstrations from an .npz with n episodes.

    Keys: `obs` (all T + 1 observations of each episode, one episode after the other), `acts`, `rews`, `lengths` (n,),
    the T of each (left out: one episode), `terminated` and `truncated` (n,) (left out: False), `seed` (n,), `env_id`.
    Without `acts` they are observations only, without `rews` their returns are unknown. `columns` chooses observation
    columns.

    Raises:
        ValueError: unreadable, pickled, a key is missing, sizes disagree, NaN, or other widths than the environment's.
    """
    source, arrays = str(path), read_npz(path)
    require_keys(source, arrays, ("obs",))
    if scalars := [key for key in ("obs", "acts", "rews") if key in arrays and arrays[key].ndim == 0]:
        raise ValueError(
            f"{source} has single numbers for {', '.join(scalars)}: see docs/save_format.md for the layout"
        )
    lengths = _lengths(source, arrays)
    obs = split(source, "obs", arrays["obs"], lengths + 1)
    acts, rews = (
        split(source, key, arrays[key], lengths) if key in arrays else [None] * len(lengths) for key in ("acts", "rews")
    )
    endings = {
        key: _each(source, key, arrays[key], len(lengths))
        for key in ("terminated", "truncated", "seed")
        if key in arrays
    }
    if "seed" in endings:
        endings["seed"] = [None if seed == -1 else seed for seed in endings["seed"]]
    if unread := sorted(set(arrays) - set(NPZ_KEYS)):
        warnings.warn(f"{source} holds {', '.join(unread)} too, which is not read here", stacklevel=2)
    trajectories = [
        build(
            i,
            source,
            obs[i],
            acts[i],
            rews[i],
            **{"terminated": False, "truncated": False, **{key: values[i] for key, values in endings.items()}},
        )
        for i in range(len(lengths))
    ]
    named = str(_each(source, "env_id", arrays["env_id"], 1)[0]) if "env_id" in arrays else None
    meta = parse_json(str(arrays[META_KEY]).encode(), source) if META_KEY in arrays else {}
    return assemble(trajectories, source, env_id or named, meta, columns, named)


def to_npz(demonstrations: Demonstrations, path: str | Path) -> Path:
    """Writes the whole trajectories as an .npz that `from_npz` reads, with our record of where they come from.

    Rewards are left out unless every trajectory has them; a seed that is not known is -1.

    Raises:
        ValueError: the path exists, or its name does not end in .npz.
    """
    path, d = Path(path), demonstrations
    if path.suffix != ".npz":
        raise ValueError(f"{path} does not end in .npz, by which it is known when it is read: name it so")
    if path.exists():
        raise ValueError(f"{path} exists already: choose another path, or remove it first")
    arrays = {
        "obs": np.concatenate([t.obs for t in d]),
        "lengths": d.lengths,
        "terminated": np.array([t.terminated for t in d]),
        "truncated": np.array([t.truncated for t in d]),
        "seed": np.array([-1 if t.seed is None else t.seed for t in d], np.int64),
        "env_id": np.array(d.task),
        META_KEY: np.array(json.dumps(d.meta)),
    }
    if d.has_actions:
        arrays["acts"] = np.concatenate([t.acts for t in d if t.acts is not None])
    if d.has_rewards:
        arrays["rews"] = np.concatenate([t.rews for t in d if t.rews is not None])
    with whole(path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]
    return path


def _lengths(source: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The steps (n,) of each episode of an .npz; ValueError where they cannot be, or nothing says where one ends."""
    obs = arrays["obs"]
    if obs.ndim == 3:
        rows = f"{len(obs)} episodes one after the other as {obs.shape[0] * obs.shape[1], obs.shape[2]}"
        raise ValueError(
            f"{source} has obs of shape {obs.shape}: give its {rows}, acts and rews the same way, and lengths, the "
            "number of steps of each"
        )
    if "lengths" not in arrays and len(obs) < 2:
        raise ValueError(f"{source} has {len(obs)} rows of obs: an episode of one step has two, the final one included")
    lengths = np.atleast_1d(arrays.get("lengths", len(obs) - 1))
    if lengths.dtype.kind not in "iu" or lengths.ndim != 1 or (lengths < 1).any():
        least = f", the least {lengths.min()}" if lengths.dtype.kind in "iuf" and lengths.size else ""
        raise ValueError(
            f"{source} has lengths of type {lengths.dtype} and shape {lengths.shape}{least}: give each episode's "
            "number of steps as an integer of at least 1"
        )
    return lengths


def from_d4rl(path: str | Path, env_id: str | None = None, columns: Sequence[int] | None = None) -> Demonstrations:
    """Demonstrations from D4RL's flat arrays (.hdf5 or .npz); a name such as hopper_expert-v2 tells the environment.

    An episode ends at `terminals` (terminated) or `timeouts` (truncated). Its final observation comes from
    `next_observations`; where those are absent it was never stored, so each episode loses its last step and counts as
    truncated. An episode cut off by the end of the file counts as truncated too, and so does one that ends without
    `timeouts`: where the next observation is not the next row's, or, where it is not told, at the task's time limit.
    Arrays an episode (`observations_0`, ...: d3rlpy, CS 285) are read too. `terminations` and `truncations` are taken
    for `terminals` and `timeouts`. Without `rewards` their returns are unknown.

    Raises:
        ValueError: unreadable, a key is missing, sizes disagree, NaN, or other widths than the environment's (Ant-v2
            data have 111 observation entries, Ant-v5 has 105).
    """
    path = Path(path)
    arrays = read_npz(path) if path.suffix == ".npz" else read_hdf5(path, _is_read)
    named = env_id or D4RL_NAMES.get(re.split(r"[-_]", path.stem.lower())[0])
    if parts := numbered(arrays):
        read = _numbered_episodes(str(path), parts, horizon_of(named))
    else:
        renamed = {ALIASES[name]: array for name, array in arrays.items() if name in ALIASES}
        arrays = renamed | arrays  # D4RL's own names go before
        _refuse_dones(str(path), arrays)
        require_keys(str(path), arrays, D4RL_KEYS)
        read = _d4rl_episodes(str(path), arrays, horizon_of(named))
    return assemble(list(read), str(path), named, {}, columns)


def require_keys(source: str, found: Collection[str], keys: tuple[str, ...]) -> None:
    """ValueError naming what is missing and what is there."""
    if missing := [key for key in keys if key not in found]:
        raise ValueError(
            f"{source} lacks {', '.join(missing)} and holds {', '.join(sorted(found)) or 'nothing'}: "
            "see docs/save_format.md for the layout"
        )


def _each(source: str, key: str, array: np.ndarray, n: int) -> list[object]:
    """One value an episode, from as many or from one for all; ValueError for another number of them."""
    if array.ndim > 1 or array.size not in (1, n):
        raise ValueError(f"{source} has {key} of shape {array.shape} for {n} episodes: give one value, or one each")
    if key in ("terminated", "truncated") and array.dtype.kind not in "biuf":
        raise ValueError(f"{source} has {key} of type {array.dtype}: give True or False for each episode")
    return np.broadcast_to(array.reshape(-1), (n,)).tolist()


def split(source: str, key: str, array: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """A flat array cut into pieces of `lengths`; ValueError if they do not add up."""
    if len(array) != lengths.sum():
        unfinished = key == "obs" and len(array) == int(lengths.sum()) - len(lengths)
        remedy = "; where the final one was not kept, leave out each episode's last action and reward" * unfinished
        raise ValueError(
            f"{source} has {len(array)} rows of {key} where its {len(lengths)} episode lengths need "
            f"{lengths.sum()}: each episode has T actions and rewards and T + 1 observations{remedy}"
        )
    return np.split(array, np.cumsum(lengths)[:-1])


def _is_read(key: str) -> bool:
    return key in (*D4RL_KEYS, *D4RL_MORE, *ALIASES, *DONES) or bool(NUMBERED.fullmatch(key))


def _refuse_dones(source: str, arrays: Collection[str]) -> None:
    """ValueError where nothing but `dones` says where an episode is over."""
    if "terminals" not in arrays and (found := [name for name in DONES if name in arrays]):
        raise ValueError(
            f"{source} has {found[0]}, which does not say whether the task ended an episode or a limit cut it: rename "
            "it to terminals, or to timeouts beside terminals of False"
        )


def _numbered_episodes(
    source: str, episodes: dict[int, dict[str, np.ndarray]], horizon: int | None
) -> Iterator[Trajectory]:
    """Episodes of arrays each; where only T observations of T steps were kept, the last step is left out."""
    for number, arrays in episodes.items():
        require_keys(f"{source} episode {number}", arrays, ("observations", "actions"))
        obs, acts, rews = (arrays.get(key) for key in ("observations", "actions", "rewards"))
        assert obs is not None and acts is not None
        whole = len(obs) > len(acts)
        steps = len(acts) if whole else len(acts) - 1
        ended = bool(np.any(arrays.get("terminals", False))) and whole
        truncated = not ended or len(acts) == horizon
        yield build(
            number,
            source,
            obs,
            acts[:steps],
            None if rews is None else rews.reshape(len(acts))[:steps],
            terminated=not truncated,
            truncated=truncated,
        )


def _d4rl_episodes(source: str, arrays: dict[str, np.ndarray], horizon: int | None) -> Iterator[Trajectory]:
    obs, acts, rews = arrays["observations"], arrays["actions"], arrays.get("rewards")
    if rews is not None and rews.ndim == 2 and rews.shape[1] == 1:  # d3rlpy 1
        rews = rews[:, 0]
    said = arrays.get("timeouts", arrays.get("episode_terminals"))
    terminals = np.asarray(arrays["terminals"], bool).reshape(-1)
    timeouts = np.zeros(len(terminals), bool) if said is None else np.asarray(said, bool).reshape(-1)
    following = arrays.get("next_observations")
    sizes = {len(array) for array in (obs, acts, rews, terminals, timeouts, following) if array is not None}
    if len(sizes) > 1:
        raise ValueError(f"{source} has arrays of different lengths {sorted(sizes)}: download it again")
    ends = np.flatnonzero(cuts(obs, following, terminals | timeouts, horizon if said is None else None)) + 1
    starts = [0, *ends.tolist()]
    for number, (start, end) in enumerate(zip(starts, [*ends.tolist(), len(obs)], strict=True)):
        last = end if following is not None else end - 1  # without next_observations the last step's result is unknown
        if last <= start:
            continue
        final = obs[last] if following is None else following[last - 1]
        terminated = bool(following is not None and terminals[end - 1])
        yield build(
            number,
            source,
            np.concatenate((obs[start:last], final[None])),
            acts[start:last],
            None if rews is None else rews[start:last],
            terminated=terminated,
            truncated=not terminated,
        )
