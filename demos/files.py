"""Files that are written whole, one writer at a time, and read with bounds."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

import psutil


def sync_folder(folder: Path) -> None:
    """Makes renames and new names in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_writable(target: Path) -> None:
    """ValueError, before any work is done for it, where nothing can be written at `target`; OSError on a full disk."""
    folder = target.absolute().parent
    while not folder.exists():
        folder = folder.parent
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OSError(error.errno, error.strerror, str(target)) from None
        raise ValueError(f"{target} cannot be written ({error.strerror}): choose another place") from None


def write_atomic(target: Path, data: bytes) -> None:
    """Temporary file beside `target`, fsync, rename, fsync of the folder: a crash leaves the old or the new file.

    What killed writers of the same file left behind is removed. An OSError names `target`.
    """
    with _temporary(target, "") as file:
        file.write(data)


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A path beside `target`, with the same suffix, for what another program writes; as `write_atomic` otherwise."""
    with _temporary(target, target.suffix) as file:
        yield Path(file.name)


@contextmanager
def _temporary(target: Path, suffix: str) -> Iterator[BinaryIO]:
    with naming(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(target)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp{suffix}")
        try:
            with temporary.open("wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # until it is renamed, others see that its writer lives
                yield file
                file.flush()
                os.fsync(file.fileno())
                os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(target.parent)


def remove_leftovers(target: Path) -> None:
    """Removes the temporary files of writers of `target` that are dead: nobody holds their lock."""
    for leftover in target.parent.glob(f".{_literal(target.name)}.*.tmp*"):
        with leftover.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            leftover.unlink(missing_ok=True)


@contextmanager
def naming(target: Path) -> Iterator[None]:
    """An OSError names `target` where it names no file, as a full disk's does, or a temporary one beside it."""
    try:
        yield
    except OSError as error:
        named = str(error.filename or "")
        if error.errno is None or (named and not Path(named).name.startswith(f".{target.name}.")):
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else writes in `folder` within the block; the system frees the lock however the process ends.

    Raises:
        ValueError: another process holds it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ValueError(f"{folder} is being written by another process: wait, or choose another folder") from None
    finally:
        os.close(handle)


def refuse_links(folder: Path) -> None:
    """ValueError where an entry of `folder` is a symbolic link: what is written there would land somewhere else."""
    with os.scandir(folder) as entries:
        linked = [entry.path for entry in entries if entry.is_symlink()]
    if linked:
        raise ValueError(
            f"{linked[0]} is a symbolic link, so what is written there would leave {folder}: replace it by what it "
            f"points to, or make {folder} itself the link"
        )


def open_regular(source: Path, most: int | None = None) -> BufferedReader:
    """A regular file of at most `most` bytes, open for reading.

    Raises:
        ValueError: missing, a folder, a device or a pipe, or more than `most` or than fits into memory.
    """
    try:
        handle = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe without a writer would block
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        raise ValueError(f"{source} cannot be read ({getattr(error, 'strerror', error)}): check the path") from None
    found = os.fstat(handle)
    try:
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{source} is a folder, a device or a pipe: give a regular file")
        if most is not None and found.st_size > most:
            raise ValueError(f"{source} has {found.st_size:,} bytes, more than the {most:,} that such a file may have")
        check_memory(found.st_size, str(source))
    except ValueError:
        os.close(handle)
        raise
    return open(handle, "rb")


def read_bytes(source: Path, most: int | None = None) -> bytes:
    """The content of a file; errors as for `open_regular`."""
    with open_regular(source, most) as file:
        return file.read()


def remove_dead_folders(target: Path) -> None:
    """Removes the folders .NAME.tmp-* beside `target` that killed writers of it left: nobody has them `locked`."""
    for leftover in target.parent.glob(f".{_literal(target.name)}.tmp-*"):
        with suppress(ValueError), locked(leftover):
            shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A new folder beside `target` to write into, which is renamed to it at the end of the block: `target` is there as
    a whole or not at all. What killed writers of it left behind is removed. `target` may be an empty folder.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_dead_folders(target)
    folder = target.with_name(f".{target.name}.tmp-{secrets.token_hex(4)}")
    with naming(target):
        folder.mkdir()
        try:
            with locked(folder):
                yield folder
                sync_folder(folder)
                folder.rename(target)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        sync_folder(target.parent)


def check_memory(n_bytes: float, what: str) -> None:
    """ValueError where `what` needs more than the memory that is free now."""
    free = psutil.virtual_memory().available
    if n_bytes > free:
        raise ValueError(
            f"{what} needs {n_bytes / 1e9:.3g} GB of memory and {free / 1e9:.3g} GB are free: make it smaller"
        )


def _literal(name: str) -> str:
    """A file name as a glob pattern that means itself."""
    return re.sub(r"([*?\[])", r"[\1]", name)
