"""Kinds 5, 6, 7 and 11: exact rows, no dead ends, NaN, input."""

import json
import warnings

import numpy as np
import pytest
import torch

import demos
import envs
import gail_suite as gs
from gail_suite.algorithms.bc import BCConfig
from gail_suite.learning.offpolicy import LoopConfig
from gail_suite.learning.sac import SACConfig
from gail_suite.learning.sb3 import OnPolicyConfig
from gail_suite.runs.checkpoint import CheckpointError, check_finite, load_checkpoint, save_checkpoint
from gail_suite.runs.runlog import read_metrics

CLOCK = ("sps", "wall_s")


def small(**loop):
    sac = SACConfig(hidden=(8, 8), batch_size=8)
    steps = {"n_envs": 2, "warm_up": 20, "capacity": 500, "eval_every": 0, "log_every": 70, "checkpoint_every": 50}
    return gs.GAILConfig(bc=BCConfig(steps=50, hidden=(8, 8)), sac=sac, loop=LoopConfig(**steps | loop))


def rows(run_dir):
    return [{k: v for k, v in row.items() if k not in CLOCK} for row in read_metrics(run_dir)]


def test_the_rows_after_a_resume_are_those_of_an_undisturbed_run(tmp_path, toy_demos, killed):
    gs.GAIL(envs.TOY_ID, toy_demos, small(), run_dir=tmp_path / "a").train(200, eval_episodes=0)
    killed(
        gs.GAIL(envs.TOY_ID, toy_demos, small(), run_dir=tmp_path / "b"), 200, step=100
    )  # in the middle of an interval
    gs.resume(tmp_path / "b").train(eval_episodes=0)
    assert rows(tmp_path / "b") == rows(tmp_path / "a")


def test_a_refused_recording_does_not_stand_in_the_way_of_the_corrected_one(tmp_path):
    with pytest.raises(ValueError, match="seed is -1"):
        demos.record(envs.toy_expert, envs.TOY_ID, 1, seed=-1, out=tmp_path / "d")
    assert len(demos.record(envs.toy_expert, envs.TOY_ID, 1, seed=1, out=tmp_path / "d")) == 1


def test_a_state_that_is_not_finite_is_never_saved(tmp_path, toy_demos):
    gail = gs.GAIL(envs.TOY_ID, toy_demos, small(), run_dir=tmp_path / "run")
    gail.train(100, eval_episodes=0)
    before = load_checkpoint(tmp_path / "run/checkpoints")[0]
    with torch.no_grad():
        next(gail.loop.sac.actor.parameters()).fill_(float("nan"))
    gail.loop.steps += 2
    with pytest.raises(
        FloatingPointError, match=r"step \d+: .*actor.* of sac holds NaN or Inf, so this state was not saved"
    ):
        gail.loop.save()
    assert load_checkpoint(tmp_path / "run/checkpoints")[0] == before


def test_a_run_resumes_from_the_step_that_is_asked_for(tmp_path):
    for step in (10, 20):
        save_checkpoint(tmp_path, step, {"w": np.zeros(1)}, {"v": step})
    assert load_checkpoint(tmp_path, 10)[0] == 10 and load_checkpoint(tmp_path)[0] == 20
    with pytest.raises(CheckpointError, match="no checkpoint of step 15: there are those of step 10, 20"):
        load_checkpoint(tmp_path, 15)


def test_check_finite_names_the_first_part():
    with pytest.raises(FloatingPointError, match="step 7: w of critic"):
        check_finite(7, {"actor": {"w": np.ones(2)}, "critic": {"w": np.array([1.0, np.inf])}})


def test_a_stop_names_what_failed_first(toy_demos):
    loop = gs.GAIL(envs.TOY_ID, toy_demos, small()).loop
    nan, one = torch.tensor(float("nan")), torch.tensor(1.0)
    loop.sums.values |= {"critic_loss": [one, nan], "actor_loss": [one, one], "disc_loss": [nan, nan]}
    with pytest.raises(
        FloatingPointError, match=r"step 0: disc_loss was the first .* 2 updates ago: the discriminator"
    ):
        loop.sums.check(loop.steps)


