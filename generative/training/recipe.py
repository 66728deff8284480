"""How a network is trained: steps, batch, optimiser, learning rate, precision."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args, get_type_hints

from gail_suite.generative.core.checks import check_numbers, check_sizes, hint
from gail_suite.generative.core.types import Settings


@dataclass(frozen=True)
class Recipe:
    """How a network is trained."""

    steps: int = 2000
    """Optimiser steps when fit is not told otherwise; also the horizon of the cosine schedule."""
    batch_size: int = 64
    """Samples in one minibatch."""
    lr: float = 1e-3
    """Learning rate after warm-up."""
    final_lr: float = 0.01
    """Learning rate at the last step, as a fraction of ``lr``."""
    warmup: int = 100
    """Steps over which the learning rate rises linearly from zero."""
    optimiser: Literal["adamw", "muon"] = "adamw"
    """``muon`` moves matrices and kernels by orthogonalised momentum (see ``muon.Muon``) and the rest by AdamW."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of AdamW's first and second moments."""
    weight_decay: float = 0.0
    """Decoupled weight decay."""
    clip: float = 1.0
    """Largest global gradient norm; infinity leaves gradients as they are."""
    ema: float = 0.0
    """Decay of the exponential moving average of the weights; 0 switches it off."""
    eval_every: int = 200
    """Steps between two evaluations on held-out data."""
    patience: int = 10
    """Evaluations without improvement after which training stops; 0 never stops."""
    checkpoint_every: int = 1000
    """Steps between two checkpoints, where a checkpoint folder is given."""
    precision: Literal["float32", "fast", "bfloat16"] = "fast"
    """Arithmetic of training: ``fast`` rounds the inputs of products to bfloat16 where the hardware has them,
    ``bfloat16`` keeps activations in it too (autocast), ``float32`` does neither. Held-out losses are always
    float32."""


def check_training(name: str, options: Settings) -> Settings:
    """``options`` of the model class ``name`` that are fields of Recipe; ValueError with the nearest field for any
    other, and for a value that it cannot have."""
    known = [field.name for field in fields(Recipe)]
    for option in options:
        if option not in known:
            raise ValueError(f"{name} has no option {option!r}: {hint(option, known)}")
    hints = get_type_hints(Recipe)
    for option in ("optimiser", "precision"):
        if option in options and options[option] not in get_args(hints[option]):
            raise ValueError(f"unknown {option} {options[option]!r}: use one of {', '.join(get_args(hints[option]))}")
    check_sizes(
        **{
            option: options[option]
            for option in ("steps", "batch_size", "eval_every", "checkpoint_every")
            if option in options
        }
    )
    numbers = ("lr", "final_lr", "warmup", "weight_decay", "patience", "clip", "ema")
    check_numbers(**{option: options[option] for option in numbers if option in options})
    if not options.get("clip", 1) > 0:
        raise ValueError(
            f"clip is the largest norm of a gradient, above 0 (infinity leaves gradients alone), got {options['clip']}"
        )
    if not 0 <= options.get("ema", 0) < 1:
        raise ValueError(f"ema is a decay in [0, 1), got {options['ema']}")
    betas = options.get("betas", (0.9, 0.999))
    if not (
        isinstance(betas, list | tuple)
        and len(betas) == 2
        and all(isinstance(b, int | float) and 0 <= b < 1 for b in betas)
    ):
        raise ValueError(f"betas are two decays in [0, 1), got {betas}")
    return options


def changed(recipe: Recipe, config: Settings) -> Recipe:
    """``recipe`` with the fields that a model's ``config`` names."""
    return replace(recipe, **{field.name: config[field.name] for field in fields(Recipe) if field.name in config})


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Linear warm-up, then a cosine from ``lr`` to ``lr * final_lr`` at the last of ``steps``, per step and not per
    epoch."""
    warm = min(1.0, (step + 1) / max(1, min(recipe.warmup, steps // 2)))
    cosine = 0.5 * (1.0 + math.cos(math.pi * step / max(1, steps)))
    return recipe.lr * warm * (recipe.final_lr + (1.0 - recipe.final_lr) * cosine)
