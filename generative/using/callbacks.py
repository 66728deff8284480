"""Functions for ``fit(..., on_step=...)``: TensorBoard, and several of them as one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gail_suite.generative.interface.model import GenerativeModel
    from gail_suite.generative.training.options import OnStep


def several(*callbacks: OnStep) -> OnStep:
    """Calls all of ``callbacks``, in order."""

    def on_step(step: int, scalars: dict[str, float]) -> None:
        for callback in callbacks:
            callback(step, scalars)

    return on_step


def tensorboard(
    folder: str | Path, model: GenerativeModel | None = None, *, every: int = 10, pictures: int = 500
) -> OnStep:
    """Writes the scalars of every ``every``-th step to TensorBoard's ``folder``; with ``model`` 16 samples every
    ``pictures`` steps.

    The samples have one seed and are images of 1 or 3 channels; other models are not drawn.
    """
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))

    def on_step(step: int, scalars: dict[str, float]) -> None:
        if step % every == 0 or step == 1:
            for name, value in scalars.items():
                writer.add_scalar(name, value, step)
        if model is not None and step % pictures == 0 and len(model.spec["event_shape"]) == 3:
            from gail_suite.generative.using.pictures import fixed_samples, grid

            if model.spec["event_shape"][0] in (1, 3):
                writer.add_image("samples", grid(fixed_samples(model, 16, 0)), step, dataformats="HWC")
        writer.flush()

    return on_step
