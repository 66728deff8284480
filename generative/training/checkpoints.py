"""What a fit resumes from, in a folder: networks, optimisers, the best weights so far, counters."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn

from gail_suite.generative.core.tensors import parsed, read_tensors, write_tensors
from gail_suite.generative.core.types import Settings


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
