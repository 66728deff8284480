"""Draws the pictures of docs/priors.md: typicality of the expert and of others, a random and a curious walk, frames of
the toy, learning with a prior, with its controls and without.

    python -m benchmarks.prior_pictures [typicality] [exploration] [frames] [bottleneck] [latent] [behaviour] [starts]
    [curves]
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import matplotlib
import numpy as np

from benchmarks.records import ROOT

matplotlib.use("Agg")
import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from gail_suite.priors.action_mixture import ActionMixture
    from gail_suite.priors.action_pixelcnn import ActionPixelCNN

IMAGES = ROOT / "docs" / "images"


def typicality() -> None:
    """How the scores of a mixture fitted to 4 Ant trajectories spread over transitions of the expert and of others."""
    from benchmarks.prior_scores import FIT, recorded
    from gail_suite.priors.prior import fit_prior
    from gail_suite.priors.typicality import typicality

    expert = recorded("Ant-v5", "expert")
    prior = fit_prior(expert[:FIT], "gmm", n_components=8)
    names = {
        "held-out expert": expert[FIT:],
        "first action held at 0": recorded("Ant-v5", "frozen"),
        "action noise 0.3": recorded("Ant-v5", "noise"),
        "random": recorded("Ant-v5", "random"),
    }
    figure, axis = plt.subplots(figsize=(7, 3))
    for name, shown in names.items():
        values = np.sort(typicality(prior, shown.transitions()))
        axis.plot(values, np.linspace(0, 1, len(values)), label=name)
    axis.set(
        xlabel="typicality of a transition", ylabel="share of transitions below", title="Ant-v5, mixture of 8 Gaussians"
    )
    axis.legend()
    _save(figure, "prior_typicality")


def exploration() -> None:
    """Where SparseRoom was seen with and without pseudo-counts."""
    from benchmarks import exploration as e
    from envs.sparse import DOOR, WALL

    figure, axes = plt.subplots(1, 2, figsize=(7, 3.4))
    for axis, arm in zip(axes, ("none", "pseudo-counts"), strict=True):
        seen = e.trained(arm, 0)[1].places()
        axis.scatter(*seen.T, s=2, c=np.linspace(0, 1, len(seen)), cmap="viridis")
        axis.plot([0, DOOR], [WALL, WALL], color="black")
        axis.add_patch(plt.Rectangle((0, 0.7), 0.3, 0.3, fill=False, linestyle="--"))
        axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=f"bonus: {arm}")
    _save(figure, "prior_exploration")


def frames() -> None:
    """The toy as the reward sees it: the expert, a point that stands, one that drifts out of its lane."""
    from gail_suite.priors.sight import toy_frames

    shown = {"expert": [0.05, 1.95, -0.05], "standing": [0.0, 0.0, 0.0], "drifting": [0.7, 1.5, 0.8]}
    figure, axes = plt.subplots(1, len(shown), figsize=(7, 2))
    for axis, (name, obs) in zip(axes, shown.items(), strict=True):
        axis.imshow(toy_frames(np.array([obs]))[0, 0], cmap="gray", vmin=0, vmax=1)
        axis.set(title=name, xticks=[], yticks=[])
    _save(figure, "prior_frames")


def bottleneck() -> None:
    """Nats that discriminators let through, and their multipliers, while they learn to tell the Ant expert from a
    noisy one.
    """
    import torch

    from benchmarks.prior_scores import recorded
    from gail_suite.learning.rewards.discriminators import BottleneckDiscriminator
    from gail_suite.learning.rewards.dual import Dual
    from gail_suite.learning.rewards.losses import gail_loss
    from gail_suite.learning.shown.pairs import demo_pairs

    features, expert = demo_pairs("Ant-v5", recorded("Ant-v5", "expert"))
    noisy = recorded("Ant-v5", "noise").transitions()
    pairs = [
        expert.together(),
        torch.cat([torch.from_numpy(features(noisy.obs)), torch.from_numpy(noisy.acts)], 1).float(),
    ]
    figure, axes = plt.subplots(1, 2, figsize=(7, 3))
    for limit in (0.1, 0.5, 2.0):
        torch.manual_seed(0)
        generator, net = torch.Generator().manual_seed(0), BottleneckDiscriminator(pairs[0].shape[1])
        dual, optimiser = Dual(limit, 0.01), torch.optim.Adam(net.parameters(), 3e-4, fused=True)
        nats, betas = [], []
        for _ in range(2000):
            x = torch.cat([p[torch.randint(len(p), (128,), generator=generator)] for p in pairs])
            logits, kl = net.training_logits(x, generator)
            loss = gail_loss(*logits.chunk(2))[0] + dual.penalty(kl.mean())
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            nats.append(kl.mean().item()), betas.append(dual.beta)
        (line,) = axes[0].plot(nats, linewidth=0.8, label=f"I_c = {limit}")
        axes[0].axhline(limit, color=line.get_color(), linestyle="--", linewidth=0.8)
        axes[1].plot(betas, color=line.get_color(), label=f"I_c = {limit}")
    axes[0].set(yscale="log", xlabel="discriminator updates", ylabel="KL, nats")
    axes[1].set(xlabel="discriminator updates", ylabel="multiplier beta")
    axes[1].legend()
    _save(figure, "prior_bottleneck")


def latent() -> None:
    """Two of the Ant's actions: the expert's, and what codes drawn at random decode to."""
    import torch

    from benchmarks.prior_scores import FIT, recorded
    from gail_suite.learning.shown.pairs import demo_pairs
    from gail_suite.priors.latent_actions import decoder_of
    from gail_suite.priors.prior import fit_prior

    shown = recorded("Ant-v5", "expert")[:FIT]
    actions = demo_pairs("Ant-v5", shown)[1].actions.numpy()
    figure, axes = plt.subplots(1, 3, figsize=(7, 2.6), sharex=True, sharey=True)
    axes[0].scatter(*actions[:, :2].T, s=1)
    for axis, control, title in zip(axes[1:], (None, "untrained"), ("decoded", "decoded, untrained"), strict=True):
        prior = fit_prior(shown, "ae", "latent-action", control=control, steps=1000)
        codes = 2 * torch.rand(4000, prior.settings["latent"], generator=torch.Generator().manual_seed(0)) - 1
        axis.scatter(*decoder_of(prior, 1.0).decode(codes)[:, :2].T, s=1)
        axis.set(title=title, xlabel="first action")
    axes[0].set(title="expert", xlabel="first action", ylabel="second action", xlim=(-1.05, 1.05), ylim=(-1.05, 1.05))
    _save(figure, "prior_latent")


def behaviour() -> None:
    """p0 of the Ant's first action, and the expert's own, in states of the expert and of the expert with noise on
    its actions.
    """
    import torch

    import demos
    from benchmarks.prior_scores import FIT, recorded
    from gail_suite.priors.behaviour import density_of
    from gail_suite.priors.prior import fit_prior

    expert, steps, levels = recorded("Ant-v5", "expert"), 60, np.linspace(-1, 1, 81)
    states = {"its own states": expert[FIT : FIT + 1], "after noise of 0.3": recorded("Ant-v5", "noise")[:1]}
    priors = {
        "mixture of Gaussians": ("gmm", {"dof": np.inf}),
        "mixture of Student's t": ("gmm", {}),
        "autoregressive, 11 levels": ("pixelcnn", {}),
    }
    figure, axes = plt.subplots(2, 3, figsize=(9.5, 4.6), sharex=True, sharey=True)
    for column, (title, (model, settings)) in zip(axes.T, priors.items(), strict=True):
        prior = fit_prior(expert[:FIT], model, "behaviour", **settings)
        p0 = density_of(prior)
        for axis, shown in zip(column, states.values(), strict=True):
            obs = shown.transitions().obs[-steps:]
            with torch.no_grad():
                p = first_action(p0, torch.from_numpy(prior.features(obs)), levels)
            axis.imshow(p.T, origin="lower", aspect="auto", extent=(0, steps, -1, 1), cmap="Greys", vmin=0, vmax=3)
            acts = demos.expert("Ant-v5").predict(obs, deterministic=True)[0]
            axis.plot(
                np.arange(steps) + 0.5, acts[:, 0], color="tab:red", linewidth=1, label="what the expert does there"
            )
        column[0].set(title=title)
        column[1].set(xlabel="step")
    for axis, name in zip(axes[:, 0], states, strict=True):
        axis.set(ylabel=f"first action\n{name}")
    axes[0, 0].legend(loc="upper right", fontsize=7)
    _save(figure, "prior_behaviour")


def starts() -> None:
    """Humanoid in start states drawn from a mixture of one trajectory's states, and from its two controls."""
    import envs
    from benchmarks import few_demos
    from envs.starts import put
    from gail_suite.priors.prior import fit_prior
    from gail_suite.priors.starts import sample
    from gail_suite.showing.raycast import RayCaster
    from gail_suite.showing.video import Camera

    row, n = few_demos.ROWS["humanoid-1"], 5
    shown, env = few_demos.demonstrations(row, 0), envs.make(row.env).unwrapped
    env.reset(seed=0)
    caster, camera = RayCaster(env.model, 150, 150), Camera(env)
    figure, axes = plt.subplots(3, n, figsize=(7, 4.4))
    for line, (control, title) in zip(
        axes, ((None, "mixture"), ("shuffled", "shuffled columns"), ("untrained", "untrained")), strict=True
    ):
        found = (
            obs for obs in sample(fit_prior(shown, "gmm", "start", control=control), 50) if put(env, obs) is not None
        )
        for axis, _ in zip(line, found, strict=False):
            axis.imshow(caster.render(env.data, replace(camera.view(), distance=3.2)))
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(title)
    _save(figure, "prior_starts")


