"""What a return is worth beside the demonstrations that were shown: 0 as random actions, 1 as the demonstrations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gymnasium.spaces import Box

from gail_suite import envs
from gail_suite.demos.policy import State
from gail_suite.demos.sealed import Json, write_json
from gail_suite.runs.records import ReferenceRecord, config_of, read_if_there

RANDOM_EPISODES, RANDOM_SEED = 10, 200_000
"""How often, and from where, random actions are tried on a task without a reference return."""
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
    found: Json = {f"{kind}score": scale(record[f"{kind}return_mean"]) for kind in ("", "bc_") if _told(record, kind)}
    if interval := record.get("return_interval"):
        found["score_interval"] = [scale(bound) for bound in interval]
    return record | found


def _told(record: Json, kind: str) -> bool:
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


def random_return(task: str, n_episodes: int = RANDOM_EPISODES) -> float:
    """Mean return of random actions: the reference where the task has one, else that of some episodes."""
    from gail_suite.showing.evaluation import evaluate

    known = envs.spec(task).random_return
    if known is not None:
        return known.mean
    return evaluate(Uniform(task, RANDOM_SEED), task, n_episodes, RANDOM_SEED, deterministic=False).return_mean


def unscored(run_dir: str | Path) -> str | None:
    """Why a run that imitates has no score against its demonstrations; None where it has one, or imitates nothing."""
    shown = (config_of(run_dir).get("demos") or {}).get("shown")
    if shown is None or scale_of(run_dir) is not None:
        return None
    if shown.get("return_mean") is not None:
        why = f"get {shown['return_mean']:.4g}, no more than random actions"
    elif shown.get("pieces") == shown.get("n_episodes"):
        why = "are pieces of episodes"
    else:
        why = "do not all have rewards"
    return f"no score against the demonstrations, which {why}"


def scale_of(run_dir: str | Path) -> Scale | None:
    """The scale of a run's demonstrations; None where their returns are unknown, or no better than chance.

    What random actions get is measured once and kept in RUN/reference.json.
    """
    run_dir = Path(run_dir)
    config = config_of(run_dir)
    shown = ((config.get("demos") or {}).get("shown") or {}).get("return_mean")
    if shown is None:
        return None
    kept = read_if_there(run_dir / REFERENCE, ReferenceRecord)
    if "random_return" not in kept:
        kept = {"random_return": random_return(config["env_id"]), "n_episodes": RANDOM_EPISODES, "seed": RANDOM_SEED}
        write_json(run_dir / REFERENCE, kept)
    return Scale(float(kept["random_return"]), float(shown)) if shown > kept["random_return"] else None
