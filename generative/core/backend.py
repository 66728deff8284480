"""Where and how numbers are computed: device, seeds, and fast matrix products for training."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gail_suite.generative.core.checks import as_seed


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
        generator.manual_seed(as_seed(seed))
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


# ---- a fit's own draws ----------------------------------------------------------------------------------------------
_THREAD = threading.local()
_LENT = threading.RLock()


def own_generator(device: torch.device) -> torch.Generator | None:
    """The generator on ``device`` of the ``own_draws`` that this thread is in; outside None, torch's global one."""
    return getattr(_THREAD, "generators", {}).get(device.type)


@contextlib.contextmanager
def own_draws(seed: int, device: torch.device, rank: int = 0, world: int = 1, batch: int = 0) -> Iterator[None]:
    """Within the block this thread has generators of its own, seeded with ``seed``, on the processor and ``device``.

    Of ``world`` processes that share minibatches of ``batch`` rows, each draws the noise of all rows and keeps that of
    its own, so that a row's noise does not depend on who has it.
    """
    before = getattr(_THREAD, "generators", {}), getattr(_THREAD, "share", (0, 1, 0))
    _THREAD.generators = {where.type: seed_generator(seed, where) for where in (torch.device("cpu"), device)}
    _THREAD.share = rank, world, batch
    try:
        yield
    finally:
        _THREAD.generators, _THREAD.share = before


def reseed(seed: int) -> None:
    """Start the thread's own generators again from ``seed``."""
    for generator in _THREAD.generators.values():
        generator.manual_seed(seed)


@contextlib.contextmanager
def own_starts() -> Iterator[None]:
    """Within the block torch's layers draw their first weights from the thread's own generator.

    They know the global one alone, which is lent to one thread at a time and given back as it was.
    """
    own, lent = own_generator(torch.device("cpu")), torch.default_generator
    with _LENT:
        before = lent.get_state()
        try:
            if own is not None:
                lent.set_state(own.get_state())
            yield
            if own is not None:
                own.set_state(lent.get_state())
        finally:
            lent.set_state(before)


def normal_like(x: Tensor, rows: int = 0) -> Tensor:
    """Standard normal noise of the shape of ``x`` from ``own_generator``; dimension ``rows`` is that of a minibatch."""
    return _drawn(x, rows, lambda noise: noise.normal_(generator=own_generator(x.device)))


def uniform_like(x: Tensor) -> Tensor:
    """Noise in [0, 1) of the shape of ``x`` from ``own_generator``."""
    return _drawn(x, 0, lambda noise: noise.uniform_(generator=own_generator(x.device)))


def _drawn(x: Tensor, rows: int, draw: Callable[[Tensor], Tensor]) -> Tensor:
    rank, world, batch = getattr(_THREAD, "share", (0, 1, 0))
    if world == 1:
        return draw(torch.empty_like(x))
    whole = draw(x.new_empty([batch if i == rows else n for i, n in enumerate(x.shape)]))
    return whole.movedim(rows, 0)[rank::world].movedim(0, rows)


# ---- settings of the whole process ----------------------------------------------------------------------------------
class Shared:
    """A setting of torch that all threads share, while several of them ask for a value.

    The first in ``values`` that anybody asks for holds; the last who leaves restores what was there before the first.
    """

    def __init__(self, read: Callable[[], Any], write: Callable[[Any], None], values: tuple[Any, ...]) -> None:
        self.read, self.write, self.values = read, write, values
        self._lock, self._wishes, self._before = threading.Lock(), list[Any](), None

    @contextlib.contextmanager
    def asked(self, value: Any) -> Iterator[None]:
        """Within the block the setting is ``value``, or a stricter one that another thread needs."""
        with self._lock:
            if not self._wishes:
                self._before = self.read()
            self._wishes.append(value)
            self._settle()
        try:
            yield
        finally:
            with self._lock:
                self._wishes.remove(value)
                self._settle()

    def _settle(self) -> None:
        self.write(min(self._wishes, key=self.values.index) if self._wishes else self._before)


_DEFAULT_DTYPE = Shared(torch.get_default_dtype, torch.set_default_dtype, (torch.float32,))


@contextlib.contextmanager
def learning() -> Iterator[None]:
    """Within the block gradients are recorded, new numbers are float32 and nothing is cast to fewer digits, whatever
    the caller has switched on or off.
    """
    with contextlib.ExitStack() as stack:
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        with _DEFAULT_DTYPE.asked(torch.float32), torch.inference_mode(False), torch.enable_grad():
            yield


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


def _knob(module: Any) -> Shared:
    return Shared(
        lambda: module.fp32_precision,
        lambda value: setattr(module, "fp32_precision", value),
        ("ieee", "tf32", "bf16"),
    )


_BACKENDS: Any = torch.backends
_ON_CPU = [_knob(_BACKENDS.mkldnn.matmul), _knob(_BACKENDS.mkldnn.conv)]
_ON_CUDA = [_knob(_BACKENDS.cuda.matmul), _knob(_BACKENDS.cudnn.conv)]


@contextlib.contextmanager
def _precision(on_cpu: str | None, on_cuda: str | None) -> Iterator[None]:
    """Within the block torch's products and convolutions of float32 have the named precisions; None leaves them."""
    with contextlib.ExitStack() as stack:
        for knob in _ON_CPU if on_cpu else []:
            stack.enter_context(knob.asked(on_cpu))
        for knob in _ON_CUDA if on_cuda and torch.cuda.is_available() else []:
            stack.enter_context(knob.asked(on_cuda))
        yield
