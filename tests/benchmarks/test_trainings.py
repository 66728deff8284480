import dataclasses

import pytest

import envs
from benchmarks import trainings
from gail_suite.algorithms.gail import GAIL, GAILConfig
from gail_suite.learning.inverse import InverseConfig
from gail_suite.learning.offpolicy import LoopConfig
from gail_suite.learning.sac import SACConfig

CONFIG = GAILConfig(
    choose=False,
    warm_start=False,
    sac=SACConfig(hidden=(16,), batch_size=16),
    loop=LoopConfig(n_envs=4, warm_up=40, eval_every=1000, checkpoint_every=40),
)


def test_a_run_goes_on_with_its_own_settings_and_demonstrations_only(toy_demos, tmp_path):
    trainings.new_or_resumed(GAIL, envs.TOY_ID, toy_demos, CONFIG, 0, tmp_path).train(80, eval_episodes=0)
    assert trainings.new_or_resumed(GAIL, envs.TOY_ID, toy_demos, CONFIG, 0, tmp_path).loop.steps == 80
    with pytest.raises(SystemExit, match="other settings"):
        trainings.new_or_resumed(
            GAIL, envs.TOY_ID, toy_demos, dataclasses.replace(CONFIG, warm_start=True), 0, tmp_path
        )
    other = dataclasses.replace(toy_demos, meta={**toy_demos.meta, "seed": 7})
    with pytest.raises(SystemExit, match="demonstrations"):
        trainings.new_or_resumed(GAIL, envs.TOY_ID, other, CONFIG, 0, tmp_path)


@pytest.mark.parametrize("simulate", [0, 200])
def test_a_run_of_observations_alone_goes_on(toy_demos, tmp_path, simulate):
    shown = toy_demos[:1].observations_only()
    config = dataclasses.replace(CONFIG, inverse=InverseConfig(simulate=simulate, steps=5))
    trainings.new_or_resumed(GAIL, envs.TOY_ID, shown, config, 0, tmp_path).train(80, eval_episodes=0)
    assert trainings.new_or_resumed(GAIL, envs.TOY_ID, shown, config, 0, tmp_path).loop.steps == 80
