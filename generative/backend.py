"""Where and how numbers are computed: device, seeds, and fast matrix products for training."""

from __future__ import annotations

import contextlib
import functools
import operator
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """The device meant by ``device``; ``"auto"`` is CUDA where there is one, else the CPU.

    Raises ValueError when CUDA is asked for and absent, and for a device that torch does not know.
    """
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError:
        raise ValueError(f"unknown device {str(device)!r}: use 'cpu', 'cuda' or 'auto'") from None
    if resolved.type not in ("cpu", "cuda"):
        raise ValueError(f"device {str(device)!r} is none that this suite computes on: use 'cpu', 'cuda' or 'auto'")
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {str(device)!r} asked for, but torch sees no CUDA device: use device='cpu' or 'auto'")
    return resolved


def seed_generator(seed: int | None, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator on ``device``, seeded with ``seed`` or, for None, from the operating system's entropy."""
    generator = torch.Generator(device=device)
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(operator.index(seed))
    return generator


def noise_by_content(x: Tensor, seed: int, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
    """``draw`` for every sample of ``x``, stacked (B, ...), from a generator seeded by ``seed`` and the sample's own values.

    A sample's noise thus depends neither on its place in a batch nor on the other samples; equal samples share theirs.
    """
    checksums = [zlib.crc32(row.tobytes(), seed & 0xFFFFFFFF) for row in x.detach().cpu().numpy()]
    return torch.stack([draw(seed_generator(checksum, x.device)) for checksum in checksums])


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Within the block torch's global generators start from ``seed``; afterwards they are as they were."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@functools.cache
def has_amx_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 tiles in hardware (Linux; False elsewhere)."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and "amx_bf16" in cpuinfo.read_text()


@contextlib.contextmanager
def fast_matmul(enabled: bool | None = None) -> Iterator[None]:
    """Within the block float32 products and convolutions may round their inputs to bfloat16 (accumulation stays float32).

    For training only: likelihoods are always computed in ``full_precision``. ``enabled=None`` means
    on where the CPU has AMX tiles or torch uses CUDA (TF32 there), unless the environment says GENERATIVE_FAST_MATMUL=0.
    """
    if enabled is None:
        enabled = os.environ.get("GENERATIVE_FAST_MATMUL", "1") != "0" and (has_amx_bf16() or torch.cuda.is_available())
    with _precision("bf16", "tf32") if enabled else contextlib.nullcontext():
        yield


def full_precision() -> contextlib.AbstractContextManager[None]:
    """Within the block float32 products and convolutions are float32; cuDNN's convolutions are TF32 unless told otherwise."""
    return _precision("ieee", "ieee")


@contextlib.contextmanager
def _precision(on_cpu: str, on_cuda: str) -> Iterator[None]:
    """Within the block torch's products and convolutions of float32 have the named precisions."""
    backends: Any = torch.backends
    knobs = [(backends.mkldnn.matmul, on_cpu), (backends.mkldnn.conv, on_cpu)]
    if torch.cuda.is_available():
        knobs += [(backends.cuda.matmul, on_cuda), (backends.cudnn.conv, on_cuda)]
    before = [knob.fp32_precision for knob, _ in knobs]
    try:
        for knob, precision in knobs:
            knob.fp32_precision = precision
        yield
    finally:
        for (knob, _), precision in zip(knobs, before, strict=True):
            knob.fp32_precision = precision
