"""What a model is given, checked against what it was fitted on: data, held-out data, labels, context vectors, masks."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from gail_suite.generative.core.backend import own_generator
from gail_suite.generative.core.checks import (
    as_context,
    as_labels,
    as_tensor,
    check_finite,
    check_range,
    column_names,
    is_context,
)
from gail_suite.generative.core.types import ArrayLike, Data, Settings
from gail_suite.generative.core.values import infer_values
from gail_suite.generative.data.rows import Rows, as_rows, part_of

ON_DEVICE = 1 << 30
"""Bytes of data that fit keeps on the device; more stay with the host and go there batch by batch."""


class Inputs:
    """The half of a model that reads: every method gives tensors on the right device, or a ValueError that names what
    is wrong.
    """

    dtype: ClassVar[torch.dtype] = torch.float32
    images_only: ClassVar[bool] = False
    in_range: ClassVar[bool] = True
    """Whether images that the model draws lie in [0, 1], as all have to that it is asked about."""
    any_shape: ClassVar[bool] = False
    """Whether samples may have shapes other than vectors' and images'."""
    conditional: ClassVar[bool] = False
    """Whether fit learns p(x | y) where it is given labels; other models ignore them in fit and refuse them
    elsewhere.
    """
    holds_out: ClassVar[bool] = True
    """Whether fit keeps a tenth of the data (when ``val`` is None) for early stopping and calibration."""
    by_batch: ClassVar[bool] = True
    """Whether fit takes the data a batch at a time, so that they need not be on the device."""

    spec: Settings
    """What fit inferred from the data: event shape, value type, levels, classes."""
    device: torch.device

    def _training_data(self, x: Any, y: ArrayLike | None) -> tuple[Any, Any]:
        """The data and labels of fit, checked: tensors, or rows that are read when they are needed."""
        rows = as_rows(x, y if self.conditional else None, labelled=self.conditional)
        if rows is None:
            data = self._check(x, first=True, device=self._home(x))
            labels = self._labels(y, len(x), data.device) if self.conditional else None
            return data, None if labels is None else labels.detach()
        if not self.by_batch:
            raise ValueError(
                f"{type(self).__name__}.fit takes arrays, not a {type(x).__name__}: use partial_fit on its batches"
            )
        self._check(rows[torch.arange(1)], first=True)
        return rows, rows.labels

    def _given_val(self, x: Data, y: ArrayLike | None, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Held-out data that ``fit`` was given, checked, all of them in memory; ValueError where they have labels and
        the data have none, or the reverse.
        """
        rows = as_rows(x, y if self.conditional else None, labelled=self.conditional)
        given: Any = x
        if rows is not None:
            given, y = rows.both(torch.arange(len(rows)))
        data = self._check(given, device=self._home(given)).detach()
        if not self.conditional:
            return data, None
        if (y is None) != (labels is None):
            one, other = ("val has", "the data have") if labels is None else ("the data have", "val has")
            raise ValueError(f"{one} labels, but {other} none: give fit(x, y, val=(x, y)), or no labels at all")
        return data, self._labels(y, len(data), data.device)

    def _hold_out(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor | None, tuple[Tensor, Tensor | None]]:
        if not self.holds_out or len(x) < 20:
            return x, y, x.some() if isinstance(x, Rows) else (x, y)
        order = torch.randperm(len(x), generator=own_generator(torch.device("cpu"))).to(x.device)
        held, kept = order[: len(x) // 10], order[len(x) // 10 :]
        held_y = None if y is None else y[held]
        left = part_of(x, kept)
        if isinstance(left, Rows):
            return left, None if y is None else left.labels, (x[held], held_y)  # type: ignore[return-value]
        return left, None if y is None else y[kept], (x[held], held_y)

    def _home(self, x: ArrayLike) -> torch.device:
        """Where fit keeps ``x``: on the device, or on the host where that is too much for it."""
        size = as_tensor(x).numel() * torch.finfo(self.dtype).bits // 8
        return torch.device("cpu") if self.by_batch and size > ON_DEVICE else self.device

    def _infer(self, x: Tensor, y: Tensor | None) -> Settings:
        value, levels = infer_values(x) if x.ndim == 4 else ("real", 0)
        context = 0 if y is None or y.ndim == 1 else y.shape[1]
        counts = [] if y is None or context else torch.bincount(y).tolist()
        return {
            "event_shape": list(x.shape[1:]),
            "value": value,
            "levels": levels,
            "n_classes": len(counts),
            "context": context,
            "class_weights": [count / len(x) for count in counts],
        }

    def _check(self, x: ArrayLike, first: bool = False, device: torch.device | None = None) -> Tensor:
        """``_tensor``, or a ValueError for images outside [0, 1]; the ``first`` data lose the graph they came by."""
        data = self._tensor(x, first, device)
        data = data.detach() if first else data
        if first and data.ndim == 4 and data.shape[1] > 4 and data.shape[3] in (1, 3):
            raise ValueError(
                f"images must be (N, C, H, W), got {tuple(data.shape)}, which looks like (N, H, W, C): permute it"
            )
        if data.ndim == 4 and (first or self.in_range):
            check_range(data)
        return data

    def _tensor(self, x: ArrayLike, first: bool = False, device: torch.device | None = None) -> Tensor:
        """``x`` as a tensor of ``self.dtype`` on ``device`` (default the model's), or a ValueError that names what is
        wrong.

        The ``first`` data are those of fit, which say what shape is right.
        """
        data = self._own(x, device or self.device)
        if not first:
            self._check_columns(x)
        if self.images_only and data.ndim != 4:
            raise ValueError(f"{type(self).__name__} takes images (N, C, H, W), got shape {tuple(data.shape)}")
        if not (data.ndim in (2, 4) or (self.any_shape and data.ndim > 2)) or data.numel() == 0:
            raise ValueError(f"data must be (N, D) or (N, C, H, W) with N >= 1, got shape {tuple(data.shape)}")
        if not first and list(data.shape[1:]) != self.spec["event_shape"]:
            raise ValueError(
                f"this {type(self).__name__} was fitted on samples of shape {tuple(self.spec['event_shape'])}, "
                f"got {tuple(data.shape[1:])}"
            )
        self._check_values(data)
        return data

    def _name_columns(self, x: object) -> None:
        """Remember what the columns of a data frame are called."""
        if names := column_names(x):
            self.spec |= {"columns": names}

    def _check_columns(self, x: object) -> None:
        """ValueError for a data frame whose columns are not those of fit, in their order."""
        names, known = column_names(x), self.spec.get("columns", [])
        if names and known and names != known:
            raise ValueError(
                "The feature names should match those that were passed during fit: the columns were "
                f"{', '.join(known)}, and are {', '.join(names)} now"
            )

    def _own(self, x: ArrayLike, device: torch.device) -> Tensor:
        """``x`` as a tensor of ``self.dtype`` on ``device``."""
        return as_tensor(x).to(device, self.dtype)

    def _check_values(self, x: Tensor) -> None:
        check_finite(x)

    def _takes_missing(self) -> bool:
        """Whether NaN stands for a value that is not known."""
        return False

    def _known(self, x: ArrayLike, mask: ArrayLike) -> tuple[Tensor, Tensor]:
        """``x`` with zeros where ``mask`` is False, checked, and the mask in its shape."""
        self._check_columns(x)
        data, known = as_tensor(x).detach().to(self.device, self.dtype), as_tensor(mask).to(self.device, torch.bool)
        try:
            known = known.expand(data.shape)
        except RuntimeError:
            raise ValueError(
                f"mask has shape {tuple(known.shape)}, which does not fit data of shape {tuple(data.shape)}: give "
                "one value for every value of a sample"
            ) from None
        given = torch.where(known, data, 0.0)
        check_finite(given)
        return self._check(given), known

    def _given_labels(self, y: ArrayLike | int | None, n: int) -> Tensor | None:
        """``_labels`` for a fitted model; ValueError where it has learned no classes."""
        if y is not None and not self.conditional:
            raise ValueError(
                f"{type(self).__name__} has no classes: leave y out, or use a VAE, GAN or PixelCNN fitted with labels"
            )
        if self.spec.get("context"):
            if y is None:
                raise ValueError(
                    f"this {type(self).__name__} was fitted with context vectors of length {self.spec['context']}: "
                    "give y, one a sample"
                )
            return self._labels(y, n)
        if y is not None and not self.spec.get("n_classes"):
            raise ValueError(
                f"this {type(self).__name__} was fitted without labels, so it has no classes: leave y out, or fit(x, y)"
            )
        return self._labels(y, n)

    def _labels(self, y: ArrayLike | int | None, n: int, device: torch.device | None = None) -> Tensor | None:
        """``y`` as a tensor (n,) on ``device`` (default the model's); a single label is everyone's, and so is a
        context vector.
        """
        if y is None:
            return None
        context = self.spec.get("context")
        if context or (context is None and is_context(y)):
            return as_context(y, n, device or self.device, context)
        return as_labels(y, n, device or self.device, self.spec.get("n_classes"))

    def met_classes(self) -> list[int]:
        """The classes that training met: others may be numbered between them, and are as they began."""
        known = [k for k, weight in enumerate(self.spec["class_weights"]) if weight > 0]
        return known or list(range(self.spec["n_classes"]))

    def _draw_labels(self, n: int, generator: torch.Generator) -> Tensor | None:
        """Labels as frequent as in training; None without classes."""
        if not self.spec["n_classes"]:
            return None
        weights = torch.tensor(self.spec["class_weights"], device=self.device)
        return torch.multinomial(weights, n, replacement=True, generator=generator)
