"""Bundles a trained expert: measures it and a random policy, and writes demos/experts/ENV and
envs/reference_returns.json.

    python -m benchmarks.bundle_expert RUN --start "supplied SAC expert"

50 deterministic episodes each, on seeds that no training saw. The record says how the run was trained.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import envs
from benchmarks.records import ROOT, machine
from gail_suite.learning.policies.policy import LearnedPolicy
from gail_suite.showing.evaluation import evaluate
from gail_suite.showing.scale import Uniform

if TYPE_CHECKING:
    from gail_suite.demos.policy import Policy

N, EXPERT_SEED, RANDOM_SEED = 50, 100_000, 200_000


def measured(policy: Policy, env_id: str, seed: int, deterministic: bool = True) -> dict:
    """Returns and lengths over N episodes."""
    e = evaluate(policy, env_id, n_episodes=N, seed=seed, deterministic=deterministic)
    return {
        "episodes": N,
        "deterministic": deterministic,
        "seeds": f"{seed}..{seed + N - 1}",
        "return_mean": e.return_mean,
        "return_sd": float(e.returns.std(ddof=1)),
        "return_min": float(e.returns.min()),
        "length_mean": e.length_mean,
        "falls": int((e.lengths < envs.spec(env_id).horizon).sum()),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--start", required=True, help="what the run was started from")
    parser.add_argument("--how", required=True, help="the command, and how often it was resumed with another schedule")
    args = parser.parse_args()
    run = json.loads((args.run / "config.json").read_text())
    versions = json.loads((args.run / "versions.json").read_text())
    env_id, physics = run["env_id"], {k: versions[k] for k in ("mujoco", "gymnasium")}
    last = json.loads((args.run / "metrics.jsonl").read_text().splitlines()[-1])
    policy = LearnedPolicy.load(args.run / "policy")
    expert, random = (
        measured(policy, env_id, EXPERT_SEED),
        measured(Uniform(env_id, RANDOM_SEED), env_id, RANDOM_SEED, deterministic=False),
    )
    config = {k: v for k, v in run["config"].items() if k != "warm_start"}
    policy.meta |= {
        "evaluation": expert | {"evaluated_on": physics},
        "random": random,
        "training": {
            "how": args.how,
            "started_from": args.start,
            "algo": "SAC",
            "env_steps": last["step"],
            "seed": run["seed"],
            "config": config,
            "wall_s": last["wall_s"],
            "machine": machine() + ", shared with other jobs",
            "trained_on": physics,
        },
    }
    policy.save(ROOT / "demos" / "experts" / env_id)
    file = ROOT / "envs" / "reference_returns.json"
    table = json.loads(file.read_text())
    physics_text = f"MuJoCo {physics['mujoco']}"
    table[env_id] = {
        "random": {
            "mean": random["return_mean"],
            "sd": random["return_sd"],
            "episodes": N,
            "source": f"uniform actions, seeds {random['seeds']}, {physics_text}",
        },
        "expert": {
            "mean": expert["return_mean"],
            "sd": expert["return_sd"],
            "episodes": N,
            "source": f"bundled expert, deterministic, seeds {expert['seeds']}, {physics_text}",
        },
    }
    file.write_text(json.dumps(table, indent=1) + "\n")
    print(env_id, expert, random, sep="\n")


if __name__ == "__main__":
    main()
