"""Files made to do harm in place of every file that is read: one line refuses them, within a second and 200 MB.

Each is read in a child of its own, which is ended after 20 s.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import resource
import shutil
import signal
import struct
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.soak import tracing
from benchmarks.soak.samples import Sample
from demos.sealed import write_json

SECONDS, MEGABYTES, PATIENCE = 1.0, 200, 20
DEEP = b"[" * 100_000
WRONG: tuple[Any, ...] = (None, True, -1, 10**30, 1e308, "x", "../../../etc/passwd", "\0", [], [[]], {}, {"a": None})
"""What stands in place of each entry of a JSON object, which is then sealed anew."""

Make = Callable[[Path], object]


class Harm:
    """Something that leaves a file behind where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


def hostile(sample: Sample, mark: Path) -> Iterator[str | None]:
    """Every hostile file that a kind of file can be: None, or what went wrong."""
    sound = sample.file.read_bytes()
    for name, make in makers(sample, sound, mark):
        _remove(sample.file)
        make(sample.file)
        problem = judged(sample.read, mark)
        yield problem and f"{sample.kind}, {name}: {problem}"
    _remove(sample.file)
    sample.file.write_bytes(sound)


def judged(read: Callable[[], object], mark: Path) -> str | None:
    """What is wrong with how `read` ends: None for a ValueError of one line, or for a value."""
    mark.unlink(missing_ok=True)
    ended = tracing.run(lambda: _bounded(read), mark.parent, traced=False)
    if mark.exists():
        return "ran code"
    if ended.killed:
        return f"was ended: longer than {PATIENCE} s, or a crash"
    return ended.error and ended.error.removeprefix("Problem: ")


class Problem(Exception):
    """What went wrong in the child."""


def _bounded(read: Callable[[], object]) -> None:
    signal.alarm(PATIENCE)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 2_000_000_000,) * 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read()
    except ValueError as error:
        if "\n" in str(error):
            raise Problem(f"more than a line: {error}") from None
    except BaseException as error:  # noqa: BLE001 (what this counts)
        raise Problem(f"{type(error).__name__}: {str(error)[:200]}") from None
    took = time.process_time() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    if took > SECONDS or grown > MEGABYTES:
        raise Problem(f"took {took:.1f} s and {grown:.0f} MB")


def makers(sample: Sample, sound: bytes, mark: Path) -> Iterator[tuple[str, Make]]:
    """Names and makers of the hostile files of a kind."""
    yield from _of_any_kind(mark)
    suffix = sample.file.suffix
    if suffix == ".json":
        yield from _json_texts()
        yield from _json_values(sound)
    yield from {
        ".jsonl": _json_texts,
        ".safetensors": lambda: _tensors(sound),
        ".npz": lambda: _archives(mark),
        ".npy": lambda: _arrays(mark),
        ".hdf5": _hdf5,
        ".gz": _idx,
        ".yaml": lambda: _yaml(mark),
        ".png": _pictures,
    }.get(suffix, lambda: iter(()))()


def _bytes(data: bytes) -> Make:
    return lambda file: file.write_bytes(data)


def _of_any_kind(mark: Path) -> Iterator[tuple[str, Make]]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Harm(mark)))
    yield "empty", _bytes(b"")
    yield "noise", _bytes(np.random.default_rng(0).bytes(5000))
    yield "zeros", _bytes(bytes(5000))
    yield "a pickle", _bytes(pickle.dumps(Harm(mark)))
    yield "a torch.save archive", _bytes(packed.getvalue())
    yield "a folder", lambda file: file.mkdir()
    yield "a pipe", os.mkfifo
    yield "a link to /dev/zero", lambda file: file.symlink_to("/dev/zero")
    yield "a link to itself", lambda file: file.symlink_to(file)
    yield "a link to nothing", lambda file: file.symlink_to("/nowhere")