def curves() -> None:
    """Scores on the way: the KL from starts, either part by itself, its controls, and plain GAIL."""
    from benchmarks import curves as kept
    from benchmarks import priors
    from benchmarks.prior_verdicts import CHOSEN_ON, runs_by_arm

    arms = {
        "kl-t-start": ("KL from starts", "tab:red"),
        "kl-t-start-shuffled": ("its control: shuffled columns", "tab:orange"),
        "kl-t-start-untrained": ("its control: untrained", "tab:purple"),
        "start": ("starts alone", "tab:blue"),
        "kl-t": ("KL alone", "tab:green"),
        "plain": ("plain GAIL", "black"),
    }
    figure, axes = plt.subplots(1, len(priors.TASKS), figsize=(9, 3.4), sharey=True)
    for axis, task in zip(axes, priors.TASKS, strict=True):
        by_arm = runs_by_arm(task)
        seeds = sorted(set.intersection(*(set(by_arm[name]) for name in arms)) - {CHOSEN_ON})
        for name, (label, colour) in arms.items():
            steps, scores = zip(
                *(priors.points(kept.read("priors")[f"{task}-{name}-{seed}"]) for seed in seeds), strict=True
            )
            axis.plot(steps[0] / 1000, np.mean(scores, 0), color=colour, label=label, linewidth=2)
            for each in scores:
                axis.plot(steps[0] / 1000, each, color=colour, linewidth=0.5, alpha=0.6)
        axis.set(title=f"{task}, mean and each of {len(seeds)} seeds", xlabel="thousand environment steps")
    axes[0].set(ylabel="score")
    axes[0].legend(loc="upper left", fontsize=7)
    _save(figure, "prior_curves")


