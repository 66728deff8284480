import dataclasses
import hashlib
import json
import signal

import numpy as np
import pytest
import torch

import demos
import envs
import gail_suite as gs
from gail_suite.algorithms.bc import BC, BCConfig
from gail_suite.algorithms.gail import GAIL, DemonstratedStarts, GAILConfig, few_steps
from gail_suite.algorithms.gail_objective import Adversary, AdversaryConfig, share_at_bounds
from gail_suite.learning.inverse import InverseConfig
from gail_suite.learning.offpolicy import LoopConfig
from gail_suite.learning.replay import Replay, Window
from gail_suite.learning.rewards.learned_reward import load_reward, save_reward
from gail_suite.learning.sac import SACConfig
from gail_suite.learning.shown.occupancy import Likeness
from gail_suite.learning.shown.pairs import Pairs, Shown, demo_pairs
from gail_suite.runs import runlog
from gail_suite.runs.checkpoint import checkpoints
from gail_suite.runs.config import build, recorded
from gail_suite.runs.runlog import RunLocked, RunLog, read_metrics

SMALL = dataclasses.replace(
    few_steps(),
    bc=BCConfig(hidden=(64, 64), steps=100),
    warm_start=False,
    adversary=AdversaryConfig(hidden=(32,), batch_size=64, recent=5000, lr=1e-3, every=1, gradient_penalty=1.0),
    sac=SACConfig(
        hidden=(64, 64),
        batch_size=64,
        gamma=0.95,
        actor_lr=1e-3,
        critic_lr=1e-3,
        tau=0.02,
        actor_delay=1,
        average_rate=0.05,
    ),
    loop=LoopConfig(
        n_envs=4, warm_up=200, capacity=5000, eval_every=1000, eval_episodes=2, checkpoint_every=400, log_every=200
    ),
)


def weights(gail):
    arrays = gail.loop.sac.state() | gail.objective.state() | gail.loop.replay.state()
    return hashlib.sha256(b"".join(np.ascontiguousarray(arrays[k]).tobytes() for k in sorted(arrays))).hexdigest()


def rows(run_dir):
    return [{k: v for k, v in r.items() if k not in ("wall_s", "sps")} for r in read_metrics(run_dir)]


def test_learns_the_toy_from_four_demonstrations(toy_demos):
    run = GAIL(envs.TOY_ID, toy_demos, SMALL, seed=0).train(1500)
    assert run.score > 0.9


def test_same_seed_twice_and_another_seed(toy_demos, tmp_path):
    digests = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        gail = GAIL(envs.TOY_ID, toy_demos, SMALL, seed, tmp_path / name)
        gail.train(600, eval_episodes=1)
        digests.append(weights(gail))
    assert digests[0] == digests[1] != digests[2]
    assert rows(tmp_path / "a") == rows(tmp_path / "b")


def test_resume_equals_an_undisturbed_run(toy_demos, tmp_path, killed):
    whole = GAIL(envs.TOY_ID, toy_demos, dataclasses.replace(SMALL, warm_start=True), 0, tmp_path / "whole")
    whole.train(800, eval_episodes=1)
    # the first half is told the whole length, since schedules depend on it, and is stopped by losing the process
    part = GAIL(envs.TOY_ID, toy_demos, dataclasses.replace(SMALL, warm_start=True), 0, tmp_path / "part")
    killed(part, 800, 400, eval_episodes=1)
    resumed = GAIL.resume(tmp_path / "part")
    assert resumed.loop.steps == 400
    resumed.train(eval_episodes=1)
    assert weights(resumed) == weights(whole)
    assert rows(tmp_path / "part") == rows(tmp_path / "whole")


def test_a_horizon_makes_a_short_run_the_beginning_of_a_long_one(toy_demos, tmp_path, killed):
    decaying = dataclasses.replace(SMALL, sac=dataclasses.replace(SMALL.sac, lr_final=0.1))
    killed(GAIL(envs.TOY_ID, toy_demos, decaying, 0, tmp_path / "long"), 800, 400, eval_episodes=1)
    digests = {}
    for horizon in (0, 800):
        short = GAIL(
            envs.TOY_ID, toy_demos, dataclasses.replace(decaying, loop=dataclasses.replace(SMALL.loop, horizon=horizon))
        )
        short.train(400, eval_episodes=0)
        digests[horizon] = weights(short)
    assert weights(GAIL.resume(tmp_path / "long")) == digests[800] != digests[0]


def adversary(**kwargs):
    torch.manual_seed(0)
    expert = Pairs(torch.ones(10, 2), torch.zeros(10, 1), torch.ones(10, 2), torch.zeros(10))
    return Adversary(expert, AdversaryConfig(hidden=(8,), **kwargs), batch_size=12, gamma=0.9)


