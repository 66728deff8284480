"""Learned policies and their way to and from stable-baselines3 zips."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from torch import nn

from gail_suite import envs
from gail_suite.demos.files import write_atomic
from gail_suite.demos.policy import MlpPolicy
from gail_suite.learning.policies.agents import Normalised, Parted, from_sb3

if TYPE_CHECKING:
    from stable_baselines3 import PPO, SAC
    from stable_baselines3.common.base_class import BaseAlgorithm


class Spaces(gym.Env[np.ndarray, int]):
    """What SB3 asks of an environment where nothing is trained."""

    def __init__(self, observations: gym.Space[np.ndarray], actions: gym.Space[int]) -> None:
        self.observation_space, self.action_space = observations, actions


class LearnedPolicy(MlpPolicy):
    """An `MlpPolicy` that exports to stable-baselines3."""

    def save_sb3(self, path: str | Path) -> Path:
        """Writes an SB3 zip (SAC if squashed, else PPO) that plain `SAC.load` / `PPO.load` runs.

        The input standardisation is folded into the first layer, so deterministic actions agree to float32 rounding.
        Only the actor is meaningful; the critics are untrained.

        Raises:
            ValueError: the policy's actions go through a decoder or come from a mixture, which stable-baselines3's
                actors do not have.
        """
        if self.n_components > 1:
            raise ValueError(
                f"a mixture of {self.n_components} Gaussians cannot be exported: stable-baselines3's actors have "
                "one; choose --format torchscript or onnx, which take its deterministic action"
            )
        if self._decoder is not None:
            raise ValueError(
                "a policy with latent actions cannot be exported: stable-baselines3's actors end in tanh and have "
                "no decoder behind it; keep policy.safetensors, which demos.MlpPolicy runs with NumPy alone"
            )
        model = self._sb3_sac() if self.meta["squash"] and not self.meta["discrete"] else self._sb3_ppo()
        path, packed = Path(path), io.BytesIO()
        path = path if path.suffix == ".zip" else path.with_name(f"{path.name}.zip")
        model.save(packed)
        write_atomic(path, packed.getvalue())
        return path

    def _folded(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Hidden layers' (weight, bias) with x = (obs - mean) * scale folded into the first."""
        t = self.tensors
        layers: list[tuple[np.ndarray, np.ndarray]] = []
        while f"hidden.{len(layers)}.weight" in t:
            layers.append((t[f"hidden.{len(layers)}.weight"], t[f"hidden.{len(layers)}.bias"]))
        weight, bias = layers[0]
        scaled = weight * t["obs_scale"]
        layers[0] = (scaled, bias - scaled @ t["obs_mean"])
        return layers

    def _policy_kwargs(self) -> dict[str, object]:
        widths = [len(bias) for _, bias in self._folded()]
        return {"net_arch": widths, "activation_fn": {"relu": nn.ReLU, "tanh": nn.Tanh}[self.meta["activation"]]}

    def _sb3_sac(self) -> SAC:
        from stable_baselines3 import SAC

        env = envs.make(self.env_id)
        model = SAC("MlpPolicy", env, policy_kwargs=self._policy_kwargs(), buffer_size=1, device="cpu")
        self._copy(model.actor.latent_pi, model.actor.mu)
        assert isinstance(model.actor.log_std, nn.Linear)
        _fill(model.actor.log_std, self.tensors["log_std.weight"], self.tensors["log_std.bias"])
        env.close()
        return model

    def _sb3_ppo(self) -> PPO:
        from stable_baselines3 import PPO

        env = envs.make(self.env_id)
        while self.meta["discrete"] and not isinstance(env.action_space, Discrete) and isinstance(env, gym.Wrapper):
            env = env.env  # SB3 chooses by number
        if not isinstance(env.observation_space, Box):
            env = Spaces(Box(-np.inf, np.inf, (self.obs_dim,), np.float32), env.action_space)
        model = PPO("MlpPolicy", env, policy_kwargs=self._policy_kwargs(), n_steps=64, batch_size=64, device="cpu")
        self._copy(model.policy.mlp_extractor.policy_net, model.policy.action_net)
        if not self.meta["discrete"]:
            with torch.no_grad():
                model.policy.log_std.copy_(torch.from_numpy(self.tensors["log_std"]))
        env.close()
        return model

    def _copy(self, trunk: nn.Module, mean: nn.Module) -> None:
        linears = [m for part in (trunk, mean) for m in part.modules() if isinstance(m, nn.Linear)]
        layers = [*self._folded(), (self.tensors["mean.weight"], self.tensors["mean.bias"])]
        for linear, (weight, bias) in zip(linears, layers, strict=True):
            _fill(linear, weight, bias)


@torch.no_grad()
def _fill(linear: nn.Linear, weight: np.ndarray, bias: np.ndarray) -> None:
    linear.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
    linear.bias.copy_(torch.from_numpy(np.ascontiguousarray(bias)))


def load_policy(
    path: str | Path, trust: bool = False, vecnormalize: str | Path | None = None
) -> LearnedPolicy | Normalised | Parted | BaseAlgorithm:
    """The policy of a run directory, of a policy folder, or of an SB3 zip (`trust` needed; see `from_sb3` for
    `vecnormalize`).

    Raises:
        ValueError: nothing there can be read as a policy.
    """
    path = Path(path)
    if path.suffix == ".zip" and path.is_file():
        return from_sb3(path, trust, vecnormalize)
    for folder in (path / "policy", path):
        if (folder / "policy.json").is_file():
            return LearnedPolicy.load(folder)
    if (path / "checkpoints").is_dir():
        return policy_from_checkpoint(path)
    if (path / "config.json").is_file():
        raise ValueError(f"{path} is a run that ended before it saved anything: begin it anew")
    raise ValueError(f"{path} holds no policy: expected a run directory, a folder with policy.json, or an SB3 .zip")


def policy_from_checkpoint(run_dir: Path) -> LearnedPolicy:
    """The policy of an unfinished run as it is in the newest checkpoint.

    Raises:
        ValueError: an on-policy run of an earlier version, whose checkpoints hold none.
    """
    from gail_suite.runs.checkpoint import load_parts
    from gail_suite.runs.runlog import read_run

    step, parts, state = load_parts(run_dir / "checkpoints")
    if "policy" not in parts:
        raise ValueError(
            f"the checkpoints of {run_dir} hold no policy: train the run to its end with --resume {run_dir}"
        )
    config = read_run(run_dir)
    # earlier versions did not save it, and had off-policy learners alone
    meta = state.get("policy", {"env_id": config["env_id"]}) | {"env_steps": step}
    return LearnedPolicy({name: np.array(value) for name, value in parts["policy"].items()}, meta)