def _json_texts() -> Iterator[tuple[str, Make]]:
    for name, data in {
        "null": b"null",
        "a number": b"1",
        "a text": b'"x"',
        "an array": b"[]",
        "an empty object": b"{}",
        "arrays 100,000 deep": DEEP,
        "objects 100,000 deep": b'{"a":' * 100_000,
        "balanced arrays 100,000 deep": b'{"a":' + DEEP + b"]" * 100_000 + b"}",
        "not UTF-8": b'{"\xff": 1}',
        "half a surrogate": b'{"algo": "\\ud800"}',
        "a huge number": b'{"step": 1e999999}',
        "a number of 100,000 digits": b'{"step": ' + b"9" * 100_000 + b"}",
        "NaN": b'{"step": NaN}',
        "17 MB of spaces": b" " * 17_000_000,
        "equal keys": b'{"format": 1, "format": 2}',
        "a false seal": b'{"sha256": "' + b"0" * 64 + b'"}',
    }.items():
        yield name, _bytes(data + b"\n")


def _json_values(sound: bytes) -> Iterator[tuple[str, Make]]:
    """Each entry in turn of each type that it may not have."""
    value = json.loads(sound)
    value.pop("sha256", None)
    for key in value:
        for wrong in WRONG:
            yield f"{key} {wrong!r}", lambda f, key=key, wrong=wrong: write_json(f, {**value, key: wrong})
        yield f"{key} missing", lambda f, key=key: write_json(f, {k: v for k, v in value.items() if k != key})


def _tensors(sound: bytes) -> Iterator[tuple[str, Make]]:
    def header(text: bytes, data: bytes = b"") -> Make:
        return _bytes(struct.pack("<Q", len(text)) + text + data)

    def entry(**values: Any) -> Make:
        about = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | values
        return header(json.dumps({"a": about}).encode(), bytes(8))

    yield "a header of 2**63 bytes", _bytes(struct.pack("<Q", 2**63) + b"{}")
    yield "a header of 2**62 bytes and a brace", _bytes(struct.pack("<Q", 2**62) + b'{"a": 1}')
    yield "a header longer than the file", _bytes(struct.pack("<Q", 10**8) + b"{}")
    yield "a header that is no JSON", header(b"not json")
    yield "a header 100,000 deep", header(b'{"a":' + DEEP)
    yield "a header that is an array", header(b"[]")
    yield "no tensors", header(b"{}")
    yield "a tensor that is none", header(b'{"a": 1}')
    yield "another type of number", entry(dtype="Q7")
    yield "a type that is no text", entry(dtype=3)
    yield "a negative shape", entry(shape=[-2])
    yield "a shape of 2**62", entry(shape=[2**62])
    yield "a shape that overflows", entry(shape=[2**40, 2**40])
    yield "a shape of 100,000 ones", entry(shape=[1] * 100_000 + [2])
    yield "offsets beyond the end", entry(data_offsets=[0, 2**40])
    yield "offsets that run backwards", entry(data_offsets=[8, 0])
    yield "offsets below 0", entry(data_offsets=[-8, 0])
    yield "metadata that are no texts", header(b'{"__metadata__": {"config": 1}}')
    yield "metadata that are an array", header(b'{"__metadata__": []}')
    yield "another's tensors", entry()
    yield "trailing bytes", _bytes(sound + bytes(64))


