"""Demonstrations on disk: a folder of pickle-free episodes that survives being killed at any moment.

    meta.json                      environment, versions, physics fingerprint, expert, seeds
    manifest.jsonl                 a line per episode, as they end: file, SHA-256, length, return, seed, ending
    episode_00000.safetensors ...  see demos.shard

An episode's file appears whole, by a rename, then its manifest line is appended. A file without a line (killed in
between) is accepted on the digest in its own header.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec

from gail_suite.demos.files import locked, naming, read_bytes, refuse_links, whole_folder, write_atomic
from gail_suite.demos.provenance import physics_mismatch
from gail_suite.demos.sealed import Json, checked, one_warning, parse_json, read_json, write_json
from gail_suite.demos.shard import encode, manifest_entry, read_shard, shard_name
from gail_suite.demos.trajectory import Demonstrations, Trajectory

FORMAT, FORMAT_VERSION = "gail-suite demonstrations", 1
META, MANIFEST = "meta.json", "manifest.jsonl"
SHARD = re.compile(r"episode_(\d+)\.safetensors")
STORAGE_KEYS = ("format", "format_version", "summary", "pairs")

Count = Annotated[int, msgspec.Meta(ge=0)]
Width = Annotated[int, msgspec.Meta(ge=1)]


class Summary(msgspec.Struct):
    """meta.json, once the recording is finished."""

    n_episodes: Count | msgspec.UnsetType = msgspec.UNSET


class Pairs(msgspec.Struct):
    """meta.json of subsampled demonstrations."""

    stride: Width
    offsets: tuple[Count, ...]


class MetaRecord(msgspec.Struct):
    """What meta.json has to say; anything else in it is provenance."""

    format: str
    format_version: int
    env_id: str
    env_kwargs: Json = {}
    obs_dim: Width | msgspec.UnsetType = msgspec.UNSET
    act_dim: Width | msgspec.UnsetType = msgspec.UNSET
    versions: dict[str, str] = {}
    physics_fingerprint: str | None = None
    expert: Json = {}
    deterministic: bool | None = None
    seed: int | None = None
    observations_only: bool | None = None
    summary: Summary | msgspec.UnsetType = msgspec.UNSET
    pairs: Pairs | msgspec.UnsetType = msgspec.UNSET


class ManifestLine(msgspec.Struct):
    """A line of manifest.jsonl."""

    episode: Count
    file: str
    sha256: str
    length: Width
    seed: int | None
    terminated: bool
    truncated: bool


IDENTITY_KEYS = ("env_id", "env_kwargs", "expert", "deterministic", "seed", "physics_fingerprint", "observations_only")


@one_warning()
def load(path: str | Path, strict: bool = False) -> Demonstrations:
    """Every finished episode of a demonstrations folder, in order, checked to the last bit.

    Warns when this machine simulates the environment differently from the one that recorded; `strict` refuses instead.

    Raises:
        ValueError: no such folder, a damaged file (named, with the episode), wrong widths, other physics with `strict`.
    """
    folder = Path(path)
    meta, lines = read_meta(folder), read_manifest(folder)
    episodes = sorted({*lines, *stored_episodes(folder)})
    if not episodes:
        raise ValueError(f"{folder} holds no finished episode: run the recording again, it goes on where it stopped")
    trajectories = tuple(read_shard(folder, episode, lines.get(episode))[0] for episode in episodes)
    for episode, trajectory in zip(episodes, trajectories, strict=True):
        if problem := width_problem(meta, trajectory):
            raise ValueError(f"{folder / shard_name(episode)} {problem}")
    if problem := count_problem(meta, len(episodes)):
        raise ValueError(f"{folder} {problem}")
    if problem := physics_mismatch(meta):
        if strict:
            raise ValueError(problem)
        warnings.warn(problem, stacklevel=2)
    return assemble(folder, meta, trajectories)


def assemble(folder: Path, meta: Json, trajectories: Sequence[Trajectory]) -> Demonstrations:
    """The demonstrations of a folder's meta.json and episodes; ValueError where its pairs do not fit the episodes."""
    kept = {key: value for key, value in meta.items() if key not in STORAGE_KEYS}
    pairs = meta.get("pairs", {"stride": 1, "offsets": ()})
    try:
        return Demonstrations(tuple(trajectories), kept, pairs["stride"], pairs["offsets"])
    except ValueError as error:
        raise ValueError(f"{folder / META} has damaged pairs {pairs} ({error}): restore it from a copy") from None


def refuse_existing(target: Path) -> None:
    """ValueError where something is already that a new folder would replace."""
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise ValueError(f"{target} exists already: choose another folder, or remove it first")


def save(demonstrations: Demonstrations, path: str | Path) -> Path:
    """Writes a new demonstrations folder, which is there as a whole or not at all.

    Raises:
        ValueError: something is there already.
    """
    target = Path(path)
    refuse_existing(target)
    meta = dict(demonstrations.meta)
    if demonstrations.stride > 1:
        meta["pairs"] = {"stride": demonstrations.stride, "offsets": list(demonstrations.offsets)}
    meta = _described(meta)
    with whole_folder(target) as folder:
        writer = Writer(folder, meta)
        for episode, trajectory in enumerate(demonstrations):
            writer.append(episode, trajectory)
        writer.finish()
    return target


