"""The parts both training loops of ``fit`` share: recipe, minibatches, learning rate, averages, checkpoints,
progress."""

from __future__ import annotations

import contextlib
import difflib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal, Self, get_args, get_type_hints

import msgspec
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from gail_suite.generative.core.backend import fast_matmul, has_fast_bf16, reseed, rounding_allowed
from gail_suite.generative.core.checks import check_sizes
from gail_suite.generative.core.tensors import parsed, read_tensors, write_tensors
from gail_suite.generative.core.types import Settings
from gail_suite.generative.training.ranks import Ranks


class TrainingDiverged(ValueError):
    """A loss, a gradient or an input stopped being finite; the message names which."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained."""

    steps: int = 2000
    """Optimiser steps when fit is not told otherwise; also the horizon of the cosine schedule."""
    batch_size: int = 64
    """Samples in one minibatch."""
    lr: float = 1e-3
    """Learning rate after warm-up."""
    final_lr: float = 0.01
    """Learning rate at the last step, as a fraction of ``lr``."""
    warmup: int = 100
    """Steps over which the learning rate rises linearly from zero."""
    optimiser: Literal["adamw", "muon"] = "adamw"
    """``muon`` moves matrices and kernels by orthogonalised momentum (see ``muon.Muon``) and the rest by AdamW."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of AdamW's first and second moments."""
    weight_decay: float = 0.0
    """Decoupled weight decay."""
    clip: float = 1.0
    """Largest global gradient norm; infinity leaves gradients as they are."""
    ema: float = 0.0
    """Decay of the exponential moving average of the weights; 0 switches it off."""
    eval_every: int = 200
    """Steps between two evaluations on held-out data."""
    patience: int = 10
    """Evaluations without improvement after which training stops; 0 never stops."""
    checkpoint_every: int = 1000
    """Steps between two checkpoints, where a checkpoint folder is given."""
    precision: Literal["float32", "fast", "bfloat16"] = "fast"
    """Arithmetic of training: ``fast`` rounds the inputs of products to bfloat16 where the hardware has them,
    ``bfloat16`` keeps activations in it too (autocast), ``float32`` does neither. Held-out losses are always
    float32."""


def check_training(name: str, options: Settings) -> Settings:
    """``options`` of the model class ``name`` that are fields of Recipe; ValueError with the nearest field for any
    other, and for a value that it cannot have."""
    known = [field.name for field in fields(Recipe)]
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            raise ValueError(
                f"{name} has no option {option!r}{f': did you mean {near[0]!r}?' if near else ''} "
                f"(training options: {', '.join(known)})"
            )
    hints = get_type_hints(Recipe)
    for option in ("optimiser", "precision"):
        if option in options and options[option] not in get_args(hints[option]):
            raise ValueError(f"unknown {option} {options[option]!r}: use one of {', '.join(get_args(hints[option]))}")
    check_sizes(
        **{
            option: options[option]
            for option in ("steps", "batch_size", "eval_every", "checkpoint_every")
            if option in options
        }
    )
    for option in ("lr", "final_lr", "warmup", "weight_decay", "patience"):
        if not options.get(option, 0) >= 0:
            raise ValueError(f"{option} must be 0 or more, got {options[option]}")
    if not options.get("clip", 1) > 0:
        raise ValueError(
            f"clip is the largest norm of a gradient, above 0 (infinity leaves gradients alone), got {options['clip']}"
        )
    if not 0 <= options.get("ema", 0) < 1:
        raise ValueError(f"ema is a decay in [0, 1), got {options['ema']}")
    betas = options.get("betas", (0.9, 0.999))
    if not (
        isinstance(betas, list | tuple)
        and len(betas) == 2
        and all(isinstance(b, int | float) and 0 <= b < 1 for b in betas)
    ):
        raise ValueError(f"betas are two decays in [0, 1), got {betas}")
    return options


