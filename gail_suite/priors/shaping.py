"""How a bonus that was computed at collection enters the reward of a discriminator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from typing_extensions import override

from gail_suite.learning.schedule import linear
from gail_suite.priors.prior import UseConfig
from gail_suite.runs.config import NonNegative, finite


@dataclass(frozen=True)
class TypicalityConfig(UseConfig):
    """Typicality as a part of the reward: r = (1 - w) r_GAIL + w score(s, s')."""

    weight: NonNegative = 0.2
    """Share w of the reward at the start of the run; any weight for a potential."""
    weight_final: NonNegative | None = None
    """The same at the end (linear); constant where not given."""
    potential: bool = False
    """Typicality as a potential: adds weight * (gamma * score(s') - score(s)), which leaves the best policy
    unchanged.
    """

    AMOUNTS: ClassVar[tuple[str, ...]] = ("weight", "weight_final")

    def __post_init__(self) -> None:
        super().__post_init__()
        finite(self, "weight", "weight_final")


class Unshaped:
    """No bonus: every reward and bound as it is."""

    greatest = 0.0
    """Largest bonus of a step."""

    def set_progress(self, fraction: float) -> None:
        """Nothing changes over the run."""

    def of_expert(self, rows: Tensor) -> Tensor | None:
        """Bonus of the expert's pairs: none."""
        return None

    def __call__(self, rewards: Tensor, bonus: Tensor | None) -> Tensor:
        """Rewards with the bonus, of the same shape."""
        return rewards

    def reward(self, reward: float) -> float:
        """Mean reward a step of an expert whose discriminator's reward is `reward`."""
        return reward

    def bounds(self, low: float, high: float) -> tuple[float, float]:
        """Bounds on the return."""
        return low, high


class Shaping(Unshaped):
    """(1 - w) r + w b for a bonus b in [0, 1], or r + w b for a potential, b = gamma Phi(s') - Phi(s) (Ng et al.,
    1999).

    Args:
        config: weight, its schedule, and the form.
        expert: (N,) bonus of the expert's pairs.

    Raises:
        ValueError: a weight above 1 that is a share.
    """

    greatest = 1.0

    def __init__(self, config: TypicalityConfig, expert: Tensor) -> None:
        if not config.potential and max(config.weight, config.weight_final or 0.0) > 1:
            raise ValueError(
                f"priors.typicality.weight is a share of the reward in [0, 1], got weight={config.weight}, "
                f"weight_final={config.weight_final}; only a potential may weigh more"
            )
        self.config, self.expert = config, expert
        self.weight = config.weight

    def set_progress(self, fraction: float) -> None:
        """Sets the weight for a run that is `fraction` in [0, 1] done."""
        self.weight = linear(self.config.weight, self.config.weight_final, fraction)

    def of_expert(self, rows: Tensor) -> Tensor:
        """Bonus (n,) of the expert's pairs at `rows` (n,)."""
        return self.expert[rows]

    @override
    def __call__(self, rewards: Tensor, bonus: Tensor | None) -> Tensor:
        assert bonus is not None
        kept = 1.0 if self.config.potential else 1 - self.weight
        return kept * rewards + self.weight * bonus

    def reward(self, reward: float) -> float:
        """As for no bonus; a potential sums to nothing."""
        return reward if self.config.potential else (1 - self.weight) * reward + self.weight * float(self.expert.mean())

    def bounds(self, low: float, high: float) -> tuple[float, float]:
        """A potential Phi in [0, 1] lowers each return by w Phi(s), so at most by w."""
        return (low - self.weight, high) if self.config.potential else (low, high)