def test_expert_rows_share_discount_and_bound():
    a = adversary(expert_share=0.25, expert_share_final=0.25)
    a.expert_reward = 0.5
    inputs = a.learner_inputs(torch.Generator())
    features, actions, returns, discount, bootstrap = inputs["extra"]
    # a quarter of the batch is the expert's: 12 of the agent's and 4 of the expert's
    assert len(features) == len(actions) == len(returns) == len(bootstrap) == 4
    assert torch.equal(discount, torch.full((4,), 0.9))
    # a positive reward of 0.5 a step is worth at most 0.5 / (1 - 0.9) = 5
    assert inputs["target_bounds"] == pytest.approx((0.0, 5.0))


@pytest.mark.parametrize(
    "reward, expert_reward, bounds",
    [
        ("logd", -0.7, (-50.0, 0.0)),  # clipped at 5 a step, and ending costs nothing
        ("airl", 0.2, (-10.0, 10.0)),
        ("airl", 3.0, (-30.0, 30.0)),
        ("fairl", -2.0, (-20.0, 20.0)),
    ],
)
def test_bounds_of_rewards_that_may_be_negative(reward, expert_reward, bounds):
    a = adversary(reward=reward)
    a.expert_reward = expert_reward
    assert a.learner_inputs(torch.Generator())["target_bounds"] == pytest.approx(bounds)
    a = adversary(reward=reward, termination_cost=2.0, termination_cost_final=2.0)
    a.expert_reward = expert_reward
    cost = 2 * max(expert_reward, 1e-3) / (1 - 0.9)  # as `rewards` takes it at a termination
    assert a.learner_inputs(torch.Generator())["target_bounds"] == pytest.approx((bounds[0] - cost, bounds[1]))


def test_the_expert_reward_is_that_of_the_whole_discriminator():
    a = adversary(dropout=0.5)
    with torch.no_grad():
        for p in a.learner.net.parameters():
            p.fill_(0.5)
    pairs, before = a.pairs[:4], a.expert_reward
    a._track_expert_reward(pairs, torch.full((4,), 9.0))  # logits with hidden outputs, which no reward has
    with torch.no_grad():
        assert a.expert_reward == pytest.approx(
            before + 0.01 * (float(a.learner.form(a.learner.net(pairs)).mean()) - before)
        )


def test_terminated_expert_pairs_do_not_bootstrap():
    expert = Pairs(torch.ones(1, 2), torch.zeros(1, 1), torch.ones(1, 2), torch.ones(1))
    a = Adversary(expert, AdversaryConfig(hidden=(8,)), batch_size=12, gamma=0.9)
    assert torch.equal(a.learner_inputs(torch.Generator())["extra"][3], torch.zeros(4))


def test_reward_is_the_softplus_of_the_logit_and_is_clipped():
    a = adversary(reward_clip=0.7)
    window = Window(
        torch.randn(5, 3, 2), torch.randn(5, 3, 1), torch.randn(5, 3, 2), *(torch.zeros(5, 3) for _ in range(3))
    )
    logits = a.learner.net(torch.cat([window.features, window.actions], -1))
    expected = torch.nn.functional.softplus(logits).clamp(max=0.7)
    torch.testing.assert_close(a.rewards(window), expected.detach())


def test_config_survives_json_and_a_later_version_is_named():
    written = json.loads(json.dumps(dataclasses.asdict(SMALL)))
    assert recorded(GAILConfig(), written) == SMALL
    written["adversary"]["mixup"] = False
    with pytest.raises(ValueError, match=r"begun by another version of gail-suite: unknown setting .adversary\.mixup"):
        recorded(GAILConfig(), written)


def test_bc_learns_the_toy(toy_demos):
    run = BC(envs.TOY_ID, toy_demos, BCConfig(steps=1500)).train()
    assert run.score > 0.95


def test_wrong_environment_is_one_clear_line(toy_demos):
    with pytest.raises(ValueError, match="3 observation and 2 action entries, Ant-v5 has 105 and 8"):
        GAIL("Ant-v5", toy_demos)


def test_resume_of_an_on_policy_run_gives_its_own_trainer(tmp_path, toy_demos):
    from gail_suite.algorithms.gail_onpolicy import OnPolicyGAIL, onpolicy_config

    config = onpolicy_config("ppo")
    config = dataclasses.replace(
        config, learner=dataclasses.replace(config.learner, n_envs=4, batch_steps=256, epochs=1)
    )
    OnPolicyGAIL(envs.TOY_ID, toy_demos, config, 0, tmp_path).train(256, eval_episodes=0)
    assert isinstance(GAIL.resume(tmp_path), OnPolicyGAIL)


def test_absorbing_state_pays_for_ever_after_a_termination():
    a = adversary(absorbing=True, reward_clip=5.0)
    window = Window(
        torch.randn(4, 2, 2),
        torch.randn(4, 2, 1),
        torch.randn(4, 2, 2),
        torch.zeros(4, 2),
        torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]),
        torch.ones(4, 2),
    )
    with torch.no_grad():
        plain = a.learner.form(a.learner.net(torch.cat([window.features, window.actions, torch.zeros(4, 2, 1)], -1)))
        end = a.learner.form(a.learner.net(torch.tensor([[0.0, 0.0, 0.0, 1.0]])))
    # gamma = 0.9: 0.9 r + 0.81 r + ... = 9 r, counted at the step that ends
    torch.testing.assert_close(a.rewards(window), plain + 9 * end * window.terminated)