def changed(recipe: Recipe, config: Settings) -> Recipe:
    """``recipe`` with the fields that a model's ``config`` names."""
    return replace(recipe, **{field.name: config[field.name] for field in fields(Recipe) if field.name in config})


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Linear warm-up, then a cosine from ``lr`` to ``lr * final_lr`` at the last of ``steps``, per step and not per
    epoch."""
    warm = min(1.0, (step + 1) / max(1, min(recipe.warmup, steps // 2)))
    cosine = 0.5 * (1.0 + math.cos(math.pi * step / max(1, steps)))
    return recipe.lr * warm * (recipe.final_lr + (1.0 - recipe.final_lr) * cosine)


def seed_step(seed: int, step: int) -> None:
    """Seed the thread's ``own_draws`` from (seed, step) alone, so that a resumed step draws what the first run drew."""
    reseed((seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9) & (2**63 - 1))


class Batches:
    """Minibatch indices as a function of the step: every epoch is its own seeded permutation of ``n`` samples.

    They are on ``device``, where they are put once an epoch.
    """

    def __init__(self, n: int, batch_size: int, seed: int, device: torch.device) -> None:
        self.n, self.size, self.seed, self.device = n, min(batch_size, n), seed, device
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def __call__(self, step: int) -> Tensor:
        """The rows of minibatch ``step``."""
        epoch, k = divmod(step, max(1, self.n // self.size))
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) & (2**63 - 1))
            self._epoch, self._order = epoch, torch.randperm(self.n, generator=generator).to(self.device)
        return self._order[k * self.size : (k + 1) * self.size]


@contextlib.contextmanager
def training_precision(precision: str, device: torch.device) -> Iterator[None]:
    """The arithmetic that ``Recipe.precision`` names, where this hardware gains from it."""
    if precision == "bfloat16" and has_fast_bf16(device) and rounding_allowed():
        with torch.autocast(device.type, torch.bfloat16):
            yield
    else:
        with fast_matmul(device, False if precision == "float32" else None):
            yield


@torch.no_grad()
def average_into(average: nn.Module, net: nn.Module, decay: float, step: int) -> None:
    """average <- d * average + (1 - d) * net with d = min(decay, (1 + step) / (10 + step)); counters are copied."""
    d = min(decay, (1 + step) / (10 + step))
    targets, sources = average.state_dict(), net.state_dict()
    for name, target in targets.items():
        if target.is_floating_point():
            target.lerp_(sources[name], 1.0 - d)
        else:
            target.copy_(sources[name])


class Watch:
    """Clipped optimiser steps that stop where a number is not finite, without waiting for a device at every step.

    On a processor TrainingDiverged is raised before any weight changes. A device runs ahead of the host: there a
    gradient that is not finite counts as zero, and the host looks every LOOK_EVERY steps whether there was one.
    """

    LOOK_EVERY = 25

    def __init__(self, steps: int, device: torch.device, ranks: Ranks, batch: int) -> None:
        self.steps, self.waits, self.ranks, self.batch = steps, device.type != "cpu", ranks, batch
        self._bad = torch.zeros((), dtype=torch.bool, device=device)

    def looks(self, step: int) -> bool:
        """Whether the host looks at the device's numbers after ``step``."""
        return not self.waits or (step + 1) % self.LOOK_EVERY == 0 or step + 1 == self.steps

    def descend(
        self,
        loss: Tensor,
        net: nn.Module,
        optimiser: torch.optim.Optimizer,
        lr: float,
        clip: float,
        x: Tensor,
        step: int,
    ) -> Tensor:
        """One step on ``loss``, the mean over ``x``; that over the whole minibatch, which other processes may share."""

        def backward() -> Tensor:
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            return self.ranks.average(net, loss, len(x), self.batch)

        if not self.waits:
            return descend(loss, backward, net, optimiser, lr, clip, x, step)
        mean = backward()
        norm = nn.utils.clip_grad_norm_(net.parameters(), clip)
        fine = torch.isfinite(norm) & torch.isfinite(loss.detach())
        self._bad |= ~fine
        for p in net.parameters():
            if p.grad is not None:
                p.grad = torch.where(fine, p.grad, 0.0)
        _advance(optimiser, lr)
        if self.looks(step) and bool(self._bad):
            raise _diverged(f"by step {step}", "a loss or a gradient", lr)
        return mean


