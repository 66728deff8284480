"""A fault at the k-th system call that changes a folder: the process is killed there, or the disk is full after it.

The work runs in a forked child under ptrace, all threads of it, so that the calls of C and Rust libraries count as much
as Python's. Linux on x86-64.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Fault = Literal["kill", "full"]
AVAILABLE = platform.system() == "Linux" and platform.machine() == "x86_64"

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long
_TRACEME, _POKEUSER, _SYSCALL, _SETOPTIONS, _INFO = 0, 6, 24, 0x4200, 0x420E
_OPTIONS = 0x1 | 0x2 | 0x4 | 0x8 | 0x100000  # SYSGOOD, FORK, VFORK, CLONE, EXITKILL
_ENTRY, _EXIT = 1, 2
_NUMBER, _RESULT, _THIRD = 8 * 15, 8 * 10, 8 * 12
"""Offsets of orig_rax, rax and rdx in struct user."""

_ON_HANDLE = {1: "write", 18: "write", 20: "write", 77: "truncate", 74: "sync", 75: "sync", 285: "write"}
"""write, pwrite64, writev, ftruncate, fsync, fdatasync, fallocate."""
_ON_PATH = {82: "rename", 83: "mkdir", 84: "remove", 87: "remove", 76: "truncate", 86: "rename", 88: "rename"}
"""rename, mkdir, rmdir, unlink, truncate, link, symlink; the path is the first argument."""
_AT_PATH = {257: "open", 258: "mkdir", 263: "remove", 264: "rename", 316: "rename"}
"""openat, mkdirat, unlinkat, renameat, renameat2; the path is the second argument, below the first."""
_TAKES_SPACE = ("write", "open", "mkdir")


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    calls: int
    """System calls that changed the folder, the one with the fault included; of a full disk those that take space."""
    killed: bool
    error: str | None
    """What it raised, "TypeOfError: text", or None."""


def run(
    work: Callable[[], object], folder: Path, at: int | None = None, fault: Fault = "kill", traced: bool = True
) -> Ended:
    """Does `work` in a child, with `fault` at its `at`-th call (from 1) that changes `folder`, or without one; where it
    is not `traced`, no call is counted.
    """
    with tempfile.TemporaryFile() as said:
        pid = start(work, said.fileno(), traced)
        tracer = _Tracer(pid, folder, at, fault)
        killed = tracer.follow() if traced else os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        said.seek(0)
        return Ended(tracer.calls, killed, said.read().decode(errors="replace") or None)


def start(work: Callable[[], object], said: int | None = None, traced: bool = False) -> int:
    """A child that does `work` in silence and writes what it raises to the file `said`; its process id."""
    pid = os.fork()
    if pid == 0:
        _child(work, said, traced)
    return pid


def _child(work: Callable[[], object], said: int | None, traced: bool) -> None:
    """Never returns."""
    code = 0
    try:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)
        os.dup2(null, 2)
        if traced:
            _libc.ptrace(_TRACEME, 0, None, None)
            os.kill(os.getpid(), signal.SIGSTOP)
        work()
    except BaseException as error:  # noqa: BLE001 (a child must end here)
        if said is not None:
            os.write(said, f"{type(error).__name__}: {error}".encode(errors="backslashreplace"))
        code = 1
    os._exit(code)


class _Tracer:
    def __init__(self, pid: int, folder: Path, at: int | None, fault: Fault) -> None:
        self.pid, self.folder, self.at, self.fault = pid, os.path.realpath(folder), at, fault
        self.calls, self.full, self.denied, self.torn = 0, False, set[int](), False

    def follow(self) -> bool:
        """Until the child has ended; whether it was killed."""
        os.waitpid(self.pid, 0)
        _libc.ptrace(_SETOPTIONS, self.pid, None, _OPTIONS)
        _libc.ptrace(_SYSCALL, self.pid, None, None)
        while True:
            thread, status = os.waitpid(-1, 0x40000000)  # __WALL: threads too
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                if thread == self.pid:
                    return os.WIFSIGNALED(status)
                continue
            sent = 0
            if os.WSTOPSIG(status) == signal.SIGTRAP | 0x80:
                self._stopped(thread)
            elif os.WSTOPSIG(status) not in (signal.SIGTRAP, signal.SIGSTOP):
                sent = os.WSTOPSIG(status)
            _libc.ptrace(_SYSCALL, thread, None, sent)

    def _stopped(self, thread: int) -> None:
        buffer = ctypes.create_string_buffer(88)
        if _libc.ptrace(_INFO, thread, 88, ctypes.addressof(buffer)) <= 0:
            return  # it was killed meanwhile
        if buffer.raw[0] == _EXIT:
            if thread in self.denied:
                self.denied.discard(thread)
                self._set(thread, _RESULT, -errno.ENOSPC)
            elif self.torn:
                os.kill(self.pid, signal.SIGKILL)
        elif buffer.raw[0] == _ENTRY:
            number, *arguments = struct.unpack_from("<7Q", buffer.raw, 24)
            kind = self._changes(thread, number, arguments)
            if kind is not None:
                self._count(thread, kind, arguments)

    def _count(self, thread: int, kind: str, arguments: list[int]) -> None:
        if self.fault == "full" and kind not in _TAKES_SPACE:
            return
        self.calls += 1
        now = self.at is not None and self.calls == self.at
        if self.fault == "kill" and now:
            if kind == "write" and arguments[2] > 1:  # half of it reaches the file
                self._set(thread, _THIRD, arguments[2] // 2)
                self.torn = True
            else:
                os.kill(self.pid, signal.SIGKILL)
        self.full = self.full or (now and self.fault == "full")
        if self.full:
            self.denied.add(thread)
            self._set(thread, _NUMBER, -1)

    def _set(self, thread: int, offset: int, value: int) -> None:
        _libc.ptrace(_POKEUSER, thread, offset, ctypes.c_void_p(value & (2**64 - 1)))

    def _changes(self, thread: int, number: int, arguments: list[int]) -> str | None:
        """What kind of call it is, None where it does not change the folder."""
        if number in _ON_HANDLE:
            return _ON_HANDLE[number] if self._inside(self._open(thread, arguments[0])) else None
        if number in _ON_PATH:
            return _ON_PATH[number] if self._inside(self._text(thread, arguments[0])) else None
        if number in _AT_PATH:
            if number == 257 and not arguments[2] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR | os.O_TRUNC):
                return None
            path = self._text(thread, arguments[1])
            if not path.startswith("/"):
                path = f"{self._open(thread, arguments[0])}/{path}"
            return _AT_PATH[number] if self._inside(path) else None
        return None

    def _inside(self, path: str) -> bool:
        return path == self.folder or path.startswith(self.folder + "/")

    def _open(self, thread: int, handle: int) -> str:
        try:
            return os.readlink(f"/proc/{thread}/fd/{handle}")
        except OSError:
            return ""

    def _text(self, thread: int, address: int) -> str:
        try:
            with open(f"/proc/{thread}/mem", "rb", buffering=0) as memory:
                memory.seek(address)
                return memory.read(4096).split(b"\0")[0].decode(errors="surrogateescape")
        except (OSError, OverflowError):
            return ""
