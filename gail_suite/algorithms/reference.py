"""The peer: GAIL, AIRL and BC of `imitation` 1.0.1 on the same environment, demonstrations and evaluation as ours.

Constants are its own tuned ones for seals/Ant (GAIL 0.88 of the expert after 10M steps with 104 demonstrations in its
benchmark), except that a demonstration batch never exceeds the demonstrations, and that BC makes the number of gradient
steps it was tuned with, whatever the size of the demonstrations.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import warnings
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gail_suite import demos, envs
from gail_suite.demos.sealed import Json

if TYPE_CHECKING:
    from imitation.algorithms.adversarial.common import AdversarialTrainer
    from imitation.data.types import Transitions
    from imitation.util.logger import HierarchicalLogger
    from stable_baselines3.common.policies import BasePolicy

N_ENVS = 8
BC_BATCHES = 32_500  # 5 epochs over 104 trajectories of 1000 steps in batches of 16


@dataclass(frozen=True)
class Tuned:
    """What differs between imitation's tuned GAIL and AIRL."""

    batch_steps: int
    ent_coef: float
    lr: float
    demo_batch: int
    disc_updates: int


TUNED = {
    "gail": Tuned(16384, 0.008871887607426377, 2.428297806883194e-5, 32, 8),
    "airl": Tuned(8192, 3.27750078482474e-6, 3.249429831179079e-5, 8192, 16),
}


def train(
    algo: str,
    env_id: str,
    demonstrations: demos.Demonstrations,
    seed: int = 0,
    budget_s: float | None = None,
    total_steps: int = 10_000_000,
) -> tuple[BasePolicy, int]:
    """The final policy of imitation's `gail`, `airl` or `bc`, and the environment steps it took.

    Adversarial training ends after `total_steps`, or after the round in which `budget_s` seconds are over.

    Raises:
        ValueError: unknown algorithm, or imitation is not installed.
    """
    if algo not in ("gail", "airl", "bc"):
        raise ValueError(f"unknown reference algorithm {algo!r}: choose gail, airl or bc")
    require_imitation()
    pairs = _transitions(demonstrations)
    if algo == "bc":
        return _behaviour_cloning(env_id, pairs, seed), 0
    trainer = _adversarial(algo, env_id, pairs, seed)
    begin = time.monotonic()
    steps = 0
    while steps < total_steps and (budget_s is None or time.monotonic() - begin < budget_s):
        _round(trainer)
        steps += trainer.gen_train_timesteps
    policy = trainer.gen_algo.policy
    policy.set_training_mode(False)
    return policy, steps


def _round(trainer: AdversarialTrainer) -> None:
    """One round of imitation's own `train`, without its progress bar."""
    from imitation.util.networks import training

    trainer.train_gen(trainer.gen_train_timesteps)
    for _ in range(trainer.n_disc_updates_per_round):
        with training(trainer.reward_train):
            trainer.train_disc()
    trainer.logger.dump(trainer._global_step)


def require_imitation() -> None:
    """ValueError naming the set-up command unless imitation and what it imports are there."""
    try:
        import imitation.algorithms.adversarial.gail  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"the reference trainers need imitation 1.0.1 ({error}): run `make install`, which adds it without its "
            "2023 pins"
        ) from error


def _transitions(demonstrations: demos.Demonstrations) -> Transitions:
    from imitation.data.types import Transitions

    shown = demonstrations.transitions()
    infos = np.array([{} for _ in range(len(shown))])
    return Transitions(shown.obs, shown.actions, infos, shown.next_obs, shown.terminated)


def _policy_kwargs() -> Json:
    from imitation.policies.base import NormalizeFeaturesExtractor
    from imitation.util.networks import RunningNorm

    return {
        "features_extractor_class": NormalizeFeaturesExtractor,
        "features_extractor_kwargs": {"normalize_class": RunningNorm},
    }


def _silent_logger() -> HierarchicalLogger:
    """Imitation's logger; the folder that it insists on goes with it."""
    from imitation.util import logger

    folder = tempfile.mkdtemp(prefix="imitation-")
    made = logger.configure(folder, [])
    weakref.finalize(made, shutil.rmtree, folder, ignore_errors=True)
    return made


def _adversarial(algo: str, env_id: str, pairs: Transitions, seed: int) -> AdversarialTrainer:
    import torch
    from imitation.algorithms.adversarial.airl import AIRL
    from imitation.algorithms.adversarial.gail import GAIL
    from imitation.policies.base import FeedForward32Policy
    from imitation.rewards import reward_nets
    from imitation.util.networks import RunningNorm
    from stable_baselines3 import PPO

    tuned = TUNED[algo]
    torch.manual_seed(seed)
    venv = envs.make_vec(env_id, n_envs=N_ENVS, seed=seed, infos="minimal")
    learner = PPO(
        FeedForward32Policy,
        venv,
        n_steps=tuned.batch_steps // N_ENVS,
        batch_size=16,
        n_epochs=10,
        learning_rate=tuned.lr,
        ent_coef=tuned.ent_coef,
        clip_range=0.3,
        gamma=0.995,
        gae_lambda=0.8,
        max_grad_norm=0.9,
        vf_coef=0.4351450387648799,
        policy_kwargs=_policy_kwargs(),
        seed=seed,
        device="cpu",
    )
    shape = {"gail": reward_nets.BasicRewardNet, "airl": reward_nets.BasicShapedRewardNet}[algo]
    net = shape(venv.observation_space, venv.action_space, normalize_input_layer=RunningNorm)
    trainer = {"gail": GAIL, "airl": AIRL}[algo]
    return trainer(
        demonstrations=pairs,
        demo_batch_size=min(tuned.demo_batch, len(pairs)),
        venv=venv,
        gen_algo=learner,
        reward_net=reward_nets.NormalizedRewardNet(net, normalize_output_layer=RunningNorm),
        n_disc_updates_per_round=tuned.disc_updates,
        gen_replay_buffer_capacity=tuned.batch_steps,
        custom_logger=_silent_logger(),
        allow_variable_horizon=True,
    )


def _behaviour_cloning(env_id: str, pairs: Transitions, seed: int) -> BasePolicy:
    import torch
    from imitation.algorithms.bc import BC
    from imitation.policies.base import FeedForward32Policy

    torch.manual_seed(seed)
    env = envs.make(env_id)
    policy = FeedForward32Policy(env.observation_space, env.action_space, lambda _: 1e-3, **_policy_kwargs())
    trainer = BC(
        observation_space=env.observation_space,
        action_space=env.action_space,
        rng=np.random.default_rng(seed),
        policy=policy,
        demonstrations=pairs,
        batch_size=min(16, len(pairs)),
        l2_weight=2.350251568550711e-5,
        optimizer_kwargs={"lr": 0.0017601048183920826},
        custom_logger=_silent_logger(),
        device="cpu",
    )
    env.close()
    with warnings.catch_warnings():
        # its log of the loss predates a warning of torch about scalars that still require gradients
        warnings.filterwarnings("ignore", "Converting a tensor with requires_grad")
        trainer.train(n_batches=BC_BATCHES, progress_bar=False, log_interval=10**9)
    trainer.policy.set_training_mode(False)
    return trainer.policy