def _diverged(when: str, what: str, lr: float) -> TrainingDiverged:
    return TrainingDiverged(
        f"{when}: {what} is not finite; the last good weights are kept. Lower lr (now {lr:.3g}) or check the data"
    )


def _advance(optimiser: torch.optim.Optimizer, lr: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = lr
    optimiser.step()


def descend(
    loss: Tensor,
    backward: Callable[[], Tensor],
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    lr: float,
    clip: float,
    x: Tensor,
    step: int,
) -> Tensor:
    """One clipped optimiser step on the gradients that ``backward`` makes of ``loss``, and what it returns;
    TrainingDiverged, before any weight changes, where a number is not finite."""
    if not torch.isfinite(loss):
        place = "the input" if not torch.isfinite(x).all() else "the loss"
        raise _diverged(f"step {step}", place, lr)
    mean = backward()
    norm = nn.utils.clip_grad_norm_(net.parameters(), clip)
    if not torch.isfinite(norm):
        bad = [name for name, p in net.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
        place = f"parameter {bad[0]}" if bad else "all parameters together (overflow of the norm)"
        raise _diverged(f"step {step}", f"the gradient of {place}", lr)
    _advance(optimiser, lr)
    return mean


def snapshot(net: nn.Module) -> dict[str, Tensor]:
    """A copy of the network's tensors."""
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}


class Counters(msgspec.Struct):
    """How far a fit is; infinity is no loss yet."""

    step: Annotated[int, msgspec.Meta(ge=0)]
    best_loss: float
    since_best: Annotated[int, msgspec.Meta(ge=0)]


class TrainingState:
    """Everything that a resumed run needs: networks, optimisers, the best weights so far, and counters (JSON
    values)."""

    def __init__(self, nets: dict[str, nn.Module], optimisers: dict[str, torch.optim.Optimizer]) -> None:
        self.nets, self.optimisers = nets, optimisers
        self.run: Settings = {}
        """What must be the same in a checkpoint that is restored (JSON values)."""
        self.best: dict[str, Tensor] = {}
        self.counters: Settings = {"step": 0, "best_loss": math.inf, "since_best": 0}

    def save(self, folder: Path) -> None:
        """Write one checkpoint file and keep the newest two."""
        tensors = {f"best/{name}": tensor for name, tensor in self.best.items()}
        for key, net in self.nets.items():
            tensors |= {f"net/{key}/{name}": tensor for name, tensor in net.state_dict().items()}
        for key, optimiser in self.optimisers.items():
            for index, slots in optimiser.state_dict()["state"].items():
                tensors |= {f"opt/{key}/{index}/{slot}": torch.as_tensor(value) for slot, value in slots.items()}
        target = folder / f"step_{self.counters['step']:09d}.safetensors"
        write_tensors(target, tensors, {"counters": json.dumps(self.counters), "run": json.dumps(self.run)})
        for leftover in folder.glob("step_*.tmp"):  # of a killed fit; `fit` holds the folder's lock
            leftover.unlink()
        for old in sorted(folder.glob("step_*.safetensors"))[:-2]:
            old.unlink()

    def restore(self, folder: Path) -> None:
        """Load the newest readable checkpoint of ``folder``; ValueError when there is none, or it is of another run."""
        problems = []
        for source in sorted(folder.glob("step_*.safetensors"), reverse=True):
            try:
                header, tensors = read_tensors(source)
            except ValueError as error:
                problems.append(str(error))
                continue
            self._compare(parsed(header.get("run", "{}"), Settings, f"{source}: run"), source)
            self._set(tensors, source)
            self.counters = parsed(header.get("counters", ""), Counters, f"{source}: counters")
            return
        raise ValueError(
            f"no readable checkpoint in {folder} ({'; '.join(problems) or 'no step_*.safetensors file'}): "
            "start without resume"
        )

    def _compare(self, run: Settings, source: Path) -> None:
        """ValueError where the ``run`` that wrote ``source`` is not this one; older checkpoints do not say."""
        ours = json.loads(json.dumps(self.run))
        names = (run.keys() | ours.keys()) - {"steps"}  # which may be more now
        differ = [name for name in names if run.get(name) != ours.get(name)] if run and ours else []
        if differ:
            shown = ", ".join(f"{name} {run.get(name)} there and {ours.get(name)} here" for name in sorted(differ))
            raise ValueError(
                f"{source} is of another run ({shown}): repeat that run's settings and data, or start in an "
                "empty folder without resume"
            )

    def _set(self, tensors: dict[str, Tensor], source: Path) -> None:
        """ValueError where the tensors are not those of these networks and optimisers."""
        try:
            self._set_all(tensors)
        except (RuntimeError, KeyError, ValueError) as error:
            raise ValueError(
                f"{source} does not fit this model ({str(error).splitlines()[0]}): start without resume"
            ) from None

    def _set_all(self, tensors: dict[str, Tensor]) -> None:
        self.best = {name[5:]: tensor for name, tensor in tensors.items() if name.startswith("best/")}
        for key, net in self.nets.items():
            prefix = f"net/{key}/"
            net.load_state_dict({n[len(prefix) :]: t for n, t in tensors.items() if n.startswith(prefix)})
        for key, optimiser in self.optimisers.items():
            slots: dict[int, dict[str, Tensor]] = {}
            for name, tensor in tensors.items():
                if name.startswith(f"opt/{key}/"):
                    _, _, index, slot = name.split("/")
                    slots.setdefault(int(index), {})[slot] = tensor
            optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})