def read_meta(folder: Path) -> Json:
    """meta.json; ValueError if this is no demonstrations folder, or one of another format version."""
    if not (folder / META).is_file():
        found = f"has no {META}" if folder.is_dir() else "is not a folder"
        raise ValueError(f"{folder} {found}: give a demonstrations folder, as `record` or `save` writes it")
    meta = read_json(folder / META)
    if meta.get("format") != FORMAT:
        raise ValueError(f"{folder / META} does not describe demonstrations: give a folder that `record` wrote")
    if meta.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"{folder} has format version {meta.get('format_version')}, this program reads "
            f"{FORMAT_VERSION}: update gail-suite"
        )
    checked(meta, MetaRecord, folder / META)
    return meta


def read_manifest(folder: Path) -> dict[int, Json]:
    """Manifest lines by episode; a torn last line and a missing manifest pass, other damage raises ValueError."""
    manifest = folder / MANIFEST
    if not manifest.exists():
        return {}
    complete = read_bytes(manifest).split(b"\n")[:-1]  # what follows the last newline is torn
    lines: dict[int, Json] = {}
    for number, text in enumerate(complete, start=1):
        line = parse_json(text, f"{manifest} line {number}", ManifestLine)
        episode = line["episode"]
        if line["file"] != shard_name(episode) or episode in lines:
            raise ValueError(
                f"{manifest} line {number} is damaged (a wrong file name, or an episode listed twice): restore it from "
                "a copy, or delete the manifest to have it rebuilt from the episodes"
            )
        lines[episode] = line
    return lines


def stored_episodes(folder: Path) -> list[int]:
    """Numbers of the episodes that have a file."""
    return sorted(int(match[1]) for match in map(SHARD.fullmatch, os.listdir(folder)) if match)


def width_problem(meta: Json, trajectory: Trajectory) -> str | None:
    """What is wrong with the widths of a trajectory, if anything."""
    found = trajectory.widths
    expected = meta.get("obs_dim", found[0]), meta.get("act_dim", found[1])
    if found in (expected, (expected[0], None)):
        return None
    return (
        f"has (observation, action) widths {found} but {meta['env_id']} has {expected}: "
        "record again in the environment you train in"
    )


def count_problem(meta: Json, found: int) -> str | None:
    """What is wrong with the number of episodes, if anything."""
    finished = meta.get("summary", {}).get("n_episodes", found)
    return (
        None
        if found >= finished
        else (
            f"held {finished} episodes when it was finished and holds {found} now: "
            "restore the missing files from a copy, or run the recording again"
        )
    )


class Writer:
    """Adds episodes to an open folder; `done` are the sound ones already there."""

    def __init__(self, folder: Path, meta: Json) -> None:
        self.folder, self.meta = folder, meta
        self.done = {episode: read_shard(folder, episode)[1] for episode in stored_episodes(folder)}
        write_atomic(folder / MANIFEST, "".join(map(_line, self.done.values())).encode())

    def append(self, episode: int, trajectory: Trajectory) -> None:
        """Stores one finished episode; when this returns it survives a power cut."""
        data = encode(trajectory)
        write_atomic(self.folder / shard_name(episode), data)
        self.done[episode] = manifest_entry(episode, data, trajectory)
        with naming(self.folder / MANIFEST), (self.folder / MANIFEST).open("a") as manifest:
            manifest.write(_line(self.done[episode]))
            manifest.flush()
            os.fsync(manifest.fileno())

    def finish(self) -> None:
        """Adds the number of episodes, mean and standard deviation of returns (None without rewards) and mean
        length to meta.json.
        """
        n = len(self.done)
        returns, lengths = ([entry[key] for entry in self.done.values()] for key in ("return", "length"))
        summary: Json = {
            "n_episodes": n,
            "return_mean": None,
            "return_sd": None,
            "length_mean": sum(lengths) / n,
        }
        if None not in returns:
            mean = sum(returns) / n
            summary |= {"return_mean": mean, "return_sd": (sum((r - mean) ** 2 for r in returns) / n) ** 0.5}
        write_json(self.folder / META, {**self.meta, "summary": summary})


@contextmanager
def open_for_writing(folder: Path, meta: Json) -> Iterator[Writer]:
    """Opens a new folder, or goes on in one with the same environment, expert, seed and physics.

    Raises:
        ValueError: the folder holds other demonstrations, a damaged episode, or is being written by another process.
    """
    meta = _described(meta)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        refuse_links(folder)
        for leftover in folder.glob(".*.tmp"):
            leftover.unlink()
        if (folder / META).exists() and stored_episodes(folder):
            meta = _same(folder, read_meta(folder), meta)
        else:
            write_json(folder / META, meta)
        yield Writer(folder, meta)


def _described(meta: Json) -> Json:
    """What meta.json holds of a provenance."""
    meta = json.loads(json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION, **meta}))
    checked(meta, MetaRecord, "the provenance of the demonstrations")
    return meta


def _same(folder: Path, there: Json, wanted: Json) -> Json:
    for key in IDENTITY_KEYS:
        if there.get(key) != wanted.get(key):
            raise ValueError(
                f"{folder} holds demonstrations with {key} {there.get(key)}, not {wanted.get(key)}: "
                "choose another folder"
            )
    return there


def _line(entry: Json) -> str:
    return json.dumps(entry, allow_nan=False) + "\n"
