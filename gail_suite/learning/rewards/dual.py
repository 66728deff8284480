"""A multiplier that holds a quantity at its target, and the divergence that is held."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class Dual:
    """Dual ascent on the multiplier of a constraint E[value] <= target.

    beta <- max(0, beta + rate * clip(value / target - 1, -1, 1)), the ascent of Peng et al. (2019) with two deviations:
    the violation is relative, so that one rate serves every target, and clipped, so that a far too large value at the
    start cannot wind beta up to where it would take the rest of the run to come down again.
    """

    target: float
    """What the value is held at, in its own unit (nats); above 0."""
    rate: float
    """Largest change of beta in one step."""
    beta: float = 0.0
    """The multiplier, at least 0."""

    def __post_init__(self) -> None:
        if self.target <= 0 or self.rate <= 0:
            raise ValueError(
                f"a multiplier needs a target and a rate above 0, got target={self.target} nats and rate={self.rate}"
            )

    def step(self, value: float) -> None:
        """Moves beta after `value` was measured."""
        violation = min(1.0, max(-1.0, value / self.target - 1))
        self.beta = max(0.0, self.beta + self.rate * violation)

    def penalty(self, value: Tensor) -> Tensor:
        """beta * (value - target), the constraint's term in a loss; takes the step that follows from `value`."""
        term = self.beta * (value - self.target)
        self.step(float(value.detach()))
        return term


def gaussian_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, diag exp log_var) || N(0, I)) = 1/2 sum(mean^2 + exp(log_var) - 1 - log_var), nats: (B, Z) -> (B,)."""
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)