class Meter:
    """Progress on standard error: a bar on a terminal, one line that is written over in a notebook, a plain line every
    few seconds elsewhere, nothing when disabled."""

    def __init__(self, total: int, start: int, enabled: bool, every_s: float = 5.0, unit: str = "step") -> None:
        self.total, self.start, self.every_s, self.unit = total, start, every_s, unit
        self._bar = (
            Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                transient=True,
            )
            if enabled and sys.stderr.isatty()
            else None
        )
        self._plain = enabled and self._bar is None
        self._over = type(sys.stderr).__module__.startswith("ipykernel")
        self._width = 0
        if self._over:
            self.every_s = min(every_s, 0.5)
        self._began = self._last = time.monotonic()

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.console.file = sys.stderr
            self._task = self._bar.add_task(
                "training" if self.unit == "step" else self.unit, total=self.total, completed=self.start
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._width:
            print(file=sys.stderr, flush=True)

    def update(self, done: int, scalars: dict[str, float]) -> None:
        """Show that ``done`` steps are made, with the latest scalars."""
        text = " ".join(f"{name} {value:.4g}" for name, value in scalars.items())
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=text or self.unit)
        elif self._plain and (now - self._last >= self.every_s or (done == self.total and self.unit == "step")):
            rate = (done - self.start) / max(1e-9, now - self._began)
            self._last = now
            left = (self.total - done) / max(rate, 1e-9)
            rates = f"{rate:.1f} steps/s " if self.unit == "step" else ""
            self._say(f"{self.unit} {done}/{self.total} {text} {rates}ETA {left:.0f} s")

    def _say(self, line: str) -> None:
        if not self._over:
            print(line, file=sys.stderr, flush=True)
            return
        print("\r" + line.ljust(self._width), end="", file=sys.stderr, flush=True)
        self._width = len(line)
