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

    The samples have one seed and are images of 1 or 3 channels; other models are not drawn, nor are those that cannot
    sample by themselves: with context vectors, or an AutoEncoder without a mixture.
    """
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))

    def on_step(step: int, scalars: dict[str, float]) -> None:
        if step % every == 0 or step == 1:
            for name, value in scalars.items():
                writer.add_scalar(name, value, step)
        if model is not None and step % pictures == 0 and _drawn(model):
            from gail_suite.generative.using.pictures import fixed_samples, grid

            writer.add_image("samples", grid(fixed_samples(model, 16, 0)), step, dataformats="HWC")
        writer.flush()

    return on_step


def _drawn(model: GenerativeModel) -> bool:
    """Whether the samples of a model are pictures, and come without being given anything."""
    shape = model.spec["event_shape"]
    alone = not model.spec.get("context") and model.config.get("mixture", 1) > 0
    return alone and len(shape) == 3 and shape[0] in (1, 3)
