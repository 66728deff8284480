"""How does an Ant that falls, fall? The height of the torso in the last step of every episode that ends early.

    python -m benchmarks.ant_falls runs/few_demos/ant-1-gail-3 ...      # run directories, or "bundled" for the expert
    python -m benchmarks.ant_falls show

An episode of Ant-v5 ends where the torso leaves 0.2 to 1.0 m. The episodes are those of few_demos.py's evaluation.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from benchmarks.records import RESULTS, append_measured, read_rows
from benchmarks.trainings import EVAL_SEED, N_EVAL

CSV = RESULTS / "ant_falls.csv"
COLUMNS = (
    "run",
    "n_episodes",
    "falls",
    "too_high",
    "too_low",
    "upright",
    "height_q99",
    "height_max",
    "machine",
    "commit",
    "command",
)
LOW, HIGH = 0.2, 1.0


def upright(obs: np.ndarray) -> np.ndarray:
    """Cosine between the torso's own vertical and the world's, from the quaternion (w, x, y, z) in columns 1 to 4."""
    return 1 - 2 * (obs[..., 2] ** 2 + obs[..., 3] ** 2)


def measure(name: str) -> dict[str, object]:
    """Falls of one policy, and how high it goes in the episodes that it completes."""
    import demos
    import gail_suite as gs

    policy = demos.expert("Ant-v5") if name == "bundled" else gs.load_policy(name)
    episodes = list(demos.record(policy, "Ant-v5", N_EVAL, EVAL_SEED, 10, True))
    last = np.array([e.obs[-1] for e in episodes if e.terminated]).reshape(-1, 105)
    heights = np.array([np.max(e.obs[:, 0]) for e in episodes if not e.terminated])
    every = np.concatenate([e.obs[:, 0] for e in episodes if not e.terminated])
    return {
        "run": Path(name).name,
        "n_episodes": len(episodes),
        "falls": len(last),
        "too_high": int((last[:, 0] > HIGH - 1e-3).sum()),
        "too_low": int((last[:, 0] < LOW + 1e-3).sum()),
        "upright": int((upright(last) > 0.8).sum()),
        "height_q99": round(float(np.quantile(every, 0.99)), 3),
        "height_max": round(float(heights.max()), 3),
    }


def main() -> None:
    """Command line."""
    import torch

    torch.set_num_threads(1)
    if sys.argv[1:] == ["show"]:
        for row in read_rows(CSV):
            print(*(row[c] for c in COLUMNS[:8]), sep="\t")
        return
    append_measured(CSV, COLUMNS, measure)


if __name__ == "__main__":
    main()
