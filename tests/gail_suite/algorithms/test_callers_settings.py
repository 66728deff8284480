"""What the caller has switched on or off in torch changes nothing: trainings, learned rewards, priors."""

import contextlib

import numpy as np
import pytest
import torch

import envs
import gail_suite as gs
from gail_suite.priors.prior import fit_prior, load_prior

SAC = gs.SACConfig(hidden=(16, 16), burn_in=5)
LOOP = gs.LoopConfig(n_envs=4, warm_up=40, eval_every=80, eval_episodes=1, checkpoint_every=80, log_every=40)
CONFIG = gs.GAILConfig(sac=SAC, loop=LOOP, bc=gs.BCConfig(steps=20, hidden=(16, 16)), choose=False)


@contextlib.contextmanager
def doubles():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


SETTINGS = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": doubles,
}


def results(shown, folder) -> list[np.ndarray]:
    """Numbers of a run of GAIL, of the same run taken up again, of its reward, of an expert and of two priors."""
    gs.GAIL(envs.TOY_ID, shown, CONFIG, seed=1, run_dir=folder / "run").train(160, eval_episodes=0)
    run = gs.resume(folder / "run").train(240, eval_episodes=0)
    pairs = shown.transitions()
    rewards = run.reward()(pairs.obs, pairs.acts, pairs.next_obs, pairs.terminated)
    expert = gs.ExpertTrainer(envs.TOY_ID, gs.ExpertConfig(sac=SAC, loop=LOOP), seed=1).train(80, eval_episodes=0)
    found = [*run.policy.tensors.values(), rewards, *expert.policy.tensors.values()]
    for use, model, settings in (("typicality", "gmm", {}), ("latent-action", "ae", {"hidden": 8, "steps": 20})):
        fit_prior(shown, model, use=use, seed=0, **settings).save(folder / use)
        found += [np.asarray(t) for t in load_prior(folder / use).arrays.values()]
    return found


@pytest.fixture(scope="module")
def plain(toy_demos, tmp_path_factory) -> list[np.ndarray]:
    return results(toy_demos, tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("name", SETTINGS)
def test_the_callers_settings_change_nothing(name: str, plain, toy_demos, tmp_path) -> None:
    with SETTINGS[name]():
        found = results(toy_demos, tmp_path)
    assert len(found) == len(plain)
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_array_equal(one, other)
