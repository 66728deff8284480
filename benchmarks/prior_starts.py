"""Are sampled start states the expert's? How long the bundled expert stays up from there.

    python -m benchmarks.prior_starts                  # both tasks, seeds 0 to 2, some minutes; writes
    results/prior_starts.csv

Each prior of starts is fitted to the demonstrations of a row of few_demos.py; the expert then acts, without noise, for
up to 200 steps from 100 of its states.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import demos
import envs
from benchmarks import few_demos
from benchmarks.few_demos import ROWS
from benchmarks.records import append_row, command, commit, machine, markdown, measure_tasks, read_rows
from gail_suite.priors.prior import fit_prior
from gail_suite.priors.starts import sample

CSV = few_demos.CSV.parent / "prior_starts.csv"
TASKS, N_STARTS, STEPS = ("ant-4x20", "humanoid-1"), 100, 200
PRIORS: dict[str, dict[str, Any]] = {
    "demonstrated": {"model": "demonstrated"},
    "gmm": {"model": "gmm"},
    "vae": {"model": "vae"},
    "gan": {"model": "gan"},
    "pixelcnn": {"model": "pixelcnn"},
    "gmm, shuffled": {"model": "gmm", "control": "shuffled"},
    "gmm, untrained": {"model": "gmm", "control": "untrained"},
}
COLUMNS = ("task", "seed", "prior", "possible", "steps_up", "stays_up", "machine", "commit", "command")


def measured(env_id: str, states: np.ndarray) -> dict[str, float]:
    """Share of states that do not end the task at once; of those the mean steps that the expert stays up, and how
    often for all of them.
    """
    venv: Any = envs.make_vec(env_id, n_envs=1, seed=0, infos="minimal")
    venv.reset()
    expert, lengths = demos.expert(env_id), []
    for state in states:
        obs, steps = venv.begin_at(0, state), 0
        if obs is None:
            continue
        done = False
        while steps < STEPS and not done:
            batch, _, dones, _ = venv.step(expert.predict(obs[None], deterministic=True)[0])
            obs, done, steps = batch[0], bool(dones[0]), steps + 1
        lengths.append(steps if not done else steps - 1)
    venv.close()
    up = np.array(lengths)
    return {
        "possible": len(up) / len(states),
        "steps_up": round(float(up.mean()), 1),
        "stays_up": round(float((up >= STEPS).mean()), 3),
    }


def run(task: str, seed: int) -> None:
    """A line for each prior that the CSV lacks."""
    done = {r["prior"] for r in read_rows(CSV) if (r["task"], int(r["seed"])) == (task, seed)}
    row, code = ROWS[task], commit()
    for name in (n for n in PRIORS if n not in done):
        prior = fit_prior(few_demos.demonstrations(row, seed), use="start", seed=seed, **PRIORS[name])
        append_row(
            CSV,
            COLUMNS,
            {
                "task": task,
                "seed": seed,
                "prior": name,
                **measured(row.env, sample(prior, N_STARTS, seed)),
                "machine": machine(),
                "commit": code,
                "command": command(),
            },
        )


HEADER = ["task", "starts", "seeds", "possible", f"steps up, of {STEPS}", "stays up"]


def table() -> str:
    """Means over seeds, a line each task and prior."""
    lines = []
    for task in TASKS:
        for name in PRIORS:
            of = [r for r in read_rows(CSV) if (r["task"], r["prior"]) == (task, name)]
            if of:
                means = (float(np.mean([float(r[c]) for r in of])) for c in ("possible", "steps_up", "stays_up"))
                lines.append(
                    [task, name, str(len(of)), *(f"{m:.{digits}f}" for m, digits in zip(means, (2, 0, 2), strict=True))]
                )
    return markdown(HEADER, lines)


if __name__ == "__main__":
    measure_tasks(__doc__, TASKS, run, table)