def test_discriminator_learns_from_an_absorbing_pair_for_each_fall():
    a = adversary(absorbing=True, lr=1e-2)
    replay = Replay(100, 2, 2, 1)
    for i in range(10):
        replay.add(
            np.zeros((2, 2)), np.zeros((2, 1)), np.zeros((2, 2)), np.zeros(2), np.full(2, i % 2), np.full(2, i % 2)
        )
    generator = torch.Generator().manual_seed(0)
    before = float(a.learner.net(a.absorbing_pair).detach())
    for _ in range(200):
        a.update(replay, generator)
    # only the agent falls, so the absorbing state speaks against the expert
    assert float(a.learner.net(a.absorbing_pair).detach()) < before - 0.1


def test_learns_the_toy_with_absorbing_states(toy_demos):
    config = dataclasses.replace(SMALL, adversary=dataclasses.replace(SMALL.adversary, absorbing=True))
    # falling pays softplus(0) for ever until the discriminator has seen enough falls, so this takes longer than without
    assert GAIL(envs.TOY_ID, toy_demos, config, seed=0).train(4000).score > 0.9


def test_a_termination_costs_more_and_more_of_the_attainable_return():
    a = adversary(termination_cost=1.0, termination_cost_final=3.0)
    a.expert_reward = 0.5
    window = Window(
        torch.randn(1, 2, 2),
        torch.randn(1, 2, 1),
        torch.randn(1, 2, 2),
        torch.zeros(1, 2),
        torch.tensor([[0.0, 1.0]]),
        torch.ones(1, 2),
    )
    plain = adversary().rewards(window)  # the same network
    # half way the cost is (1 + 3) / 2 = 2 returns of 0.5 / (1 - 0.9) = 5 each, at the step that ends
    a.set_progress(0.5)
    torch.testing.assert_close(a.rewards(window) - plain, torch.tensor([[0.0, -10.0]]))
    assert a.learner_inputs(torch.Generator())["target_bounds"] == pytest.approx((-10.0, 5.0))


def test_a_price_that_changed_over_a_run_is_known_after_it():
    priced = {"termination_cost": 1.0, "termination_cost_final": 3.0}
    a, again = adversary(**priced), adversary(**priced)
    a.set_progress(1.0)
    again.load_state(a.state())
    assert again.at_termination() == pytest.approx(a.at_termination()) and a.at_termination() < 0


def test_a_terminated_expert_pays_the_same():
    expert = Pairs(torch.ones(1, 2), torch.zeros(1, 1), torch.ones(1, 2), torch.ones(1))
    returns = []
    for cost in (0.0, 2.0):
        torch.manual_seed(0)
        a = Adversary(expert, AdversaryConfig(hidden=(8,), termination_cost=cost), batch_size=12, gamma=0.9)
        a.expert_reward = 0.5
        returns.append(a.learner_inputs(torch.Generator())["extra"][2])
    torch.testing.assert_close(returns[0] - returns[1], torch.full((4,), 10.0))


def test_a_termination_has_one_price():
    with pytest.raises(ValueError, match=r"adversary\.absorbing says what a termination is worth"):
        adversary(absorbing=True, termination_cost_final=1.0)


def test_a_stopped_run_leaves_no_policy_that_passes_for_the_final_one(toy_demos, tmp_path, monkeypatch):
    trainer = GAIL(envs.TOY_ID, toy_demos, SMALL, 0, tmp_path)
    trainer.train(400, eval_episodes=0)
    assert (tmp_path / "policy" / "policy.safetensors").is_file()
    resumed = GAIL.resume(tmp_path)
    monkeypatch.setattr(runlog, "_signal_seen", signal.SIGTERM)
    resumed.train(800, eval_episodes=0)
    assert not (tmp_path / "policy").exists() and gs.load_policy(tmp_path).meta["env_steps"] == 400


def test_a_refused_process_changes_nothing_in_the_run(toy_demos, tmp_path):
    GAIL(envs.TOY_ID, toy_demos, SMALL, 0, tmp_path).train(400, eval_episodes=0)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with RunLog(tmp_path, quiet=True), pytest.raises(RunLocked):
        GAIL.resume(tmp_path).train(800, eval_episodes=0)
    changed = [p for p, content in before.items() if p.name != ".lock" and p.read_bytes() != content]
    assert changed == []


@pytest.fixture(scope="module")
def pendulum():
    """A task of Gymnasium that is none of MuJoCo's, with a policy that does nothing for expert."""

    def nothing(obs, state=None, episode_start=None, deterministic=False):
        return np.zeros((len(obs), 1), np.float32), state

    policy = type("Nothing", (), {"predict": staticmethod(nothing)})()
    return demos.record(policy, "Pendulum-v1", 2, seed=0)


