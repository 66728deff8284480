"""The demonstrators that nobody here trained, the bundled ones and a former one: a row each, and its demonstrations."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.records import ROOT
from benchmarks.trainings import DEMO_SEED, EVAL_SEED, N_EVAL
from gail_suite.demos.trajectory import Demonstrations

if TYPE_CHECKING:
    from gail_suite.demos.policy import Policy

WORK = Path("runs") / "demonstrators"
DEMOS_DIR = Path("../shared/data/public_demos")
FORMER = "d9cb25d:demos/experts/Ant-v5"
"""Commit and folder of the bundled Ant expert that was replaced by one that is easier to imitate."""
RECORDED = 5
"""Trajectories in the pool of a policy's demonstrations, as many as each of the files holds."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    env: str
    demonstrator: str
    """`bundled`, `former`, or a file of --demos-dir without its ending."""
    n_demos: int = 1
    subsample: int = 1
    observations: bool = False
    """The actions are hidden."""
    floor: float = 0.95

    @property
    def protocol(self) -> str:
        """How the demonstrations are given."""
        shown = "full" if self.subsample == 1 else f"every {self.subsample}th pair"
        return f"{shown}, observations only" if self.observations else shown


ROWS = {
    "humanoid-paper": Row("Humanoid-v5", "humanoid_gail_paper", floor=0.90),
    "ant-bundled": Row("Ant-v5", "bundled", floor=0.98),
    "ant-former": Row("Ant-v5", "former"),
    "cheetah-tqc": Row("HalfCheetah-v5", "halfcheetah_zoo_tqc"),
    "walker-paper": Row("Walker2d-v5", "walker2d_gail_paper"),
    "hopper-paper": Row("Hopper-v5", "hopper_gail_paper", floor=0.97),
    "ant-bundled-obs": Row("Ant-v5", "bundled", observations=True, floor=0.90),
    "humanoid-bundled": Row("Humanoid-v5", "bundled", floor=0.99),
    "ant-paper": Row("Ant-v5", "ant_gail_paper", floor=0.97),
    "ant-bundled-4x20": Row("Ant-v5", "bundled", 4, 20, floor=0.97),
    "humanoid-bundled-x20": Row("Humanoid-v5", "bundled", 1, 20),
    "walker-tqc": Row("Walker2d-v5", "walker2d_zoo_tqc"),
    "hopper-ars": Row("Hopper-v5", "hopper_zoo_ars", floor=0.97),
    "cheetah-paper": Row("HalfCheetah-v5", "halfcheetah_gail_paper"),
    "cheetah-cs285": Row("HalfCheetah-v5", "halfcheetah_cs285_v4"),
    "humanoid-bundled-obs": Row("Humanoid-v5", "bundled", observations=True, floor=0.90),
    "humanoid-paper-obs": Row("Humanoid-v5", "humanoid_gail_paper", observations=True, floor=0.90),
    "cheetah-paper-obs": Row("HalfCheetah-v5", "halfcheetah_gail_paper", observations=True, floor=0.90),
    "walker-paper-obs": Row("Walker2d-v5", "walker2d_gail_paper", observations=True, floor=0.90),
    "hopper-paper-obs": Row("Hopper-v5", "hopper_gail_paper", observations=True, floor=0.90),
}
"""The most important first."""


@cache
def random_return(env_id: str) -> float:
    """Mean return of uniform actions: the reference where there is one, else of 50 episodes."""
    import envs
    import gail_suite as gs
    from gail_suite.showing.scale import Uniform

    known = envs.spec(env_id).random_return
    return known.mean if known else gs.evaluate(Uniform(env_id, 0), env_id, N_EVAL, seed=EVAL_SEED).return_mean


def former_expert() -> Policy:
    """The Ant expert of commit d9cb25d, from this repository's history."""
    import demos

    folder = WORK / "experts" / "former"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("policy.safetensors", "policy.json"):
        content = subprocess.run(["git", "show", f"{FORMER}/{name}"], capture_output=True, check=True, cwd=ROOT).stdout
        (folder / name).write_bytes(content)
    return demos.MlpPolicy.load(folder)


def pool(row: Row, demos_dir: Path) -> Demonstrations:
    """All the demonstrations of a row's demonstrator."""
    import demos

    if row.demonstrator not in ("bundled", "former"):
        shown = demos.from_npz(demos_dir / f"{row.demonstrator}.npz", env_id=row.env)
        return shown
    folder = WORK / "demos" / f"{row.env}-{row.demonstrator}"
    if folder.is_dir() and len(there := demos.load(folder)) >= RECORDED:
        return there[:RECORDED]
    policy = demos.expert(row.env) if row.demonstrator == "bundled" else former_expert()
    return demos.record(policy, row.env, RECORDED, seed=DEMO_SEED, n_envs=RECORDED, deterministic=True, out=folder)


def demonstrations(row: Row, seed: int, demos_dir: Path) -> Demonstrations:
    """Those of one run; each seed begins with another trajectory, as long as there are others."""
    everything = pool(row, demos_dir)
    order = np.random.default_rng(0).permutation(len(everything))
    rows = [int(order[(seed + k) % len(order)]) for k in range(row.n_demos)]
    shown = everything.chosen(rows, take={"n": row.n_demos, "seed": seed, "episodes": rows})
    if row.observations:
        shown = shown.observations_only()
    return shown if row.subsample == 1 else shown.subsample(row.subsample, seed=seed)


def identity(row: Row, algo: str, seed: int) -> tuple[str, ...]:
    """What makes a line of the CSV one of its kind."""
    return row.env, row.demonstrator, row.protocol, str(row.n_demos), algo, str(seed)
