"""How a bonus that was computed at collection enters the reward of a discriminator."""

from __future__ import annotations

from torch import Tensor

from gail_suite.priors.prior import PriorConfig


class Shaping:
    """(1 - w) r + w b for a bonus b in [0, 1], or r + w b for a potential, b = gamma Phi(s') - Phi(s) (Ng et al., 1999).

    Args:
        config: weight, its schedule, and the form.
        expert: (N,) bonus of the expert's pairs.
    """

    def __init__(self, config: PriorConfig, expert: Tensor):
        self.config, self.expert = config, expert
        self.weight = config.weight

    def set_progress(self, fraction: float) -> None:
        """Sets the weight for a run that is `fraction` in [0, 1] done."""
        self.weight = self.config.at(fraction)

    def __call__(self, rewards: Tensor, bonus: Tensor) -> Tensor:
        """Rewards with the bonus, of the same shape."""
        kept = 1.0 if self.config.potential else 1 - self.weight
        return kept * rewards + self.weight * bonus

    def reward(self, reward: float) -> float:
        """Mean reward a step of an expert whose discriminator's reward is `reward`; a potential sums to nothing."""
        return reward if self.config.potential else (1 - self.weight) * reward + self.weight * float(self.expert.mean())

    def bounds(self, low: float, high: float) -> tuple[float, float]:
        """Bounds on the return; a potential Phi in [0, 1] lowers each return by w Phi(s), so at most by w."""
        return (low - self.weight, high) if self.config.potential else (low, high)
