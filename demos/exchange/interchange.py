"""Minari datasets, and what all imports of foreign demonstrations share."""

from __future__ import annotations

import copy
import importlib
import json
import re
import warnings
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from gail_suite.demos.exchange.foreign import fitted
from gail_suite.demos.names import hint
from gail_suite.demos.pieces import horizon_of, said_pieces
from gail_suite.demos.sealed import Json
from gail_suite.demos.trajectory import Demonstrations, Trajectory

if TYPE_CHECKING:
    import gymnasium as gym
    from gymnasium.envs.registration import EnvSpec
    from gymnasium.spaces import Space
    from minari import MinariDataset

META_KEY = "gail_suite"  # our own provenance inside foreign formats, so that a round trip keeps it


def require(module: str, purpose: str) -> ModuleType:
    """The module, imported when it is needed; ValueError naming the remedy when it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"{purpose} needs {module.partition('.')[0]}, which cannot be imported ({error}): "
            "pip install 'gail-suite[exchange]'"
        ) from None


def build(number: int, source: str, *arrays: Any, **ending: Any) -> Trajectory:
    """A trajectory; its ValueError names the source and the episode."""
    obs, acts, *rest = arrays
    if np.ndim(acts) == 1 and np.asarray(acts).dtype.kind in "iu":  # discrete actions, as numbers
        acts = np.asarray(acts)[:, None]
    try:
        return Trajectory(obs, acts, *rest, **ending)
    except ValueError as error:
        raise ValueError(f"{source} episode {number}: {error}") from None


def all_actions(demonstrations: Demonstrations, format: str) -> list[np.ndarray]:
    """The actions of every trajectory; ValueError where there are none, as `format` cannot hold such data."""
    actions = [t.acts for t in demonstrations if t.acts is not None]
    if len(actions) < len(demonstrations):
        raise ValueError(
            f"{format} stores an action with every step, and these demonstrations hold observations only: "
            "keep them as a demonstrations folder (save)"
        )
    return actions


def assemble(
    trajectories: Iterable[Trajectory],
    source: str,
    env_id: str | None,
    meta: Json,
    columns: Sequence[int] | None = None,
    recorded: str | None = None,
) -> Demonstrations:
    """Imported demonstrations, brought to the environment's columns (see `foreign.fitted`) and checked against it.

    `meta` is our own provenance if the source carried it. `recorded` is the task that the source names, where `env_id`
    may be another; it is kept in the meta data, with a warning. Of a task that is not registered here they are taken as
    they are, with a warning: they can be cloned, and nothing can be run on them.

    Raises:
        ValueError: the environment is not named anywhere, or has other widths.
    """
    from gail_suite import envs

    env_id = env_id or meta.get("env_id")
    if env_id is None:
        raise ValueError(
            f"{source} does not say which environment it was recorded in: pass env_id (--env), such as 'Ant-v5'"
        )
    episodes = list(trajectories)
    if not episodes:
        raise ValueError(f"{source} holds no whole episode: each needs two observations at least")
    bare, said = envs.parts(envs.named(env_id))
    into, arguments, done = fitted([t.obs for t in episodes], bare, columns)
    changed = {} if done is None else {"columns": done}
    kwargs = {**arguments, **(meta.get("env_kwargs") or {}), **said}
    found = {"source": source, **meta, **changed, "env_id": bare, "env_kwargs": kwargs}
    if recorded is not None and envs.parts(recorded)[0] != bare:
        found["recorded_env_id"] = recorded
        warnings.warn(
            f"{source} says that it was recorded in {recorded} and is taken for {bare}: another task, or another "
            "version's physics, cannot be told from its numbers",
            stacklevel=2,
        )
    demonstrations = Demonstrations(tuple(replace(t, obs=into(t.obs)) for t in episodes), found)
    if not envs.is_registered(demonstrations.task, nearest=0.9):
        warnings.warn(
            f"{demonstrations.task} is not registered here, so {source} is taken as it is and can only be cloned: "
            "import the module that registers it with --import to do more",
            stacklevel=2,
        )
        return demonstrations
    limit, longest = horizon_of(demonstrations.task), int(demonstrations.lengths.max())
    if limit is not None and longest > limit:
        warnings.warn(
            f"{source} holds an episode of {longest} steps, and {demonstrations.task} ends after {limit}: episodes "
            "that were joined teach wrong steps where they meet, so give each one's length",
            stacklevel=2,
        )
    with closing(envs.make(demonstrations.task)) as env:
        expected = (env.observation_space.shape or ())[0], (env.action_space.shape or ())[0]
    if envs.spec(demonstrations.task).discrete:
        start = envs.spec(demonstrations.task).start
        demonstrations = replace(demonstrations, trajectories=_choices_as_rows(demonstrations, expected[1], start))
    widths = demonstrations[0].widths
    if widths not in (expected, (expected[0], None)):
        raise ValueError(
            f"{source} has (observation, action) widths {widths} but {demonstrations.task} has {expected}: choose "
            "observation columns with --columns where they are the same numbers, name the variant with --env-arg, or "
            "record in the environment you train in"
        )
    if in_pieces := said_pieces(demonstrations, limit):
        warnings.warn(f"{source}: {in_pieces}", stacklevel=2)
    demonstrations.meta.update(obs_dim=expected[0], act_dim=expected[1])
    return demonstrations


def _choices_as_rows(trajectories: Iterable[Trajectory], n: int, start: int) -> tuple[Trajectory, ...]:
    """Choices among n actions, which other libraries store as numbers from `start` on, as one-hot rows."""
    from gail_suite.envs.flat import one_hot

    return tuple(
        replace(t, acts=one_hot(t.acts[:, 0], n, start)) if t.acts is not None and t.acts.shape[1] == 1 else t
        for t in trajectories
    )


def to_minari(demonstrations: Demonstrations, dataset_id: str, **metadata: object) -> MinariDataset:
    """Writes the whole trajectories as a local Minari dataset and returns it.

    `dataset_id` is Minari's `(namespace/)name-vN`; `metadata` (author, description, ...) goes to
    `minari.create_dataset_from_buffers`.

    Raises:
        ValueError: Minari or h5py is missing, the id is not valid or already taken.
    """
    minari = _minari()
    from gail_suite import envs

    if not re.search(r"-v\d+$", dataset_id):
        raise ValueError(
            f"{dataset_id!r} is no Minari dataset id, which is (namespace/)name-vN: give one such as ant/expert-v0"
        )
    importlib.import_module("minari.dataset.minari_dataset").parse_dataset_id(dataset_id)  # ValueError if malformed
    if dataset_id in minari.list_local_datasets():
        raise ValueError(f"the Minari dataset {dataset_id} exists already: choose another id, or minari delete it")
    buffer = importlib.import_module("minari.data_collector").EpisodeBuffer
    actions = all_actions(demonstrations, "Minari")
    if not demonstrations.has_rewards:
        raise ValueError(
            "Minari stores a reward with every step, and these demonstrations have none: export them to imitation"
        )
    episodes = [
        buffer(
            id=i,
            seed=t.seed,
            observations=t.obs,
            actions=actions[i],
            rewards=t.rews,
            infos={},
            terminations=_only_last(len(t), t.terminated),
            truncations=_only_last(len(t), t.truncated),
        )
        for i, t in enumerate(demonstrations)
    ]
    first, meta = demonstrations[0], demonstrations.meta
    with closing(envs.make(demonstrations.env_id, **meta.get("env_kwargs", {}))) as env, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Minari warns of each piece of optional metadata that is not given
        dataset = minari.create_dataset_from_buffers(
            dataset_id,
            episodes,
            env=_named_in_words(env),
            observation_space=_box(first.obs.shape[1]),
            action_space=_box(actions[0].shape[1]),
            **{"algorithm_name": meta.get("expert", {}).get("class", "unknown"), **metadata},
        )
    dataset.storage.update_metadata({META_KEY: json.dumps(meta)})
    return dataset


def _named_in_words(env: gym.Env[Any, Any]) -> EnvSpec:
    """The spec of an environment as Minari can write it, a class by module:Class; ValueError for a function made on
    the spot, before Minari has begun a data set that it cannot end.
    """
    spec = copy.deepcopy(env.spec)
    assert spec is not None
    made = spec.entry_point
    if callable(made):
        name = getattr(made, "__qualname__", "<")
        if "<" in name:
            raise ValueError(
                f"{spec.id} is registered with a function that has no name, and Minari keeps how to make it: register "
                "it with entry_point='module:Class'"
            )
        spec.entry_point = f"{made.__module__}:{name}"
    return spec


def from_minari(dataset_id: str, env_id: str | None = None, columns: Sequence[int] | None = None) -> Demonstrations:
    """The episodes of a local Minari dataset; `env_id` overrides the environment it names, `columns` chooses
    observation columns.

    Arguments, time limit and wrappers of its environment are kept in the task's name.

    Raises:
        ValueError: no such local dataset, observations that are no vectors, other widths than the environment's, NaN.
    """
    minari = _minari()
    from gail_suite import envs

    local = minari.list_local_datasets()
    if dataset_id not in local:
        near = hint(dataset_id, local, f"fetch it with: minari download {dataset_id}", 0.6)
        raise ValueError(f"no file and no Minari dataset {dataset_id!r} is on this machine: {near}")
    dataset = minari.load_dataset(dataset_id)
    source, storage = f"minari {dataset_id}", dataset.storage
    if type(dataset.observation_space).__name__ != "Box":
        raise ValueError(
            f"{source} has observations of the kind {type(dataset.observation_space).__name__}, not a vector: flatten "
            "them with gymnasium.wrappers.FlattenObservation and record again, or store their parts side by side in an "
            ".npz"
        )
    seeds = [metadata.get("seed") for metadata in storage.get_episode_metadata(dataset.episode_indices)]
    trajectories = [
        build(
            e.id,
            source,
            e.observations,
            e.actions,
            e.rewards,
            terminated=e.terminations[-1],
            truncated=e.truncations[-1],
            seed=seed,
        )
        for e, seed in zip(dataset.iterate_episodes(), seeds, strict=True)
    ]
    spec, meta = dataset.env_spec, json.loads(storage.metadata.get(META_KEY, "{}"))
    # ours knows the module of a task of one's own too
    named = None if spec is None or "env_id" in meta else envs.named(spec)
    return assemble(trajectories, source, env_id or named, meta, columns)


def _minari() -> ModuleType:
    require("h5py", "exchanging Minari datasets")
    return require("minari", "exchanging Minari datasets")


def _box(width: int) -> Space:
    """The exported arrays are float32 whatever the environment's own spaces are."""
    return importlib.import_module("gymnasium.spaces").Box(-np.inf, np.inf, (width,), np.float32)


def _only_last(length: int, value: bool) -> np.ndarray:
    return np.arange(length) == (length - 1 if value else -1)
