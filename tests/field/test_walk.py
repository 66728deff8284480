"""docs/your-own-environment.md, word by word with small budgets, in an ordinary folder."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/your-own-environment.md"
SMALL = {
    "--steps 4000": "--steps 160 --set loop.n_envs=4 --set loop.warm_up=32 --set loop.eval_episodes=1 "
    "--set bc.steps=20 --eval-episodes 2",
    "--steps 6000": "--steps 200 --eval-episodes 2",
    "-n 20": "-n 3",
    "--out cart.mp4": "--out cart.mp4 --frames 5 --width 240 --height 80",
    "--seeds 0 1": "--seeds 1 --jobs 1",
    "sweep/seed=0 ": "",
    "--out clone": "--out clone --steps 20 --eval-episodes 2",
}


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def walked(lines, here, environment):
    """Each command line and what it said, as children of a program that has imported what they share (forked.py); the
    run of the sweep is a program of its own.
    """
    server = [sys.executable, str(Path(__file__).with_name("forked.py"))]
    with subprocess.Popen(
        server, cwd=here, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as forked:
        for line in lines:
            command = line.removeprefix("gail-suite ")
            for whole, small in SMALL.items():
                command = command.replace(whole, small)
            forked.stdin.write(json.dumps(shlex.split(command)) + "\n")
            forked.stdin.flush()
            status, told = json.loads(forked.stdout.readline())
            assert status == 0, f"{line}\n{told}"
            yield line, told


@pytest.mark.case(
    "tasks", "An environment in a file of one's own, from record to compare (docs/your-own-environment.md)", "works"
)
def test_the_walk(tmp_path):
    here = tmp_path / "a folder of mine"
    here.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(PAGE.parents[1]), "OMP_NUM_THREADS": "1"}
    task, record = blocks("python")
    (here / "carts.py").write_text(task)
    subprocess.run([sys.executable, "-c", record], cwd=here, check=True, env=environment)
    said = dict(walked("".join(blocks("bash")).strip().splitlines(), here, environment))
    told = {name: json.loads((here / name / "eval.json").read_text()) for name in ("run", "clone", "sweep/seed=1")}
    assert told["run"]["env_id"] == "carts:Cart-v0" and told["clone"]["env_id"] == "carts:Cart-v0(friction=0.3)"
    assert all(t["demo_score"] is not None and t["score"] is None for t in (told["run"], told["sweep/seed=1"]))
    scale = told["run"]["random_return"], told["run"]["demo_return"]
    assert scale[0] < scale[1] < 0
    assert told["run"]["demo_score"] == pytest.approx((told["run"]["return_mean"] - scale[0]) / (scale[1] - scale[0]))
    assert "new episodes begin, since Cart may keep state" in said["gail-suite train gail --resume run --steps 6000"]
    assert "score against the demonstrations" in said["gail-suite eval run -n 20"]
    compared = said["gail-suite compare run sweep/seed=0 sweep/seed=1"].splitlines()
    assert "against demos" in compared[0] and re.search(r"\[-?\d+\.\d+, -?\d+\.\d+\] +\d", compared[1])
    assert (here / "cart.mp4").stat().st_size > 500


@pytest.mark.case(
    "tasks", "A variant of Ant (27 observations, other healthy range)", "trains and is evaluated on itself"
)
def test_a_variant_of_ant_trains_and_is_evaluated_on_itself(tmp_path):
    import numpy as np

    import gail_suite as gs
    from gail_suite import demos, envs
    from gail_suite.algorithms.bc import BCConfig

    variant = {"include_cfrc_ext_in_observation": False, "healthy_z_range": (0.4, 0.9)}
    task = "Ant-v5(healthy_z_range=[0.4, 0.9], include_cfrc_ext_in_observation=false)"
    narrow = demos.expert("Ant-v5")
    tensors = {**narrow.tensors, "hidden.0.weight": narrow.tensors["hidden.0.weight"][:, :27]}
    tensors |= {name: narrow.tensors[name][:27] for name in ("obs_mean", "obs_scale")}
    expert = demos.MlpPolicy(tensors, {**narrow.meta, "env_id": task})
    shown = demos.record(expert, "Ant-v5", n_episodes=2, env_kwargs=variant, out=tmp_path / "d")
    assert shown.task == task and envs.spec(shown.task).obs_dim == 27
    for env_id, kwargs in (("Ant-v5", None), ("Ant-v5", variant), (task, None)):
        trainer = gs.BC(env_id, shown, BCConfig(steps=20), env_kwargs=kwargs)
        assert trainer.env_id == task
    run = trainer.train(eval_episodes=0)
    assert run.policy.env_id == task and run.policy.obs_dim == 27
    found = gs.evaluate(run.policy, "Ant-v5", n_episodes=2, env_kwargs=variant)
    same = gs.evaluate(run.policy, run.policy.env_id, n_episodes=2)
    np.testing.assert_array_equal(found.returns, same.returns)
    assert found.env_id == task and found.score is None  # other rewards than Ant-v5's references
