import dataclasses
import hashlib
import json

import numpy as np
import pytest
import torch

import envs
from gail_suite.adversary import Adversary, AdversaryConfig
from gail_suite.gail import GAIL, GAILConfig
from gail_suite.offpolicy import LoopConfig
from gail_suite.priors import USES, PriorConfig, fit_prior, load_prior
from gail_suite.replay import Window
from gail_suite.runlog import read_metrics
from gail_suite.sac import SACConfig
from gail_suite.shaping import Shaping
from gail_suite.typicality import score

SMALL = GAILConfig(
    warm_start=False, adversary=AdversaryConfig(hidden=(16,), batch_size=32, every=1),
    sac=SACConfig(hidden=(32, 32), batch_size=32, gamma=0.95, actor_delay=1),
    loop=LoopConfig(n_envs=4, warm_up=200, capacity=2000, updates_per_step=0.2, eval_every=600, eval_episodes=1,
                    checkpoint_every=400, log_every=200))


def weights(gail):
    arrays = gail.loop.sac.state() | gail.adversary.state() | gail.loop.replay.state()
    return hashlib.sha256(b"".join(np.ascontiguousarray(arrays[k]).tobytes() for k in sorted(arrays))).hexdigest()


def rows(run_dir):
    return [{k: v for k, v in r.items() if k not in ("wall_s", "sps")} for r in read_metrics(run_dir)]


@pytest.fixture(scope="module")
def prior(toy_demos, tmp_path_factory):
    return fit_prior(toy_demos, "gmm", n_components=2).save(tmp_path_factory.mktemp("priors") / "gmm")


def with_prior(path, **settings):
    return dataclasses.replace(SMALL, prior=PriorConfig(path=str(path), **settings))


def test_a_prior_survives_its_folder(prior, toy_demos, tmp_path):
    loaded = load_prior(prior)
    t = toy_demos.transitions()
    again = load_prior(loaded.save(tmp_path / "again"))
    np.testing.assert_array_equal(score(again, t), score(loaded, t))
    assert json.loads((prior / "prior.json").read_text()) == json.loads((tmp_path / "again" / "prior.json").read_text())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again"]
    with pytest.raises(ValueError, match="is there already"):
        loaded.save(prior)


@pytest.mark.parametrize(("arguments", "words"), [
    ({"model": "gan", "use": "behaviour"}, "a prior for behaviour cannot be made of 'gan': choose one of gmm, pixelcnn"),
    ({"use": "typicalty"}, "unknown use 'typicalty': did you mean 'typicality'"),
    ({"control": "untraind"}, "did you mean 'untrained'"),
    ({"model": "vae", "latnt": 3}, "unknown setting 'latnt': did you mean 'latent'"),
    ({"model": "constant"}, "needs value=V"),
])
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
        from gail_suite.priors import attached

        attached(PriorConfig(path=str(prior), weight=0.1), "Other")


def test_weight_is_linear_in_the_run():
    assert [PriorConfig(weight=0.4, weight_final=0.0).at(f) for f in (0.0, 0.5, 1.0)] == pytest.approx([0.4, 0.2, 0.0])
    assert PriorConfig(weight=0.4).at(0.7) == 0.4
    assert not PriorConfig(weight=0.4).active and not PriorConfig(path="p", weight=0).active and PriorConfig(path="p").active
    assert PriorConfig(path="p", weight_final=0.1).active


def test_weight_zero_is_plain_gail_to_the_last_bit_and_another_weight_is_not(prior, toy_demos, tmp_path):
    seen = {}
    for name, config in (("plain", SMALL), ("zero", with_prior(prior, weight=0)), ("some", with_prior(prior, weight=0.3))):
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


def test_replay_keeps_the_score_of_each_transition(prior, toy_demos):
    gail = GAIL(envs.TOY_ID, toy_demos, with_prior(prior, weight=0.3), 0)
    gail.loop.train(150)  # longer than an episode, so that ends are among them
    replay, features = gail.loop.replay, gail.loop.features
    n = replay.written
    before, after = (replay.features[:n].flatten(0, 1).numpy(), replay.next_features[:n].flatten(0, 1).numpy())
    obs, next_obs = (x * features.std + features.mean for x in (before, after))
    t = dataclasses.replace(toy_demos.transitions(), obs=obs, next_obs=next_obs)
    np.testing.assert_allclose(replay.bonus[:n].flatten(), score(gail.prior, t), atol=1e-4)


def mixed(potential):
    torch.manual_seed(0)
    expert = (torch.ones(2, 2), torch.zeros(2, 1), torch.ones(2, 2), torch.zeros(2))
    a = Adversary(expert, AdversaryConfig(hidden=(8,)), batch_size=12, gamma=0.9)
    a.shaping = Shaping(PriorConfig(path="p", weight=0.25, potential=potential), torch.tensor([0.6, 1.0]))
    a.expert_reward = 0.4
    return a


def test_mixed_reward_and_its_bound_by_hand():
    a = mixed(potential=False)
    window = Window(torch.randn(3, 2, 2), torch.randn(3, 2, 1), torch.randn(3, 2, 2), *(torch.zeros(3, 2) for _ in range(3)),
                    bonus=torch.full((3, 2), 0.8))
    with torch.no_grad():
        plain = a.reward(a.net(torch.cat([window.features, window.actions], -1)))
    torch.testing.assert_close(a.rewards(window), 0.75 * plain + 0.25 * 0.8)
    # 0.75 * 0.4 + 0.25 * (0.6 + 1) / 2 = 0.5 a step, for ever: 0.5 / (1 - 0.9) = 5
    assert a.learner_inputs(torch.Generator())["target_bounds"] == pytest.approx((0.0, 5.0))
    # an expert row is worth 0.75 * r + 0.25 * its own score
    with torch.no_grad():
        r = a.reward(a.net(a.pairs))[0]
    returns = a._expert_rows(50, torch.Generator().manual_seed(0))[2]
    found = sorted({round(float(x), 5) for x in returns})
    assert found == pytest.approx([float(0.75 * r + 0.25 * 0.6), float(0.75 * r + 0.25)], abs=1e-4)


def test_bound_with_a_potential_by_hand():
    # the return falls by w Phi(s), 0 <= Phi <= 1: from (0, 0.4 / 0.1) to (-0.25, 4)
    assert mixed(potential=True).learner_inputs(torch.Generator())["target_bounds"] == pytest.approx((-0.25, 4.0))
