"""What ``fit`` does beside reading its data: begin anew, train, and put typicality on a scale."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gail_suite.generative.core.backend import learning, own_starts, resolve_device
from gail_suite.generative.core.checks import check_whole
from gail_suite.generative.core.types import Settings
from gail_suite.generative.data.rows import Rows
from gail_suite.generative.interface.calibration import Scale, scale_of
from gail_suite.generative.training.meter import Meter
from gail_suite.generative.training.options import FitOptions
from gail_suite.generative.training.steps import TrainingDiverged

if TYPE_CHECKING:
    from gail_suite.generative.interface.model import GenerativeModel

CALIBRATED, CALIBRATED_VALUES, FEWEST = 2000, 1 << 28, 200
"""Held-out samples at most that calibrate a network, values that it may decode for that, and samples at least."""
UNLABELLED = 1000
"""Held-out samples, at most, that calibrate a conditional model without labels, which costs a forward pass a class."""
Labelled = tuple[Tensor, Tensor | None]


@contextlib.contextmanager
def begun(model: GenerativeModel, steps: int | None, device: str | torch.device) -> Iterator[None]:
    """Begin anew on ``device``; a fit that fails before anything of use came of it leaves ``model`` as it was."""
    if steps is not None:
        check_whole(steps=steps)
        if steps < 1:
            raise ValueError(f"steps={steps} must be at least 1; leave it out for the model's own number")
    before = dict(vars(model))
    model.device, model.spec, model.calibration = resolve_device(device), {}, None
    try:
        with learning():
            yield
    except BaseException:
        if model.calibration is None:
            vars(model).clear()
            vars(model).update(before)
        raise


def train(model: GenerativeModel, x: Tensor, y: Tensor | None, val: Labelled, options: FitOptions) -> None:
    """Build, fit and calibrate; a network whose training is interrupted is calibrated as it is then."""
    if not options.fine_tune:
        with own_starts():
            model._build()
    model._to_device()
    try:
        model._fit(x, y, val, options)
        affordable = max(FEWEST, min(CALIBRATED, CALIBRATED_VALUES // (model._draws() * val[0][0].numel())))
        some = _some(val, affordable)
        calibrate(model, errors_of(model, some, options.progress), some)
    except (KeyboardInterrupt, TrainingDiverged):  # whoever interrupts does not want to wait
        some = _some(val, FEWEST)
        calibrate(model, model.error(*some), some)
        raise


def _some(val: Labelled, most: int) -> Labelled:
    """At most that many of the held-out data, from all of them."""
    step = -(-len(val[0]) // most)  # it may be sorted by class
    return val[0][::step], None if val[1] is None else val[1][::step]


def errors_of(model: GenerativeModel, val: Labelled, progress: bool) -> Tensor:
    """``error`` of held-out data, with progress where it takes long."""
    n, parts = len(val[0]), []
    with Meter(n, 0, progress, unit="calibrating") as meter:
        for i in range(0, n, model.batch):
            rows = slice(i, i + model.batch)
            parts.append(model.error(val[0][rows], None if val[1] is None else val[1][rows]))
            meter.update(min(n, i + model.batch), {})
    return torch.cat(parts)


def calibrate(model: GenerativeModel, errors: Tensor, val: Labelled) -> None:
    """Set the scale of ``typicality`` by the held-out ``errors`` and, where ``val`` has labels, by those without
    them.
    """
    model.calibration, model.calibration_without_labels = scale(model, errors), None
    if val[1] is not None and not model.spec["context"]:
        unlabelled, _ = _some(val, UNLABELLED)
        model.calibration_without_labels = scale(model, model.error(unlabelled))


def scale(model: GenerativeModel, errors: Tensor) -> Scale:
    """``scale_of`` the errors (N,); the ValueError for one that is not finite names the model."""
    try:
        return scale_of(errors)
    except ValueError as error:
        raise ValueError(f"{type(model).__name__}: {error}") from None


def identity(model: GenerativeModel, x: Tensor, y: Tensor | None, val: Labelled, seed: int) -> Settings:
    """What makes this fit the one that it is, as JSON values; of the data their shape, types and checksum."""
    data = 0
    seen = x.some() if isinstance(x, Rows) else (x, y)
    for part in (*seen, *val):
        data = data if part is None else zlib.crc32(part.cpu().numpy().tobytes(), data)
    return {
        "model": type(model).__name__,
        "seed": seed,
        **model.config,
        **{f"data's {name}": value for name, value in model.spec.items()},
        "data's checksum": data,
    }


def tuned(before: Settings, now: Settings) -> Settings:
    """The spec of a model that is fitted further; ValueError where its new data are of another kind."""
    for name, what in (
        ("event_shape", "samples of shape"),
        ("n_classes", "classes:"),
        ("context", "context vectors of length"),
    ):
        if before.get(name, 0) != now[name]:
            raise ValueError(
                f"fine_tune needs data like those of the first fit: {what} {before.get(name, 0)}, got {now[name]}"
            )
    return before | {"class_weights": now["class_weights"]}
