"""Fits of generative models with checkpoints, broken off and resumed: the model's file is that of one in one go."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

import generative as g
from benchmarks.soak import tracing

STEPS = 12
SMALL = {"batch_size": 8, "checkpoint_every": 2}
MODELS: dict[str, Callable[[], g.GenerativeModel]] = {
    "AutoEncoder": lambda: g.AutoEncoder(latent=2, hidden=4, layers=1, **SMALL),
    "VAE": lambda: g.VAE(latent=2, hidden=4, layers=1, **SMALL),
    "PixelCNN": lambda: g.PixelCNN(features=4, layers=1, **SMALL),
    "PixelRNN": lambda: g.PixelRNN(features=4, hidden=4, layers=1, **SMALL),
    "GAN": lambda: g.GAN(latent=2, hidden=4, layers=1, **SMALL),
    "DCGAN": lambda: g.DCGAN(latent=2, features=2, **SMALL),
    "VQVAE": lambda: g.VQVAE(codes=4, code=2, hidden=4, features=4, layers=1, **SMALL),
}


class Cut(Exception):
    """The end of a fit that is to be resumed."""


class Fit:
    """A fit of one model in a folder of its own, and what it leaves undisturbed."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randint(0, 3, (40, 1, 8, 8), generator=generator) / 2
        self.run(folder / "whole")
        self.expected = (folder / "whole/model.safetensors").read_bytes()

    def run(self, folder: Path, stop: int | None = None) -> None:
        """Fits, or resumes the fit, in `folder`, and saves the model there; Cut after `stop` more steps."""

        def on_step(step: int, scalars: dict[str, float]) -> None:
            if step == stop:
                raise Cut

        checkpoint = folder / "fit"
        resume = any(checkpoint.glob("step_*.safetensors"))
        options = {"steps": STEPS, "progress": False, "device": "cpu", "checkpoint": checkpoint, "resume": resume}
        torch.manual_seed(0)
        fitted = MODELS[self.name]().fit(self.images, seed=0, on_step=on_step, **options)
        fitted.save(folder / "model.safetensors")

    def resumed(self, folder: Path, what: str) -> str | None:
        """Takes the fit up again; what is wrong with its end."""
        try:
            self.run(folder)
        except (ValueError, OSError) as error:
            return f"{self.name}, {what}: {error}"
        if (folder / "model.safetensors").read_bytes() != self.expected:
            return f"{self.name}, {what}: another model"
        if left := [path.name for path in folder.rglob("*.tmp*")]:
            return f"{self.name}, {what}: left {left[0]}"
        shutil.rmtree(folder)
        return None


def cuts(fit: Fit, n: int) -> Iterator[str | None]:
    """Cut after `n` random steps."""
    rng = random.Random(fit.name)
    for i in range(n):
        at, here = rng.randrange(1, STEPS), fit.folder / f"cut-{i}"
        try:
            fit.run(here, at)
        except Cut:
            yield fit.resumed(here, f"cut after step {at}")


def faults(fit: Fit, fault: tracing.Fault, share: float) -> Iterator[str | None]:
    """`fault` at every system call that writes a fit's files, or at a share of them."""
    counted = fit.folder / f"counted-{fault}"
    calls = range(1, tracing.run(lambda: fit.run(counted), counted, fault=fault).calls + 1)
    rng = random.Random(f"{fit.name} {fault}")
    for at in calls if share >= 1 else sorted(rng.sample(calls, max(1, round(share * len(calls))))):
        here, what = fit.folder / f"{fault}-{at}", f"{fault} at call {at} of {len(calls)}"
        ended = tracing.run(lambda here=here: fit.run(here), here, at, fault)
        if fault == "full" and (ended.error is None or "\n" in ended.error or str(here) not in ended.error):
            yield f"{fit.name}, {what}: {ended.error}"
        else:
            yield fit.resumed(here, what)
