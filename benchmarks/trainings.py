"""What the benchmarks of trainings share: their protocol, runs that go on where they were killed, clones, rivals."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benchmarks.records import note_session

if TYPE_CHECKING:
    from demos import Demonstrations
    from gail_suite.algorithms.imitator import Imitator
    from gail_suite.demos.policy import Policy
    from gail_suite.showing.evaluation import Evaluation

C = TypeVar("C")
N_EVAL, EVAL_SEED, DEMO_SEED = 50, 1_000_000, 10_000
"""Episodes of the final policy and the seed of the first; the seed of the first recorded one."""

# GAIL whose discriminator is a random network that is never trained and never meets the expert: what survival alone is
# worth.
NO_EXPERT = (
    "warm_start=false",
    "adversary.lr=0",
    "adversary.expert_share=0",
    "adversary.expert_share_final=0",
    "adversary.bc_weight=0",
    "adversary.bc_weight_final=0",
    "adversary.bound_targets=false",
)


def evaluated(found: Evaluation) -> dict[str, float | int]:
    """The columns that tell of an evaluation."""
    assert found.score is not None
    return {
        "score": round(found.score, 4),
        "return_mean": round(found.return_mean, 1),
        "return_sd": round(float(found.returns.std(ddof=1)), 1),
        "length_mean": round(found.length_mean, 1),
        "n_eval": found.n_episodes,
    }


def rival(algo: str, env: str, shown: Demonstrations, seed: int, budget_s: float | None) -> tuple[Policy, int]:
    """The final policy of one of imitation's algorithms, and its environment steps."""
    from gail_suite.algorithms import reference

    return reference.train(algo.removeprefix("imitation-"), env, shown, seed, budget_s)


def cloned(env: str, shown: Demonstrations, seed: int, run_dir: Path, overrides: Sequence[str] = ()) -> Policy:
    """The policy of behaviour cloning."""
    import gail_suite as gs
    from gail_suite.runs.config import build
    from gail_suite.runs.runlog import forget_results

    forget_results(run_dir)  # of a run that was killed in its evaluation
    return gs.BC(env, shown, build(gs.BCConfig(), settings=overrides), seed, run_dir).train(eval_episodes=0).policy


def new_or_resumed(
    kind: type[Imitator[C]], env_id: str, demos_used: Demonstrations, config: C, seed: int, run_dir: Path
) -> Imitator[C]:
    """A trainer, from the newest checkpoint of `run_dir` if there is one, which must be of the same settings and
    demonstrations.
    """
    from gail_suite.runs.checkpoint import checkpoints

    # what was asked for: a run may find the actions of demonstrations itself, and say so in its own settings
    asked = run_dir / "asked.json"
    wanted = json.dumps(dataclasses.asdict(config) | {"demos": dict(demos_used.meta)}, sort_keys=True, default=str)
    if not checkpoints(run_dir / "checkpoints"):
        run_dir.mkdir(parents=True, exist_ok=True)
        asked.write_text(wanted)
        note_session(run_dir, goes_on=False)
        return kind(env_id, demos_used, config, seed, run_dir)
    if not asked.exists() or asked.read_text() != wanted:
        raise SystemExit(
            f"{run_dir} holds a run with other settings or demonstrations: remove or rename it to begin anew"
        )
    trainer = kind.resume(run_dir)
    note_session(run_dir, goes_on=True)
    return trainer


def metrics(run_dir: Path) -> list[dict]:
    """The rows of a run's metrics.jsonl."""
    path = run_dir / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wall_seconds(run_dir: Path, measured: float) -> float:
    """Training seconds over all sessions of a run."""
    return max([measured, *(r["wall_s"] for r in metrics(run_dir) if "wall_s" in r)])


def first_reaching(run_dir: Path, score: float) -> tuple[float | str, int | str]:
    """Seconds and steps at the first evaluation during training that reaches the score."""
    for r in metrics(run_dir):
        if r.get("score") is not None and r["score"] >= score:
            return round(r["wall_s"], 1), r["step"]
    return "", ""
