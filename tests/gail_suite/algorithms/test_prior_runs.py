"""Each use of a prior in a run: switched off it changes nothing, and a killed run goes on exactly."""

import dataclasses
import shutil
import signal

import numpy as np
import pytest
import torch

import envs
from gail_suite.algorithms.bc import BCConfig
from gail_suite.algorithms.gail import GAIL, GAILConfig
from gail_suite.algorithms.gail_objective import AdversaryConfig
from gail_suite.learning.offpolicy import LoopConfig
from gail_suite.learning.policies.policy import load_policy
from gail_suite.learning.sac import SACConfig
from gail_suite.learning.shown.features import Features
from gail_suite.priors.attach import PriorsConfig
from gail_suite.priors.behaviour import BehaviourConfig
from gail_suite.priors.bottleneck import BottleneckConfig, discriminator_of
from gail_suite.priors.latent_actions import LatentConfig
from gail_suite.priors.prior import fit_prior, load_prior
from gail_suite.priors.starts import StartsConfig
from gail_suite.runs import runlog
from gail_suite.runs.runlog import read_metrics

TINY = GAILConfig(
    choose=False,
    bc=BCConfig(hidden=(16, 16), steps=20),
    adversary=AdversaryConfig(hidden=(16,), batch_size=16, every=1),
    sac=SACConfig(hidden=(16, 16), batch_size=16, actor_delay=1, tune_alpha=True),
    loop=LoopConfig(
        n_envs=4, warm_up=40, capacity=2000, eval_every=1000, eval_episodes=1, checkpoint_every=80, log_every=40
    ),
)
"""A run of a second."""
SIZES = {
    "bottleneck": {"latent": 3, "hidden": 16, "layers": 1, "steps": 20},
    "latent-action": {"hidden": 8, "layers": 1, "steps": 20},
    "behaviour": {"components": 2, "noise": 0.1},
    "start": {"n_components": 1},
}
USES = {
    "bottleneck": ("vae", BottleneckConfig(nats=0.5), BottleneckConfig(nats=0)),
    "latent-action": ("ae", LatentConfig(share=0.5), LatentConfig(share=0)),
    "behaviour": (
        "gmm",
        BehaviourConfig(weight=0.5, target_kl=1.0, warm_start=True),
        BehaviourConfig(weight=0, target_kl=1.0, warm_start=True),
    ),
    "start": ("gmm", StartsConfig(share=0.5, rollout=7), StartsConfig(share=0)),
}
"""Use -> model, settings of a run that it changes, and of one that it does not."""


@pytest.fixture(scope="module")
def priors(toy_demos, tmp_path_factory):
    """Folder of a prior of each use."""
    folder = tmp_path_factory.mktemp("priors")
    return {
        use: fit_prior(toy_demos, model, use, **SIZES[use]).save(folder / use) for use, (model, _, _) in USES.items()
    }


def with_priors(config=None, **uses):
    return dataclasses.replace(config or TINY, priors=PriorsConfig(**uses))


def at(path, config):
    return dataclasses.replace(config, path=str(path))


def train(toy_demos, config, run_dir, steps=80):
    gail = GAIL(envs.TOY_ID, toy_demos, config, 0, run_dir)
    gail.train(steps, eval_episodes=0)
    return gail


def rows(run_dir):
    return [{k: v for k, v in r.items() if k not in ("wall_s", "sps")} for r in read_metrics(run_dir)]


def arrays(gail):
    return gail.loop.sac.state() | gail.objective.state() | gail.loop.replay.state()


@pytest.fixture(scope="module")
def plain(toy_demos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain") / "run"
    train(toy_demos, TINY, folder)
    return rows(folder)


@pytest.mark.parametrize("use", USES)
def test_weight_zero_is_plain_gail(toy_demos, priors, plain, tmp_path, use):
    off = with_priors(**{use.replace("-", "_"): at(priors[use], USES[use][2])})
    train(toy_demos, off, tmp_path / "run")
    assert rows(tmp_path / "run") == plain


@pytest.mark.parametrize("use", [*USES, "two at once"])
def test_a_killed_run_goes_on_without_the_prior_it_was_given(toy_demos, priors, plain, tmp_path, use, killed):
    uses = ("behaviour", "bottleneck") if use == "two at once" else (use,)
    borrowed = shutil.copytree(priors[uses[0]], tmp_path / "prior")
    folders = priors | {uses[0]: borrowed}
    config = with_priors(**{u.replace("-", "_"): at(folders[u], USES[u][1]) for u in uses})
    whole = train(toy_demos, config, tmp_path / "whole", 120)
    assert rows(tmp_path / "whole") != plain
    part = GAIL(envs.TOY_ID, toy_demos, config, 0, tmp_path / "part")
    killed(part, 120, eval_episodes=0)
    shutil.rmtree(borrowed)
    resumed = GAIL.resume(tmp_path / "part")
    assert resumed.loop.steps == 80
    resumed.train(eval_episodes=0)
    ours, theirs = arrays(resumed), arrays(whole)
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[k], theirs[k], equal_nan=True) for k in ours)
    assert rows(tmp_path / "part") == rows(tmp_path / "whole")
    obs = np.random.default_rng(0).standard_normal((5, envs.spec(envs.TOY_ID).obs_dim))
    saved, learned = load_policy(tmp_path / "part"), whole.loop.policy()
    np.testing.assert_array_equal(
        saved.predict(obs, deterministic=True)[0], learned.predict(obs, deterministic=True)[0]
    )
    shutil.rmtree(tmp_path / "part" / "policy")  # the newest checkpoint holds it too
    again = load_policy(tmp_path / "part")
    np.testing.assert_array_equal(
        again.predict(obs, deterministic=True)[0], learned.predict(obs, deterministic=True)[0]
    )


