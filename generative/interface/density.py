"""What models with a density have in common: scikit-learn's names for it, so that its searches can compare them."""

from __future__ import annotations

from torch import Tensor

from gail_suite.generative.core.types import ArrayLike
from gail_suite.generative.interface.model import GenerativeModel


class DensityModel(GenerativeModel):
    """A model whose ``density`` is "exact" or "bound"."""

    def score_samples(self, x: ArrayLike, y: ArrayLike | None = None) -> Tensor:
        """log_prob under scikit-learn's name, nats (N,), on the CPU; ``y`` is ignored by a model that knows none."""
        return self.log_prob(x, y if self.conditional else None).cpu()

    def score(self, x: ArrayLike, y: ArrayLike | None = None) -> float:
        """The mean of ``score_samples``, nats per sample."""
        return float(self.score_samples(x, y).mean())