def test_a_task_whose_simulator_cannot_be_read_goes_on_with_new_episodes(pendulum, tmp_path, killed):
    run = GAIL("Pendulum-v1", pendulum, SMALL, 0, tmp_path / "run")
    killed(run, 800, 400, eval_episodes=0)
    with pytest.warns(UserWarning, match="new episodes begin"):
        resumed = GAIL.resume(tmp_path / "run")
    assert resumed.loop.steps == 400 and (resumed.loop.running == 0).all()
    replay = resumed.loop.replay
    assert (
        replay.done[replay.written - 1].all() and not replay.terminated[replay.written - 1].any()
    )  # windows end, values go on
    resumed.train(800, eval_episodes=0)
    assert (tmp_path / "run" / "policy" / "policy.json").is_file()
    assert replay.done[: replay.written, 0].nonzero().flatten().tolist() == [
        99
    ]  # of 200 rows: an episode takes 200 steps


def test_a_new_run_does_not_mix_with_another(toy_demos, tmp_path, killed):
    first = GAIL(envs.TOY_ID, toy_demos, SMALL, 0, tmp_path)
    killed(first, 800, 400, eval_episodes=0)
    before = (tmp_path / "config.json").read_bytes(), (tmp_path / "metrics.jsonl").read_bytes()
    with pytest.raises(ValueError, match=r"holds a run already: go on with its trainer's resume"):
        GAIL(envs.TOY_ID, toy_demos, SMALL, 7, tmp_path).train(800, eval_episodes=0)
    assert ((tmp_path / "config.json").read_bytes(), (tmp_path / "metrics.jsonl").read_bytes()) == before
    GAIL.resume(tmp_path).train(800, eval_episodes=0)
    with pytest.raises(ValueError, match="holds a run already"):
        GAIL(envs.TOY_ID, toy_demos, SMALL, 0, tmp_path).train(800, eval_episodes=0)


def test_the_last_checkpoint_is_written_once_and_the_one_before_it_stays(toy_demos, tmp_path):
    GAIL(envs.TOY_ID, toy_demos, SMALL, 0, tmp_path).train(800, eval_episodes=0)
    assert [p.name for p in checkpoints(tmp_path / "checkpoints")] == ["step_000000400", "step_000000800"]


def test_cadences_of_zero_leave_the_end_alone(toy_demos, tmp_path):
    loop = dataclasses.replace(SMALL.loop, eval_every=0, log_every=10**9, checkpoint_every=0)
    GAIL(envs.TOY_ID, toy_demos, dataclasses.replace(SMALL, loop=loop), 0, tmp_path).train(800, eval_episodes=0)
    assert [r["step"] for r in read_metrics(tmp_path)] == [800] and len(checkpoints(tmp_path / "checkpoints")) == 1


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("loop.n_envs=0", "n_envs must be at least 1, got 0"),
        ("loop.log_every=0", "log_every must be at least 1"),
        ("loop.ends_share=2", "at most 1, got 2"),
        ("adversary.every=0", "every must be at least 1"),
        ("adversary.expert_share=1", r"expert_share must be below 1, got 1"),
        ("adversary.termination_cost=-1", "termination_cost must be at least 0"),
        ("sac.gamma=.nan", "gamma is NaN: give a number"),
        ("sac.decay_start=1.5", "at most 1"),
        ("sac.hidden=[]", "at least one layer"),
        ("bc.hidden=[8, 0]", "at least one layer"),
        ("sac.n_step=0", "n_step must be at least 1"),
        ("sac.alpha=0", "where the tuned temperature begins"),
        ("bc.steps=0", "steps must be at least 1"),
    ],
)
def test_settings_that_cannot_work_are_one_line(setting, message):
    with pytest.raises(ValueError, match=message):
        build(GAILConfig(), None, [setting])


def test_a_discount_of_one_is_refused(toy_demos):
    with pytest.raises(ValueError, match=r"sac\.gamma is below 1 here"):
        GAIL(envs.TOY_ID, toy_demos, dataclasses.replace(SMALL, sac=dataclasses.replace(SMALL.sac, gamma=1.0)))
    SACConfig(decay_start=1.0, alpha=0.0, gamma=1.0)  # each of them works elsewhere


def test_a_length_below_one_step_is_refused(toy_demos):
    for trainer in (GAIL(envs.TOY_ID, toy_demos, SMALL), BC(envs.TOY_ID, toy_demos)):
        with pytest.raises(ValueError, match="at least 1 step, got 0"):
            trainer.train(0)


def test_observations_without_actions_are_no_food_for_cloning(toy_demos):
    with pytest.raises(ValueError, match="hold observations only, without actions: behaviour cloning"):
        BC(envs.TOY_ID, toy_demos.observations_only())


WIDE = dataclasses.replace(
    SMALL,
    adversary=dataclasses.replace(SMALL.adversary, reach=5, entropy_at_bounds=-3.0),
    starts=DemonstratedStarts(share=0.5, length=10),
    inverse=InverseConfig(hidden=(64,), lr=3e-3, steps=600, every=400, more=100),
    choose=False,
)


