"""Does the discriminator know the expert or only the pairs that it was shown? Mean logits at the end of a run of
few_demos.py.

    python -m benchmarks.memorisation runs/few_demos/ant-4x20-gail-0 ...

Shown: the run's demonstrations. Held out: the expert's trajectories that the run did not take. Agent: its last 8000
steps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks import few_demos
from benchmarks.records import RESULTS, append_measured

CSV = RESULTS / "memorisation.csv"
COLUMNS = (
    "run",
    "pairs",
    "env_steps",
    "logit_shown",
    "logit_held_out",
    "logit_agent",
    "sd_held_out",
    "sd_agent",
    "machine",
    "commit",
    "command",
)
RECENT, SAMPLE = 8000, 4000


def measure(run_dir: Path) -> dict[str, object]:
    """Mean logits of the three kinds of pairs."""
    import torch

    import gail_suite as gs
    from gail_suite.learning.shown.actions import action_bounds, to_unit

    torch.set_num_threads(1)
    run = gs.GAIL.resume(run_dir)
    taken = set(run.demo_meta["take"]["episodes"])
    pool = few_demos.pool(run.env_id, max(r.recorded for r in few_demos.ROWS.values() if r.env == run.env_id))
    others = [t for i, t in enumerate(pool) if i not in taken]
    low, high = action_bounds(run.env_id)
    features, actions = (
        torch.as_tensor(np.concatenate(parts), dtype=torch.float32)
        for parts in ([run.loop.features(t.obs[:-1]) for t in others], [to_unit(t.acts, low, high) for t in others])
    )
    window = run.loop.replay.sample(SAMPLE, 1, torch.Generator().manual_seed(0), RECENT)
    adversary = run.objective
    with torch.no_grad():
        shown, held_out, agent = (
            adversary.learner.net(x)
            for x in (
                adversary.pairs,
                adversary._pairs(features, actions),
                adversary._pairs(window.features[:, 0], window.actions[:, 0]),
            )
        )
    return {
        "run": run_dir.name,
        "pairs": len(adversary.pairs),
        "env_steps": run.loop.steps,
        **{
            f"logit_{k}": round(float(v.mean()), 3)
            for k, v in (("shown", shown), ("held_out", held_out), ("agent", agent))
        },
        "sd_held_out": round(float(held_out.std()), 3),
        "sd_agent": round(float(agent.std()), 3),
    }


def main() -> None:
    """Command line."""
    append_measured(CSV, COLUMNS, lambda name: measure(Path(name)))


if __name__ == "__main__":
    main()
