"""Steps per second of BatchVecEnv, SB3's DummyVecEnv and SubprocVecEnv, and EnvPool: one table from one run.

    python -m venv /tmp/envpool && /tmp/envpool/bin/pip install -r benchmarks/requirements-stepping.txt
    python -m benchmarks.stepping --envpool-python /tmp/envpool/bin/python

Every engine plays uniform random actions with automatic resets. The engines take turns in short slices, and the table
holds the median over slices, so that a load on the machine falls on all of them; the ratio is the median of the ratios
within one round. EnvPool spends a call on every reset; only calls that move the physics are counted, for every engine.
"""

import argparse
import csv
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.records import RESULTS, command, markdown, read_rows

TASKS = ("Ant-v5", "Humanoid-v5")
SIZES = (8, 64)
CSV = RESULTS / "stepping.csv"
INSTALL = "python -m venv DIR && DIR/bin/pip install -r benchmarks/requirements-stepping.txt"

HEADER = f"{'task':12} {'envs':>4}  {'engine':27} {'steps/s':>8}  {'BatchVecEnv over it':>19}"

# Runs in EnvPool's own interpreter: an empty line in asks for a slice, a line out holds its seconds and transitions.
ENVPOOL_WORKER = """
import sys, time, envpool, numpy as np
env_id, n, threads, steps = sys.argv[1], *map(int, sys.argv[2:])
env = envpool.make(env_id, env_type="gymnasium", num_envs=n, num_threads=threads, seed=0)
env.reset()
space, rng = env.action_space, np.random.default_rng(0)
actions = rng.uniform(space.low, space.high, (steps, n, *space.shape))
print(envpool.__version__, flush=True)
for _ in sys.stdin:
    begin, resets = time.perf_counter(), 0
    for row in actions:
        _, _, terminated, truncated, _ = env.step(row)
        resets += int((terminated | truncated).sum())
    print(time.perf_counter() - begin, steps * n - resets, flush=True)
"""


class VecEnvEngine:
    """An SB3 VecEnv that plays slices of random actions."""

    def __init__(self, venv: Any, steps: int) -> None:
        import numpy as np

        self._venv = venv
        self._venv.seed(0)
        self._venv.reset()
        space = venv.action_space
        shape = (steps, venv.num_envs, *space.shape)
        self._actions = np.random.default_rng(0).uniform(space.low, space.high, shape).astype(np.float32)

    def slice(self) -> float:
        """Transitions per second over one slice."""
        begin = time.perf_counter()
        for row in self._actions:
            self._venv.step(row)
        return self._actions.shape[0] * self._actions.shape[1] / (time.perf_counter() - begin)

    def close(self) -> None:
        """Close the environments."""
        self._venv.close()