@pytest.mark.parametrize("simulate", [0, 200])
def test_learns_the_toy_from_observations_alone(toy_demos, simulate):
    config = dataclasses.replace(
        WIDE, warm_start=True, inverse=dataclasses.replace(WIDE.inverse, simulate=simulate), arrive=0
    )
    gail = GAIL(envs.TOY_ID, toy_demos.observations_only(), config, seed=0)
    # actions that were found are as good as recorded ones; without them states are compared
    assert gail.config.adversary.state_only == (gail.inverse is not None) == (simulate == 0)
    score = gail.train(1500).score
    with_recorded = GAIL(envs.TOY_ID, toy_demos, config, seed=0).train(1500).score if simulate else 0.9
    assert score > with_recorded - 0.02 and score > 0.85
    told, shown = gail.objective.expert.actions, demo_pairs(envs.TOY_ID, toy_demos)[1].actions
    # the dynamics of the toy are linear: a model of them is good, and trying finds them all
    assert (told - shown.clip(-1, 1)).square().mean() < (1e-6 if simulate else 0.01)
    assert gail.demo_meta.get("actions_found") == (1 if simulate else None)


def test_states_alone_are_compared_where_that_is_asked_for_and_the_recorded_actions_are_not_read(toy_demos):
    config = dataclasses.replace(WIDE, adversary=dataclasses.replace(WIDE.adversary, state_only=True))
    gail = GAIL(envs.TOY_ID, toy_demos, config, seed=0)
    assert gail.objective.pairs.shape[1] == 2 * gail.shown.expert.features.shape[1] and gail.inverse is None
    wrong = tuple(dataclasses.replace(t, acts=-t.acts) for t in toy_demos)
    other = GAIL(envs.TOY_ID, dataclasses.replace(toy_demos, trajectories=wrong), config, seed=0)
    assert torch.equal(gail.shown.expert.actions, other.shown.expert.actions)


def test_actions_that_no_simulator_can_tell_are_guessed(monkeypatch, toy_demos):
    from gail_suite.algorithms import gail as module
    from gail_suite.learning.shown.reaching import Unreachable

    def unreachable(*_):
        raise Unreachable("no state")

    monkeypatch.setattr(module, "with_actions", unreachable)
    gail = GAIL(envs.TOY_ID, toy_demos.observations_only(), WIDE, seed=0)
    assert gail.config.adversary.state_only and gail.inverse is not None and not gail.shown.expert.actions.any()


@pytest.mark.parametrize("told", ["recorded", "found", "guessed"])
def test_resume_with_starts_moments_and_told_actions_is_exact(toy_demos, tmp_path, killed, told):
    shown = toy_demos if told == "recorded" else toy_demos.observations_only()
    config = (
        WIDE if told != "guessed" else dataclasses.replace(WIDE, inverse=dataclasses.replace(WIDE.inverse, simulate=0))
    )
    whole = GAIL(envs.TOY_ID, shown, config, seed=3, run_dir=tmp_path / "whole")
    whole.train(1000, eval_episodes=0)
    killed(GAIL(envs.TOY_ID, shown, config, seed=3, run_dir=tmp_path / "cut"), 1000, 600, eval_episodes=0)
    again = GAIL.resume(tmp_path / "cut")
    assert again.loop.env.n_cut == 2
    again.train(1000, eval_episodes=0)
    assert weights(again) == weights(whole)
    assert torch.equal(again.objective.expert.actions, whole.objective.expert.actions)


def test_without_demonstrated_starts_nothing_is_different(toy_demos):
    # share 0 and an environment that cannot be put into a state are the environments as they are
    assert not hasattr(GAIL(envs.TOY_ID, toy_demos, SMALL, seed=0).loop.env, "n_cut")
    started = GAIL(envs.TOY_ID, toy_demos, dataclasses.replace(SMALL, starts=DemonstratedStarts(0.5, 10)), seed=0)
    assert started.loop.env.n_cut == 2 and started.record()["begin_in_demonstrated_states"] == 2


def test_a_task_that_cannot_be_put_into_a_state_begins_as_it_does(pendulum):
    gail = GAIL(pendulum.env_id, pendulum, dataclasses.replace(SMALL, starts=DemonstratedStarts(0.5, 10)), seed=0)
    assert gail.record()["begin_in_demonstrated_states"] == 0


def test_replayed_times_are_those_of_the_demonstration(toy_demos):
    gail = GAIL(envs.TOY_ID, toy_demos, WIDE, seed=0)
    gail.loop.train(160)
    replay = gail.loop.replay
    stored, done = replay.time[: replay.written], replay.done[: replay.written] > 0
    assert torch.equal(stored[1:][~done[:-1]], stored[:-1][~done[:-1]] + 1)  # up by one within an episode
    assert (stored[1:, 2:][done[:-1, 2:]] == 0).all() and (stored[0, 2:] == 0).all()  # begun as the task does
    # the first two begin in a shown state, at its time: found again by its features
    shown, begun = (
        gail.shown,
        [(0, i) for i in range(2)] + [(r + 1, i) for r in range(39) for i in range(2) if done[r, i]],
    )
    assert len(begun) >= 8
    for row, i in begun:
        gaps = (shown.expert.features - replay.features[row, i]).abs().amax(1)
        assert gaps.min() < 1e-4 and stored[row, i] == shown.times[int(gaps.argmin())]


