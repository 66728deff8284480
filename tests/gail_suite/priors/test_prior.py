import dataclasses
import hashlib
import json
from functools import partial

import numpy as np
import pytest
import torch

import envs
from demos.sealed import read_json, tensor_bytes, write_json
from demos.trajectory import Demonstrations
from gail_suite.algorithms.gail import GAIL, GAILConfig
from gail_suite.algorithms.gail_objective import Adversary, AdversaryConfig
from gail_suite.learning.offpolicy import LoopConfig
from gail_suite.learning.replay import Window
from gail_suite.learning.sac import SACConfig
from gail_suite.learning.shown.pairs import Pairs, Shown
from gail_suite.priors.attach import Attachments, PriorsConfig, attach, keep_copies, kept_copies
from gail_suite.priors.behaviour import Behaviour, BehaviourConfig
from gail_suite.priors.bottleneck import BottleneckConfig
from gail_suite.priors.latent_actions import LatentConfig
from gail_suite.priors.prior import USES, fit_prior, load_prior
from gail_suite.priors.shaping import Shaping, TypicalityConfig
from gail_suite.priors.starts import StartsConfig
from gail_suite.priors.typicality import rank, rank_among, typicality
from gail_suite.runs.runlog import read_metrics

SMALL = GAILConfig(
    choose=False,
    warm_start=False,
    adversary=AdversaryConfig(hidden=(16,), batch_size=32, every=1),
    sac=SACConfig(hidden=(32, 32), batch_size=32, gamma=0.95, actor_delay=1),
    loop=LoopConfig(
        n_envs=4,
        warm_up=200,
        capacity=2000,
        updates_per_step=0.2,
        eval_every=600,
        eval_episodes=1,
        checkpoint_every=400,
        log_every=200,
    ),
)


def weights(gail):
    arrays = gail.loop.sac.state() | gail.objective.state() | gail.loop.replay.state()
    return hashlib.sha256(b"".join(np.ascontiguousarray(arrays[k]).tobytes() for k in sorted(arrays))).hexdigest()


def rows(run_dir):
    return [{k: v for k, v in r.items() if k not in ("wall_s", "sps")} for r in read_metrics(run_dir)]


@pytest.fixture(scope="module")
def prior(toy_demos, tmp_path_factory):
    return fit_prior(toy_demos, "gmm", n_components=2).save(tmp_path_factory.mktemp("priors") / "gmm")


def with_prior(path, **settings):
    return dataclasses.replace(SMALL, priors=PriorsConfig(typicality=TypicalityConfig(str(path), **settings)))


def attached(toy_demos, **uses):
    """What priors do to a run of the toy."""
    return attach(PriorsConfig(**uses), Shown.of(envs.TOY_ID, toy_demos), envs.TOY_ID, None, 5, 0.9, 0)


