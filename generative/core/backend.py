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
    if resolved.type == torch._C._get_privateuse1_backend_name() and hasattr(torch, resolved.type):
        return resolved  # a backend that another package has registered with torch
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
    """``draw`` for every sample of ``x``, stacked (B, ...), from a generator seeded by ``seed`` and the sample's own
    values.

    A sample's noise thus depends neither on its place in a batch nor on the other samples; equal samples share theirs.
    """
    checksums = [zlib.crc32(row.tobytes(), seed & 0xFFFFFFFF) for row in x.detach().cpu().numpy()]
    return torch.stack([draw(seed_generator(checksum, x.device)) for checksum in checksums])


def global_generators(device: torch.device) -> list[torch.Generator]:
    """torch's own generators that a computation on ``device`` draws from: the processor's and, if it is another,
    its own.
    """
    if device.type == "cpu":
        return [torch.default_generator]
    module = getattr(torch, device.type)
    if device.type == "cuda":
        module.init()  # before that there are no generators
    index = module.current_device() if device.index is None else device.index
    return [torch.default_generator, module.default_generators[index]]


@contextlib.contextmanager
def untouched(device: torch.device) -> Iterator[list[torch.Generator]]:
    """After the block the ``global_generators`` of ``device`` are as they were; those of other devices are left
    alone.
    """
    generators = global_generators(device)
    before = [generator.get_state() for generator in generators]
    try:
        yield generators
    finally:
        for generator, state in zip(generators, before, strict=True):
            generator.set_state(state)


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Within the block the ``global_generators`` of ``device`` start from ``seed``; afterwards they are as they
    were.
    """
    with untouched(device) as generators:
        for generator in generators:
            generator.manual_seed(seed)
        yield


@contextlib.contextmanager
def learning() -> Iterator[None]:
    """Within the block gradients are recorded and new numbers are float32, whatever the caller has switched on or
    off.
    """
    before = torch.get_default_dtype()
    if before != torch.float32:
        torch.set_default_dtype(torch.float32)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        if before != torch.float32:
            torch.set_default_dtype(before)


@functools.cache
def has_amx_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 tiles in hardware (Linux; False elsewhere)."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and "amx_bf16" in cpuinfo.read_text()


@contextlib.contextmanager
def fast_matmul(device: torch.device, enabled: bool | None = None) -> Iterator[None]:
    """Within the block float32 products and convolutions on ``device`` may round their inputs (accumulation stays
    float32).

    For training only: likelihoods are always computed in ``full_precision``. To bfloat16 on a CPU with AMX tiles, to
    TF32 on CUDA; a CPU's arithmetic does not depend on whether there is a GPU beside it. ``enabled=None`` means where
    that is faster, unless the environment says GENERATIVE_FAST_MATMUL=0.
    """
    if enabled is None:
        enabled = rounding_allowed() and (device.type == "cuda" or has_amx_bf16())
    on_cpu, on_cuda = ("bf16", None) if device.type == "cpu" else (None, "tf32")
    with _precision(on_cpu, on_cuda) if enabled else contextlib.nullcontext():
        yield


def rounding_allowed() -> bool:
    """False where the environment says GENERATIVE_FAST_MATMUL=0."""
    return os.environ.get("GENERATIVE_FAST_MATMUL", "1") != "0"


def has_fast_bf16(device: torch.device) -> bool:
    """Whether ``device`` itself multiplies bfloat16 faster than float32 (no emulation)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and has_amx_bf16()


def full_precision() -> contextlib.AbstractContextManager[None]:
    """Within the block float32 products and convolutions are float32; cuDNN's convolutions are TF32 unless told
    otherwise.
    """
    return _precision("ieee", "ieee")


@contextlib.contextmanager
def _precision(on_cpu: str | None, on_cuda: str | None) -> Iterator[None]:
    """Within the block torch's products and convolutions of float32 have the named precisions; None leaves them."""
    backends: Any = torch.backends
    knobs = [(backends.mkldnn.matmul, on_cpu), (backends.mkldnn.conv, on_cpu)] if on_cpu else []
    if on_cuda and torch.cuda.is_available():
        knobs += [(backends.cuda.matmul, on_cuda), (backends.cudnn.conv, on_cuda)]
    before = [knob.fp32_precision for knob, _ in knobs]
    try:
        for knob, precision in knobs:
            knob.fp32_precision = precision
        yield
    finally:
        for (knob, _), precision in zip(knobs, before, strict=True):
            knob.fp32_precision = precision
