"""Files written whole or not at all, and safetensors read with one-line errors; no pickle is ever opened."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError


def sync_folder(folder: Path) -> None:
    """Makes renames and new names in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(target: Path, data: bytes) -> None:
    """Temporary file beside `target`, fsync, rename, fsync of the folder: a crash leaves the old or the new file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(target.parent)


def write_json(target: Path, value: Any) -> None:
    """`value` as indented JSON, atomically; NaN and Inf are refused."""
    write_atomic(target, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def read_json(source: Path) -> dict[str, Any]:
    """The JSON object in `source`; ValueError when it is missing or damaged."""
    try:
        return dict(json.loads(source.read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(f"{source} cannot be read ({error.strerror}): check the path") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"{source} is not a JSON object ({error}): restore it from a copy or make it again") from None


def tensor_bytes(tensors: Mapping[str, np.ndarray], header: dict[str, str] | None = None) -> bytes:
    """The safetensors file that holds `tensors`, and the strings of `header`."""
    return safetensors.numpy.save({name: np.ascontiguousarray(value) for name, value in tensors.items()}, header)


def parse_tensors(data: bytes, source: Path) -> dict[str, np.ndarray]:
    """The tensors in a safetensors file's bytes; `source` is named in the ValueError when they are damaged."""
    try:
        return safetensors.numpy.load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        message = f"{source} is not a sound safetensors file ({error}): restore it from a copy or make it again"
        raise ValueError(message) from None


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()


def parse_header(data: bytes) -> dict[str, str]:
    """The header strings of a safetensors file that `parse_tensors` accepted."""
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]).get("__metadata__", {})