def test_entropy_target_falls_with_the_share_of_actions_at_a_bound():
    # by hand: entries (1, 0.2), (-1, 1), (0.5, 0.9985): 3 of 6 at a bound, offset -3 * 0.5 = -1.5
    acts = torch.tensor([[1.0, 0.2], [-1.0, 1.0], [0.5, 0.9985]])
    assert share_at_bounds(acts) == 0.5
    pairs = Pairs(torch.zeros(3, 2), acts, torch.zeros(3, 2), torch.zeros(3))
    adversary = Adversary(pairs, AdversaryConfig(entropy_at_bounds=-3.0), 4, 0.9)
    assert adversary.learner_inputs(torch.Generator())["entropy_offset"] == -1.5
    assert "entropy_offset" not in Adversary(pairs, AdversaryConfig(), 4, 0.9).learner_inputs(torch.Generator())


@pytest.mark.parametrize(("expert_ends", "agent_ends"), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
def test_noise_and_penalty_fall_where_nothing_ever_ends(monkeypatch, expert_ends, agent_ends):
    pairs = Pairs(torch.zeros(3, 2), torch.zeros(3, 1), torch.zeros(3, 2), torch.tensor([0.0, 0.0, expert_ends]))
    config = AdversaryConfig(every=1, batch_size=4, entropy_safe=-2.0, gradient_penalty_safe=0.2)
    adversary, replay, weights = Adversary(pairs, config, 4, 0.9), Replay(16, 1, 2, 1), []
    zeros = np.zeros((1, 2))
    for ends in (0.0, agent_ends):
        replay.add(zeros, zeros[:, :1], zeros, [0.0], [ends], [ends])
    step = adversary.learner.step
    monkeypatch.setattr(
        adversary.learner, "step", lambda e, a, g, weight, between: weights.append(weight) or step(e, a, g)
    )
    adversary.set_progress(0.5)
    adversary.update(replay, torch.Generator())
    safe = not (expert_ends or agent_ends)
    # half of the way from 0 to -2 and from 1 to 0.2
    assert adversary.learner_inputs(torch.Generator())["entropy_offset"] == (-1.0 if safe else 0.0)
    assert weights == [pytest.approx(0.6 if safe else 1.0)]


def test_the_discriminator_of_states_sees_no_action():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 50, 3, generator=generator)
    pairs = Pairs(x, torch.rand(50, 2, generator=generator), y, torch.zeros(50))
    other = pairs.with_actions(torch.zeros(50, 2))
    config = AdversaryConfig(state_only=True)
    torch.manual_seed(0)
    adversary = Adversary(pairs, config, 4, 0.9)
    assert adversary.pairs.shape == (50, 6) and torch.equal(adversary.pairs[:, 3:], y)
    assert torch.equal(Adversary(other, config, 4, 0.9).pairs, adversary.pairs)


def test_the_reward_of_states_is_saved_as_one_of_the_next_observation(toy_demos, tmp_path):
    config = dataclasses.replace(WIDE, adversary=dataclasses.replace(WIDE.adversary, state_only=True))
    gail = GAIL(envs.TOY_ID, toy_demos, config, seed=0)
    t = toy_demos.transitions()
    reward = load_reward(save_reward(gail.reward(), tmp_path / "reward"))
    x, y = (torch.from_numpy(gail.shown.features(o)) for o in (t.obs, t.next_obs))
    expected = gail.objective.learner.rewards(torch.cat([x, y], 1))
    found = reward(t.obs, np.zeros((len(t), 2)), t.next_obs, t.terminated)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


def test_the_clone_is_left_where_its_states_are_nearer(toy_demos, tmp_path):
    cloned = dataclasses.replace(SMALL, warm_start=True, bc=BCConfig(hidden=(64, 64), steps=1500), choose=True)
    spoilt = dataclasses.replace(
        cloned, sac=dataclasses.replace(cloned.sac, actor_lr=0.3)
    )  # learns nothing but to fall
    gail = GAIL(envs.TOY_ID, toy_demos, spoilt, seed=0, run_dir=tmp_path / "run")
    policy = gail.train(800, eval_episodes=0).policy
    row = read_metrics(tmp_path / "run")[-1]
    assert row["clone_distance"] < row["last_distance"] and row["chosen_step"] == 0 == policy.meta["updates"]
    kept = dataclasses.replace(spoilt, choose=False)
    assert GAIL(envs.TOY_ID, toy_demos, kept, seed=0).train(800, eval_episodes=0).policy.meta["updates"] > 0


