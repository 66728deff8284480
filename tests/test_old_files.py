"""Runs, priors and demonstrations written at commit a17ba61 load, evaluate to what they did, and resume to their
end.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import demos
import envs
import gail_suite as gs
from gail_suite.algorithms.gail import GAILConfig
from gail_suite.algorithms.trainer import kind_of
from gail_suite.priors import load_prior
from gail_suite.priors.earlier import translated
from gail_suite.runs.config import recorded
from gail_suite.runs.runlog import read_run

OLD = Path(__file__).parent / "fixtures/a17ba61"
EXPECTED = json.loads((OLD / "expected.json").read_text())
RUNS = sorted(EXPECTED["runs"])
pytestmark = pytest.mark.filterwarnings("ignore:.*carries no SHA-256")


@pytest.mark.parametrize(
    "load",
    [
        lambda: gs.load_policy(OLD / "run-bc"),
        lambda: gs.load_reward(OLD / "run-airl/reward"),
        lambda: load_prior(OLD / "prior-typicality"),
        lambda: demos.load(OLD / "demos"),
        lambda: gs.resume(OLD / "run-gail-priors"),
    ],
)
def test_old_files_without_digests_are_told_once_a_load(load) -> None:
    with pytest.warns(UserWarning, match="carries no SHA-256") as told:
        load()
    assert len(told) == 1


@pytest.mark.parametrize("name", RUNS)
def test_an_old_run_acts_and_evaluates_as_it_did(name: str) -> None:
    policy, expected = gs.load_policy(OLD / name), EXPECTED["runs"][name]
    actions = policy.predict(np.array(EXPECTED["obs"], np.float32), deterministic=True)[0]
    np.testing.assert_allclose(actions, expected["actions"], atol=1e-5)
    found = gs.evaluate(policy, envs.TOY_ID, n_episodes=len(expected["returns"]))
    np.testing.assert_allclose(found.returns, expected["returns"], rtol=1e-4)


@pytest.mark.parametrize("name", [name for name in RUNS if name != "run-bc"])
def test_an_old_run_resumes_to_its_end(name: str, tmp_path: Path) -> None:
    run_dir = Path(shutil.copytree(OLD / name, tmp_path / name))
    record = read_run(run_dir)
    trainer = gs.resume(run_dir)
    assert type(trainer) is kind_of(record) and (trainer.env_id, trainer.seed) == (envs.TOY_ID, 0)
    assert trainer.total_steps == record["total_steps"]
    run = trainer.train(eval_episodes=0)
    assert trainer.loop.steps >= record["total_steps"]
    again = gs.load_policy(run_dir)
    assert all(np.array_equal(run.policy.tensors[k], again.tensors[k]) for k in again.tensors)
    gs.resume(run_dir)  # and what it wrote is read again


def test_the_two_priors_of_an_old_run_are_those_of_their_uses(tmp_path: Path) -> None:
    run_dir = Path(shutil.copytree(OLD / "run-gail-priors", tmp_path / "run"))
    uses = gs.resume(run_dir).config.priors
    assert (uses.behaviour.weight, uses.behaviour.weight_final, uses.behaviour.target_kl) == (0.05, 0.0, None)
    assert (uses.start.share, uses.start.rollout) == (0.5, 50)
    assert not (uses.typicality.active or uses.latent_action.active or uses.bottleneck.active)


@pytest.mark.parametrize(
    ("use", "given", "now"),
    [
        (
            "typicality",
            {"weight_final": 0.1, "potential": True},
            {"weight": 0.3, "weight_final": 0.1, "potential": True},
        ),
        ("behaviour", {"target_kl": 2.0}, {"weight": 0.3, "weight_final": None, "target_kl": 2.0}),
        ("latent-action", {}, {"share": 0.3}),
        ("bottleneck", {}, {"nats": 0.3}),
        ("start", {"rollout": 7}, {"share": 0.3, "rollout": 7}),
    ],
)
def test_the_numbers_of_an_old_prior_get_their_names(use: str, given: dict, now: dict, tmp_path: Path) -> None:
    (tmp_path / "prior").mkdir()
    about = json.loads((OLD / "prior-start/prior.json").read_text()) | {"use": use}
    (tmp_path / "prior/prior.json").write_text(json.dumps(about))
    old = {"path": "p", "weight": 0.3, "weight_final": None, "potential": False, "target_kl": None, "rollout": 50}
    idle = {"path": "p", "weight": 0.0, "weight_final": None}  # of which no copy was kept
    found = translated({"prior": old | given, "second_prior": idle, "adversary": {"bottleneck": 0.0}}, tmp_path)
    group = {"path": "p"} | {k: v for k, v in now.items()}
    assert {k: found["priors"][use.replace("-", "_")][k] for k in group} == group
    assert found.keys() == {"adversary", "priors"} and len(found["priors"]) == 1
    recorded(GAILConfig(), found | {"adversary": {}})


def test_an_old_runs_own_bottleneck_goes_before_its_priors_weight(tmp_path: Path) -> None:
    (tmp_path / "prior").mkdir()
    about = json.loads((OLD / "prior-start/prior.json").read_text()) | {"use": "bottleneck"}
    (tmp_path / "prior/prior.json").write_text(json.dumps(about))
    old = {"prior": {"path": "p", "weight": 0.5}, "adversary": {"bottleneck": 0.2}}
    assert translated(old, tmp_path) == {
        "priors": {"bottleneck": {"path": "p", "nats": 0.2}},
        "adversary": {"bottleneck": 0.0},
    }


def test_an_old_run_of_bc_is_not_resumed() -> None:
    with pytest.raises(ValueError, match="no checkpoint"):
        gs.resume(OLD / "run-bc")


@pytest.mark.parametrize("name", ["prior-behaviour", "prior-start", "prior-typicality"])
def test_an_old_prior_loads(name: str) -> None:
    prior = load_prior(OLD / name)
    assert (prior.use, prior.env_id) == (name.removeprefix("prior-"), envs.TOY_ID)


def test_old_demonstrations_load_and_verify() -> None:
    shown = demos.load(OLD / "demos")
    assert (len(shown), shown.n_pairs) == (3, 300) and demos.verify(OLD / "demos").ok