def first_action(p0: ActionMixture | ActionPixelCNN, x: Tensor, levels: np.ndarray) -> np.ndarray:
    """Marginal density of the first action (steps, levels); of the autoregressive model it is the first factor."""
    import torch
    from scipy.stats import norm, t

    if hasattr(p0, "conditional"):
        log_weights, means, widening = (None if v is None else v.numpy() for v in p0.moments(x))
        scale = p0.conditional.scale[:, 0].norm(dim=-1).numpy() * np.ones_like(log_weights)
        component = (
            norm(means[:, :, 0, None], scale[..., None])
            if widening is None
            else t(p0.dof + p0.n_features, means[:, :, 0, None], (scale * np.sqrt(widening))[..., None])
        )
        return (np.exp(log_weights)[..., None] * component.pdf(levels)).sum(1)
    knots = p0.log_levels(x, torch.zeros(len(x), p0.shape[2]))[:, 0].exp() / p0.spacing
    at = np.linspace(-1, 1, p0.levels)
    return np.stack([np.interp(levels, at, row) for row in knots.numpy()])


def _save(figure: Figure, name: str) -> None:
    figure.tight_layout()
    figure.savefig(IMAGES / f"{name}.png", dpi=80)


if __name__ == "__main__":
    pictures = {f.__name__: f for f in (typicality, exploration, frames, bottleneck, latent, behaviour, starts, curves)}
    if set(sys.argv[1:]) - pictures.keys():
        raise SystemExit(__doc__)
    for wanted in sys.argv[1:] or pictures:
        pictures[wanted]()
