"""Does p0(a|s) know what it does not know? Log-likelihood of the expert's actions, in its own states and in those where
a learner is.

    python -m benchmarks.prior_density                  # both tasks, seeds 0 to 2, about five minutes; writes
    results/prior_density.csv

Each behaviour prior is fitted to the demonstrations of a row of few_demos.py. The expert then names its action in
states that were visited by itself (new episodes), by itself with noise of 0.3 (the task's own units) on its actions, by
a policy cloned from the same demonstrations, and by random actions; each cell is the mean of log p0(expert's action |
state) over 1500 of them, in nats.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import demos
import envs
import gail_suite as gs
from benchmarks import few_demos
from benchmarks.few_demos import ROWS
from benchmarks.records import append_row, command, commit, machine, markdown, measure_tasks, read_rows
from gail_suite.learning.shown.actions import action_bounds, to_unit
from gail_suite.priors.behaviour import density_of
from gail_suite.priors.prior import fit_prior

CSV = few_demos.CSV.parent / "prior_density.csv"
TASKS, N_STATES, NOISE = ("ant-4x20", "humanoid-1"), 1500, 0.3
PRIORS: dict[str, dict[str, Any]] = {
    "gmm, Gaussian": {"model": "gmm", "dof": math.inf},
    "gmm, Student's t": {"model": "gmm"},
    "pixelcnn": {"model": "pixelcnn"},
    "t, shuffled": {"model": "gmm", "control": "shuffled"},
    "t, untrained": {"model": "gmm", "control": "untrained"},
}
STATES = ("expert", "expert + noise", "cloned", "random")
COLUMNS = ("task", "seed", "prior", "components", "noise", "dof", "held_out", *STATES, "machine", "commit", "command")


def visited(env_id: str, act: Callable[[np.ndarray], np.ndarray] | None, noise: float, seed: int) -> np.ndarray:
    """(N_STATES, O) observations under a policy of one observation, None for random actions, with normal noise on
    its actions.
    """
    env, rng, low_high = envs.make(env_id), np.random.default_rng(seed), action_bounds(env_id)
    env.action_space.seed(seed)
    found, (obs, _) = [], env.reset(seed=seed)
    while len(found) < N_STATES:
        found.append(obs)
        action = env.action_space.sample() if act is None else act(obs[None])[0]
        action = np.clip(action + noise * rng.standard_normal(action.shape), *low_high).astype(np.float32)
        obs, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            obs, _ = env.reset(seed=int(rng.integers(2**31)))
    env.close()
    return np.array(found)


def action_of(policy: demos.MlpPolicy) -> Callable[[np.ndarray], np.ndarray]:
    """Observations to deterministic actions."""
    return lambda obs: policy.predict(obs, deterministic=True)[0]


def run(task: str, seed: int) -> None:
    """A line for each prior that the CSV lacks."""
    done = {r["prior"] for r in read_rows(CSV) if (r["task"], int(r["seed"])) == (task, seed)}
    missing = [name for name in PRIORS if name not in done]
    if not missing:
        return
    row, code = ROWS[task], commit()
    shown, expert = few_demos.demonstrations(row, seed), demos.expert(row.env)
    low, high = action_bounds(row.env)
    by_expert, cloned = action_of(expert), action_of(gs.BC(row.env, shown, seed=seed).train(eval_episodes=0).policy)
    visitors = {
        "expert": (by_expert, 0.0),
        "expert + noise": (by_expert, NOISE),
        "cloned": (cloned, 0.0),
        "random": (None, 0.0),
    }
    states = {name: visited(row.env, act, noise, 5 + i) for i, (name, (act, noise)) in enumerate(visitors.items())}
    for name in missing:
        prior = fit_prior(shown, use="behaviour", seed=seed, **PRIORS[name])
        p0, found = density_of(prior), {}
        for where, obs in states.items():
            actions = torch.from_numpy(to_unit(by_expert(obs), low, high).astype(np.float32))
            with torch.no_grad():
                found[where] = round(float(p0.log_prob(torch.from_numpy(prior.features(obs)), actions).mean()), 2)
        kept = {k: prior.settings.get(k, "") for k in ("components", "noise", "dof")}
        append_row(
            CSV,
            COLUMNS,
            {
                "task": task,
                "seed": seed,
                "prior": name,
                **kept,
                "held_out": round(prior.settings["held_out"], 2),
                **found,
                "machine": machine(),
                "commit": code,
                "command": command(),
            },
        )


HEADER = ["task", "p0", "seeds", "held-out pairs", *(f"states of: {s}" for s in STATES)]


def table() -> str:
    """Means over seeds, a line each task and prior."""
    rows = read_rows(CSV)
    lines = []
    for task in TASKS:
        for name in PRIORS:
            of = [r for r in rows if (r["task"], r["prior"]) == (task, name)]
            if of:
                lines.append(
                    [
                        task,
                        name,
                        str(len(of)),
                        *(f"{np.mean([float(r[c]) for r in of]):.1f}" for c in ("held_out", *STATES)),
                    ]
                )
    return markdown(HEADER, lines)


if __name__ == "__main__":
    measure_tasks(__doc__, TASKS, run, table)
