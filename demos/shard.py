"""One episode as one safetensors file that proves itself."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from gail_suite.demos.files import read_bytes
from gail_suite.demos.sealed import Json, parse_header, parse_json, parse_tensors, sha256, tensor_bytes
from gail_suite.demos.trajectory import Trajectory

REMEDY = "restore it from a copy, or delete it and record the episode again"
ARRAYS, ENDING = ("obs", "acts", "rews"), ("terminated", "truncated", "seed")
OPTIONAL = {"acts", "rews"}


def shard_name(episode: int) -> str:
    """File name of an episode."""
    return f"episode_{episode:05d}.safetensors"


def encode(trajectory: Trajectory) -> bytes:
    """The file of one trajectory: obs, acts and rews where there are any; the header holds seed, ending and a
    SHA-256 of the content.
    """
    ending = {key: json.dumps(getattr(trajectory, key)) for key in ENDING}
    arrays = {key: value for key in ARRAYS if (value := getattr(trajectory, key)) is not None}
    return tensor_bytes(arrays, {**ending, "digest": _digest(arrays, ending)})


def decode(data: bytes, source: Path) -> Trajectory:
    """The trajectory in a shard's bytes; ValueError naming `source` unless it is sound to the last bit."""
    arrays = parse_tensors(data, source)
    header = parse_header(data)
    digest = header.pop("digest", None)
    if set(arrays) | OPTIONAL != set(ARRAYS) or set(header) != set(ENDING) or digest != _digest(arrays, header):
        raise ValueError(f"{source} does not match the digest in its own header: {REMEDY}")
    ending = {key: parse_json(value.encode(), source, int | bool | None) for key, value in header.items()}
    try:
        return Trajectory(arrays["obs"], arrays.get("acts"), arrays.get("rews"), **ending)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def _digest(arrays: dict[str, np.ndarray], ending: dict[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(sorted(ending.items())).encode())
    for key in sorted(arrays):
        digest.update(f"{key} {arrays[key].dtype} {arrays[key].shape}".encode())
        digest.update(arrays[key].tobytes())
    return digest.hexdigest()


def manifest_entry(episode: int, data: bytes, trajectory: Trajectory) -> Json:
    """The manifest line of an episode whose file holds `data`."""
    return {
        "episode": episode,
        "file": shard_name(episode),
        "sha256": sha256(data),
        "length": len(trajectory),
        "return": None if trajectory.rews is None else trajectory.episode_return,
        "seed": trajectory.seed,
        "terminated": trajectory.terminated,
        "truncated": trajectory.truncated,
    }


def read_shard(folder: Path, episode: int, line: Json | None = None) -> tuple[Trajectory, Json]:
    """An episode and its manifest entry, checked against the manifest's `line` (None: against its own digest alone).

    Raises:
        ValueError: missing, truncated, changed, or not what the line says; names file, episode and remedy.
    """
    source = folder / shard_name(episode)
    try:
        data = read_bytes(source)
    except ValueError as error:
        raise ValueError(f"episode {episode}: {error}; {REMEDY}") from None
    if line is not None and sha256(data) != line.get("sha256"):
        raise ValueError(
            f"{source} (episode {episode}, {len(data)} bytes) does not match its SHA-256 in the manifest, "
            f"so it was truncated or changed: {REMEDY}"
        )
    trajectory = decode(data, source)
    entry = manifest_entry(episode, data, trajectory)
    if line not in (None, entry):
        raise ValueError(
            f"the manifest of {folder} disagrees with {source.name} (episode {episode}): restore "
            "manifest.jsonl from a copy, or delete it to have it rebuilt from the episodes"
        )
    return trajectory, entry
