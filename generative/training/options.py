"""What a fit was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from gail_suite.generative.core.types import Settings
from gail_suite.generative.training.ranks import Ranks

OnStep = Callable[[int, dict[str, float]], None]
"""Called during training with the step and its scalars; the model under training may be sampled inside."""


@dataclass(frozen=True)
class FitOptions:
    """What ``fit`` was asked for, as the training loops need it."""

    steps: int | None
    seed: int
    device: torch.device
    progress: bool
    on_step: OnStep | None
    checkpoint: Path | None
    resume: bool
    fine_tune: bool = False
    run: Settings = field(default_factory=dict)
    """What a checkpoint must agree on to be continued: model, settings, seed, data."""
    ranks: Ranks = field(default_factory=Ranks)
    """The processes that share the fit."""
