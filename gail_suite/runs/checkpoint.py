"""Crash-safe checkpoints: safetensors + JSON in one folder, published by a single directory rename.

    DIR/step_000012345/tensors.safetensors     arrays: weights, optimisers, replay buffer, simulator state
    DIR/step_000012345/state.json              everything else, with the SHA-256 of itself and of the tensors

A process killed at any instant leaves the old set of checkpoints or the new one, never a mixture; a checkpoint whose
bytes changed on disk is detected before any of it is used. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import warnings
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from gail_suite.demos.files import open_regular, read_bytes, sync_folder
from gail_suite.demos.sealed import JSON_LIMIT, Json, parse_json

FORMAT = 1
KEEP = 2
_NAME = re.compile(r"step_(\d{9,})(?:\.(\d+))?")


class CheckpointRecord(msgspec.Struct):
    """state.json of a checkpoint."""

    format: int
    step: int
    state: Json
    tensors: str
    sha256: str


class CheckpointError(ValueError):
    """No checkpoint could be written or read; the message names the file and the reason."""


def save_checkpoint(directory: str | Path, step: int, tensors: dict[str, np.ndarray], state: Json) -> Path:
    """Write one checkpoint and return its folder; the newest older one stays beside it, everything else is removed.

    Checkpoints of a later step belong to a future that this run has left (it went back to an older checkpoint), so
    they are removed as well. Raises CheckpointError, with the old checkpoints intact, when the disk refuses.
    """
    directory = Path(directory)
    target = _free_name(directory, step)
    temporary = directory / f"step_{step:09d}.tmp-{secrets.token_hex(4)}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _remove_strays(directory)
        temporary.mkdir()
        _write_tensors(temporary / "tensors.safetensors", tensors)
        content = {
            "format": FORMAT,
            "step": step,
            "state": state,
            "tensors": _sha256(temporary / "tensors.safetensors"),
        }
        _write_bytes(temporary / "state.json", _canonical({**content, "sha256": _digest(content)}))
        sync_folder(temporary)
        os.rename(temporary, target)
        sync_folder(directory)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        size = sum(np.asarray(v).nbytes for v in tensors.values()) / 1e6
        raise CheckpointError(
            f"cannot save checkpoint {target} ({size:.1f} MB): {_reason(error)}; "
            "free some space or make the folder writable, then go on with --resume"
        ) from error
    _prune(directory, target)
    return target


def load_checkpoint(directory: str | Path, at: int | None = None) -> tuple[int, dict[str, np.ndarray], Json]:
    """Read the newest readable checkpoint, or that of step `at`: (step, tensors, state); a damaged newer one is skipped
    with a warning.

    Raises CheckpointError, naming what is wrong with each, if there is none.
    """
    directory = Path(directory)
    problems: list[str] = []
    found = checkpoints(directory)
    chosen = [folder for folder in found if at in (None, _order(folder)[0])]
    if found and not chosen:
        steps = ", ".join(str(_order(folder)[0]) for folder in found)
        raise CheckpointError(f"{directory} has no checkpoint of step {at}: there are those of step {steps}")
    for folder in reversed(chosen):
        try:
            loaded = _read(folder)
        except CheckpointError as error:
            problems.append(str(error))
            continue
        if problems:
            warnings.warn(f"skipped a damaged checkpoint, went back to {folder.name}: {problems[0]}", stacklevel=2)
        return loaded
    if problems:
        raise CheckpointError(f"no readable checkpoint in {directory}: " + "; ".join(problems))
    raise CheckpointError(f"no checkpoint in {directory}: nothing was saved there yet, start the run afresh")


Parts = Mapping[str, Mapping[str, np.ndarray]]
"""Arrays by part of a run and name, such as parts["sac"]["updates"]."""


class Saved(NamedTuple):
    """What a checkpoint held."""

    step: int
    parts: dict[str, dict[str, np.ndarray]]
    state: Json


def save_parts(directory: str | Path, step: int, parts: Parts, state: Json) -> Path:
    """`save_checkpoint` of the arrays of several parts, each under PART/NAME."""
    tensors = {f"{part}/{k}": np.asarray(v) for part, arrays in parts.items() for k, v in arrays.items()}
    return save_checkpoint(directory, step, tensors, state)


def check_finite(step: int, parts: Parts) -> None:
    """FloatingPointError, naming the first, where an array of what learns holds NaN or Inf: such a state is never
    saved.
    """
    for part, arrays in parts.items():
        for name, value in arrays.items():
            if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
                raise FloatingPointError(
                    f"step {step}: {name} of {part} holds NaN or Inf, so this state was not saved: resume from the "
                    "last checkpoint, or start a new run with a lower rate"
                )


def load_parts(directory: str | Path, at: int | None = None) -> Saved:
    """Inverse of `save_parts`: the newest readable checkpoint, read once; errors as for `load_checkpoint`."""
    step, tensors, state = load_checkpoint(directory, at)
    parts: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    for name, value in tensors.items():
        part, key = name.split("/", 1)
        parts[part][key] = value
    return Saved(step, parts, state)


def checkpoints(directory: str | Path) -> list[Path]:
    """Folders of the finished checkpoints, oldest first (their contents are not checked)."""
    if not Path(directory).is_dir():
        return []
    return sorted((p for p in Path(directory).iterdir() if _NAME.fullmatch(p.name)), key=_order)


def _read(folder: Path) -> tuple[int, dict[str, np.ndarray], Json]:
    try:
        content = _read_record(folder)
        if _sha256(folder / "tensors.safetensors") != content["tensors"]:
            raise CheckpointError(f"{folder.name}/tensors.safetensors is damaged (SHA-256 differs)")
        return content["step"], load_file(folder / "tensors.safetensors", backend="pread"), content["state"]
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{folder.name}: {_reason(error)}") from error
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    except SafetensorError as error:
        raise CheckpointError(f"{folder.name}/tensors.safetensors is damaged ({error})") from error


def _read_record(folder: Path) -> Json:
    """state.json, checked; its step, state and the digest of the tensors."""
    recorded = read_bytes(folder / "state.json", JSON_LIMIT)
    content = parse_json(recorded, folder / "state.json", CheckpointRecord)
    if _canonical(content) != recorded:
        raise CheckpointError(f"{folder.name}/state.json is damaged (not as it was written)")
    digest = content.pop("sha256")
    if content["format"] != FORMAT:
        raise CheckpointError(f"{folder.name} has format {content['format']}, this version reads format {FORMAT}")
    if _digest(content) != digest:
        raise CheckpointError(f"{folder.name}/state.json is damaged (SHA-256 differs)")
    return content


def _order(folder: Path) -> tuple[int, int]:
    match = _NAME.fullmatch(folder.name)
    return (int(match[1]), int(match[2] or 0)) if match else (-1, -1)


def _free_name(directory: Path, step: int) -> Path:
    """A non-empty folder cannot be replaced by rename, so saving a step again takes the next free suffix."""
    name, again = directory / f"step_{step:09d}", 1
    while name.exists():
        again += 1
        name = directory / f"step_{step:09d}.{again}"
    return name


def _prune(directory: Path, newest: Path) -> None:
    older = [p for p in checkpoints(directory) if _order(p) < _order(newest)]
    keep = {newest, *older[len(older) - (KEEP - 1) :]}
    for folder in checkpoints(directory):
        if folder not in keep:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_strays(directory: Path) -> None:
    for folder in directory.glob("step_*.tmp-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _write_tensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    # safetensors writes the memory as it lies, so a transposed or strided view has to be laid out first
    save_file({name: np.asarray(value, order="C") for name, value in tensors.items()}, path)
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _write_bytes(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _canonical(content: Json) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _digest(content: Json) -> str:
    return hashlib.sha256(_canonical(content)).hexdigest()


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).splitlines()[0]
