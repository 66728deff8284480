"""Draws the pictures of docs/priors.md: typicality of the expert and of others, a random and a curious walk, frames of the toy.

    python benchmarks/prior_pictures.py [typicality] [exploration] [frames]
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
IMAGES = ROOT / "docs" / "images"


def typicality() -> None:
    """How the scores of a mixture fitted to 4 Ant trajectories spread over transitions of the expert and of others."""
    from prior_scores import FIT, recorded

    from gail_suite.priors import fit_prior
    from gail_suite.typicality import score

    expert = recorded("Ant-v5", "expert")
    prior = fit_prior(expert[:FIT], "gmm", n_components=8)
    names = {"held-out expert": expert[FIT:], "first action held at 0": recorded("Ant-v5", "frozen"),
             "action noise 0.3": recorded("Ant-v5", "noise"), "random": recorded("Ant-v5", "random")}
    figure, axis = plt.subplots(figsize=(7, 3))
    for name, shown in names.items():
        values = np.sort(score(prior, shown.transitions()))
        axis.plot(values, np.linspace(0, 1, len(values)), label=name)
    axis.set(xlabel="typicality of a transition", ylabel="share of transitions below", title="Ant-v5, mixture of 8 Gaussians")
    axis.legend()
    _save(figure, "prior_typicality")


def exploration() -> None:
    """Where SparseRoom was seen with and without pseudo-counts."""
    import exploration as e

    from envs.sparse import DOOR, WALL

    figure, axes = plt.subplots(1, 2, figsize=(7, 3.4))
    for axis, arm in zip(axes, ("none", "pseudo-counts"), strict=True):
        trainer = e.trained(arm, 0)
        seen = e.places(trainer)
        axis.scatter(*seen.T, s=2, c=np.linspace(0, 1, len(seen)), cmap="viridis")
        axis.plot([0, DOOR], [WALL, WALL], color="black")
        axis.add_patch(plt.Rectangle((0, 0.7), 0.3, 0.3, fill=False, linestyle="--"))
        axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=f"bonus: {arm}")
    _save(figure, "prior_exploration")


def frames() -> None:
    """The toy as the reward sees it: the expert, a point that stands, one that drifts out of its lane."""
    from gail_suite.pixels import toy_frames

    shown = {"expert": [0.05, 1.95, -0.05], "standing": [0.0, 0.0, 0.0], "drifting": [0.7, 1.5, 0.8]}
    figure, axes = plt.subplots(1, len(shown), figsize=(7, 2))
    for axis, (name, obs) in zip(axes, shown.items(), strict=True):
        axis.imshow(toy_frames(np.array([obs]))[0, 0], cmap="gray", vmin=0, vmax=1)
        axis.set(title=name, xticks=[], yticks=[])
    _save(figure, "prior_frames")


def _save(figure, name: str) -> None:
    figure.tight_layout()
    figure.savefig(IMAGES / f"{name}.png", dpi=80)


if __name__ == "__main__":
    for wanted in sys.argv[1:] or ("typicality", "exploration", "frames"):
        {"typicality": typicality, "exploration": exploration, "frames": frames}[wanted]()
