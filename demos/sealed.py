"""The one door for what was read: JSON and tensors that prove themselves, and whose shape is checked.

A sealed file carries its own SHA-256, as the first entry of its JSON object or of its safetensors header: the digest of
the file with 64 zeros in that place. No pickle is ever opened.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from gail_suite.demos.files import read_bytes, write_atomic

REMEDY = "restore it from a copy or make it again"
JSON_LIMIT = 16_000_000
"""Bytes of the largest JSON file that is read."""
UNSEALED = "carries no SHA-256 (written before 2026-11-28, or edited)"
Json = dict[str, Any]
"""An object of a JSON file; what it has to hold is told by the schema that it is read with."""
_ZEROS = b"0" * 64
_SEAL = re.compile(rb'\A(?:.{8}\{"__metadata__":)?\{\s*"sha256": ?"(.{64})"', re.DOTALL)


def checked(value: object, schema: object, source: object) -> Any:
    """`value` as `schema` (a type that msgspec knows); ValueError naming `source` and the field that differs."""
    try:
        return msgspec.convert(value, schema)
    except (msgspec.ValidationError, RecursionError) as error:
        reason, _, field = str(error).partition(" - at `$")
        at = f" at {field.strip('.`')}" if field else ""
        raise ValueError(f"{source} is damaged{at} ({reason}): {REMEDY}") from None


def parse_json(data: bytes, source: object, schema: object = Json) -> Any:
    """The JSON value in `data`, checked to be a `schema`; `source` is named in the ValueError for anything else."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{source} is damaged (not JSON: {error}): {REMEDY}") from None
    checked(value, schema, source)
    return value


def write_json(target: Path, value: Mapping[str, object]) -> None:
    """`value` as an indented, sealed JSON object, atomically; ValueError for NaN and Inf."""
    write_atomic(target, _sealed(_json_bytes({"sha256": _ZEROS.decode(), **value}, target)))


def write_results(target: Path, value: Mapping[str, object]) -> None:
    """`value` as an indented JSON object without a seal, for people and their scripts; ValueError for NaN and Inf."""
    write_atomic(target, _json_bytes(value, target))


def read_json(source: Path, schema: object = Json) -> Json:
    """The object in a file of `write_json`, checked against its seal and `schema`; warns where there is no seal.

    Raises:
        ValueError: missing, damaged, or another content than `schema`; names the file and the field.
    """
    data = read_bytes(source, JSON_LIMIT)
    sealed = is_proven(data, source)
    value = parse_json(data, source, schema)
    if sealed:
        del value["sha256"]
    else:
        _warn_unsealed(source)
    return value


def tensor_bytes(tensors: Mapping[str, np.ndarray], header: Mapping[str, str] | None = None) -> bytes:
    """The safetensors file that holds `tensors`, equal for equal content: the strings of `header`, or else a seal."""
    data = safetensors.numpy.save({name: np.ascontiguousarray(value) for name, value in tensors.items()})
    end = _header_end(data)
    strings = {"sha256": _ZEROS.decode()} if header is None else dict(sorted(header.items()))
    text = json.dumps({"__metadata__": strings, **json.loads(data[8:end])}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return _sealed(len(text).to_bytes(8, "little") + text + data[end:])


def parse_tensors(data: bytes, source: Path) -> dict[str, np.ndarray]:
    """The tensors in a safetensors file's bytes; `source` is named in the ValueError when they are damaged."""
    try:
        return safetensors.numpy.load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        message = f"{source} is not a sound safetensors file ({error}): {REMEDY}"
        raise ValueError(message) from None


def read_tensors(source: Path) -> dict[str, np.ndarray]:
    """The tensors of a sealed safetensors file; warns where there is no seal, ValueError if missing, damaged or NaN."""
    data = read_bytes(source)
    sealed, tensors = is_proven(data, source), parse_tensors(data, source)
    for name, value in tensors.items():
        if value.dtype.kind == "f" and np.isnan(value).any():
            raise ValueError(f"{source} holds NaN in {name}: {REMEDY}")
    if not sealed:
        _warn_unsealed(source)
    return tensors


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()


def parse_header(data: bytes) -> dict[str, str]:
    """The header strings of a safetensors file that `parse_tensors` accepted."""
    return json.loads(data[8 : _header_end(data)]).get("__metadata__", {})


def is_proven(data: bytes, source: Path) -> bool:
    """Whether a file is sealed and sound; ValueError where its content does not match its seal."""
    match = _SEAL.match(data)
    if match is not None and _digest(data, *match.span(1)) != match[1]:
        raise ValueError(
            f"{source} does not match its own SHA-256, so it was damaged or edited: restore it from a copy, or, if the "
            "change is yours, delete its entry sha256"
        )
    return match is not None


@contextmanager
def one_warning() -> Iterator[None]:
    """Of all files without a seal that are read within the block, the first is told; other warnings pass."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        unsealed = [w for w in caught if UNSEALED in str(w.message)]
        for w in caught:
            if w not in unsealed[1:]:
                warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)


def _warn_unsealed(source: Path) -> None:
    warnings.warn(f"{source} {UNSEALED}: damage in it cannot be told; save it again to add one", stacklevel=4)


def _json_bytes(value: Mapping[str, object], target: Path) -> bytes:
    try:
        return json.dumps(value, indent=1, allow_nan=False).encode() + b"\n"
    except ValueError as error:
        raise ValueError(f"{target} cannot hold NaN or Inf ({error})") from None


def _sealed(data: bytes) -> bytes:
    match = _SEAL.match(data)
    if match is None:  # a header that brings its own digest
        return data
    return data[: match.start(1)] + _digest(data, *match.span(1)) + data[match.end(1) :]


def _digest(data: bytes, start: int, end: int) -> bytes:
    digest = hashlib.sha256(data[:start] + _ZEROS)
    digest.update(memoryview(data)[end:])
    return digest.hexdigest().encode()


def _header_end(data: bytes) -> int:
    return 8 + int.from_bytes(data[:8], "little")