def test_of_near_policies_one_that_falls_less_by_more_than_chance_is_left(toy_demos, tmp_path, monkeypatch):
    choosing = dataclasses.replace(SMALL, choose=True, arrive=0, loop=dataclasses.replace(SMALL.loop, eval_every=200))
    monkeypatch.setattr(Likeness, "excess", lambda self, distance, episodes: 0.0)
    monkeypatch.setattr(Likeness, "but_one_fall", lambda self, episodes: episodes)
    asked = []  # the last policy's episodes come first

    def falls(self, episodes):
        asked.append(episodes)
        return 5 * (episodes is asked[0])

    monkeypatch.setattr(Likeness, "falls", falls)
    gail = GAIL(envs.TOY_ID, toy_demos, choosing, seed=0, run_dir=tmp_path / "run")
    policy = gail.train(800, eval_episodes=0).policy
    row = read_metrics(tmp_path / "run")[-1]
    assert row["last_falls"] == 5 and row["candidate_0_falls"] == 0 and len(asked[0]) == 100
    assert row["chosen_step"] == policy.meta["env_steps"] == 600  # the latest of the others


def test_the_nearest_policy_of_the_way_is_left_also_after_a_kill(toy_demos, tmp_path, killed):
    evaluated = dataclasses.replace(SMALL.loop, eval_every=200, checkpoint_every=200)
    choosing = dataclasses.replace(SMALL, choose=True, loop=evaluated)
    whole = GAIL(envs.TOY_ID, toy_demos, choosing, seed=1, run_dir=tmp_path / "whole")
    run = whole.train(1000, eval_episodes=0)
    rows = read_metrics(tmp_path / "whole")
    offered = [row["distance"] for row in rows if "distance" in row]
    assert len(offered) == 5 and [one.value for one in whole.choice.nearest.found] == [
        whole.choice.likeness.excess(distance, evaluated.eval_episodes) for distance in sorted(offered)[:3]
    ]
    found = {k: v for k, v in rows[-1].items() if k.endswith("_distance")}
    assert rows[-1]["chosen_step"] == run.policy.meta["env_steps"]
    earlier = sum(one.steps < 1000 for one in whole.choice.nearest.found)  # the last is not judged twice
    assert found.keys() == {"last_distance", *(f"candidate_{i}_distance" for i in range(earlier))}
    killed(GAIL(envs.TOY_ID, toy_demos, choosing, seed=1, run_dir=tmp_path / "cut"), 1000, 600, eval_episodes=0)
    again = GAIL.resume(tmp_path / "cut").train(1000, eval_episodes=0)
    assert again.policy.meta == run.policy.meta
    for name, tensor in run.policy.tensors.items():
        np.testing.assert_array_equal(again.policy.tensors[name], tensor)


@pytest.mark.parametrize(
    ("near", "falls", "arrive", "choose", "burn_in", "ends"),
    [
        (True, False, 12, True, 0, 400),
        (True, False, 12, True, 10**6, 200),  # the clone
        (False, False, 12, True, 0, 600),
        (True, True, 12, True, 0, 600),
        (True, False, 0, True, 0, 600),
        (True, False, 12, False, 0, 600),
    ],
)
def test_a_run_ends_once_its_policy_is_like_the_demonstrator(
    toy_demos, tmp_path, monkeypatch, near, falls, arrive, choose, burn_in, ends
):
    asked = []
    monkeypatch.setattr("gail_suite.algorithms.choosing.SCREENING", 20)
    monkeypatch.setattr(Likeness, "near", lambda self, distance, episodes: near)
    monkeypatch.setattr(Likeness, "falls", lambda self, episodes: asked.append(len(episodes)) or falls)
    loop = dataclasses.replace(
        SMALL.loop,
        warm_up=100,
        updates_per_step=0.05,
        log_every=40,
        eval_every=200,
        eval_episodes=5,
        checkpoint_every=200,
    )
    sac = dataclasses.replace(SMALL.sac, burn_in=burn_in)
    easy = dataclasses.replace(SMALL, choose=choose, arrive=arrive, settle=0, loop=loop, sac=sac)
    gail = GAIL(envs.TOY_ID, toy_demos, easy, seed=0, run_dir=tmp_path / "run")
    run = gail.train(600, eval_episodes=0)
    assert gail.loop.steps == ends
    asked = [n for n in asked if 5 <= n <= 12]  # without those of the choice at the end
    assert asked[:3] == ([5, 10, 12] if ends < 600 else [5, 5] if falls else [])
    assert any("ended_early" in row for row in read_metrics(tmp_path / "run")) == (ends < 600)
    # the checkpoint of a run that has arrived knows it
    again = GAIL.resume(tmp_path / "run")
    assert again.train(600, eval_episodes=0).policy.meta == run.policy.meta and again.loop.steps == ends


