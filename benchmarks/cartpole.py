"""CartPole-v1 from one expert trajectory: GAIL with PPO and BC here, GAIL of imitation 1.0.1 as its quickstart sets it.

    python -m benchmarks.cartpole --seeds 0 1 2

Budgets are seconds of this process's own processor time, so that a shared machine does not matter; imitation gets the
same. The expert is a linear controller that never falls (return 500). One line a seed in results/cartpole.csv.
"""

from __future__ import annotations

import argparse
import csv
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

import gail_suite as gs
from gail_suite import demos
from gail_suite.algorithms.gail_onpolicy import OnPolicyGAIL, OnPolicyGAILConfig
from gail_suite.learning.onpolicy import Cadence
from gail_suite.learning.sb3 import OnPolicyConfig

RESULTS = Path(__file__).parent / "results" / "cartpole.csv"
FIELDS = ("algo", "seed", "env_steps", "cpu_s", "wall_s", "return_mean", "return_min", "n_eval", "machine", "commit")
ENV, BUDGET_S, N_EVAL = "CartPole-v1", 55.0, 50


class Balancing:
    """A linear controller on position, speed, angle and its rate."""

    def predict(
        self, obs: np.ndarray, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> Any:
        """Numbers of the actions, as stable-baselines3 gives them."""
        return (obs @ np.array([0.1, 0.5, 5.0, 1.2]) > 0).astype(np.int64), state


def bc(shown: demos.Demonstrations, seed: int) -> tuple[Any, int]:
    """Cloning with its defaults."""
    return gs.BC(ENV, shown, seed=seed).train(eval_episodes=0).policy, 0


def gail(shown: demos.Demonstrations, seed: int) -> tuple[Any, int]:
    """GAIL with PPO on batches of 2,048 steps of 8 environments, until the budget is spent or 40,000 steps are
    taken.
    """
    config = OnPolicyGAILConfig(
        OnPolicyConfig(batch_steps=2048, n_envs=8, minibatch=64), cadence=Cadence(eval_every=0, eval_episodes=1)
    )
    trainer = OnPolicyGAIL(ENV, shown, config, seed=seed)
    begin = time.process_time()
    while trainer.loop.steps < 40_000 and time.process_time() - begin < BUDGET_S:
        trainer.loop.iterate()
    return trainer.policy(), trainer.loop.steps


def imitation_gail(shown: demos.Demonstrations, seed: int) -> tuple[Any, int]:
    """imitation's GAIL with the constants of its quickstart, on the plain task, for the budget."""
    from imitation.algorithms.adversarial.gail import GAIL
    from imitation.data.types import Transitions
    from imitation.rewards.reward_nets import BasicRewardNet
    from imitation.util.networks import RunningNorm
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    from gail_suite.algorithms.reference import _silent_logger

    torch.manual_seed(seed)
    venv = make_vec_env(ENV, n_envs=8, seed=seed)
    t = shown.transitions()
    pairs = Transitions(t.obs, t.actions.argmax(1), np.array([{}] * len(t)), t.next_obs, t.terminated)
    learner = PPO(
        "MlpPolicy",
        venv,
        batch_size=64,
        ent_coef=0.0,
        learning_rate=0.0004,
        gamma=0.95,
        n_epochs=5,
        seed=seed,
        device="cpu",
    )
    net = BasicRewardNet(venv.observation_space, venv.action_space, normalize_input_layer=RunningNorm)
    trainer = GAIL(
        demonstrations=pairs,
        demo_batch_size=min(1024, len(pairs)),
        gen_replay_buffer_capacity=512,
        n_disc_updates_per_round=8,
        venv=venv,
        gen_algo=learner,
        reward_net=net,
        custom_logger=_silent_logger(),
        allow_variable_horizon=True,
    )
    begin, steps = time.process_time(), 0
    while time.process_time() - begin < BUDGET_S:
        trainer.train(trainer.gen_train_timesteps)
        steps += trainer.gen_train_timesteps
    return learner, steps


ALGORITHMS: dict[str, Callable[[demos.Demonstrations, int], tuple[Any, int]]] = {
    "bc": bc,
    "gail_ppo": gail,
    "imitation_gail": imitation_gail,
}


def measured(algo: str, seed: int) -> dict[str, Any]:
    """One row: trained, and evaluated over 50 deterministic episodes on the task itself."""
    shown = demos.record(Balancing(), ENV, 1, seed=seed, n_envs=1)
    wall, cpu = time.perf_counter(), time.process_time()
    policy, steps = ALGORITHMS[algo](shown, seed)
    spent = {"cpu_s": round(time.process_time() - cpu, 1), "wall_s": round(time.perf_counter() - wall, 1)}
    returns = gs.evaluate(policy, ENV, n_episodes=N_EVAL).returns
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    return {
        "algo": algo,
        "seed": seed,
        "env_steps": steps,
        **spent,
        "return_mean": round(float(returns.mean()), 1),
        "return_min": float(returns.min()),
        "n_eval": N_EVAL,
        "machine": f"{platform.machine()}, one thread",
        "commit": commit.stdout.strip(),
    }


def main() -> None:
    """Runs what is missing in the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--algos", nargs="+", default=list(ALGORITHMS), choices=list(ALGORITHMS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    gym.logger.min_level = 40
    done = list(csv.DictReader(RESULTS.open())) if RESULTS.exists() else []
    for seed in args.seeds:
        for algo in args.algos:
            if any((row["algo"], row["seed"]) == (algo, str(seed)) for row in done):
                continue
            row = measured(algo, seed)
            print(row, flush=True)
            with RESULTS.open("a", newline="") as file:
                writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
                if file.tell() == 0:
                    writer.writeheader()
                writer.writerow(row)


if __name__ == "__main__":
    main()
