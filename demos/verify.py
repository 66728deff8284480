"""Checking a demonstrations folder: everything that is wrong with it, in one pass."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gail_suite.demos.pieces import horizon_of, said_pieces
from gail_suite.demos.provenance import physics_mismatch
from gail_suite.demos.sealed import Json
from gail_suite.demos.shard import read_shard, shard_name
from gail_suite.demos.store import (
    MANIFEST,
    META,
    assemble,
    count_problem,
    read_manifest,
    read_meta,
    stored_episodes,
    width_problem,
)
from gail_suite.demos.trajectory import Trajectory


@dataclass
class Report:
    """What `verify` found; `notes` are worth knowing but no fault."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    trajectories: dict[int, Trajectory] = field(default_factory=dict, repr=False)
    """The sound episodes, by number."""

    @property
    def ok(self) -> bool:
        """No problem was found."""
        return not self.problems

    @property
    def n_episodes(self) -> int:
        """Sound episodes."""
        return len(self.trajectories)

    @property
    def n_pairs(self) -> int:
        """State-action pairs in the sound episodes."""
        return sum(map(len, self.trajectories.values()))

    @property
    def returns(self) -> np.ndarray:
        """(n_episodes,) sums of rewards."""
        return np.array([t.episode_return for t in self.trajectories.values()])

    @property
    def lengths(self) -> np.ndarray:
        """(n_episodes,) steps."""
        return np.array([len(t) for t in self.trajectories.values()], int)


def verify(path: str | Path) -> Report:
    """Checks files, digests, widths, values, duplicates, action bounds, environment and physics; faults never raise."""
    folder, report = Path(path), Report()
    try:
        meta = read_meta(folder)
    except ValueError as error:
        report.problems.append(str(error))
        return report
    _check_files(folder, meta, report)
    _check_pairs(folder, meta, report)
    _check_duplicates(report)
    _check_environment(meta, report)
    _note_constant_columns(report)
    if without := [episode for episode, t in report.trajectories.items() if t.acts is None]:
        report.notes.append(f"{len(without)} episodes hold observations only, without actions: {_listed(without)}")
    return report


def _check_files(folder: Path, meta: Json, report: Report) -> None:
    stored = stored_episodes(folder)
    try:
        lines = read_manifest(folder)
    except ValueError as error:
        report.problems.append(str(error))
        lines = {}
    unlisted = [episode for episode in stored if episode not in lines]
    if unlisted and not report.problems:
        report.notes.append(
            f"{len(unlisted)} episodes are not in {MANIFEST} (killed while recording?) and were "
            f"checked by their own digests: {_listed(unlisted)}"
        )
    for episode in sorted({*lines, *stored}):
        try:
            trajectory, _ = read_shard(folder, episode, lines.get(episode))
        except ValueError as error:
            report.problems.append(str(error))
            continue
        if problem := width_problem(meta, trajectory):
            report.problems.append(f"{shard_name(episode)} {problem}")
        report.trajectories[episode] = trajectory
    if not stored:
        report.problems.append(f"{folder} holds no finished episode: run the recording again")
    elif problem := count_problem(meta, len(stored)):
        report.problems.append(f"{folder} {problem}")


def _check_pairs(folder: Path, meta: Json, report: Report) -> None:
    if report.ok:
        try:
            assemble(folder, meta, list(report.trajectories.values()))
        except ValueError as error:
            report.problems.append(str(error))


def _check_duplicates(report: Report) -> None:
    first: dict[tuple[bytes, bytes], int] = {}
    for episode, t in report.trajectories.items():
        same = first.setdefault((t.obs.tobytes(), b"" if t.acts is None else t.acts.tobytes()), episode)
        if same != episode:
            report.problems.append(f"episodes {same} and {episode} are identical: remove one of them")


def _check_environment(meta: Json, report: Report) -> None:
    from gymnasium.spaces import Box

    from gail_suite import envs

    try:
        if "physics_fingerprint" not in meta and not envs.is_registered(meta["env_id"], nearest=0.9):
            # other people's data, which can be cloned all the same
            report.notes.append(f"{meta['env_id']} is not registered here, so its widths and bounds were not compared")
            return
        env = envs.make(meta["env_id"], **meta.get("env_kwargs", {}))
    except (ValueError, TypeError) as error:
        report.problems.append(f"the environment cannot be made here: {error}")
        return
    limit = horizon_of(envs.named(meta["env_id"], meta.get("env_kwargs")))
    if said := said_pieces(report.trajectories.values(), limit):
        report.notes.append(said)
    with closing(env):
        space = env.action_space
        assert isinstance(space, Box)
        if problem := physics_mismatch(meta):
            report.problems.append(problem)
        here = (env.observation_space.shape or ())[0], space.shape[0]
        if (meta.get("obs_dim", here[0]), meta.get("act_dim", here[1])) != here:
            report.problems.append(
                f"{META} says (observation, action) widths {meta['obs_dim'], meta['act_dim']} but "
                f"{meta['env_id']} has {here} here: record again in this environment"
            )
        for episode, t in report.trajectories.items():
            if t.acts is None or t.acts.shape[1] != here[1]:
                continue
            least, most = np.float32(space.low), np.float32(space.high)  # as stored
            if outside := int(((t.acts < least) | (t.acts > most)).any(axis=1).sum()):
                report.problems.append(
                    f"episode {episode} has {outside} actions outside the bounds of "
                    f"{meta['env_id']}: clip them as the environment does (data import --clip), or record again"
                )


def _note_constant_columns(report: Report) -> None:
    trajectories = list(report.trajectories.values())
    if len({t.obs.shape[1] for t in trajectories}) != 1:
        return
    low, high = (extreme([extreme(t.obs, axis=0) for t in trajectories], axis=0) for extreme in (np.min, np.max))
    if constant := np.flatnonzero(low == high).tolist():
        report.notes.append(f"{len(constant)} of {low.size} observation columns never change: {_listed(constant)}")


def _listed(numbers: list[int], most: int = 10) -> str:
    return ", ".join(map(str, numbers[:most])) + (", ..." if len(numbers) > most else "")