def test_falls_count_where_the_demonstrator_has_none(toy_demos):
    shown = Shown.of(envs.TOY_ID, toy_demos, False)
    likeness = Likeness(envs.TOY_ID, shown)
    whole = toy_demos[0]
    cut = dataclasses.replace(
        whole, obs=whole.obs[:6], acts=whole.acts[:5], rews=whole.rews[:5], terminated=True, truncated=False
    )
    likeness.ended = 0.0
    assert likeness.falls([whole, cut]) and not likeness.falls([dataclasses.replace(cut, terminated=False)])
    likeness.ended = 0.1
    assert not likeness.falls([cut])


def test_presets_and_what_older_runs_lack(toy_demos, tmp_path):
    few = few_steps()
    assert (few.steps, few.loop.n_envs, few.loop.updates_per_step, few.starts.share) == (100_000, 8, 0.5, 0)
    assert few.adversary == AdversaryConfig() and few.sac == GAILConfig().sac
    # a record without the settings that this version added is read as what it was
    written = json.loads(json.dumps(dataclasses.asdict(few)))
    written["loop"]["indistinct"] = 0.05  # of the version before
    written["sac"]["target_entropy_final"] = None
    for name in ("steps", "starts", "inverse", "choose", "arrive"):
        del written[name]
    for name in ("reach", "state_only", "entropy_at_bounds", "entropy_safe", "gradient_penalty_safe"):
        del written["adversary"][name]
    assert GAIL._recorded({"config": written}, tmp_path) == few
    begun = {"share": 0.5, "length": 50, "early": 0.0, "early_length": 200}  # of one day's version
    assert GAIL._recorded({"config": written | {"starts": begun}}, tmp_path).starts == DemonstratedStarts()
    written["sac"]["target_entropy_final"] = -3.0  # which nothing would follow
    with pytest.raises(ValueError, match=r"another version of gail-suite: unknown setting 'sac\.target_entropy_final'"):
        GAIL._recorded({"config": written}, tmp_path)


@pytest.mark.parametrize(("settle", "end"), [(2, 1000), (5, 1600), (0, 1600)])
def test_a_run_ends_in_its_second_half_where_nothing_comes_nearer(toy_demos, settle, end):
    # of an actor that never moves the first three evaluations, to step 600, are the nearest
    loop = dataclasses.replace(SMALL.loop, eval_every=200, updates_per_step=0.05)
    still = dataclasses.replace(SMALL.sac, actor_lr=0.0, tune_alpha=False)
    config = dataclasses.replace(SMALL, choose=True, settle=settle, loop=loop, sac=still)
    gail = GAIL(envs.TOY_ID, toy_demos, config, seed=0)
    gail.train(2000 if settle else 1600, eval_episodes=0)
    assert gail.loop.steps == end and [one.steps for one in gail.choice.nearest.found] == [200, 400, 600]


def test_a_run_that_looked_for_actions_on_the_way_is_not_gone_on_with(toy_demos, tmp_path):
    # its checkpoints hold what a version of one day had found, which a guess would silently take the place of
    gail = GAIL(envs.TOY_ID, toy_demos, WIDE, seed=0, run_dir=tmp_path / "run")
    gail.loop.companions["reaching"] = gail.objective.learner
    gail.train(200, eval_episodes=0)
    with pytest.raises(ValueError, match="was begun by another version of gail-suite, which looked for actions"):
        GAIL.resume(tmp_path / "run")


def test_chance_moves_no_run_from_its_last_policy(toy_demos, monkeypatch):
    """By hand: 2 and 1 falls differ by less than the root of 3, 5 and 1 by more than that of 6; states by 0.2."""
    gail = GAIL(envs.TOY_ID, toy_demos, dataclasses.replace(SMALL, choose=True), seed=0)
    likeness = gail.choice.likeness
    likeness.uncertainty, likeness.n_shown = 0.2, 1
    known = {}
    monkeypatch.setattr(likeness, "episodes", lambda policy, seed, n: [policy])
    monkeypatch.setattr(likeness, "but_one_fall", lambda episodes: episodes)
    for name in ("of", "of_states"):
        monkeypatch.setattr(likeness, name, lambda episodes: known[episodes[0]][0])
    monkeypatch.setattr(likeness, "falls", lambda episodes: known[episodes[0]][1])
    for (distance, falls), left in {
        (0.6, 2): "last",
        (0.6, 5): "other",
        (0.9, 0): "other",  # too far to be asked again
        (0.6, 0): "last",
    }.items():
        known |= {"last": (distance, falls), "other": (0.5, 1)}
        assert gail.choice._best({name: name for name in known})[0] == left
    known |= {"last": (0.6, 1), "other": (0.1, 1)}
    assert likeness.nearer(["other"], ["last"]) and not likeness.nearer(["last"], ["other"])


def test_a_handful_of_pairs_is_enough_for_a_run_that_chooses(toy_demos, tmp_path):
    choosing = dataclasses.replace(SMALL, choose=True, loop=dataclasses.replace(SMALL.loop, eval_every=400))
    for few in (toy_demos[:1].subsample(20, seed=0), toy_demos[:2].subsample(100, seed=0)):
        assert GAIL(envs.TOY_ID, few, choosing, seed=0).train(800, eval_episodes=0).policy.meta["updates"] > 0
