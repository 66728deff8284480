"""Damaged files: every change of a sealed file is noticed, and nothing ends in anything but one ValueError."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from pathlib import Path

from benchmarks.soak.samples import Sample


def flips(sample: Sample, n: int, seed: int = 0) -> Iterator[str | None]:
    """`n` changed bits, each at a random place: None, or what went wrong."""
    rng, sound = random.Random(f"{sample.kind} {seed}"), sample.file.read_bytes()
    for _ in range(n):
        bad, at = bytearray(sound), rng.randrange(len(sound))
        bad[at] ^= 1 << rng.randrange(8)
        yield _outcome(sample, bytes(bad), f"byte {at}")
    sample.file.write_bytes(sound)


def cuts(sample: Sample, n: int, seed: int = 0) -> Iterator[str | None]:
    """The file cut at `n` random places: None, or what went wrong."""
    rng, sound = random.Random(f"{sample.kind} {seed}"), sample.file.read_bytes()
    for _ in range(n):
        size = rng.randrange(len(sound))
        yield _outcome(sample, sound[:size], f"cut at {size}")
    sample.file.write_bytes(sound)


def _outcome(sample: Sample, data: bytes, where: str) -> str | None:
    replace(sample.file, data)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            sample.read()
        except ValueError as error:
            return None if "\n" not in str(error) else f"{sample.kind}, {where}: more than a line: {error}"
        except Exception as error:  # noqa: BLE001 (what this counts)
            return f"{sample.kind}, {where}: {type(error).__name__}: {error}"
    return f"{sample.kind}, {where}: accepted in silence" if sample.sealed and not told else None


def replace(file: Path, data: bytes) -> None:
    """Puts `data` in the file's place."""
    file.unlink()
    file.write_bytes(data)
