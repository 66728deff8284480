"""Small models of scikit-learn's digits that ship with the package."""

from __future__ import annotations

from pathlib import Path

import torch

from gail_suite.generative.core.checks import hint
from gail_suite.generative.interface.files import load
from gail_suite.generative.interface.model import GenerativeModel

FOLDER = Path(__file__).parents[1] / "pretrained"


def names() -> list[str]:
    """What ``pretrained`` knows."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def pretrained(name: str, device: str | torch.device = "cpu") -> GenerativeModel:
    """A fitted model by name, such as "vae-digits"; ValueError with the nearest one for another name.

    ``python -m benchmarks.pretrained`` fits them.
    """
    if name not in names():
        raise ValueError(f"no pretrained model {name!r}: {hint(name, names())}")
    return load(FOLDER / f"{name}.safetensors", device)
