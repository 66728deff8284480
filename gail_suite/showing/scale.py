"""What a return is worth beside the demonstrations that were shown: 0 as random actions, 1 as the demonstrations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gymnasium.spaces import Box

from gail_suite import envs
from gail_suite.demos.policy import State
from gail_suite.demos.sealed import Json, write_json
from gail_suite.runs import seeds
from gail_suite.runs.records import ReferenceRecord, by_product, config_of, read_if_there

RANDOM_EPISODES = 10
"""How often random actions are tried on a task without a reference return."""
CLEAR = 2
"""Standard errors of what random actions get by which demonstrations have to be better, to be the one of a scale."""
REFERENCE = "reference.json"
"""File in a run's folder that keeps what they got."""


@dataclass(frozen=True)
class Scale:
    """Two returns and the score that they make of any: (return - random) / (shown - random)."""

    random: float
    """Mean return of uniform actions."""
    shown: float
    """Mean return of the demonstrations."""

    def __call__(self, value: float) -> float:
        """The score of a return."""
        return (value - self.random) / (self.shown - self.random)


def rescored(record: Json, scale: Scale | None) -> Json:
    """A record of an evaluation with the normalised score that `scale` makes of its return; as it is without one."""
    if scale is None:
        return record
    kinds = [kind for kind in ("", "bc_") if _has_return(record, kind)]
    found: Json = {f"{kind}score": scale(record[f"{kind}return_mean"]) for kind in kinds}
    if interval := record.get("return_interval"):
        found["score_interval"] = [scale(bound) for bound in interval]
    return record | found


def _has_return(record: Json, kind: str) -> bool:
    return record.get(f"{kind}return_mean") is not None


class Uniform:
    """A policy of uniform actions."""

    def __init__(self, task: str, seed: int) -> None:
        env = envs.make(task)
        assert isinstance(env.action_space, Box)
        self.space = env.action_space
        self.rng = np.random.default_rng(seed)
        env.close()

    def predict(
        self, obs: np.ndarray, state: State = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, State]:
        """Actions (B, A) drawn between the bounds, whatever the observations (B, O)."""
        size = (len(obs), *self.space.shape)
        return self.rng.uniform(self.space.low, self.space.high, size).astype(np.float32), state


def random_return(task: str) -> tuple[float, float]:
    """Mean return of random actions and its standard error: the reference where the task has one, else that of some
    episodes.
    """
    from gail_suite.showing.evaluation import evaluate

    known = envs.spec(task).random_return
    if known is not None:
        return known.mean, known.sd / math.sqrt(max(known.episodes, 1))
    policy = Uniform(task, seeds.RANDOM)
    returns = evaluate(policy, task, RANDOM_EPISODES, seeds.RANDOM, deterministic=False).returns
    return float(returns.mean()), float(returns.std(ddof=1) / math.sqrt(len(returns)))


def scale_of(run_dir: str | Path) -> Scale | None:
    """The scale of a run's demonstrations; None where `unscored` says why there is none, or it imitates nothing."""
    found = _judged(Path(run_dir))
    return found if isinstance(found, Scale) else None


def unscored(run_dir: str | Path) -> str | None:
    """Why a run that imitates has no score against its demonstrations; None where it has one, or imitates nothing."""
    found = _judged(Path(run_dir))
    return f"no score against the demonstrations, which {found}" if isinstance(found, str) else None


def _judged(run_dir: Path) -> Scale | str | None:
    """The scale of a run's demonstrations, or what they are that make none; None where there are no demonstrations.

    What random actions get is measured once and kept in RUN/reference.json.
    """
    config = config_of(run_dir)
    shown = (config.get("demos") or {}).get("shown")
    if shown is None:
        return None
    mean = shown.get("return_mean")
    if mean is None:
        return "are pieces of episodes" if shown.get("pieces") == shown.get("n_episodes") else "do not all have rewards"
    kept = read_if_there(run_dir / REFERENCE, ReferenceRecord)
    if "random_return" not in kept:
        random, error = random_return(config["env_id"])
        kept = {"random_return": random, "random_error": error, "n_episodes": RANDOM_EPISODES, "seed": seeds.RANDOM}
        with by_product(run_dir / REFERENCE):
            write_json(run_dir / REFERENCE, kept)
    random, error = float(kept["random_return"]), float(kept.get("random_error", 0.0))  # earlier versions kept no error
    if mean - random > CLEAR * error:
        return Scale(random, float(mean))
    return (
        f"return {mean:.4g}, not clearly more than random actions ({random:.4g}, standard error {error:.2g}): show a "
        "better demonstrator"
    )
