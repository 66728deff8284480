"""What holds for all tests: no GPU, one thread, and demonstrations of the toy's analytic expert."""

import os
from dataclasses import replace

os.environ["CUDA_VISIBLE_DEVICES"] = (
    ""  # models fitted with device="auto" are compared with numbers made on the processor
)

import numpy as np
import pytest
import torch

import envs
from demos.trajectory import Demonstrations, Trajectory
from tests import pretend

pretend.register()


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    # results are compared bit for bit, and two test processes on two cores are faster with one thread each
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def toy_demos():
    trajectories = []
    for seed in range(4):
        env = envs.make(envs.TOY_ID)
        obs, acts, rews = [env.reset(seed=seed)[0]], [], []
        done = False
        while not done:
            action, _ = envs.toy_expert.predict(obs[-1])
            o, r, terminated, truncated, _ = env.step(action)
            obs.append(o), acts.append(action), rews.append(r)
            done = terminated or truncated
        trajectories.append(Trajectory(np.array(obs), np.array(acts), np.array(rews), terminated, truncated, seed))
        env.close()
    return Demonstrations(tuple(trajectories), {"env_id": envs.TOY_ID})


@pytest.fixture
def cut():
    """A function that cuts a trajectory into pieces of `size` steps without flags but those given for the last."""

    def cut(t, size, **flags):
        begun = range(0, len(t), size)
        parts = [
            Trajectory(t.obs[i : i + size + 1], t.acts[i : i + size], t.rews[i : i + size], False, False) for i in begun
        ]
        return [*parts[:-1], replace(parts[-1], **flags)]

    return cut


@pytest.fixture
def killed():
    """A function that trains until the first checkpoint at or after `step`, and then loses the process."""

    def train(trainer, total_steps, step=0, **options):
        save = trainer.loop.save

        def save_then_die():
            saved = save()
            if trainer.loop.steps >= step:
                raise SystemExit("killed")
            return saved

        trainer.loop.save = save_then_die
        with pytest.raises(SystemExit):
            trainer.train(total_steps, **options)

    return train
