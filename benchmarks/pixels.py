"""Imitation by sight on PointToy: SAC whose only reward is how typical a VAE or a PixelCNN of the expert's frames finds
its own.

    python -m benchmarks.pixels                  # what the CSV lacks

The policy acts on the state; the reward sees frames alone. Score: 0 random, 1 expert, on the toy's own reward, 20
episodes.
"""

from __future__ import annotations

import time

import numpy as np

from benchmarks.records import RESULTS, mean_bonus, measure_arms

CSV = RESULTS / "pixels.csv"
COLUMNS = (
    "env",
    "arm",
    "seed",
    "env_steps",
    "score",
    "length_mean",
    "bonus_mean",
    "bonus_last",
    "cpu_s",
    "machine",
    "commit",
    "command",
)
ARMS = (
    "vae",
    "pixelcnn",
    "vae-untrained",
    "pixelcnn-untrained",
    "constant",
)  # constant: of the vae's mean bonus, measured before it
STEPS = 6_000


def imitate(arm: str, seed: int, steps: int = STEPS) -> dict:
    """Trains on the frames' score and measures on the toy's own reward."""
    import demos
    import envs
    from gail_suite.learning.offpolicy import LoopConfig, OffPolicyLoop
    from gail_suite.learning.sac import SACConfig
    from gail_suite.learning.shown.features import fit_features
    from gail_suite.priors.pseudo_counts import Constant, ExploringReward
    from gail_suite.priors.sight import Sight, fit_sight
    from gail_suite.showing.evaluation import evaluate

    start = time.process_time()
    shown = demos.record(envs.toy_expert, envs.TOY_ID, 8, seed=10_000 + 100 * seed)
    name, _, control = arm.partition("-")
    bonus = (
        Constant(mean_bonus(CSV, "vae", seed))
        if arm == "constant"
        else Sight(fit_sight(shown, model=name, seed=seed, untrained=bool(control)))
    )
    sac = SACConfig(
        hidden=(64, 64),
        batch_size=64,
        gamma=0.95,
        actor_lr=1e-3,
        critic_lr=1e-3,
        tau=0.02,
        actor_delay=1,
        average_rate=0.02,
    )
    loop = LoopConfig(
        n_envs=4,
        updates_per_step=0.5,
        warm_up=400,
        random_warm_up=True,
        capacity=steps,
        eval_every=steps,
        eval_episodes=1,
    )
    features = fit_features(shown.transitions().obs, np.arange(3))
    trainer = OffPolicyLoop(envs.TOY_ID, features, ExploringReward(0.0, 1.0), sac, loop, seed, None, bonus=bonus)
    trainer.train(steps)
    bonuses = trainer.replay.bonus[: trainer.replay.written]
    found = evaluate(trainer.policy(), envs.TOY_ID, n_episodes=20, seed=1000)
    return {
        "env": envs.TOY_ID,
        "arm": arm,
        "seed": seed,
        "env_steps": trainer.steps,
        "score": round(float(found.score), 3),
        "length_mean": round(float(found.lengths.mean()), 1),
        "bonus_mean": round(float(bonuses.mean()), 3),
        "bonus_last": round(float(bonuses[-100:].mean()), 3),
        "cpu_s": round(time.process_time() - start, 1),
    }


def main() -> None:
    """Command line."""
    measure_arms(__doc__, CSV, COLUMNS, ARMS, imitate, seeds=3)


if __name__ == "__main__":
    main()