def test_a_run_stopped_in_its_warm_start_clones_once(toy_demos, priors, tmp_path, monkeypatch):
    config = with_priors(behaviour=BehaviourConfig(str(priors["behaviour"]), 0.5, warm_start=True))
    whole = train(toy_demos, config, tmp_path / "whole")
    monkeypatch.setattr(runlog, "_signal_seen", signal.SIGTERM)
    assert train(toy_demos, config, tmp_path / "part").loop.steps == 0
    monkeypatch.undo()
    resumed = GAIL.resume(tmp_path / "part")
    resumed.train(eval_episodes=0)
    ours, theirs = arrays(resumed), arrays(whole)
    assert all(np.array_equal(ours[k], theirs[k], equal_nan=True) for k in ours)
    assert rows(tmp_path / "part") == rows(tmp_path / "whole")


def test_returns_are_told_of_whole_episodes_alone(toy_demos, priors):
    gail = GAIL(envs.TOY_ID, toy_demos, with_priors(start=StartsConfig(str(priors["start"]), 0.5, 7)), 0)
    seen = []
    step = gail.loop.env.step
    gail.loop.env.step = lambda actions: seen.append(step(actions)) or seen[-1]
    gail.train(480, eval_episodes=0)
    whole = np.array([outcome[2] for outcome in seen])[:, 2:]  # of the two environments that begin as the task does
    assert 0 < whole.sum() == len(gail.loop.returns)
    assert np.array([outcome[2] for outcome in seen])[:, :2].sum() > whole.sum()


def test_a_policy_with_latent_actions_has_no_distance_from_a_behaviour_prior(toy_demos, priors):
    config = with_priors(
        latent_action=LatentConfig(str(priors["latent-action"])), behaviour=BehaviourConfig(str(priors["behaviour"]))
    )
    with pytest.raises(ValueError, match="leave out one of the two"):
        GAIL(envs.TOY_ID, toy_demos, config, 0)


def test_the_actor_pays_for_its_distance_from_the_prior(toy_demos, priors):
    adversary = dataclasses.replace(TINY.adversary, bc_weight=0.0, bc_weight_final=0.0)
    config = with_priors(
        dataclasses.replace(TINY, adversary=adversary), behaviour=BehaviourConfig(str(priors["behaviour"]), 0.5)
    )
    gail = GAIL(envs.TOY_ID, toy_demos, config, 0)
    inputs = gail.objective.learner_inputs(torch.Generator().manual_seed(0))
    x, noise = gail.shown.expert.features[:8], torch.zeros(8, 2)
    actions, log_prob = gail.loop.sac.actor.sample(x, noise)
    term, report = inputs["actor_penalty"](gail.loop.sac.actor, (x, actions, log_prob))
    behaviour = gail.objective.behaviour
    kl = (log_prob - behaviour.density.log_prob(behaviour._seen(x), actions)).mean()
    torch.testing.assert_close(term, 0.5 * kl)
    torch.testing.assert_close(report["prior_kl"], kl.detach())


@pytest.mark.parametrize("asked", [True, False])
def test_a_warm_start_clones_what_the_prior_would_do_where_that_is_asked(toy_demos, priors, asked):
    config = with_priors(
        dataclasses.replace(TINY, bc=BCConfig(hidden=(16, 16), steps=300)),
        behaviour=BehaviourConfig(str(priors["behaviour"]), 0.5, warm_start=asked),
    )
    gail = GAIL(envs.TOY_ID, toy_demos, config, 0)
    seen = []

    def up_and_left(features, copies, generator):
        seen.append(copies)
        return features.repeat(copies, 1), torch.tensor([[-0.5, 0.5]]).expand(copies * len(features), -1)

    gail.objective.behaviour.warm_start = up_and_left
    gail._begin(None)
    actions = gail.loop.sac.actor.mode(gail.shown.expert.features).detach().mean(0)
    if asked:
        torch.testing.assert_close(actions, torch.tensor([-0.5, 0.5]), atol=0.1, rtol=0)
    else:  # the expert goes right
        assert not seen and actions[0] > 0.5


def test_a_discriminator_reads_the_runs_units_as_the_priors(toy_demos, priors):
    prior = load_prior(priors["bottleneck"])
    run = Features(prior.features.columns, prior.features.mean + 0.7, 2 * prior.features.std)
    t = toy_demos.transitions()
    actions = torch.from_numpy(t.acts.astype(np.float32))
    net = discriminator_of(prior, run, 5)
    expected = prior.model.net.posterior(torch.cat([torch.from_numpy(prior.features(t.obs)), actions], 1), None)[0]
    torch.testing.assert_close(
        net.posterior(torch.cat([torch.from_numpy(run(t.obs)), actions], 1))[0], expected, rtol=1e-3, atol=1e-4
    )
