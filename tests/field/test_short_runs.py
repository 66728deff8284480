"""Short trainings: what they will do is said first, and their schedule leaves the policy something to learn."""

from dataclasses import replace

import numpy as np
import pytest

from gail_suite import demos, envs
from gail_suite.algorithms.gail import GAIL, GAILConfig, few_steps
from gail_suite.learning.plan import fitted, in_batches, plan


@pytest.mark.case(
    "manners",
    "A short training (2,500 to 30,000 steps)",
    "less warm-up and burn-in, so that the policy learns in most of it; told first",
)
@pytest.mark.parametrize("total", [200, 2_500, 4_000, 10_000, 30_000])
@pytest.mark.parametrize("defaults", [GAILConfig, few_steps])
def test_the_schedule_of_a_short_run_leaves_the_policy_most_of_it(defaults, total):
    planned = plan(fitted(defaults(), total), total)
    assert planned.learns and planned.moves <= (
        total / 2 if total > 1_000 else 0.6 * total
    )  # a round of all environments
    assert f"{total:,} steps, of which {planned.collected:,} are collected" in str(planned)
    assert f"the critic alone learns until step {planned.moves:,}, the policy from there on" in str(planned)


@pytest.mark.parametrize("defaults", [GAILConfig, few_steps])
def test_the_schedule_of_a_long_run_is_the_default(defaults):
    assert fitted(defaults(), 100_000) == defaults() and fitted(defaults(), None) == defaults()


def test_a_run_whose_policy_cannot_move_says_so():
    config = GAILConfig()
    stuck = plan(replace(config, sac=replace(config.sac, burn_in=10**6)), 4_000)
    assert not stuck.learns and "which is never reached: the policy stays as it begins; give more --steps" in str(stuck)


def test_the_policy_of_a_short_run_moves():
    """2,500 steps with the default settings but smaller networks: the learner's actor is not the clone that it
    began as.
    """
    shown = demos.record(envs.toy_expert, envs.TOY_ID, 2)
    small = GAILConfig()
    small = replace(small, bc=replace(small.bc, steps=50, hidden=(16, 16)), sac=replace(small.sac, hidden=(16, 16)),
                    loop=replace(small.loop, capacity=4000, eval_every=0))  # fmt: skip
    trainer = GAIL(envs.TOY_ID, shown, fitted(small, 2_500))
    began = {}

    def keep(log):
        type(trainer)._begin(trainer, log)
        began.update({k: v.clone() for k, v in trainer.loop.sac.actor.state_dict().items()})

    trainer._begin = keep
    trainer.train(2_500, eval_episodes=0)
    moved = [float((v - began[k]).abs().max()) for k, v in trainer.loop.sac.actor.state_dict().items()]
    assert np.max(moved) > 1e-3


def test_a_run_that_learns_from_whole_batches_says_how_many_steps_that_makes():
    assert in_batches(4_096, 8_192).startswith("4,096 steps in batches of 8,192")
    assert in_batches(4_096, 8_192).endswith("the last is taken whole, which makes 8,192")
    assert in_batches(16_385, 8_192).endswith("makes 24,576") and "whole" not in in_batches(16_384, 8_192)
