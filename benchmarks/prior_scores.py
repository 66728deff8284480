"""Does typicality know the expert? Medians and AUROC of each model's score, and its controls.

    python -m benchmarks.prior_scores            # what the CSV lacks
    python -m benchmarks.prior_scores --models gmm --controls none

The prior is fitted to 4 full trajectories of the bundled expert (1 of them calibrates) and meets 4 others of the same
expert ("held-out"), and 8 each of the uniform random policy, of the expert with Gaussian noise of 0.3 (of half the
action range) on its actions, and of the expert with its first action held at 0. AUROC: the chance that a held-out
transition scores higher than a foreign one, ties counted half (scikit-learn).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.records import RESULTS, append_row, command, commit, machine, markdown, read_rows
from gail_suite.demos.policy import State
from gail_suite.demos.trajectory import Transitions

if TYPE_CHECKING:
    from demos import Demonstrations
    from gail_suite.demos.policy import Policy

CSV = RESULTS / "prior_scores.csv"
TASKS = ("Ant-v5", "Humanoid-v5")
MODELS = ("gmm", "vae", "ae", "pixelcnn", "gan")
CONTROLS = ("none", "untrained", "shuffled")
FIT, MET, FOREIGN, SEED = 4, 4, 8, 10_000
NOISE = 0.3
COLUMNS = (
    "env",
    "model",
    "control",
    "seed",
    "n_pairs",
    "median",
    "mean",
    "auroc_random",
    "auroc_noise",
    "auroc_frozen",
    "mean_random",
    "mean_noise",
    "mean_frozen",
    "fit_s",
    "ms_a_step",
    "machine",
    "commit",
    "command",
)

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""Actions and a generator to other actions."""


class Disturbed:
    """A policy whose actions are changed by `change(actions, generator)`."""

    def __init__(self, policy: Policy, change: Change, seed: int = 0) -> None:
        self.policy, self.change, self.generator = policy, change, np.random.default_rng(seed)

    def predict(
        self, obs: np.ndarray, state: State = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, State]:
        """As the policy's, with the change."""
        actions, state = self.policy.predict(obs, state, episode_start, deterministic=True)
        return self.change(actions, self.generator).astype(np.float32), state


@cache
def recorded(env_id: str, kind: str) -> Demonstrations:
    """Demonstrations of one kind of behaviour, recorded once."""
    import demos
    from gail_suite.learning.shown.actions import action_bounds

    low, high = action_bounds(env_id)
    changes = {
        "random": lambda a, rng: rng.uniform(low, high, a.shape),
        "noise": lambda a, rng: np.clip(a + NOISE * (high - low) / 2 * rng.standard_normal(a.shape), low, high),
        "frozen": lambda a, rng: np.concatenate([np.zeros_like(a[..., :1]), a[..., 1:]], -1),
    }
    expert = demos.expert(env_id)
    if kind == "expert":
        return demos.record(expert, env_id, FIT + MET, SEED)
    return demos.record(Disturbed(expert, changes[kind]), env_id, FOREIGN, SEED + 1000)


def measure(env_id: str, model: str, control: str, seed: int = 0) -> dict[str, Any]:
    """One line of the table."""
    from sklearn.metrics import roc_auc_score

    from gail_suite.priors.prior import fit_prior
    from gail_suite.priors.typicality import typicality

    expert = recorded(env_id, "expert")
    start = time.process_time()
    prior = fit_prior(expert[:FIT], model, seed=seed, control=None if control == "none" else control)
    fit_s = time.process_time() - start
    held = expert[FIT:].transitions()
    own, eight = typicality(prior, held), _eight(held)
    start = time.process_time()
    for _ in range(20):
        typicality(prior, eight)
    row = {
        "n_pairs": expert[:FIT].n_pairs,
        "median": round(float(np.median(own)), 4),
        "mean": round(float(own.mean()), 4),
        "fit_s": round(fit_s, 1),
        "ms_a_step": round((time.process_time() - start) * 50, 2),
    }
    for kind in ("random", "noise", "frozen"):
        other = typicality(prior, recorded(env_id, kind).transitions())
        labels = np.concatenate([np.ones(len(own)), np.zeros(len(other))])
        row[f"auroc_{kind}"] = round(float(roc_auc_score(labels, np.concatenate([own, other]))), 4)
        row[f"mean_{kind}"] = round(float(other.mean()), 4)
    return row


def _eight(t: Transitions) -> Transitions:
    """The first 8 transitions: one step of as many environments."""
    return type(t)(t.obs[:8], t.acts[:8], t.next_obs[:8], t.terminated[:8])


HEADER = [
    "task",
    "model",
    "control",
    "median, held-out expert",
    "mean",
    "AUROC: random",
    "noise 0.3",
    "frozen joint",
    "fit, CPU s",
    "ms a step of 8",
]


def table() -> str:
    """Medians and AUROC of typicality, one line a task, model and control."""
    rows = read_rows(CSV)
    lines = [
        [
            r["env"],
            r["model"],
            r["control"],
            f"{float(r['median']):.3f}",
            f"{float(r['mean']):.3f}",
            *(f"{float(r[f'auroc_{kind}']):.3f}" for kind in ("random", "noise", "frozen")),
            r["fit_s"],
            r["ms_a_step"],
        ]
        for r in rows
    ]
    return markdown(HEADER, lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--controls", nargs="+", choices=CONTROLS, default=list(CONTROLS))
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    code = commit()
    for control in a.controls:
        for env_id in a.tasks:
            for model in a.models:
                done = {(r["env"], r["model"], r["control"], int(r["seed"])) for r in read_rows(CSV)}
                if (env_id, model, control, a.seed) in done:
                    continue
                row = measure(env_id, model, control, a.seed)
                print(env_id, model, control, row, flush=True)
                append_row(
                    CSV,
                    COLUMNS,
                    {
                        "env": env_id,
                        "model": model,
                        "control": control,
                        "seed": a.seed,
                        **row,
                        "machine": machine(),
                        "commit": code,
                        "command": command(),
                    },
                )


if __name__ == "__main__":
    main()
