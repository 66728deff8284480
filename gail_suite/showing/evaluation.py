"""How well a policy does on the environment's own reward, which training never sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gail_suite import demos, envs
from gail_suite.demos.figures import decimals
from gail_suite.demos.policy import Policy
from gail_suite.demos.sealed import Json
from gail_suite.demos.trajectory import Trajectory
from gail_suite.envs.names import Task
from gail_suite.runs import seeds
from gail_suite.showing.scale import Scale
from gail_suite.showing.stats import bootstrap_interval, interval_of, with_interval


@dataclass(frozen=True)
class Evaluation:
    """Undiscounted returns and lengths of complete episodes, in the order of their seeds."""

    env_id: str
    returns: np.ndarray
    lengths: np.ndarray
    seed: int
    deterministic: bool
    scale: Scale | None = None
    """What makes a score against the demonstrations of a return, where they are known."""

    @classmethod
    def of(cls, env_id: str, episodes: Sequence[Trajectory], seed: int) -> Evaluation:
        """That of complete episodes of a deterministic policy, the first from the seed `seed`."""
        returns, lengths = np.array([t.episode_return for t in episodes]), np.array([len(t) for t in episodes])
        return cls(env_id, returns, lengths, seed, deterministic=True)

    @property
    def n_episodes(self) -> int:
        """How many episodes were run."""
        return len(self.returns)

    @property
    def return_mean(self) -> float:
        """Mean return."""
        return float(self.returns.mean())

    @property
    def return_sd(self) -> float:
        """Standard deviation of the returns over the episodes."""
        return float(self.returns.std())

    @property
    def length_mean(self) -> float:
        """Mean number of steps of an episode."""
        return float(self.lengths.mean())

    @property
    def score(self) -> float | None:
        """Mean normalised score, (return - random) / (expert - random); None where no reference returns are known."""
        return _score(self.env_id, self.return_mean)

    @property
    def demo_score(self) -> float | None:
        """Mean score against the demonstrations, (return - random) / (their mean return - random); None where they
        are not known.
        """
        return None if self.scale is None else self.scale(self.return_mean)

    def row(self) -> dict[str, float]:
        """What metrics.jsonl says of it: mean return and length, and the score where references are known."""
        row = {"return_mean": self.return_mean, "length_mean": self.length_mean}
        return row if self.score is None else {**row, "score": self.score}

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Bootstrap interval of the mean return."""
        return bootstrap_interval(self.returns, level=level)

    def as_dict(self) -> Json:
        """What eval.json and `eval --json` hold; scores are null where there is nothing to compare with, and returns
        where the task gave none.
        """
        known = bool(np.isfinite(self.returns).all())
        found = self._known() if known else dict.fromkeys(OF_RETURNS) | {"returns": []}
        episodes = {"n_episodes": self.n_episodes, "seed": self.seed, "deterministic": self.deterministic}
        lengths = {"length_mean": self.length_mean, "lengths": [int(n) for n in self.lengths]}
        return {"env_id": self.env_id, **episodes, **found, **lengths}

    def _known(self) -> Json:
        low, high = self.interval()
        demo_interval = None if self.scale is None else [self.scale(low), self.scale(high)]
        score_interval = None if self.score is None else [_score(self.env_id, low), _score(self.env_id, high)]
        return {
            "return_mean": self.return_mean,
            "return_sd": self.return_sd,
            "return_interval": [low, high],
            "score": self.score,
            "score_interval": score_interval,
            "demo_score": self.demo_score,
            "demo_score_interval": demo_interval,
            "random_return": None if self.scale is None else self.scale.random,
            "demo_return": None if self.scale is None else self.scale.shown,
            "returns": [float(r) for r in self.returns],
        }


OF_RETURNS = (
    "return_mean",
    "return_sd",
    "return_interval",
    "score",
    "score_interval",
    "demo_score",
    "demo_score_interval",
    "random_return",
    "demo_return",
)
"""What of an evaluation is null where returns are unknown."""


def said(found: Json, unscored: str | None = None) -> str:
    """An evaluation, as `as_dict` holds it, in words: scores, or why there is none against the demonstrations
    (`unscored`), and return with their intervals, steps and episodes.
    """
    parts = [unscored] if unscored else []
    for name, key in (("score against the demonstrations", "demo_score"), ("normalised score", "score")):
        if found.get(key) is not None:
            parts.append(f"{name} {with_interval(found[key], interval_of(found, key))}")
    if found["return_mean"] is None:
        parts.append("returns unknown, since the task's rewards are not all numbers")
    else:
        places = decimals(found["return_mean"], found["return_sd"])
        spread = with_interval(found["return_sd"], interval_of(found, "return"), places)
        parts.append(f"return {found['return_mean']:.{places}f} +- {spread}")
    return ", ".join([*parts, f"{found['length_mean']:.0f} steps, {_counted(found['n_episodes'])}"])


def _counted(episodes: int) -> str:
    return f"{episodes} episode{'s' * (episodes != 1)}"


def evaluate(
    policy: Policy,
    env_id: Task,
    n_episodes: int = 50,
    seed: int = seeds.EVAL,
    n_envs: int = 10,
    deterministic: bool = True,
    env_kwargs: Mapping[str, object] | None = None,
    scale: Scale | None = None,
    **more: object,
) -> Evaluation:
    """Run complete episodes, episode j from the seed `seed + j`, so the result does not depend on `n_envs`.

    `env_kwargs`, and any further keyword, are arguments of the environment, as `env_id` may name them itself (see
    `envs.names`).

    Raises ValueError for no episodes, an unknown environment, or a policy made for other observations.

    >>> from gail_suite import envs, evaluate
    >>> found = evaluate(envs.toy_expert, envs.TOY_ID, n_episodes=5, seed=0)
    >>> found.lengths
    array([100, 100, 100, 100, 100])
    >>> bool(abs(found.score - 1) < 0.05)
    True
    """
    if n_episodes < 1:
        raise ValueError(f"n_episodes is {n_episodes}; at least one is needed")
    task = envs.named(env_id, {**(env_kwargs or {}), **more})
    episodes = demos.record(policy, task, n_episodes, seed, n_envs, deterministic)
    return Evaluation(task, episodes.returns, episodes.lengths, seed, deterministic, scale)


def _score(env_id: str, value: float) -> float | None:
    reference = envs.spec(env_id)
    if reference.random_return is None or reference.expert_return is None:
        return None
    return float(envs.normalized_score(env_id, value))
