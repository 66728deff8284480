"""A model in one safetensors file, tensors and a string header, written whole or not at all; no pickle is ever opened."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gail_suite.generative.calibration import Scale

if TYPE_CHECKING:
    from gail_suite.generative.interface import GenerativeModel

FORMAT = "generative-1"
MODELS: dict[str, type[GenerativeModel]] = {}
"""Every model class by its name, which is what a file calls it; a class enters when it is defined."""


def save_model(model: GenerativeModel, target: Path) -> Path:
    """Write a fitted model for ``load``."""
    header = {
        "format": FORMAT,
        "class": type(model).__name__,
        "config": json.dumps(model.config, default=_plain),
        "spec": json.dumps(model.spec),
        "calibration": json.dumps(model.calibration),
        "calibration_without_labels": json.dumps(model.calibration_without_labels),
    }
    return write_tensors(target, model._tensors(), header)


def load(path: str | Path, device: str | torch.device = "cpu") -> GenerativeModel:
    """Read a model that ``save`` wrote; ValueError for anything else, pickles included (none is ever opened as one)."""
    header, tensors = read_tensors(Path(path))
    if header.get("format") != FORMAT:
        raise ValueError(f"{path} is a safetensors file, but not a saved generative model ({FORMAT})")
    try:
        model = _class_of(header["class"])(**json.loads(header["config"]))
        model.spec = json.loads(header["spec"])
        model.calibration = Scale(*json.loads(header["calibration"]))
        without_labels = json.loads(header.get("calibration_without_labels", "null"))  # absent before 2026-11-27
        model.calibration_without_labels = None if without_labels is None else Scale(*without_labels)
        with torch.random.fork_rng(devices=[]):  # a network is built with random weights first
            model._set_tensors(tensors)
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"{path} is a damaged model: its header and its tensors do not belong together ({str(error).splitlines()[0]})"
        ) from error
    return model.to(device)


def _class_of(name: str) -> type[GenerativeModel]:
    if name not in MODELS:
        from gail_suite import generative

        getattr(generative, name, None)  # importing the module defines its class
    if name not in MODELS:
        raise ValueError(f"unknown model class {name!r}: known are {', '.join(sorted(MODELS))}")
    return MODELS[name]


def _plain(value: Any) -> Any:
    """NumPy's and torch's numbers and arrays as JSON has them."""
    if isinstance(value, np.generic | np.ndarray | Tensor):
        return value.tolist()
    raise TypeError(f"a setting of type {type(value).__name__} cannot be kept in a file")


def write_tensors(target: Path, tensors: dict[str, Tensor], header: dict[str, str]) -> Path:
    """Write to a temporary file beside ``target``, fsync, rename; a crash leaves the old file or the new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    on_cpu = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:  # save_file and mkstemp would make it private whatever the umask
            file.write(save(on_cpu, header))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def read_tensors(source: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The header and the tensors of ``source``; ValueError when it is missing, a pickle, or damaged."""
    if not source.is_file():
        raise ValueError(f"{source} is not a file: give the .safetensors file that save wrote")
    try:
        with safe_open(source, framework="pt") as archive:
            return archive.metadata() or {}, {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    except SafetensorError as error:
        with source.open("rb") as file:
            head = file.read(9)
        # ours begins with the length of its header, which may be 128 too, and a brace
        if (head[:1] == b"\x80" and head[8:] != b"{") or head[:4] == b"PK\x03\x04":
            raise ValueError(
                f"{source} is a pickle or torch.save archive, which can run code when opened: "
                "load reads safetensors only"
            ) from None
        raise ValueError(f"{source} is not a readable safetensors file: {error}") from None
