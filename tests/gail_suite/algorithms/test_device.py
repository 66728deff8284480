"""GAIL with its learner on a device that raises where a GPU would."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import envs
import gail_suite as gs
from gail_suite.algorithms.bc import BCConfig
from gail_suite.learning.offpolicy import LoopConfig
from gail_suite.learning.sac import SACConfig
from gail_suite.priors.prior import fit_prior
from gail_suite.runs.config import build
from tests.pretend import NAME, pretend_device

CONFIG = dataclasses.replace(
    gs.GAILConfig(),
    bc=BCConfig(hidden=(16, 16), steps=20),
    sac=SACConfig(hidden=(16, 16), batch_size=32, tune_alpha=True),
    adversary=gs.AdversaryConfig(hidden=(16,), batch_size=32, reach=20, entropy_at_bounds=-3.0, bc_weight=0.1),
    loop=LoopConfig(n_envs=4, warm_up=40, capacity=1000, eval_every=0, checkpoint_every=0),
    choose=False,
)


USES = {"behaviour": "gmm", "typicality": "gmm", "latent-action": "vae", "bottleneck": "vae", "start": "gmm"}


@pytest.mark.parametrize("use", [None, *USES])
def test_gail_learns_there_what_it_learns_on_the_processor(toy_demos, tmp_path, use) -> None:
    settings = []
    if use is not None:
        model = {"steps": 5} if USES[use] == "vae" else {}
        folder = fit_prior(toy_demos, USES[use], use, **model).save(tmp_path / "prior")
        settings = [f"priors.{use.replace('-', '_')}.path={folder}"]
    config = build(CONFIG, settings=settings)
    here = gs.GAIL(envs.TOY_ID, toy_demos, config, seed=0).train(120, eval_episodes=0).policy
    with pretend_device():
        trainer = gs.GAIL(envs.TOY_ID, toy_demos, config, seed=0, run_dir=tmp_path / "run", device=NAME)
        there = trainer.train(120, eval_episodes=0).policy
        assert trainer.loop.sac.actor.head.weight.device.type == NAME
    for name, tensor in here.tensors.items():
        np.testing.assert_allclose(there.tensors[name], tensor, atol=1e-5)