class EnvPoolEngine:
    """EnvPool in an interpreter of its own, driven over a pipe a slice at a time."""

    def __init__(self, python: str, env_id: str, n_envs: int, threads: int, steps: int) -> None:
        command = [python, "-c", ENVPOOL_WORKER, env_id, str(n_envs), str(threads), str(steps)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self._line()

    def slice(self) -> float:
        """Transitions per second over one slice."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        seconds, transitions = map(float, self._line().split())
        return transitions / seconds

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"EnvPool stopped; install it with: {INSTALL}")
        return line

    def close(self) -> None:
        """End the interpreter."""
        self._process.communicate()


def engines(env_id: str, n_envs: int, args: argparse.Namespace) -> dict[str, Any]:
    """Every engine, ready to play; SubprocVecEnv forks first, while this process has no other thread."""
    from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

    import envs

    steps = max(1, args.steps // n_envs)
    makers: list[Callable[[], Any]] = [lambda: envs.make(env_id) for _ in range(n_envs)]
    envs.make(env_id).close()  # what the task imports, the forked workers then inherit
    subproc = SubprocVecEnv(makers, start_method="fork")
    found = {
        "BatchVecEnv": VecEnvEngine(envs.make_vec(env_id, n_envs, n_threads=args.threads), steps),
        "BatchVecEnv, minimal infos": VecEnvEngine(
            envs.make_vec(env_id, n_envs, n_threads=args.threads, infos="minimal"), steps
        ),
        "DummyVecEnv": VecEnvEngine(DummyVecEnv(makers), steps),
        "SubprocVecEnv": VecEnvEngine(subproc, steps),
    }
    if args.envpool_python:
        found["EnvPool"] = EnvPoolEngine(args.envpool_python, env_id, n_envs, args.threads, steps)
    return found


def measure(env_id: str, n_envs: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """One row an engine: median transitions per second, and BatchVecEnv's lead as the median of paired ratios."""
    ready = engines(env_id, n_envs, args)
    speeds: dict[str, list[float]] = {name: [] for name in ready}
    for engine in ready.values():
        engine.slice()  # warm-up: first touches, and robots that have left the start position
    for _ in range(args.repeats):
        for name, engine in ready.items():
            speeds[name].append(engine.slice())
    for engine in ready.values():
        engine.close()
    own = speeds["BatchVecEnv"]
    return [
        {
            "env": env_id,
            "n_envs": n_envs,
            "engine": name,
            "threads": {"DummyVecEnv": 1, "SubprocVecEnv": n_envs}.get(name, args.threads),
            "steps_per_s": round(statistics.median(values)),
            "slowest": round(min(values)),
            "fastest": round(max(values)),
            "batch_over_this": round(statistics.median(a / b for a, b in zip(own, values, strict=True)), 3),
            "repeats": args.repeats,
            "version": getattr(ready[name], "version", ""),
        }
        for name, values in speeds.items()
    ]


def provenance(argv: list[str]) -> dict[str, Any]:
    """The columns that say where the numbers come from."""
    from gail_suite.runs.runlog import versions

    known = versions()
    shown = [word if Path(word).name == word or "/" not in word else Path(word).name for word in argv]
    return {
        "mujoco": known["mujoco"],
        "machine": f"{known['cpus']} x {known['processor']}",
        "load_before": round(os.getloadavg()[0], 2),
        "commit": known["commit"],
        "command": command(*shown),
    }


def table() -> str:
    """Steps a second and BatchVecEnv's paired ratio, one line a task and size."""
    rows = read_rows(CSV)
    engines = list(dict.fromkeys(r["engine"] for r in rows))
    cells = {(r["env"], r["n_envs"], r["engine"]): r for r in rows}
    lines = []
    for env, n in dict.fromkeys((r["env"], r["n_envs"]) for r in rows):
        found = [cells[env, n, e] for e in engines]
        lines.append([env, n, *(f"{int(r['steps_per_s']):,} ({float(r['batch_over_this']):.2f}x)" for r in found)])
    commits = ", ".join(sorted({r["commit"][:7] for r in rows}))
    measured_on = f"Commit {commits}, {rows[0]['machine']}"
    note = f"\nIn brackets: BatchVecEnv over this engine, median of paired slices. {measured_on}.\n"
    return markdown(["task", "environments", *engines], lines) + note


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--envpool-python", help=f"interpreter that has EnvPool: {INSTALL}")
    parser.add_argument("--threads", type=int, default=2, help="threads of BatchVecEnv and EnvPool")
    parser.add_argument("--steps", type=int, default=2048, help="environment steps in one slice")
    parser.add_argument("--repeats", type=int, default=9, help="slices of every engine")
    parser.add_argument("--out", type=Path, default=CSV, help="CSV to write")
    args = parser.parse_args()
    origin = provenance(sys.argv[1:])
    rows: list[dict[str, Any]] = []
    print(HEADER, flush=True)
    for env_id, n in itertools.product(TASKS, SIZES):
        measured = measure(env_id, n, args)
        show(measured)
        rows += [{**row, **origin} for row in measured]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with args.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    if not args.envpool_python:
        print(
            f"EnvPool was not measured; install it in an environment of its own and name it with --envpool-python:\n  "
            f"{INSTALL}"
        )


def show(rows: list[dict[str, Any]]) -> None:
    """Print lines of the table."""
    for row in rows:
        print(
            f"{row['env']:12} {row['n_envs']:4}  {row['engine']:27} {row['steps_per_s']:8,}  "
            f"{row['batch_over_this']:18.2f}x"
        )


if __name__ == "__main__":
    main()