def _archives(mark: Path) -> Iterator[tuple[str, Make]]:
    def saved(**arrays: Any) -> Make:
        return lambda file: np.savez_compressed(file, **arrays)

    def entries(*names_and_data: tuple[str, bytes]) -> Make:
        def make(file: Path) -> None:
            with warnings.catch_warnings(), zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                warnings.simplefilter("ignore")
                for name, data in names_and_data:
                    archive.writestr(name, data)

        return make

    obs, acts = np.zeros((5, 3), np.float32), np.zeros((4, 2), np.float32)
    yield "objects", saved(obs=np.array([Harm(mark)], object), acts=np.array([Harm(mark)], object))
    yield "objects among the rest", saved(obs=obs, acts=acts, infos=np.array([Harm(mark)], object))
    yield "no arrays", saved()
    yield "other names", saved(x=obs)
    yield "texts", saved(obs=np.array(["a"]), acts=np.array(["b"]))
    yield "complex numbers", saved(obs=obs.astype(complex), acts=acts)
    yield "records", saved(obs=np.zeros(5, [("a", "f4")]), acts=acts)
    yield "dates", saved(obs=np.zeros((5, 3), "M8[s]"), acts=acts)
    yield "one number", saved(obs=np.float32(1), acts=np.float32(1))
    yield "no rows", saved(obs=obs[:0], acts=acts[:0])
    yield "32 dimensions", saved(obs=np.zeros([1] * 32), acts=acts)
    yield "lengths that do not fit", saved(obs=obs, acts=np.zeros((9, 2)))
    yield "NaN", saved(obs=obs * np.nan, acts=acts)
    yield "a bomb", entries(("obs.npy", _npy("<f4", (500_000_000,)) + bytes(30_000_000)))
    yield "a wrong length", entries(("obs.npy", _npy("<f4", (10**6,)) + bytes(8)))
    yield "equal names", entries(("obs.npy", _npy("<f4", (2,)) + bytes(8)), ("obs.npy", b"x"))
    yield "names that lead elsewhere", entries(("../../obs.npy", _npy("<f4", (2,)) + bytes(8)))


def _npy(kind: str, shape: tuple[int, ...] | str) -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def _arrays(mark: Path) -> Iterator[tuple[str, Make]]:
    yield "objects", lambda file: np.save(file, np.array([Harm(mark)], object), allow_pickle=True)
    yield "a shape of 9e12", _bytes(_npy("<f4", (9 * 10**12,)))
    yield "a negative shape", _bytes(_npy("<f4", (-5, 2)) + bytes(40))
    yield "a shape that overflows", _bytes(_npy("<f4", (2**40, 2**40)))
    yield "a shape that is code", _bytes(_npy("<f4", f"__import__('pathlib').Path({str(mark)!r}).touch()"))
    yield "a header 5,000 deep", _bytes(_npy("<f4", "(" * 5000))
    yield "another version", _bytes(b"\x93NUMPY\x09\x00" + bytes(100))
    yield "complex numbers", lambda file: np.save(file, np.zeros((4, 1, 2, 2), complex))
    yield "texts", lambda file: np.save(file, np.array(["a"]))
    yield "one number", lambda file: np.save(file, np.float32(1))
    yield "no rows", lambda file: np.save(file, np.zeros((0, 1, 4, 4)))
    yield "NaN", lambda file: np.save(file, np.full((4, 1, 4, 4), np.nan))
    yield "numbers beyond [0, 1]", lambda file: np.save(file, np.full((4, 1, 4, 4), 1e30))


def _hdf5() -> Iterator[tuple[str, Make]]:
    def written(fill: Callable[[h5py.File], object]) -> Make:
        def make(file: Path) -> None:
            with h5py.File(file, "w") as opened:
                fill(opened)

        return make

    def huge(opened: h5py.File) -> None:
        opened.create_dataset("observations", shape=(10**12, 10), dtype=np.float32, chunks=(1024, 10))

    def external(opened: h5py.File) -> None:
        opened.create_dataset("observations", (10, 3), np.float32, external=[("/etc/passwd", 0, 120)])

    def loop(opened: h5py.File) -> None:
        opened.create_group("a")["b"] = opened["/"]

    def deep(opened: h5py.File) -> None:
        group = opened
        for _ in range(2000):
            group = group.create_group("g")

    def virtual(opened: h5py.File) -> None:
        layout = h5py.VirtualLayout((10, 3), np.float32)
        layout[:] = h5py.VirtualSource("/etc/passwd", "x", (10, 3))
        opened.create_virtual_dataset("observations", layout)

    yield "a data set of 40 TB", written(huge)
    yield "data in /etc/passwd", written(external)
    yield "virtual data", written(virtual)
    yield "a loop of groups", written(loop)
    yield "groups 2,000 deep", written(deep)
    yield "a soft link", written(lambda f: f.__setitem__("observations", h5py.SoftLink("/nowhere")))
    yield "an external link", written(lambda f: f.__setitem__("observations", h5py.ExternalLink("/etc/passwd", "x")))
    yield "texts", written(lambda f: f.__setitem__("observations", ["a", "b"]))
    yield "a group in place of data", written(lambda f: f.create_group("observations"))
    yield "no data", written(lambda f: None)
    yield "an empty data set", written(lambda f: f.__setitem__("observations", h5py.Empty("f4")))
    yield "one number", written(lambda f: f.__setitem__("observations", 1.0))
    yield "NaN", written(lambda f: [f.__setitem__(n, np.full((4, 3), np.nan)) for n in ("observations", "actions")])


