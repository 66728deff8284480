"""How well a policy does on the environment's own reward, which training never sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import envs
from gail_suite.stats import bootstrap_interval


@dataclass(frozen=True)
class Evaluation:
    """Undiscounted returns and lengths of complete episodes, in the order of their seeds."""

    env_id: str
    returns: np.ndarray
    lengths: np.ndarray
    seed: int
    deterministic: bool

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

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Bootstrap interval of the mean return."""
        return bootstrap_interval(self.returns, level=level)

    def as_dict(self) -> dict[str, Any]:
        """What eval.json and `eval --json` hold; the score is the only field that may be null."""
        low, high = self.interval()
        score_interval = None if self.score is None else [_score(self.env_id, low), _score(self.env_id, high)]
        return {
            "env_id": self.env_id,
            "n_episodes": self.n_episodes,
            "seed": self.seed,
            "deterministic": self.deterministic,
            "return_mean": self.return_mean,
            "return_sd": self.return_sd,
            "return_interval": [low, high],
            "length_mean": self.length_mean,
            "score": self.score,
            "score_interval": score_interval,
            "returns": [float(r) for r in self.returns],
            "lengths": [int(n) for n in self.lengths],
        }


def evaluate(
    policy: Any,
    env_id: str,
    n_episodes: int = 50,
    seed: int = 1000,
    n_envs: int | None = None,
    deterministic: bool = True,
    **env_kwargs: Any,
) -> Evaluation:
    """Run complete episodes, episode j from the seed `seed + j`, so the result does not depend on `n_envs`.

    Raises ValueError for no episodes, an unknown environment, or a policy made for other observations.
    """
    if n_episodes < 1:
        raise ValueError(f"n_episodes is {n_episodes}; at least one is needed")
    width = min(n_envs or 10, n_episodes)
    env = envs.make_vec(env_id, n_envs=width, seed=seed, infos="minimal", **env_kwargs)
    try:
        waves = [_wave(policy, env, seed + first, deterministic) for first in range(0, n_episodes, width)]
    finally:
        env.close()
    returns, lengths = (np.concatenate(parts)[:n_episodes] for parts in zip(*waves, strict=True))
    return Evaluation(env_id, returns, lengths, seed, deterministic)


def _wave(policy: Any, env: Any, seed: int, deterministic: bool) -> tuple[np.ndarray, np.ndarray]:
    """One episode in each environment: returns and lengths; an environment that is done first idles along."""
    env.seed(seed)
    if not deterministic and callable(getattr(policy, "seed", None)):
        policy.seed(range(seed, seed + env.num_envs))
    obs, state, start = env.reset(), None, np.ones(env.num_envs, bool)
    returns, lengths, running = np.zeros(env.num_envs), np.zeros(env.num_envs, np.int64), np.ones(env.num_envs, bool)
    while running.any():
        actions, state = policy.predict(obs, state=state, episode_start=start, deterministic=deterministic)
        obs, rewards, start, _ = env.step(actions)
        returns[running] += rewards[running]
        lengths[running] += 1
        running &= ~start
    return returns, lengths


def _score(env_id: str, value: float) -> float | None:
    reference = envs.spec(env_id)
    if reference.random_return is None or reference.expert_return is None:
        return None
    return float(envs.normalized_score(env_id, value))
