"""Learned rewards as objects of their own: a `RewardFn` on raw observations, saved without pickle and loaded
anywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import torch

from gail_suite.demos.files import refuse_links, write_atomic
from gail_suite.demos.sealed import Json, one_warning, read_json, read_tensors, tensor_bytes, write_json
from gail_suite.envs.flat import as_rows
from gail_suite.generative.core.backend import learning
from gail_suite.learning.arrays import load_module_arrays, module_arrays
from gail_suite.learning.networks import Discriminator
from gail_suite.learning.rewards.discriminators import BottleneckDiscriminator, LogitLearner, Net, make_discriminator
from gail_suite.learning.rewards.of_logits import reward_fn
from gail_suite.learning.shown.actions import action_bounds, to_unit
from gail_suite.learning.shown.features import Features
from gail_suite.runs.config import Above0, Layers, NonNegative, Width


class RewardRecord(msgspec.Struct):
    """reward.json; anything else in it is provenance."""

    kind: Literal["learned_reward"]
    env_id: str
    form: str
    clip: Above0
    hidden: Layers
    activation: Literal["relu", "tanh"]
    state_only: bool
    bottleneck: NonNegative = 0
    latent: Width = 1
    next_obs: bool = False
    absorbing: bool = False
    termination: float = 0


class LearnedReward:
    """r(s, a, s') = clip(form(net(x(s)[, a or x(s')]))), with `form` one of those in `of_logits`, and actions
    scaled to [-1, 1].

    A step that ends the task gets `termination` on top. meta: env_id, form, clip, hidden, activation, state_only,
    next_obs, of a bottleneck its nats and latent, where absorbing states were used `absorbing` (the net's last input is
    0 here) and `termination`; anything else is provenance.
    """

    def __init__(
        self,
        net: Net,
        features: Features,
        act_low: np.ndarray,
        act_high: np.ndarray,
        meta: Json,
    ) -> None:
        self.net, self.features, self.act_low, self.act_high = net, features, act_low, act_high
        self.meta = {"kind": "learned_reward", **meta}
        self._form = reward_fn(meta["form"], meta["clip"])

    def check_widths(self, obs_dim: int, act_dim: int) -> None:
        """ValueError for an environment whose observations or actions are not those that the reward reads."""
        columns = int(self.features.columns.max()) + 1
        if columns > obs_dim or len(self.act_low) != act_dim:
            raise ValueError(
                f"the reward of {self.meta['env_id']} reads {columns} observation and {len(self.act_low)} action "
                f"entries, the environment has {obs_dim} and {act_dim}: use it where it was learned, or in a variant "
                "of it"
            )

    @learning()
    @torch.no_grad()
    def __call__(self, obs: np.ndarray, acts: np.ndarray, next_obs: np.ndarray, terminated: np.ndarray) -> np.ndarray:
        """Rewards (B,) of obs (B, O) and acts (B, A) in the environment's units; of a choice among A also the numbers
        (B,) of what was chosen, from 0.
        """
        inputs = [self.features(np.asarray(obs))]
        if self.meta.get("next_obs", False):
            inputs.append(self.features(np.asarray(next_obs)))
        elif not self.meta["state_only"]:
            rows = as_rows(acts, len(self.act_low))
            inputs.append(to_unit(rows, self.act_low, self.act_high).astype(np.float32))
        if self.meta.get("absorbing", False):
            inputs.append(np.zeros((len(obs), 1), np.float32))
        rewards = self._form(self.net(torch.from_numpy(np.concatenate(inputs, axis=1)))).numpy()
        return rewards + np.float32(self.meta.get("termination", 0.0)) * np.asarray(terminated, np.float32)


def discriminator_reward(
    learner: LogitLearner,
    features: Features,
    meta: Json,
    absorbing: bool = False,
    termination: float = 0.0,
    next_obs: bool = False,
) -> LearnedReward:
    """The reward that a discriminator of (s, a), or of (s, s'), gives, as it is; `meta` is its provenance, with the
    env_id.
    """
    c, net = learner.config, learner.net
    facts: Json = {"form": c.reward, "clip": c.reward_clip, "state_only": False, "activation": "tanh"}
    if isinstance(net, BottleneckDiscriminator):  # a prior's has sizes of its own
        facts |= {"hidden": net.hidden, "bottleneck": c.bottleneck, "latent": net.latent}
    else:
        facts["hidden"] = list(c.hidden)
    if next_obs:
        facts["next_obs"] = True
    if absorbing or termination:
        facts |= {"absorbing": absorbing, "termination": termination}
    return LearnedReward(net, features, *action_bounds(meta["env_id"]), {**facts, **meta})


def save_reward(reward: LearnedReward, folder: str | Path) -> Path:
    """Write `reward.safetensors` and `reward.json` into a folder; the second is there only beside its own first."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    refuse_links(folder)
    (folder / "reward.json").unlink(missing_ok=True)
    arrays = {**module_arrays(reward.net, "net"), "act_low": reward.act_low, "act_high": reward.act_high}
    arrays |= {f"features.{name}": np.ascontiguousarray(value) for name, value in reward.features.state().items()}
    write_atomic(folder / "reward.safetensors", tensor_bytes(arrays))
    write_json(folder / "reward.json", reward.meta)
    return folder


@one_warning()
def load_reward(path: str | Path) -> LearnedReward:
    """The reward of a finished run of GAIL or AIRL, or in a folder written by `save_reward`.

    Raises:
        ValueError: missing, damaged, or not a learned reward.
    """
    folder = _reward_folder(Path(path))
    try:
        meta = read_json(folder / "reward.json", RewardRecord)
        arrays = read_tensors(folder / "reward.safetensors")
        features = Features(*(arrays[f"features.{name}"] for name in ("columns", "mean", "std")))
        act_low, act_high = arrays["act_low"], arrays["act_high"]
        if act_low.ndim != 1 or act_low.shape != act_high.shape or not (act_low <= act_high).all():
            raise ValueError("act_low and act_high are no bounds: no low may be above its high")
        others = len(features.columns) if meta.get("next_obs") else 0 if meta["state_only"] else len(act_low)
        n_inputs = len(features.columns) + others + meta.get("absorbing", False)
        net: Net
        if meta.get("bottleneck", 0):
            net = make_discriminator(n_inputs, meta["hidden"], meta["bottleneck"], meta["latent"])
        else:
            net = Discriminator(n_inputs, meta["hidden"], meta["activation"])
        load_module_arrays(net, arrays, "net")
        return LearnedReward(net, features, act_low, act_high, meta)
    except (KeyError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{folder} holds no readable learned reward ({reason}): save one with save_reward") from error


def _reward_folder(path: Path) -> Path:
    """Where a run keeps its reward; any other folder itself."""
    if (path / "reward.json").is_file() or not (path / "config.json").is_file():
        return path
    if not (path / "reward").is_dir():
        raise ValueError(
            f"{path} keeps no learned reward: a run of GAIL or AIRL does when it is finished, so train it to its end "
            "with --resume"
        )
    return path / "reward"