def _idx() -> Iterator[tuple[str, Make]]:
    def packed(data: bytes) -> Make:
        return _bytes(gzip.compress(data))

    yield "a bomb", packed(b"\0\0\x08\x01\0\0\0\x05" + bytes(300_000_000))
    yield "4e9 x 4e9 x 4e9", packed(b"\0\0\x08\x03" + b"\xff" * 12)
    yield "255 dimensions", packed(b"\0\0\x08\xff" + b"\0\0\0\1" * 255)
    yield "no dimensions", packed(b"\0\0\x08\x00")
    yield "another type", packed(b"\0\0\x99\x01\0\0\0\x05")
    yield "half a header", packed(b"\0\0\x08\x03\0\0")
    yield "too short", packed(b"\0\0\x08\x03" + b"\0\0\0\5" * 3)
    yield "a broken stream", _bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x05" + bytes(500))[:-9])


def _yaml(mark: Path) -> Iterator[tuple[str, Make]]:
    for name, text in {
        "code": f"!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [{mark}]]",
        "code in a value": f"lr: !!python/object/apply:os.system ['touch {mark}']",
        "aliases": "a: &a [x, x]\nb: &b [*a, *a]\nhidden: [*b, *b]",
        "a list that holds itself": "hidden: &a [*a]",
        "lists 5,000 deep": "hidden: " + "[" * 5000,
        "balanced lists 5,000 deep": "hidden: " + "[" * 5000 + "]" * 5000,
        "NaN": "lr: .nan",
        "infinity": "steps: .inf",
        "a huge number": "steps: " + "9" * 10_000,
        "two documents": "lr: 1\n---\nlr: 2",
        "a list": "- lr",
        "a text": "lr",
        "a number as a key": "1: 2",
        "a mapping as a key": "? {a: b}\n: c",
        "a text for a number": "lr: fast",
        "a date": "lr: 2026-01-01",
        "a set": "hidden: !!set {1, 2}",
        "bytes": "lr: !!binary aGk=",
        "an unknown name": "learning_rate: 1",
        "tabs": "lr:\t1\n\thidden: 1",
        "not UTF-8": "\udcff: 1",
    }.items():
        yield name, _bytes(text.encode("utf-8", "surrogateescape"))


def _pictures() -> Iterator[tuple[str, Make]]:
    def png(width: int, height: int, data: bytes) -> bytes:
        def chunk(kind: bytes, body: bytes) -> bytes:
            return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

        head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")

    yield "60,000 x 60,000 pixels", _bytes(png(60_000, 60_000, zlib.compress(bytes(60_000_000))))
    yield "no pixels", _bytes(png(0, 0, b""))
    yield "half its pixels", _bytes(png(8, 8, zlib.compress(bytes(20))))
    yield "a broken stream", _bytes(png(8, 8, b"xyz"))


def _remove(file: Path) -> None:
    if file.is_dir() and not file.is_symlink():
        shutil.rmtree(file)
    else:
        file.unlink(missing_ok=True)
