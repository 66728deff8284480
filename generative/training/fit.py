"""The two training loops of every neural model: ``fit_likelihood`` and ``fit_adversarial``.

Both draw minibatches and noise from (seed, step) alone, so a run resumed from a checkpoint equals, bit for bit, the run
that was never interrupted, provided ``steps`` (the horizon of the schedule) is the same.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gail_suite.generative.core.backend import full_precision, own_draws
from gail_suite.generative.core.types import Settings
from gail_suite.generative.data.rows import Rows
from gail_suite.generative.training.checkpoints import TrainingState, snapshot
from gail_suite.generative.training.meter import Meter
from gail_suite.generative.training.muon import Muon
from gail_suite.generative.training.options import FitOptions
from gail_suite.generative.training.recipe import Recipe, learning_rate
from gail_suite.generative.training.steps import (
    Batches,
    TrainingDiverged,
    Watch,
    average_into,
    seed_step,
    training_precision,
)

Loss = Callable[[Tensor, Tensor | None], Tensor]
"""(x, y) -> loss of each sample, shape (B,); noise comes from ``own_generator``, which the loop seeds."""
Labelled = tuple[Tensor, Tensor | None]


def fit_likelihood(
    net: nn.Module,
    loss: Loss,
    data: Labelled,
    val: Labelled,
    options: FitOptions,
    recipe: Recipe,
) -> float:
    """Minimise the mean of ``loss`` over ``data``, stop early on ``val``, leave the best weights in ``net``.

    On ``val`` it is evaluated in float32, in eval mode, with fixed noise. Returns the best held-out
    loss. Raises TrainingDiverged when a number stops being finite; then, and after Ctrl-C, the last good weights are in
    ``net``.
    """
    average = copy.deepcopy(net) if recipe.ema else net
    optimiser = _optimiser(net, recipe)
    state = TrainingState({"net": net, "average": average} if recipe.ema else {"net": net}, {"net": optimiser})
    steps = options.steps or recipe.steps
    batches = Batches(len(data[0]), recipe.batch_size, options.seed, data[0].device)
    watch = Watch(steps, options.device, options.ranks, batches.size)
    counters = _begin(state, options, steps)
    scalars: dict[str, float] = {}
    net.train()
    try:
        with (
            own_draws(options.seed, options.device, options.ranks.rank, options.ranks.world, batches.size),
            _ahead(data[0], options, recipe, counters["step"], steps),
            Meter(steps, counters["step"], options.progress) as meter,
        ):
            for step in range(counters["step"], steps):
                if recipe.patience and counters["since_best"] >= recipe.patience:
                    break
                x, y = _batch(data, options.ranks.part(batches(step)), options.device)
                seed_step(options.seed, step)
                with training_precision(recipe.precision, options.device):
                    mean = loss(x, y).mean()
                rate = learning_rate(recipe, step, steps)
                mean = watch.descend(mean, net, optimiser, rate, recipe.clip, x, step)
                if recipe.ema:
                    average_into(average, net, recipe.ema, step)
                if watch.looks(step):
                    scalars["loss"] = float(mean)
                if (step + 1) % recipe.eval_every == 0 or step + 1 == steps:
                    scalars["held_out"] = _keep_best(state, net, average, loss, val, options.seed, recipe)
                _end_of_step(state, step, steps, scalars, options, recipe, meter)
    except (TrainingDiverged, KeyboardInterrupt):
        net.load_state_dict(state.best or average.state_dict())
        raise
    finally:
        net.eval()
    if state.best:
        net.load_state_dict(state.best)
    return float(counters["best_loss"])


def fit_adversarial(
    generator: nn.Module,
    critic: nn.Module,
    average: nn.Module,
    critic_loss: Loss,
    generator_loss: Loss,
    data: Labelled,
    options: FitOptions,
    recipe: Recipe,
) -> None:
    """Alternate one step on the mean of ``critic_loss`` and one on the mean of ``generator_loss``.

    ``average`` follows ``generator`` with decay ``recipe.ema`` (0 copies it). There is no held-out criterion, so no
    early stop. Raises TrainingDiverged when a number stops being finite.
    """
    nets = {"critic": critic, "generator": generator}
    optimisers = {name: _optimiser(net, recipe) for name, net in nets.items()}
    state = TrainingState({**nets, "average": average}, optimisers)
    steps = options.steps or recipe.steps
    batches = Batches(len(data[0]), recipe.batch_size, options.seed, data[0].device)
    watch = Watch(steps, options.device, options.ranks, batches.size)
    counters = _begin(state, options, steps)
    losses = {"critic": critic_loss, "generator": generator_loss}
    scalars: dict[str, float] = {}
    critic.train()
    generator.train()
    try:
        with (
            own_draws(options.seed, options.device, options.ranks.rank, options.ranks.world, batches.size),
            _ahead(data[0], options, recipe, counters["step"], steps),
            Meter(steps, counters["step"], options.progress) as meter,
        ):
            for step in range(counters["step"], steps):
                x, y = _batch(data, options.ranks.part(batches(step)), options.device)
                seed_step(options.seed, step)
                for name, net in nets.items():
                    with training_precision(recipe.precision, options.device):
                        mean = losses[name](x, y).mean()
                    rate = learning_rate(recipe, step, steps)
                    mean = watch.descend(mean, net, optimisers[name], rate, recipe.clip, x, step)
                    if watch.looks(step):
                        scalars[name] = float(mean)
                average_into(average, generator, recipe.ema, step)
                _end_of_step(state, step, steps, scalars, options, recipe, meter)
    finally:
        for net in (critic, generator, average):
            net.eval()


@torch.no_grad()
def held_out_loss(net: nn.Module, loss: Loss, val: Labelled, seed: int, batch_size: int = 256) -> float:
    """Mean of ``loss`` over ``val`` in float32 and eval mode, with noise that depends on ``seed`` alone."""
    training, device = net.training, next(net.parameters()).device
    net.eval()
    chunks = torch.arange(len(val[0]), device=val[0].device).split(batch_size)
    with own_draws(seed, device), full_precision():
        seed_step(seed, -1)
        total = torch.stack([loss(*_batch(val, chunk, device)).double().sum() for chunk in chunks]).sum()
    net.train(training)
    return float(total) / len(val[0])


def _keep_best(
    state: TrainingState, net: nn.Module, average: nn.Module, loss: Loss, val: Labelled, seed: int, recipe: Recipe
) -> float:
    """Evaluate the averaged weights (in ``net``, to which ``loss`` refers) and remember them if they are the best."""
    raw = snapshot(net) if recipe.ema else {}
    if recipe.ema:
        net.load_state_dict(average.state_dict())
    held_out = held_out_loss(net, loss, val, seed)
    if math.isfinite(held_out) and held_out < state.counters["best_loss"]:
        state.best, state.counters["best_loss"], state.counters["since_best"] = snapshot(net), held_out, 0
    else:
        state.counters["since_best"] += 1
    if recipe.ema:
        net.load_state_dict(raw)
    return held_out


def _end_of_step(
    state: TrainingState,
    step: int,
    steps: int,
    scalars: dict[str, float],
    options: FitOptions,
    recipe: Recipe,
    meter: Meter,
) -> None:
    state.counters["step"] = step + 1
    if options.checkpoint and options.ranks.first and ((step + 1) % recipe.checkpoint_every == 0 or step + 1 == steps):
        state.save(options.checkpoint)
    meter.update(step + 1, scalars)
    if options.on_step:
        options.on_step(step + 1, dict(scalars))


def _optimiser(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimiser == "muon":
        return Muon(net, lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay)
    return torch.optim.AdamW(net.parameters(), lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay)


def _begin(state: TrainingState, options: FitOptions, steps: int) -> Settings:
    """The counters to start from: those of the checkpoint with ``resume``; without, ValueError where one is in the
    way.
    """
    folder = options.checkpoint
    state.run = options.run
    if options.resume:
        if folder is None:
            raise ValueError("resume needs the checkpoint folder of the run to continue: fit(..., checkpoint=FOLDER)")
        state.restore(folder)
        if state.counters["step"] > steps:
            raise ValueError(
                f"the newest checkpoint of {folder} has made {state.counters['step']} steps, more than steps={steps}: "
                "give more"
            )
    elif folder is not None and (found := sorted(folder.glob("step_*.safetensors"))):
        raise ValueError(
            f"{folder} holds {len(found)} checkpoints, the newest {found[-1].name}: continue with resume, or give "
            "an empty folder"
        )
    return state.counters


def _batch(data: Labelled, index: Tensor, device: torch.device) -> Labelled:
    """The rows ``index`` of the data, on ``device``."""
    x, y = data
    if isinstance(x, Rows) and y is not None:
        x, y = x.both(index)
        return x.to(device), None if y is None else y.to(device)
    return x[index].to(device, non_blocking=True), None if y is None else y[index].to(device, non_blocking=True)


def _ahead(
    x: Tensor, options: FitOptions, recipe: Recipe, first: int, steps: int
) -> contextlib.AbstractContextManager[None]:
    """Rows that workers read are read before their step comes."""
    if not isinstance(x, Rows):
        return contextlib.nullcontext()
    batches = Batches(len(x), recipe.batch_size, options.seed, x.device)
    return x.ahead(options.ranks.part(batches(step)) for step in range(first, steps))
