"""A model in one safetensors file, tensors and a string header, written whole or not at all; no pickle is ever
opened.
"""

from __future__ import annotations

import inspect
import json
import math
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import numpy as np
import torch
from torch import Tensor

from gail_suite.generative.core.backend import learning, own_starts
from gail_suite.generative.core.tensors import parsed, read_tensors, write_tensors
from gail_suite.generative.core.types import Settings
from gail_suite.generative.interface.calibration import Scale
from gail_suite.generative.training.recipe import Recipe

if TYPE_CHECKING:
    from gail_suite.generative.interface.model import GenerativeModel

FORMAT = "generative-1"
MODELS: dict[str, type[GenerativeModel]] = {}
"""Every model class by its name, which is what a file calls it; a class enters when it is defined."""

Count = Annotated[int, msgspec.Meta(ge=0, le=10**9)]


class Spec(msgspec.Struct):
    """What a fit inferred from its data."""

    event_shape: list[Annotated[int, msgspec.Meta(ge=1, le=10**9)]]
    value: Literal["real", "binary", "categorical", "grey"]
    levels: Count
    n_classes: Count
    context: Count = 0
    class_weights: list[Annotated[float, msgspec.Meta(ge=0, le=1)]] = []
    quantise: bool = False
    smallest_side: Annotated[int, msgspec.Meta(ge=1, le=10**9)] | None = None
    critic_without_norm: bool | None = None
    columns: list[str] | None = None


def save_model(model: GenerativeModel, target: Path) -> Path:
    """Write a fitted model for ``load``."""
    header = {
        "format": FORMAT,
        "class": type(model).__name__,
        "config": json.dumps(model.config),
        "spec": json.dumps(model.spec),
        "calibration": json.dumps(model.calibration),
        "calibration_without_labels": json.dumps(model.calibration_without_labels),
    }
    return write_tensors(target, model._tensors(), header)


@learning()
def load(path: str | Path, device: str | torch.device = "cpu") -> GenerativeModel:
    """Read a model that ``save`` wrote; ValueError for anything else, pickles included (none is ever opened as one)."""
    header, tensors = read_tensors(Path(path))
    if header.get("format") != FORMAT:
        raise ValueError(f"{path} is a safetensors file, but not a saved generative model ({FORMAT})")
    if lacking := sorted({"class", "config", "spec", "calibration"} - set(header)):
        raise ValueError(f"{path} is a damaged model: its header lacks {', '.join(lacking)}")
    config = parsed(header["config"], Settings, f"{path}: config")
    try:
        kind = _class_of(header["class"])
        config = kind._config_of_file(config)
        settings = {*inspect.signature(kind).parameters, *(field.name for field in fields(Recipe))}
        if later := sorted(set(config) - settings):
            raise ValueError(
                f"{path} has settings of {kind.__name__} that this version does not know ({', '.join(later)}): a later "
                "one wrote it, or the file is damaged; upgrade gail-suite, or fit again"
            )
        model = kind(**config)
        model.spec = {"context": 0} | parsed(header["spec"], Spec, f"{path}: spec")  # early files name no context
        model.calibration = _scale(header["calibration"], path)
        without_labels = header.get("calibration_without_labels", "null")  # absent before 2026-11-27
        model.calibration_without_labels = None if without_labels == "null" else _scale(without_labels, path)
        _check_sizes(kind, config | {name: model.spec[name] for name in ("levels", "n_classes", "context")}, tensors)
        with own_starts():  # a network is built with random weights first
            model._set_tensors(tensors)
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"{path} is a damaged model: its header and its tensors do not belong together "
            f"({str(error).splitlines()[0]})"
        ) from error
    return model.to(device)


def _scale(text: str, path: str | Path) -> Scale:
    median, upper = parsed(text, tuple[float, float], f"{path}: calibration")
    if not (math.isfinite(median) and median < upper < math.inf):
        raise ValueError(
            f"{path} is a damaged model: its calibration says {median} and {upper}, which must be finite and rise"
        )
    return Scale(median, upper)


def _check_sizes(kind: type[GenerativeModel], sizes: Settings, tensors: dict[str, Tensor]) -> None:
    """ValueError for a width or a depth beyond what the file's own tensors can hold, before a network is built."""
    most = 100_000 + sum(tensor.numel() for tensor in tensors.values())
    sizeless = {"random_state", *kind.how_to_fit, *(field.name for field in fields(Recipe))}
    for name, value in sizes.items():
        if isinstance(value, int) and value > most and name not in sizeless:
            raise ValueError(f"setting {name} is {value:,}, more than the tensors of the file allow")


def _class_of(name: str) -> type[GenerativeModel]:
    if name not in MODELS:
        from gail_suite import generative

        getattr(generative, name, None)  # importing the module defines its class
    if name not in MODELS:
        raise ValueError(f"unknown model class {name!r}: known are {', '.join(sorted(MODELS))}")
    return MODELS[name]


def plain(value: object) -> object:
    """NumPy's and torch's numbers and arrays as JSON has them, also in lists; anything else as it is."""
    if type(value) in (list, tuple):
        return type(value)(plain(one) for one in value)  # type: ignore[call-arg, attr-defined]
    return value.tolist() if isinstance(value, np.generic | np.ndarray | Tensor) else value
