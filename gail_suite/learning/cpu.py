"""What makes networks of this size train fast on a processor: one thread, bfloat16 products, memory that is kept."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

import torch

from gail_suite.generative.core.backend import fast_matmul, has_amx_bf16

MATMUL = ("auto", "float32", "bfloat16")
"""How products of float32 matrices may be made."""


@contextlib.contextmanager
def cpu_settings(matmul: str = "auto") -> Iterator[None]:
    """One thread, and float32 matrices multiplied through bfloat16 inputs where `matmul` and the processor say so.

    Layers of 256 units are too small to share between threads. Sums stay float32. `matmul` is one of `MATMUL`, auto
    is bfloat16 where the processor has tiles for it.
    """
    fast, threads = matmul == "bfloat16" or (matmul == "auto" and has_amx_bf16()), torch.get_num_threads()
    with fast_matmul(torch.device("cpu"), fast):  # shared with trainings and fits in other threads
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def keep_freed_memory() -> None:
    """Tells glibc to keep freed blocks: a learner frees and allocates the same half-megabyte arrays thousands of times
    a second, and giving them back to the kernel each time costs an eighth of the update."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
