"""Every model and both learners on a GPU: checked against the processor, timed against one of its threads, in one run.

    python -m benchmarks.gpu            # under eight minutes; appends to results/gpu.csv; exit code 2 where there is no
    GPU

For a model `error` is the largest difference of the errors behind typicality (negative log-likelihoods, reconstruction
errors, critics) between the processor and the GPU, relative to their spread; for the learners that of actions and of
held-out errors.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

import generative as g
from benchmarks.records import RESULTS, append_row, command, commit, machine

COLUMNS = ("what", "gpu", "machine", "check", "error", "gpu_per_s", "cpu_per_s", "speedup", "commit", "command")
MODELS: dict[str, Callable[[], g.GenerativeModel]] = {
    "GaussianMixture": lambda: g.GaussianMixture(8, covariance_type="mfa", n_factors=4, max_iter=20),
    "BayesianGaussianMixture": lambda: g.BayesianGaussianMixture(4, max_iter=20),
    "PixelCNN": lambda: g.PixelCNN(),
    "PixelRNN": lambda: g.PixelRNN(),
    "AutoEncoder": lambda: g.AutoEncoder(),
    "VAE": lambda: g.VAE(),
    "VQVAE": lambda: g.VQVAE(),
    "GAN": lambda: g.GAN(),
    "DCGAN": lambda: g.DCGAN(),
}
STEPS = 200
"""Timed training steps on the GPU; the processor makes a tenth of them."""
TOLERANCE = 2e-3
"""Of `error`: float32 products in another order."""


def per_second(work: Callable[[], Any], units: int, device: str) -> float:
    """Units of work a second, waiting for the device to have done them."""
    began = time.perf_counter()
    work()
    if hasattr(getattr(torch, device), "synchronize"):
        getattr(torch, device).synchronize()
    return units / (time.perf_counter() - began)


def check_model(name: str, x: torch.Tensor, device: str, steps: int = STEPS) -> tuple[float, dict[str, float]]:
    """Fit on both devices, compare one model on both, and use the other where it was fitted: error and speeds."""
    made = {kind: MODELS[name]() for kind in (device, "cpu")}
    speeds = {}
    for kind, model in made.items():
        model.fit(x, steps=1, device=kind, progress=False)  # start-up: kernels, allocator
        n = steps if kind == device else max(1, steps // 10)
        speeds[kind] = per_second(lambda m=model, k=kind, n=n: m.fit(x, steps=n, device=k, progress=False), n, kind)
    there = made[device]
    for result in (there.sample(8, seed=0), g.inpaint(there, x[:2], torch.arange(x.shape[2])[:, None] < 5)):
        if result.device.type != device or not bool(torch.isfinite(result).all()):
            raise RuntimeError(f"{name}: results on {result.device} or not finite")
    here = made["cpu"].error(x[:300])
    moved = made["cpu"].to(device).error(x[:300]).cpu()
    return float((moved - here).abs().max() / here.std()), speeds


def check_critic(device: str, updates: int = STEPS) -> tuple[float, dict[str, float]]:
    """Soft actor-critic with the sizes of Ant: the same actions from the same weights, and updates a second."""
    from gail_suite.learning.replay import Window
    from gail_suite.learning.sac import SAC, SACConfig

    c, speeds, acts = SACConfig(), {}, {}
    for kind in (device, "cpu"):
        torch.manual_seed(0)
        generator = torch.Generator().manual_seed(0)
        x, a = torch.randn(c.batch_size, c.n_step, 105), torch.rand(c.batch_size, c.n_step, 8) * 2 - 1
        rewards, none = torch.rand(c.batch_size, c.n_step), torch.zeros(c.batch_size, c.n_step)
        window = Window(x, a, x + 0.1, rewards, none, none + 1)
        learner = SAC(105, 8, c, kind)
        acts[kind] = learner.actor.mode(x[:, 0].to(kind)).detach().cpu()
        learner.update(window, rewards, generator)
        speeds[kind] = per_second(
            lambda v=learner, w=window, r=rewards, q=generator: [v.update(w, r, q) for _ in range(updates)],
            updates,
            kind,
        )
    return float((acts[device] - acts["cpu"]).abs().max()), speeds


def check_cloning(device: str, steps: int = 10 * STEPS) -> tuple[float, dict[str, float]]:
    """Cloning of a linear expert: the held-out errors differ by little, and steps a second."""
    from gail_suite.algorithms.bc import BCConfig, clone
    from gail_suite.learning.networks import Actor

    config, speeds, errors = BCConfig(steps=steps), {}, {}
    for kind in (device, "cpu"):
        torch.manual_seed(0)
        x = torch.randn(2000, 27)
        actions = (x @ torch.randn(27, 8) / 8).tanh()
        actor = Actor(27, 8, config.hidden).to(kind)
        info: dict[str, float] = {}
        speeds[kind] = per_second(
            lambda a=actor, x=x, y=actions, i=info: i.update(clone(a, x, y, config, torch.Generator().manual_seed(0))),
            steps,
            kind,
        )
        errors[kind] = info["bc_held_out"]
    return abs(errors[device] - errors["cpu"]), speeds


def main() -> int:
    """Command line; 2 where there is no GPU, 1 where a check fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, default=RESULTS / "gpu.csv")
    a = parser.parse_args()
    if not torch.cuda.is_available():
        print("no GPU: torch sees no CUDA device, so there is nothing to check", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    x = g.data.load("digits").x_train
    checks: dict[str, Callable[[], tuple[float, dict[str, float]]]] = {
        name: partial(check_model, name, x, "cuda") for name in MODELS
    }
    checks |= {"soft actor-critic": partial(check_critic, "cuda"), "cloning": partial(check_cloning, "cuda")}
    wrong = []
    for what, check in checks.items():
        try:
            error, speeds = check()
            verdict = "agrees" if error < TOLERANCE else "differs"
        except (RuntimeError, ValueError, TypeError) as problem:  # one that fails must not hide the others
            error, speeds, verdict = float("nan"), {}, f"{type(problem).__name__}: {str(problem).splitlines()[0]}"
        wrong += [] if verdict == "agrees" else [what]
        gpu, cpu = speeds.get("cuda", float("nan")), speeds.get("cpu", float("nan"))
        numbers = {"error": error, "gpu_per_s": gpu, "cpu_per_s": cpu, "speedup": gpu / cpu}
        row = {"what": what, "gpu": torch.cuda.get_device_name(), "machine": machine(), "check": verdict}
        append_row(
            a.csv,
            COLUMNS,
            row | {k: f"{v:.4g}" for k, v in numbers.items()} | {"commit": commit(), "command": command()},
        )
        print(f"{what}: {verdict}", *(f"{k} {v:.4g}" for k, v in numbers.items()), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