def test_a_prior_survives_its_folder(prior, toy_demos, tmp_path):
    loaded = load_prior(prior)
    t = toy_demos.transitions()
    again = load_prior(loaded.save(tmp_path / "again"))
    np.testing.assert_array_equal(typicality(again, t), typicality(loaded, t))
    assert json.loads((prior / "prior.json").read_text()) == json.loads((tmp_path / "again" / "prior.json").read_text())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again"]
    with pytest.raises(ValueError, match="is there already"):
        loaded.save(prior)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"model": "gan", "use": "behaviour"},
            "a prior for behaviour cannot be made of 'gan': choose one of gmm, pixelcnn",
        ),
        ({"use": "typicalty"}, "unknown use 'typicalty': did you mean 'typicality'"),
        ({"control": "untraind"}, "did you mean 'untrained'"),
        ({"model": "vae", "latnt": 3}, "unknown setting 'latnt': did you mean 'latent'"),
        ({"model": "constant"}, "needs value=V"),
    ],
)
def test_mistakes_are_one_clear_line(toy_demos, arguments, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        fit_prior(toy_demos, **arguments)


def test_every_use_has_a_module_with_the_same_door():
    from importlib import import_module
    from inspect import signature

    for module, _ in USES.values():
        names = list(signature(import_module(module).fit).parameters)
        assert {"demonstrations", "model", "seed", "control"} <= set(names), module


def test_no_prior_in_a_folder_and_a_prior_of_another_task(prior, toy_demos, tmp_path):
    with pytest.raises(ValueError, match="holds no prior: fit one"):
        load_prior(tmp_path)
    with pytest.raises(ValueError, match=r"was fitted to gail_suite/PointToy-v0, not to Other"):
        shown = Shown.of(envs.TOY_ID, toy_demos)
        attach(PriorsConfig(typicality=TypicalityConfig(str(prior))), shown, "Other", None, 5, 0.9, 0)
    with pytest.raises(ValueError, match="is a prior for typicality, not for start"):
        attached(toy_demos, start=StartsConfig(str(prior)))


def test_settings_without_a_prior_are_refused_and_weight_zero_is_none(toy_demos):
    words = r"priors\.start\.share and priors\.start\.rollout would do nothing without a prior: give --prior DIR"
    with pytest.raises(ValueError, match=words):
        attached(toy_demos, start=StartsConfig(share=0.4, rollout=20))
    with pytest.raises(ValueError, match=r"priors\.latent_action\.share would do nothing"):
        attached(toy_demos, latent_action=LatentConfig(share=0.4))
    with pytest.raises(ValueError, match=r"typicality\.weight and priors\.typicality\.weight_final would do nothing"):
        attached(toy_demos, typicality=TypicalityConfig(weight=0, weight_final=0.1))
    found = attached(toy_demos, behaviour=BehaviourConfig(weight=0, target_kl=1.0))
    assert (found.priors, found.behaviour, found.bonus, found.wrap_env) == ({}, None, None, None)
    assert found.constants() == Attachments().constants() == {}


@pytest.mark.parametrize(
    ("idle", "active"),
    [
        (TypicalityConfig("p", weight=0), TypicalityConfig("p", weight=0, weight_final=0.1)),
        (BehaviourConfig("p", weight=0), BehaviourConfig("p", weight=0, weight_final=0.1)),
        (LatentConfig("p", share=0), LatentConfig("p")),
        (BottleneckConfig("p", nats=0), BottleneckConfig("p")),
        (StartsConfig("p", share=0), StartsConfig("p")),
    ],
)
def test_a_prior_does_something_where_it_has_a_folder_and_weighs_anything(idle, active):
    assert active.active and not idle.active and not type(idle)().active


def test_a_run_keeps_copies_by_use_and_finds_those_of_an_earlier_version(prior, tmp_path):
    loaded = load_prior(prior)
    loaded.save(tmp_path / "second_prior")
    assert kept_copies(tmp_path) == {"typicality": tmp_path / "second_prior"}
    keep_copies({"typicality": loaded}, tmp_path)
    assert kept_copies(tmp_path) == {"typicality": tmp_path / "priors" / "typicality"}
    assert not (tmp_path / "second_prior").exists()


def test_weight_zero_is_plain_gail_to_the_last_bit_and_another_weight_is_not(prior, toy_demos, tmp_path):
    seen = {}
    for name, config in (
        ("plain", SMALL),
        ("zero", with_prior(prior, weight=0)),
        ("some", with_prior(prior, weight=0.3)),
    ):
        gail = GAIL(envs.TOY_ID, toy_demos, config, 0, tmp_path / name)
        gail.train(600, eval_episodes=0)
        seen[name] = weights(gail), rows(tmp_path / name)
    assert seen["plain"] == seen["zero"]
    assert seen["plain"][0] != seen["some"][0]
    assert 0 < seen["some"][1][-1]["bonus"] <= 1


def test_resume_with_a_prior_needs_only_the_run_directory(prior, toy_demos, tmp_path, killed):
    path = load_prior(prior).save(tmp_path / "prior")
    config = with_prior(path, weight=0.3, weight_final=0.1)
    whole = GAIL(envs.TOY_ID, toy_demos, config, 0, tmp_path / "whole")
    whole.train(800, eval_episodes=0)
    part = GAIL(envs.TOY_ID, toy_demos, config, 0, tmp_path / "part")
    killed(part, 800, eval_episodes=0)
    (path / "prior.json").unlink()
    resumed = GAIL.resume(tmp_path / "part")
    assert resumed.loop.steps == 400
    resumed.train(eval_episodes=0)
    assert weights(resumed) == weights(whole)
    assert rows(tmp_path / "part") == rows(tmp_path / "whole")


class Recorder:
    """A bonus that remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, transitions, done=None):
        self.asked.append((transitions, np.array(done)))
        return np.zeros(len(transitions), np.float32)

    def state(self):
        return {}


@pytest.mark.parametrize("env_id", [envs.TOY_ID, "Humanoid-v5"])
def test_a_bonus_sees_ends_and_not_what_follows_them_and_actions_in_the_environments_units(env_id):
    from gail_suite.learning.objectives import TaskReward
    from gail_suite.learning.offpolicy import OffPolicyLoop
    from gail_suite.learning.shown.features import Features

    n = envs.spec(env_id).obs_dim
    features, recorder = Features(np.arange(n), np.zeros(n, np.float32), np.ones(n, np.float32)), Recorder()
    loop = LoopConfig(n_envs=4, warm_up=10**6, random_warm_up=True, capacity=2000, eval_every=10**6, eval_episodes=1)
    trainer = OffPolicyLoop(env_id, features, TaskReward(1.0), SMALL.sac, loop, 0, None, bonus=recorder)
    trainer.evaluate = dict  # of no interest
    trainer.train(480)
    acts, after, terminated = (
        np.concatenate([getattr(t, name) for t, _ in recorder.asked]) for name in ("acts", "next_obs", "terminated")
    )
    done = np.concatenate([d for _, d in recorder.asked])
    assert done.sum() >= 4
    low, high = envs.make(env_id).action_space.low, envs.make(env_id).action_space.high
    assert (acts >= low).all() and (acts <= high).all() and acts.max() > 0.8 * high.max()
    # the step into an end is as long as any other; one to where the next episode starts would not be what the simulator
    # did
    replay = trainer.replay
    np.testing.assert_allclose(replay.next_features[: replay.written].flatten(0, 1), after, rtol=1e-5, atol=1e-5)
    starts = np.concatenate(
        [recorder.asked[i + 1][0].obs[d] for i, (_, d) in enumerate(recorder.asked[:-1]) if d.any()]
    )
    ends = np.concatenate([t.next_obs[d] for t, d in recorder.asked[:-1] if d.any()])
    assert (np.abs(starts - ends).max(1) > 0.05).all()
    assert not terminated[~done].any()
    if env_id != envs.TOY_ID:  # a humanoid that acts at random falls long before the time is up
        assert terminated[done].all()


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (TypicalityConfig, {"weight": 0.2, "weight_final": -1.0}, "weight_final must be at least 0, got -1.0"),
        (TypicalityConfig, {"weight": float("nan")}, "NaN: give a number"),
        (TypicalityConfig, {"weight": float("inf")}, "must be a finite number, got inf"),
        (BehaviourConfig, {"weight": -1.0}, "weight must be at least 0, got -1.0"),
        (BehaviourConfig, {"target_kl": -2.0}, "target_kl must be at least 0, got -2.0"),
        (BottleneckConfig, {"nats": -0.5}, "nats must be at least 0, got -0.5"),
        (LatentConfig, {"share": 1.5}, r"share is a share in \[0, 1\], got 1.5"),
        (StartsConfig, {"share": 1.5}, r"share is a share in \[0, 1\], got 1.5"),
        (StartsConfig, {"rollout": 0}, "rollout must be at least 1, got 0"),
    ],
)
def test_settings_that_no_prior_can_follow_are_refused(kind, settings, words):
    with pytest.raises(ValueError, match=words):
        kind("p", **settings)


def test_settings_that_do_not_go_together_are_refused(toy_demos):
    ones = torch.ones(2)
    with pytest.raises(ValueError, match=r"a share of the reward in \[0, 1\], got weight=1.5"):
        Shaping(TypicalityConfig("p", 1.5), ones)
    with pytest.raises(ValueError, match=r"a share of the reward in \[0, 1\]"):
        Shaping(TypicalityConfig("p", 0.5, 1.5), ones)
    assert Shaping(TypicalityConfig("p", 5.0, potential=True), ones).weight == 5.0
    behaviour = fit_prior(toy_demos, "gmm", "behaviour", components=1, noise=0.1)
    with pytest.raises(ValueError, match="target_kl sets the weight by itself"):
        Behaviour(behaviour, BehaviourConfig("p", target_kl=2.0, weight_final=0.1), behaviour.features)
    with pytest.raises(ValueError, match=r"holds priors\.behaviour\.target_kl, which is not set"):
        Behaviour(behaviour, BehaviourConfig("p", dual_rate=0.1), behaviour.features)
    with pytest.raises(ValueError, match="a rate above 0, got target=0"):
        Behaviour(behaviour, BehaviourConfig("p", target_kl=0.0), behaviour.features)


def test_a_prior_that_is_switched_off_must_still_be_one(prior, tmp_path, toy_demos):
    with pytest.raises(ValueError, match="holds no prior"):
        GAIL(envs.TOY_ID, toy_demos, with_prior(tmp_path / "none", weight=0), 0)
    with pytest.raises(ValueError, match="starts from nothing"):
        GAIL(
            envs.TOY_ID,
            toy_demos,
            dataclasses.replace(SMALL, priors=PriorsConfig(behaviour=BehaviourConfig("b", warm_start=True))),
            0,
        )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"use": "behaviour", "noise": -0.1}, "noise=-0.1 is a standard deviation"),
        ({"use": "behaviour", "components": 0}, "components=0 must be at least 1"),
        ({"use": "behaviour", "dof": 0.0}, "dof=0.0 must be degrees of freedom above 0"),
        ({"use": "behaviour", "model": "pixelcnn", "levels": 1}, "levels=1 must be at least 2"),
        ({"use": "behaviour", "model": "pixelcnn", "noise": 0.1}, "unknown setting 'noise'"),
        ({"use": "latent-action", "model": "ae", "beta": 2.0}, "unknown setting 'beta'"),
        ({"model": "gmm", "n_components": "abc"}, "setting 'n_components' is 'abc', expected int"),
        ({"model": "gmm", "states": "maybe"}, "setting 'states' is 'maybe', expected bool"),
        ({"model": "gmm", "tail": float("nan")}, "tail=nan must be a number above 0"),
        ({"model": "gmm", "value": 0.5}, "value=0.5 is the bonus of a constant prior"),
        ({"model": "constant", "value": 0.5, "vaule": 1}, "nothing but value=V, got vaule"),
        ({"model": "constant", "value": 0.5, "control": "shuffled"}, "nothing but value=V, got control=shuffled"),
        ({"model": "pixelcnn", "levels": 32}, "pictures have 16 greys"),
    ],
)
def test_settings_of_the_wrong_kind_are_refused(toy_demos, arguments, words):
    with pytest.raises(ValueError, match=words):
        fit_prior(toy_demos, **arguments)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(("columns", "actions"), [(2, 2), (3, 1), (6, 2)])
def test_demonstrations_of_another_width_are_refused(toy_demos, prior, use, columns, actions):
    def as_wide(array, width):
        return np.tile(array, 2)[:, :width]

    other = Demonstrations(
        tuple(dataclasses.replace(t, obs=as_wide(t.obs, columns), acts=as_wide(t.acts, actions)) for t in toy_demos),
        toy_demos.meta,
    )
    words = f"have {columns} observation and {actions} action entries, gail_suite/PointToy-v0 has 3 and 2"
    with pytest.raises(ValueError, match=words):
        fit_prior(other, USES[use][1][0], use)
    if use == "typicality":
        for ranking in (partial(rank, load_prior(prior)), rank_among):
            with pytest.raises(ValueError, match=words):
                ranking(other)


def test_a_damaged_prior_says_what_it_lacks(prior, tmp_path):
    import shutil

    for name, words in (
        ("model.safetensors", "model.safetensors"),
        ("settings", "prior.json is damaged .*missing required field `settings`"),
        ("features", "arrays.safetensors lacks 'features.columns': fit the prior again"),
    ):
        folder = shutil.copytree(prior, tmp_path / name)
        if name == "settings":
            about = read_json(folder / "prior.json")
            write_json(folder / "prior.json", {k: v for k, v in about.items() if k != "settings"})
        elif name == "features":
            (folder / "arrays.safetensors").write_bytes(tensor_bytes({"other": np.zeros(1)}))
        else:
            (folder / name).unlink()
        with pytest.raises(ValueError, match=words):
            load_prior(folder)


def test_replay_keeps_the_score_of_each_transition(prior, toy_demos):
    gail = GAIL(envs.TOY_ID, toy_demos, with_prior(prior, weight=0.3), 0)
    gail.loop.train(150)
    replay, features = gail.loop.replay, gail.loop.features
    n = replay.written
    before, after = (replay.features[:n].flatten(0, 1).numpy(), replay.next_features[:n].flatten(0, 1).numpy())
    obs, next_obs = (x * features.std + features.mean for x in (before, after))
    t = dataclasses.replace(toy_demos.transitions(), obs=obs, next_obs=next_obs)
    np.testing.assert_allclose(
        replay.bonus[:n].flatten(), typicality(gail.attachments.priors["typicality"], t), atol=1e-4
    )


def mixed(potential=False, **settings):
    torch.manual_seed(0)
    expert = Pairs(torch.ones(2, 2), torch.zeros(2, 1), torch.ones(2, 2), torch.zeros(2))
    config = TypicalityConfig("p", **{"weight": 0.25, "potential": potential} | settings)
    shaping = Shaping(config, torch.tensor([0.6, 1.0]))
    a = Adversary(expert, AdversaryConfig(hidden=(8,)), 12, 0.9, Attachments(shaping=shaping))
    a.expert_reward = 0.4
    return a


def test_mixed_reward_and_its_bound_by_hand():
    a = mixed(potential=False)
    window = Window(
        torch.randn(3, 2, 2),
        torch.randn(3, 2, 1),
        torch.randn(3, 2, 2),
        *(torch.zeros(3, 2) for _ in range(3)),
        bonus=torch.full((3, 2), 0.8),
    )
    with torch.no_grad():
        plain = a.learner.form(a.learner.net(torch.cat([window.features, window.actions], -1)))
    torch.testing.assert_close(a.rewards(window), 0.75 * plain + 0.25 * 0.8)
    # 0.75 * 0.4 + 0.25 * (0.6 + 1) / 2 = 0.5 a step, for ever: 0.5 / (1 - 0.9) = 5
    assert a.learner_inputs(torch.Generator())["target_bounds"] == pytest.approx((0.0, 5.0))
    # an expert row is worth 0.75 * r + 0.25 * its own score
    with torch.no_grad():
        r = a.learner.form(a.learner.net(a.pairs))[0]
    returns = a._expert_rows(50, torch.Generator().manual_seed(0))[2]
    found = sorted({round(float(x), 5) for x in returns})
    assert found == pytest.approx([float(0.75 * r + 0.25 * 0.6), float(0.75 * r + 0.25)], abs=1e-4)


def test_bound_with_a_potential_by_hand():
    # the return falls by w Phi(s), 0 <= Phi <= 1: from (0, 0.4 / 0.1) to (-0.25, 4)
    assert mixed(potential=True).learner_inputs(torch.Generator())["target_bounds"] == pytest.approx((-0.25, 4.0))


def test_a_termination_costs_what_the_learner_sees_and_not_the_discriminators_share():
    a = mixed(potential=False)
    a.config = dataclasses.replace(a.config, termination_cost=0.5, termination_cost_final=0.5)
    zeros = torch.zeros(3, 1)
    window = Window(
        torch.randn(3, 1, 2),
        torch.randn(3, 1, 1),
        torch.randn(3, 1, 2),
        zeros,
        torch.tensor([[1.0], [0.0], [0.0]]),
        zeros,
        bonus=torch.full((3, 1), 0.8),
    )
    with torch.no_grad():
        plain = a.learner.form(a.learner.net(torch.cat([window.features, window.actions], -1)))
    expected = 0.75 * plain + 0.25 * 0.8
    # 0.5 a step as the learner sees the expert, for ever 5, of which a half
    expected[0] -= 2.5
    torch.testing.assert_close(a.rewards(window), expected)
    assert a.learner_inputs(torch.Generator())["target_bounds"] == pytest.approx((-2.5, 5.0))


def test_the_weight_of_a_bonus_follows_the_run():
    a = mixed(weight=0.4, weight_final=0.0)
    a.set_progress(0.75)
    assert a.shaping.weight == pytest.approx(0.1)
