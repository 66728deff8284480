"""Generative models of what an expert does, as priors for the policies that imitate it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PriorConfig:
    """A prior fitted by `fit_prior` and what it does to training. Without a path nothing is attached."""

    path: str | None = None
    """Folder of the prior. A run copies it into its own folder, so that resuming needs nothing else."""
    weight: float = 0.0
    """Weight at the start of the run; with 0 and no weight_final the run is plain GAIL to the last bit."""
    weight_final: float | None = None
    """The same at the end (linear); constant where not given."""
    potential: bool = False
    """Typicality as a potential: adds weight * (gamma * score(s') - score(s)), which leaves the best policy unchanged."""

    def at(self, fraction: float) -> float:
        """The weight of a run that is `fraction` in [0, 1] done."""
        end = self.weight if self.weight_final is None else self.weight_final
        return self.weight + (end - self.weight) * fraction

    @property
    def active(self) -> bool:
        """Whether the prior changes anything at all."""
        return self.path is not None and (self.weight != 0 or self.weight_final not in (None, 0.0))
