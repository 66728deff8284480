"""What models with codes have in common: decoding codes that are checked, and encoding all of the data."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gail_suite.generative.core.checks import as_tensor, check_finite
from gail_suite.generative.core.types import ArrayLike, Settings
from gail_suite.generative.interface.outputs import Outputs

ENCODED = 1024
"""Rows that are read at once where all of the data are encoded."""


class Coded(Outputs):
    """A model whose samples are decoded from codes (N, ``code_width``)."""

    config: Settings

    @property
    def code_width(self) -> int:
        """Numbers in the code of a sample."""
        return int(self.config["latent"])

    def _check_codes(self, z: Tensor) -> None:
        """ValueError for codes of another shape than (N, ``code_width``), and for NaN and infinity."""
        if z.ndim != 2 or len(z) == 0 or z.shape[1] != self.code_width:
            raise ValueError(
                f"codes of this {type(self).__name__} must be (N, {self.code_width}) with N >= 1, got shape "
                f"{tuple(z.shape)}"
            )
        check_finite(z)

    def _decoded(
        self,
        decode: Callable[[Tensor, Tensor | None], Tensor],
        z: ArrayLike,
        y: ArrayLike | int | None,
        with_grad: bool = False,
    ) -> Tensor:
        """Samples from codes ``z``, checked, and, for a model with classes, labels; images are clamped to [0, 1]."""
        self._need_fit()
        codes = as_tensor(z).to(self.device, self.dtype)
        self._check_codes(codes)
        labels = self._given_labels(y, len(codes))
        if labels is None and self.spec.get("n_classes"):
            raise ValueError(
                f"this {type(self).__name__} was fitted with labels: decode(z, y) needs the class of every code"
            )
        x = self._chunked(decode, codes, labels, with_grad=with_grad)
        return x.clamp(0, 1) if x.ndim == 4 else x

    def _of_all(self, function: Callable[..., Tensor], x: Tensor) -> Tensor:
        """``function`` of all of ``x``, joined; of rows that are not in memory, what is read of them at a time."""
        rows = torch.arange(len(x), device=x.device).split(ENCODED)
        return torch.cat([self._chunked(function, x[some]) for some in rows])
