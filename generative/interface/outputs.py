"""What a model answers: in batches, in eval mode and full precision, without gradients unless they are asked for."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from gail_suite.generative.core.backend import full_precision, learning, seed_generator
from gail_suite.generative.core.checks import as_tensor, check_whole
from gail_suite.generative.core.peer import not_fitted
from gail_suite.generative.core.tensors import check_memory
from gail_suite.generative.core.types import ArrayLike
from gail_suite.generative.interface.inputs import Inputs


class Outputs(Inputs):
    """The half of a model that answers: each method checks what it is given and calls a function of tensors on the
    model's device.
    """

    batch: ClassVar[int] = 512
    """Samples in one forward pass of log_prob, typicality and the applications."""

    net: nn.Module

    def _need_fit(self) -> None:
        if not self.spec:
            raise not_fitted(f"this {type(self).__name__} is not fitted yet: call fit(x) first")

    def _drawn(self, draw: Callable[..., Tensor], n: int, y: ArrayLike | int | None, seed: int | None) -> Tensor:
        """``draw(n, labels, generator)``, checked."""
        self._need_fit()
        check_whole(n=n)
        if n < 1:
            raise ValueError(f"n={n} must be at least 1, the number of samples")
        check_memory(float(n) * math.prod(self.spec["event_shape"]) * self.dtype.itemsize, f"a draw of {n:,} samples")
        return self._quietly(draw, n, self._given_labels(y, n), seed_generator(seed, self.device))

    def _quietly(self, function: Callable[..., Tensor], *args: object, with_grad: bool = False) -> Tensor:
        """Call ``function`` in eval mode, in full precision and without gradients unless asked, and leave the mode
        as it was.
        """
        net = getattr(self, "net", None)
        training = net is not None and net.training
        exact = contextlib.nullcontext() if self.dtype == torch.float64 else full_precision()  # a switch of all threads
        with learning(), torch.set_grad_enabled(with_grad), exact:
            if net is None or not training:
                return function(*args)
            net.eval()
            try:
                return function(*args)
            finally:
                net.train()

    def _batched(
        self,
        function: Callable[[Tensor, Tensor | None], Tensor],
        x: ArrayLike,
        y: ArrayLike | None,
        with_grad: bool = False,
    ) -> Tensor:
        """``function`` over chunks of checked data, joined."""
        self._need_fit()
        data = self._check(x, device=as_tensor(x).device)
        return self._chunked(function, data, self._given_labels(y, len(data)), with_grad=with_grad)

    def _chunked(self, function: Callable[..., Tensor], *tensors: Tensor | None, with_grad: bool = False) -> Tensor:
        """``function`` of ``batch`` rows of every tensor at a time, put on the device, joined; None stays None."""
        n = next(len(t) for t in tensors if t is not None)
        return torch.cat(
            [
                self._quietly(
                    function,
                    *(None if t is None else t[i : i + self.batch].to(self.device) for t in tensors),
                    with_grad=with_grad,
                )
                for i in range(0, n, self.batch)
            ]
        )