def poison(venv, i, column):
    """Makes environment i of a vector environment give one NaN."""
    inner = venv.envs[i]
    step = inner.step

    def bad(action):
        obs, *rest = step(action)
        obs = np.array(obs)
        obs[column] = np.nan
        inner.step = step
        return obs, *rest

    inner.step = bad


@pytest.mark.parametrize("mends", [True, False])
def test_one_bad_environment_costs_one_episode(mends):
    venv = envs.make_vec(envs.TOY_ID, 3, seed=0, mends=mends)
    before = venv.reset()
    poison(venv, 1, 2)
    actions = np.zeros((3, 2), np.float32)
    if not mends:
        with pytest.raises(ValueError, match=r"environments \[1\] are not finite, first column 2"):
            venv.step(actions)
        return
    with pytest.warns(UserWarning, match=r"environments \[1\] are not finite, first column 2: .* their episodes end"):
        obs, rewards, dones, infos = venv.step(actions)
    assert dones.tolist() == [False, True, False] and rewards[1] == 0 and np.isfinite(obs).all()
    assert infos[1]["TimeLimit.truncated"] and (infos[1]["terminal_observation"] == before[1]).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        venv.step(actions)
    venv.close()


def test_a_task_whose_reward_is_nan_is_told_once(toy_demos):
    loop = gs.GAIL(envs.TOY_ID, toy_demos, small()).loop
    loop._begin()
    actions = np.zeros((2, 2), np.float32)
    obs, _, done, infos = loop.env.step(actions)
    with pytest.warns(UserWarning, match=r"environment 1 gave the reward nan; imitation never reads it") as told:  # noqa: PT031
        for _ in range(3):
            loop._store(actions, (obs, np.array([0.0, np.nan]), done, infos))
    assert len(told) == 1


@pytest.mark.parametrize(
    "make, says",
    [
        (lambda: SACConfig(tau=7), "tau must be at most 1"),
        (lambda: OnPolicyConfig(gamma=2), "gamma must be at most 1"),
        (lambda: OnPolicyConfig(clip_range=-1), "clip_range must be above 0"),
        (lambda: OnPolicyConfig(max_kl=-1), "max_kl must be above 0"),
        (lambda: gs.AIRLConfig(reward_clip=0), "reward_clip must be above 0"),
        (lambda: gs.AdversaryConfig(reward_clip=0), "reward_clip must be above 0"),
        (lambda: gs.AdversaryConfig(batch_size=0), "batch_size must be at least 1"),
        (lambda: gs.AdversaryConfig(latent=70_000), "latent must be at most 65536"),
        (lambda: gs.AdversaryConfig(hidden=(8, 70_000)), "each from 1 to 65,536"),
        (lambda: OnPolicyConfig(batch_steps=1, n_envs=1), "batch_steps must be at least 2"),
        (lambda: BCConfig(steps=float("nan")), "setting steps is NaN"),
        (lambda: BCConfig(lr=float("nan")), "setting lr is NaN"),
        (lambda: gs.GAILConfig(sac=LoopConfig()), "sac is a LoopConfig, expected a SACConfig"),
        (lambda: gs.generative.PixelCNN(layers=0), "layers must be at least 1"),
    ],
)
def test_bounds_hold_in_python_too(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_what_is_given_in_place_of_something_else_is_named(toy_demos):
    for arguments, says in (
        (("demos/folder", BCConfig()), "the demonstrations are a str: give what demos.load"),
        ((toy_demos, LoopConfig()), "BC is configured by a BCConfig, not by a LoopConfig"),
        ((toy_demos, BCConfig(), 1.5), "seed is 1.5; environments take whole numbers"),
        ((toy_demos, BCConfig(), -1), "seed is -1"),
    ):
        with pytest.raises(ValueError, match=says):
            gs.BC(envs.TOY_ID, *arguments)


def test_whole_numbers_are_not_rounded_on_the_command_line(tmp_path, toy_demos, capsys):
    from gail_suite.commands.cli import main

    toy_demos.save(tmp_path / "d")
    for words, says in ((("--steps", "1.5"), "takes whole numbers, got 1.5"), (("--seed", "-1"), "seed is -1")):
        assert main(["train", "bc", "--demos", str(tmp_path / "d"), "--out", str(tmp_path / "b"), *words]) in (1, 2)
        assert says in capsys.readouterr().err
    assert json.dumps(sorted(p.name for p in tmp_path.iterdir())) == '["d"]'
