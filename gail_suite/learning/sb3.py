"""On-policy learners: stable-baselines3's PPO and sb3-contrib's TRPO on standardised features, and their export.

The policy is a Gaussian with a state-independent deviation on actions scaled to [-1, 1], or a softmax over discrete
ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from msgspec import Meta
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from gail_suite import envs
from gail_suite.demos.sealed import Json
from gail_suite.learning.arrays import load_module_arrays, load_optimiser_arrays, module_arrays, optimiser_arrays
from gail_suite.learning.networks import ACTIVATIONS, trunk_tensors
from gail_suite.learning.policies.policy import LearnedPolicy
from gail_suite.learning.shown.actions import action_bounds
from gail_suite.learning.shown.features import Features
from gail_suite.runs.config import Above0, Environments, Layers, NonNegative, Positive, Settings, Unit


@dataclass(frozen=True)
class OnPolicyConfig(Settings):
    """An on-policy learner; the defaults are PPO's, `trpo_paper` gives those of Ho and Ermon (2016)."""

    generator: str = "ppo"
    """Learner: ppo (Schulman et al., 2017) or trpo (Schulman et al., 2015)."""
    n_envs: Environments = 16
    """Environments stepped together."""
    batch_steps: Annotated[int, Meta(ge=2)] = 8192
    """Environment steps collected for each policy update."""
    hidden: Layers = (100, 100)
    """Width of the layers of policy and value network."""
    activation: str = "tanh"
    """Activation of both: tanh or relu."""
    log_std: float = -0.5
    """Log standard deviation of the initial policy, on actions scaled to [-1, 1]."""
    gamma: Unit = 0.99
    """Discount per step."""
    gae_lambda: Unit = 0.95
    """Decay of the generalised advantage estimate (Schulman et al., 2016)."""
    lr: NonNegative = 3e-4
    """Adam rate: of policy and value network (ppo), of the value network (trpo)."""
    epochs: Positive = 10
    """Passes over the batch: for policy and value network (ppo), for the value network (trpo)."""
    minibatch: Annotated[int, Meta(ge=2)] = 256
    """Steps in a minibatch of those passes."""
    clip_range: Above0 = 0.2
    """Clipping of the probability ratio (ppo)."""
    max_kl: Above0 = 0.01
    """Largest mean divergence from the old policy (trpo)."""
    cg_damping: NonNegative = 0.1
    """Damping of the Fisher matrix in the conjugate gradient (trpo)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"setting activation is {self.activation!r}: choose one of {', '.join(ACTIVATIONS)}")


def trpo_paper() -> OnPolicyConfig:
    """TRPO as Ho and Ermon (2016) ran it: 50,000 pairs an iteration, 100-100 tanh, gamma 0.995, lambda 0.97, KL
    0.01.
    """
    return OnPolicyConfig(
        generator="trpo",
        batch_steps=50_000,
        log_std=0.0,
        gamma=0.995,
        gae_lambda=0.97,
        lr=1e-3,
        epochs=5,
        minibatch=512,
    )


def make_learner(config: OnPolicyConfig, env: VecEnv, seed: int) -> OnPolicyAlgorithm:
    """The SB3 algorithm on a `RewardVecEnv` over a `FeatureVecEnv`, reset and silent.

    Raises:
        ValueError: unknown generator, or a batch that the environments do not divide.
    """
    if config.generator not in ("ppo", "trpo"):
        raise ValueError(f"unknown generator {config.generator!r}: choose sac, ppo or trpo")
    if config.batch_steps % config.n_envs:
        raise ValueError(
            f"batch_steps {config.batch_steps} is not a multiple of n_envs {config.n_envs}: choose for example "
            f"{max(1, config.batch_steps // config.n_envs) * config.n_envs}"
        )
    common: Json = {
        "learning_rate": config.lr,
        "n_steps": config.batch_steps // config.n_envs,
        "batch_size": config.minibatch,
        "gamma": config.gamma,
        "gae_lambda": config.gae_lambda,
        "seed": seed,
        "device": "cpu",
        "policy_kwargs": {
            "net_arch": list(config.hidden),
            "activation_fn": ACTIVATIONS[config.activation],
            "log_std_init": config.log_std,
        },
    }
    if config.generator == "ppo":
        model: OnPolicyAlgorithm = PPO("MlpPolicy", env, n_epochs=config.epochs, clip_range=config.clip_range, **common)
    else:
        from sb3_contrib import TRPO

        model = TRPO(
            "MlpPolicy",
            env,
            n_critic_updates=config.epochs,
            target_kl=config.max_kl,
            cg_damping=config.cg_damping,
            cg_max_steps=10,
            **common,
        )
    model.set_logger(Logger(None, []))
    return model


def health(model: OnPolicyAlgorithm) -> dict[str, float]:
    """What the last policy update reported: losses, divergence, deviation."""
    return {
        name.removeprefix("train/"): float(value)
        for name, value in model.logger.name_to_value.items()
        if name.startswith("train/") and name not in ("train/n_updates", "train/learning_rate", "train/clip_range")
    }


def learned_policy(
    model: OnPolicyAlgorithm, config: OnPolicyConfig, features: Features, env_id: str, **meta: object
) -> LearnedPolicy:
    """The learner's policy on raw observations and actions: u = centre + half width * (W h + b), clipped to the
    bounds.
    """
    spec, (low, high) = envs.spec(env_id), action_bounds(env_id)
    half, centre = (high - low) / 2, (high + low) / 2
    policy = model.policy
    assert isinstance(policy, ActorCriticPolicy) and isinstance(policy.action_net, nn.Linear)
    obs_mean, obs_scale = features.policy_inputs(spec.obs_dim)
    tensors = {"obs_mean": obs_mean, "obs_scale": obs_scale, "act_low": low, "act_high": high}
    tensors |= trunk_tensors(policy.mlp_extractor.policy_net, spec.obs_dim, features.columns)
    tensors |= {"mean.weight": _array(policy.action_net.weight), "mean.bias": _array(policy.action_net.bias)}
    kind = {"env_id": env_id, "activation": config.activation, "squash": False}
    if spec.discrete:
        kind["discrete"] = True
    else:
        tensors["mean.weight"] = tensors["mean.weight"] * half[:, None]
        tensors["mean.bias"] = tensors["mean.bias"] * half + centre
        assert isinstance(policy.log_std, torch.Tensor)
        tensors["log_std"] = _array(policy.log_std) + np.log(half)
    return LearnedPolicy({k: np.array(v, np.float32, order="C") for k, v in tensors.items()}, {**kind, **meta})


def _array(parameter: torch.Tensor) -> np.ndarray:
    return parameter.detach().cpu().numpy()


def learner_state(model: OnPolicyAlgorithm) -> dict[str, np.ndarray]:
    """Networks, optimiser, the observations at hand and the global generators that SB3 draws from, as arrays."""
    _, keys, position, has_gauss, cached = np.random.get_state()
    return {
        **module_arrays(model.policy, "policy"),
        **optimiser_arrays(model.policy.optimizer, "optim"),
        "last_obs": np.array(model._last_obs),
        "episode_starts": np.array(model._last_episode_starts),
        "torch_rng": torch.get_rng_state().numpy().copy(),
        "numpy_rng": np.array(keys),
        "numpy_rng_rest": np.array([position, has_gauss, cached], np.float64),
    }


def load_learner_state(model: OnPolicyAlgorithm, arrays: dict[str, np.ndarray], steps: int) -> None:
    """Inverse of `learner_state`, for a learner that has already reset its environment."""
    load_module_arrays(model.policy, arrays, "policy")
    load_optimiser_arrays(model.policy.optimizer, arrays, "optim")
    model._last_obs = np.array(arrays["last_obs"])
    model._last_episode_starts = np.array(arrays["episode_starts"])
    model.num_timesteps = steps
    torch.set_rng_state(torch.from_numpy(np.array(arrays["torch_rng"])))
    position, has_gauss, cached = arrays["numpy_rng_rest"].tolist()
    np.random.set_state(("MT19937", np.array(arrays["numpy_rng"]), int(position), int(has_gauss), cached))
