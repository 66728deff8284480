"""A device that is not there: tensors on it are processor tensors in disguise, which raise where a GPU's would.

It raises for operations on tensors of two devices and for a generator of another device, as CUDA does; it lets pass
what CUDA lets pass (numbers in 0-dimensional processor tensors, indices on the processor, copies). It counts the values
that the host waits for (``syncs``).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any, Self

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

NAME = "pretend"
aten = torch.ops.aten
COPIES = (aten.copy_.default, aten._to_copy.default, aten.set_.source_Tensor)
INDEXING = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default)
LISTS = (aten.cat.default, aten.stack.default)
WAITS = {"_local_scalar_dense", "nonzero", "equal", "is_nonzero", "unique_dim", "_unique2", "masked_select"}
"""Operations whose result, or its size, the host has to know."""


class _Module:
    """What torch asks the module of a device type for."""

    default_generators: tuple[torch.Generator, ...] = ()

    is_available = is_initialized = staticmethod(lambda: True)
    _is_in_bad_fork = staticmethod(lambda: False)
    _lazy_init = staticmethod(lambda: None)
    device_count = staticmethod(lambda: 1)
    current_device = staticmethod(lambda: 0)

    def manual_seed_all(self, seed: int) -> None:
        for generator in self.default_generators:
            generator.manual_seed(seed)


class Generator(torch.Generator):
    """A generator that knows which device it is for."""

    def __new__(cls, device: Any = "cpu") -> Self:
        return super().__new__(cls, "cpu")

    def __init__(self, device: Any = "cpu") -> None:
        self.kind = torch.device(device).type

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device(self.kind)


class Tensor(torch.Tensor):
    """A tensor that says it is on the device, around the one that holds its values."""

    inner: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Self:
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=f"{NAME}:0",
        )

    def __init__(self, inner: torch.Tensor) -> None:
        self.inner = inner

    def __repr__(self) -> str:
        return f"{NAME}({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {}, Counter())


class Pretend(TorchDispatchMode):
    """While it is entered the device exists; ``syncs`` counts the operations that the host waited for, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.syncs: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {}, self.syncs)


class Generators(TorchFunctionMode):
    """Refuses generators of another device; below torch's functions, generators have lost which device they are for."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        flat = tree_flatten((args, kwargs or {}))[0]
        for generator in (x for x in flat if isinstance(x, torch.Generator)):
            asked = [torch.device(kwargs["device"])] if kwargs and kwargs.get("device") is not None else []
            where = [*asked, *(x.device for x in flat if isinstance(x, torch.Tensor)), torch.device("cpu")][0].type
            if generator.device.type != where:
                raise RuntimeError(f"expected a generator for {where} but found one for {generator.device.type}")
        if func is torch.tensor and kwargs and kwargs.get("device") is not None:
            made = func(*args, **(kwargs | {"device": "cpu", "requires_grad": False}))  # torch makes it below the modes
            return made.to(kwargs["device"]).requires_grad_(kwargs.get("requires_grad", False))
        if func is torch.Tensor.__getitem__ and isinstance(args[1], list):
            args = (args[0], torch.tensor(args[1]))  # and these too
        if func is torch.Tensor.tolist:  # torch refuses it for tensors in disguise
            return args[0].cpu().tolist()
        return func(*args, **(kwargs or {}))


def register() -> None:
    """Tell torch the device's name; before the first backward pass of a process, which counts the devices there are."""
    if not hasattr(torch, NAME):
        from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

        _setup_privateuseone_for_python_backend(NAME, _Module())


@contextlib.contextmanager
def pretend_device() -> Iterator[Pretend]:
    """The device, for a block; torch keeps its name afterwards, but nothing can be put there."""
    register()
    before, module = torch.Generator, getattr(torch, NAME)
    torch.Generator = Generator  # type: ignore[misc]
    module.default_generators = (Generator(NAME),)
    try:
        with Generators(), Pretend() as mode:
            yield mode
    finally:
        torch.Generator, module.default_generators = before, ()  # type: ignore[misc]


def _run(func: Any, args: Any, kwargs: dict[str, Any], syncs: Counter[str]) -> Any:
    flat = tree_flatten((args, kwargs))[0]
    ours = [x for x in flat if isinstance(x, Tensor)]
    asked = next((x for x in flat if isinstance(x, torch.device)), None)
    here = bool(ours) if asked is None else asked.type == NAME
    if ours:
        _count(func, asked, args, syncs)
    if func not in COPIES:
        _check_devices(func, args, flat, ours)
    generator = next((x for x in flat if isinstance(x, torch.Generator)), None)
    inner_args, inner_kwargs = tree_map(_inner, args), tree_map(_inner, kwargs)
    with _drawing(func, here and generator is None):
        out = func(*inner_args, **inner_kwargs)
    if not here:
        return out
    out = tree_map(lambda o: Tensor(o) if isinstance(o, torch.Tensor) else o, out)
    return return_and_correct_aliasing(func, args, kwargs, out)


def _inner(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x.inner
    return torch.device("cpu") if isinstance(x, torch.device) and x.type == NAME else x


def _count(func: Any, asked: torch.device | None, args: Any, syncs: Counter[str]) -> None:
    name = func._schema.name.removeprefix("aten::")
    masks = func in INDEXING and any(i is not None and i.dtype == torch.bool for i in args[1])
    home = func is aten._to_copy.default and asked is not None and asked.type == "cpu"
    if name in WAITS or masks or home:
        syncs["index by mask" if masks else "to cpu" if home else name] += 1


def _check_devices(func: Any, args: Any, flat: list[Any], ours: list[Tensor]) -> None:
    """RuntimeError where CUDA would raise one."""
    if func in INDEXING:
        flat = [args[0], *args[2:3]]
        flat = [x for x in flat if isinstance(x, torch.Tensor)]
        if not isinstance(args[0], Tensor) and ours:
            raise RuntimeError(f"{func}: indices should be on the same device as the indexed tensor (cpu)")
    strict = func in LISTS or func._schema.name.endswith("_")
    elsewhere = [
        x for x in flat if isinstance(x, torch.Tensor) and not isinstance(x, Tensor) and (x.ndim > 0 or strict)
    ]
    if strict and func not in LISTS and isinstance(args[0], Tensor):
        elsewhere = [x for x in elsewhere if x.ndim > 0]
    if ours and elsewhere:
        raise RuntimeError(f"{func}: expected all tensors on one device, but found {NAME} and cpu")


@contextlib.contextmanager
def _drawing(func: Any, here: bool) -> Iterator[None]:
    """Draws without a generator come from the device's own, not from the processor's."""
    if not (here and torch.Tag.nondeterministic_seeded in func.tags):
        yield
        return
    own, cpu = getattr(torch, NAME).default_generators[0], torch.default_generator
    before = cpu.get_state()
    cpu.set_state(own.get_state())
    try:
        yield
    finally:
        own.set_state(cpu.get_state())
        cpu.set_state(before)
