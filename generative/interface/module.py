"""A fitted model as a part of a larger torch network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from gail_suite.generative.core.types import ArrayLike
    from gail_suite.generative.interface.model import GenerativeModel


class AsModule(nn.Module):
    """x (B, ...) and labels or contexts to log p(x) (B,), or to minus the error of a model without density, with
    gradients.

    Its parameters are the model's own: a torch optimiser that gets them trains the model in place. ValueError for a
    mixture, which has none, and for a model that was fitted again, which has others.
    """

    def __init__(self, model: GenerativeModel) -> None:
        super().__init__()
        model._need_fit()
        if not hasattr(model, "net"):
            raise ValueError(
                f"{type(model).__name__} has no network: its parameters are fitted by EM, not by gradients"
            )
        self.net = model.net
        self._model = (model,)  # in a tuple, so that torch takes it for no submodule

    def forward(self, x: ArrayLike, y: ArrayLike | None = None) -> Tensor:
        """log p(x), or log p(x | y), with its graph, shape (N,)."""
        (model,) = self._model
        if model.net is not self.net:
            raise ValueError(
                f"this {type(model).__name__} was fitted again since AsModule took its network: wrap it anew, and give "
                "the optimiser the new parameters"
            )
        return model._batched(lambda data, given: -model._error(data, given), x, y, with_grad=True)
