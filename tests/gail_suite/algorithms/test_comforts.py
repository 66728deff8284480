"""What a run can be asked for beside training: a best policy, an early end, callbacks, loggers; SQIL and DAgger."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Box

import envs
import gail_suite as gs
from gail_suite.algorithms.trainer import resume
from gail_suite.learning.onpolicy import Cadence
from gail_suite.learning.policies.keeping import Best, KeepConfig
from gail_suite.learning.policies.policy import LearnedPolicy, load_policy
from gail_suite.runs.runlog import read_metrics, tag

SAC = gs.SACConfig(hidden=(16, 16), burn_in=5)
LOOP = gs.LoopConfig(n_envs=4, warm_up=40, eval_every=40, eval_episodes=1, checkpoint_every=80, log_every=40)
BC = gs.BCConfig(steps=20, hidden=(16, 16))


def gail(demonstrations, run_dir=None, **keep):
    config = gs.GAILConfig(sac=SAC, loop=LOOP, bc=BC, choose=False, keep=KeepConfig(**keep))
    return gs.GAIL(envs.TOY_ID, demonstrations, config, seed=1, run_dir=run_dir)


def same(a: LearnedPolicy, b: LearnedPolicy) -> bool:
    return all(np.array_equal(a.tensors[name], b.tensors[name]) for name in a.tensors)


def test_keeping_the_best_changes_no_bit_of_the_final_policy(toy_demos, tmp_path: Path) -> None:
    plain = gail(toy_demos).train(240, eval_episodes=0)
    kept = gail(toy_demos, tmp_path / "run", best="distance").train(240, eval_episodes=0)
    assert same(plain.policy, kept.policy) and plain.best is None
    rows = [row for row in read_metrics(tmp_path / "run") if "distance" in row]
    assert len(rows) == 6
    nearest = min(rows, key=lambda row: row["distance"])
    assert kept.best.meta["env_steps"] == nearest["step"]
    assert same(load_policy(tmp_path / "run/best"), kept.best)


def test_what_was_best_before_a_kill_is_remembered(toy_demos, tmp_path: Path, killed) -> None:
    whole = gail(toy_demos, tmp_path / "whole", best="return").train(240, eval_episodes=0)
    killed(gail(toy_demos, tmp_path / "cut", best="return"), 240, step=80, eval_episodes=0)
    again = resume(tmp_path / "cut").train(240, eval_episodes=0)
    assert same(whole.best, again.best) and whole.best.meta == again.best.meta
    assert same(whole.policy, again.policy)


def test_a_run_ends_when_no_better_policy_comes() -> None:
    constants: dict[str, np.ndarray] = {}
    best = Best(KeepConfig(best="return", patience=2), constants, lambda policy, row: -row["return_mean"])
    policies = [LearnedPolicy(toy_policy(i), {"env_id": envs.TOY_ID, "env_steps": i}) for i in range(5)]
    judged = [best.judge(policies[i], {"return_mean": value}) for i, value in enumerate((1.0, 3.0, 2.0))]
    assert judged == [True, True, False] and not best.exhausted
    assert not best.judge(policies[3], {"return_mean": 3.0}) and best.exhausted  # as good is no better
    assert same(best.policy({}), policies[1]) and best.policy({}).meta["env_steps"] == 1
    with pytest.raises(ValueError, match="patience=3 waits for a better policy, but best=none"):
        KeepConfig(patience=3)
    with pytest.raises(ValueError, match="setting best is 'reward': choose one of none, distance, return"):
        KeepConfig(best="reward")


def toy_policy(i: int) -> dict[str, np.ndarray]:
    width = envs.spec(envs.TOY_ID).obs_dim
    zeros = {"obs_mean": width, "hidden.0.bias": 4, "mean.bias": 2, "log_std.bias": 2}
    tensors = {name: np.zeros(size, np.float32) for name, size in zeros.items()}
    weights = {"hidden.0.weight": (4, width), "mean.weight": (2, 4), "log_std.weight": (2, 4)}
    tensors |= {name: np.full(shape, i, np.float32) for name, shape in weights.items()}
    return tensors | {"obs_scale": np.ones(width), "act_low": -np.ones(2), "act_high": np.ones(2)}


def test_callbacks_see_rows_and_can_end_a_run(toy_demos, tmp_path: Path) -> None:
    seen, logged = [], []
    trainer = gail(toy_demos, tmp_path / "run")
    trainer.train(
        400,
        eval_episodes=0,
        callbacks=[lambda trainer, row: seen.append(row["return_mean"]) or trainer.loop.steps < 120],
        loggers=[lambda metrics, step: logged.append((step, metrics))],
    )
    assert trainer.loop.steps == 120 and len(seen) == 3
    assert [step for step, metrics in logged if "eval/return_mean" in metrics] == [40, 80, 120]
    assert {name.split("/")[0] for _, metrics in logged for name in metrics} <= {
        "eval", "rollout", "clone", "discriminator", "critic", "actor", "train"}  # fmt: skip
    with pytest.raises(ValueError, match="this run has no directory: give run_dir"):
        gail(toy_demos).train(40, loggers=[print])


def test_tags_are_grouped() -> None:
    assert [tag(name) for name in ("score", "disc_acc_agent", "prior_kl", "bc_score", "alpha", "inverse_loss")] == [
        "eval/score", "discriminator/disc_acc_agent", "prior/prior_kl", "clone/bc_score", "actor/alpha",
        "train/inverse_loss"]  # fmt: skip


def test_ppo_keeps_a_best_policy_too(toy_demos, tmp_path: Path) -> None:
    learner = gs.onpolicy_config("ppo").learner
    small = replace(learner, n_envs=2, batch_steps=64, minibatch=64, epochs=1)
    config = replace(
        gs.onpolicy_config("ppo"), learner=small, cadence=Cadence(64, 1, 64), keep=KeepConfig(best="return", patience=1)
    )
    trainer = gs.OnPolicyGAIL(envs.TOY_ID, toy_demos, config, seed=0, run_dir=tmp_path / "run")
    run = trainer.train(64 * 30, eval_episodes=0)
    rows = read_metrics(tmp_path / "run")
    assert rows[-1]["ended_no_better"] == 1.0 and trainer.loop.steps < 64 * 30
    assert run.best.meta["env_steps"] == max(rows, key=lambda row: row["return_mean"])["step"]
    steps = trainer.loop.steps  # a run that waited in vain is over, also when it is resumed
    again = resume(tmp_path / "run").train(64 * 30, eval_episodes=0)
    assert read_metrics(tmp_path / "run")[-1]["step"] == steps and same(again.policy, run.policy)


def test_sqil_learns_the_toy_and_resumes(toy_demos, tmp_path: Path, killed) -> None:
    loop = gs.LoopConfig(n_envs=4, warm_up=100, eval_every=0, checkpoint_every=200, log_every=200)
    config = gs.SQILConfig(sac=gs.SACConfig(hidden=(32, 32), burn_in=0, n_step=1, tune_alpha=True), loop=loop)
    first = gs.SQIL(envs.TOY_ID, toy_demos, config, seed=0, run_dir=tmp_path / "whole")
    before = gs.evaluate(first.policy(), envs.TOY_ID, n_episodes=5).return_mean
    whole = first.train(1200, eval_episodes=0)
    assert gs.evaluate(whole.policy, envs.TOY_ID, n_episodes=5).return_mean > before
    killed(gs.SQIL(envs.TOY_ID, toy_demos, config, seed=0, run_dir=tmp_path / "cut"), 1200, step=400, eval_episodes=0)
    assert same(resume(tmp_path / "cut").train(1200, eval_episodes=0).policy, whole.policy)


def test_dagger_asks_the_expert_where_the_learner_went(toy_demos, tmp_path: Path) -> None:
    asked = []

    class Expert:
        def predict(self, obs, state=None, episode_start=None, deterministic=False):
            asked.append(len(obs))
            return envs.toy_expert.predict(obs, state, episode_start, deterministic)

    config = gs.DAggerConfig(rounds=2, episodes=2, bc=gs.BCConfig(steps=100, hidden=(32, 32)))
    one = toy_demos[:1]
    run = gs.DAgger(envs.TOY_ID, one, config, expert=Expert(), run_dir=tmp_path / "run").train(eval_episodes=5)
    pairs = [row["pairs"] for row in read_metrics(tmp_path / "run")]
    assert set(asked) == {1}  # one step at a time, since it may have a memory
    assert one.n_pairs < pairs[0] < pairs[1] == one.n_pairs + len(asked)
    assert run.policy.meta["rounds"] == 2 and run.score > gs.BC(envs.TOY_ID, one, config.bc).train().score - 0.1
    with pytest.raises(ValueError, match="whole demonstrations: leave out subsample"):
        gs.DAgger(envs.TOY_ID, toy_demos.subsample(5, seed=0), config, expert=Expert())
    scaled = Expert()
    scaled.action_space = Box(-0.4, 0.4, (2,), np.float32)
    with pytest.raises(ValueError, match=r"actions lie in \[-0.4, 0.4\], those of .* in \[-1, 1\]"):
        gs.DAgger(envs.TOY_ID, one, config, expert=scaled)


def test_dagger_asks_an_expert_with_a_memory_in_order(toy_demos) -> None:
    from gail_suite.algorithms.dagger import relabelled

    class Counting:
        def predict(self, obs, state=None, episode_start=None, deterministic=False):
            state = np.where(episode_start, 0, 0 if state is None else state + 1)
            return np.repeat(state[:, None], 2, 1).astype(np.float32), state

    assert relabelled(toy_demos[0], Counting()).acts[:, 0].tolist() == list(range(len(toy_demos[0])))
    same = relabelled(toy_demos[0], envs.toy_expert)
    np.testing.assert_allclose(same.acts, envs.toy_expert.predict(toy_demos[0].obs[:-1])[0], rtol=1e-6)
