"""Where and how numbers are computed: device, seeds, and fast matrix products for training."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """The device meant by ``device``; ``"auto"`` is CUDA where there is one, else the CPU.

    Raises ValueError when CUDA is asked for and absent.
    """
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    resolved = torch.device(device)
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {str(device)!r} asked for, but torch sees no CUDA device: use device='cpu' or 'auto'")
    return resolved


def seed_generator(seed: int | None, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator on ``device``, seeded with ``seed`` or, for None, from the operating system's entropy."""
    generator = torch.Generator(device=device)
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    return generator


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

    For training only: likelihoods are always computed in full precision, outside this block. ``enabled=None`` means
    on where the CPU has AMX tiles or torch uses CUDA (TF32 there), unless the environment says GENERATIVE_FAST_MATMUL=0.
    """
    if enabled is None:
        enabled = os.environ.get("GENERATIVE_FAST_MATMUL", "1") != "0" and (has_amx_bf16() or torch.cuda.is_available())
    if not enabled:
        yield
        return
    mkldnn: Any = torch.backends.mkldnn
    knobs: list[tuple[Any, str]] = [(mkldnn.matmul, "bf16"), (mkldnn.conv, "bf16")]
    if torch.cuda.is_available():
        cudnn: Any = torch.backends.cudnn
        knobs += [(torch.backends.cuda.matmul, "tf32"), (cudnn.conv, "tf32")]
    before = [knob.fp32_precision for knob, _ in knobs]
    try:
        for knob, precision in knobs:
            knob.fp32_precision = precision
        yield
    finally:
        for (knob, _), precision in zip(knobs, before, strict=True):
            knob.fp32_precision = precision
