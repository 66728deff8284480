"""Where the time of GAIL's learner goes, and what compiling it or multiplying in float32 would change.

    python -m benchmarks.update_speed            # rewrites results/update_speed.csv; compiling takes minutes

Processor milliseconds of all threads, median of repeats, on Ant-v5 with one demonstrated trajectory and the default
sizes. Each figure is taken with matrices multiplied through bfloat16 (where the processor has tiles for it, as in
training), in float32, and after torch.compile of actor and critics.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks import few_demos
from benchmarks.records import append_row, command, commit, machine

CSV = few_demos.CSV.parent / "update_speed.csv"
COLUMNS = ("part", "per_update", "variant", "cpu_ms", "compile_s", "machine", "commit", "command")
REPEATS, WARM_UP = 200, 20


def milliseconds(call: Callable[[], object]) -> float:
    """Median processor time of a call."""
    times = []
    for _ in range(WARM_UP + REPEATS):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return statistics.median(times[WARM_UP:]) * 1e3


def collected() -> Any:
    """A run with 4,000 steps in its replay and no update yet."""
    import gail_suite as gs

    config = gs.few_steps()
    config = dataclasses.replace(config, loop=dataclasses.replace(config.loop, updates_per_step=0.0, eval_every=10**9))
    run = gs.GAIL("Ant-v5", few_demos.demonstrations(few_demos.ROWS["ant-1"], 0), config, 0)
    run.loop.train(4000)
    return run


def parts(run: Any) -> dict[str, tuple[float, Callable[[], object]]]:
    """What an update consists of: how often it happens per update, and a call of it."""
    import gail_suite as gs

    loop, adversary = run.loop, run.objective
    sac, c = loop.sac, run.config
    window = loop.replay.sample(c.sac.batch_size, c.sac.n_step, loop.generator)
    rewards, inputs = adversary.rewards(window), adversary.learner_inputs(loop.generator)
    steps_per_update = 1 / gs.few_steps().loop.updates_per_step

    def update(count: int) -> None:
        sac.updates = count
        sac.update(window, rewards, loop.generator, **inputs)

    def discriminator() -> None:
        adversary.calls = c.adversary.every - 1
        adversary.update(loop.replay, loop.generator)

    even = c.sac.burn_in * 10 // c.sac.actor_delay * c.sac.actor_delay
    actions = loop._actions()
    return {
        "critics": (1 - 1 / c.sac.actor_delay, lambda: update(even)),  # becomes odd: no actor step
        "critics and actor": (1 / c.sac.actor_delay, lambda: update(even - 1)),
        "discriminator": (1 / c.adversary.every, discriminator),
        "rewards of a batch": (1.0, lambda: adversary.rewards(window)),
        "batches from the replay": (1.0, lambda: loop.replay.sample(c.sac.batch_size, c.sac.n_step, loop.generator)),
        "actions of 8 environments": (steps_per_update / c.loop.n_envs, loop._actions),
        "a step of 8 environments": (steps_per_update / c.loop.n_envs, lambda: loop._step(actions)),
    }


def compiled(run: Any) -> float:
    """Compiles actor and critics in place; seconds until both kinds of update have run."""
    import torch

    sac = run.loop.sac
    for module in (sac.critic, sac.target):
        module.forward = torch.compile(module.forward)
    sac.actor.sample = torch.compile(sac.actor.sample)
    start, calls = time.perf_counter(), parts(run)
    for name in ("critics", "critics and actor") * 2:
        calls[name][1]()
    return time.perf_counter() - start


def main() -> None:
    """Measures and rewrites the CSV."""
    import torch

    torch.set_num_threads(1)
    from gail_suite.learning.cpu import cpu_settings

    run, rows = collected(), []
    for variant, matmul in (("as in training", "auto"), ("float32", "float32"), ("compiled", "auto")):
        with cpu_settings(matmul):
            seconds = round(compiled(run), 1) if variant == "compiled" else ""
            for name, (share, call) in parts(run).items():
                if variant == "as in training" or name.startswith("critics"):
                    rows.append(
                        {
                            "part": name,
                            "per_update": share,
                            "variant": variant,
                            "cpu_ms": round(milliseconds(call), 3),
                            "compile_s": seconds,
                        }
                    )
                    print(rows[-1], flush=True)
    CSV.unlink(missing_ok=True)
    for row in rows:
        append_row(
            CSV,
            COLUMNS,
            row
            | {
                "machine": machine(),
                "commit": commit(),
                "command": command(),
            },
        )


if __name__ == "__main__":
    main()
