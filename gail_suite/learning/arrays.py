"""The state of modules and optimisers as arrays, which checkpoints and learned rewards hold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn


def module_arrays(module: nn.Module, prefix: str) -> dict[str, np.ndarray]:
    """A module's state as arrays named prefix.parameter."""
    return {f"{prefix}.{k}": v.detach().cpu().numpy().copy() for k, v in module.state_dict().items()}


def load_module_arrays(module: nn.Module, arrays: Mapping[str, np.ndarray], prefix: str) -> None:
    """Inverse of `module_arrays`."""
    module.load_state_dict({k: torch.from_numpy(np.array(arrays[f"{prefix}.{k}"])) for k in module.state_dict()})


def optimiser_arrays(optimiser: torch.optim.Optimizer, prefix: str) -> dict[str, np.ndarray]:
    """Adam's moments and step counts as arrays named prefix.index.quantity."""
    states = optimiser.state_dict()["state"]
    return {f"{prefix}.{i}.{k}": v.detach().cpu().numpy().copy() for i, s in states.items() for k, v in s.items()}


def load_optimiser_arrays(optimiser: torch.optim.Optimizer, arrays: Mapping[str, np.ndarray], prefix: str) -> None:
    """Inverse of `optimiser_arrays`; learning rates are kept as they are."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in arrays.items():
        if name.startswith(prefix + "."):
            index, key = name[len(prefix) + 1 :].split(".")
            state.setdefault(int(index), {})[key] = torch.tensor(np.asarray(value))
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
