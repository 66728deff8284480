"""Tensors and a string header in one safetensors file, written whole, which proves itself; no pickle is ever opened.

The first string of the header is the SHA-256 of the file with 64 zeros in that place (demos.sealed has the same rule).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

MOST_DIMENSIONS = 64
"""Of a tensor that torch can compute with."""
_ZEROS = b"0" * 64
_SEAL = re.compile(rb'\A.{8}\{"__metadata__":\{"sha256":"(.{64})"', re.DOTALL)


def write_tensors(target: Path, tensors: dict[str, Tensor], header: dict[str, str]) -> Path:
    """Write ``tensors`` and ``header``, equal bytes for equal content; a crash leaves the old file or the new one."""
    data = save({name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()})
    end = _header_end(data)
    strings = {"sha256": _ZEROS.decode(), **dict(sorted(header.items()))}
    text = json.dumps({"__metadata__": strings, **json.loads(data[8:end])}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = len(text).to_bytes(8, "little") + text + data[end:]
    match = _SEAL.match(data)
    assert match is not None
    return write_whole(target, data[: match.start(1)] + _digest(data, match) + data[match.end(1) :])


def read_tensors(source: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The header and the tensors of ``source``, checked against its SHA-256; warns where an old file has none.

    Raises:
        ValueError: missing, a pickle, damaged, NaN, or more than fits into memory.
    """
    data = read_regular(source)
    match = _SEAL.match(data)
    if match is not None and _digest(data, match) != match[1]:
        raise ValueError(
            f"{source} does not match its own SHA-256, so it was damaged: restore it from a copy, or fit again"
        )
    try:
        tensors = load(data)
        if (most := max((tensor.ndim for tensor in tensors.values()), default=0)) > MOST_DIMENSIONS:
            raise ValueError(f"a tensor of {most} dimensions, torch computes with {MOST_DIMENSIONS} at most")
        header = json.loads(data[8 : _header_end(data)]).get("__metadata__", {})
    except (SafetensorError, ValueError, KeyError) as error:
        # ours begins with the length of its header, which may be 128 too, and a brace
        if (data[:1] == b"\x80" and data[8:9] != b"{") or data[:4] == b"PK\x03\x04":
            raise ValueError(
                f"{source} is a pickle or torch.save archive, which can run code when opened: load reads safetensors "
                "only"
            ) from None
        raise ValueError(f"{source} is not a readable safetensors file: {error}") from None
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and bool(tensor.isnan().any()):
            raise ValueError(f"{source} holds NaN in {name}: restore it from a copy, or fit again")
    if match is None:
        warnings.warn(
            f"{source} carries no SHA-256 (written before 2026-11-28, or edited): damage in it cannot be told; save it "
            "again to add one",
            stacklevel=3,
        )
    return header, tensors


def parsed(text: str, schema: Any, what: str) -> Any:
    """The JSON value in a header's string, checked to be a ``schema``; ValueError naming ``what`` and the field."""
    try:
        value = json.loads(text)  # infinity is a setting that a model may have
        msgspec.convert(value, schema)
    except (ValueError, msgspec.ValidationError, RecursionError) as error:
        raise ValueError(f"{what} is damaged ({error}): restore it from a copy, or fit again") from None
    return value


def read_regular(source: Path) -> bytes:
    """The content of a file; ValueError for none, a folder, a device or a pipe, and for more than fits into memory."""
    try:
        handle = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe without a writer would block
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        raise ValueError(f"{source} cannot be read ({getattr(error, 'strerror', error)}): check the path") from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{source} is not a file but a folder, a device or a pipe: give a regular file")
        check_memory(found.st_size, str(source))
        with open(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def check_memory(n_bytes: float, what: str) -> None:
    """ValueError where ``what`` needs more than the memory that is free now."""
    free = psutil.virtual_memory().available
    if n_bytes > free:
        raise ValueError(
            f"{what} needs {n_bytes / 1e9:.3g} GB of memory and {free / 1e9:.3g} GB are free: make it smaller"
        )


def write_whole(target: Path, data: bytes) -> Path:
    """Write to a temporary file beside ``target``, fsync, rename; what killed writers of ``target`` left is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:  # save_file and mkstemp would make it private whatever the umask
            fcntl.flock(file, fcntl.LOCK_EX)  # until it is renamed, others see that its writer lives
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, target)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error  # a full disk names no file
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return target


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else writes in ``folder`` within the block; ValueError where another process does."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # freed by the system however the process ends
        yield
    except BlockingIOError:
        raise ValueError(f"{folder} is in use by another fit: wait for it, or give another folder") from None
    finally:
        os.close(handle)


def _remove_leftovers(target: Path) -> None:
    for leftover in target.parent.glob(re.sub(r"([*?\[])", r"[\1]", target.name) + ".*.tmp"):
        with leftover.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            leftover.unlink(missing_ok=True)


def _digest(data: bytes, match: re.Match[bytes]) -> bytes:
    digest = hashlib.sha256(data[: match.start(1)] + _ZEROS)
    digest.update(memoryview(data)[match.end(1) :])
    return digest.hexdigest().encode()


def _header_end(data: bytes) -> int:
    return 8 + int.from_bytes(data[:8], "little")
