"""Sweeps and searches on a real cluster, two nodes of this machine; skipped without Ray and Optuna."""

import json
import os
import threading
import time
from functools import partial
from pathlib import Path

import pytest

import demos
import envs
from demos.sealed import read_json
from gail_suite.jobs.search import Range, Search, distance
from gail_suite.jobs.sweep import Job, log_of, plan, run_here, run_on_ray, summary
from gail_suite.runs.checkpoint import checkpoints
from gail_suite.runs.runlog import CLOCK

ray = pytest.importorskip("ray")
pytest.importorskip("optuna")
pytestmark = pytest.mark.filterwarnings("ignore")  # what they warn of is not ours
NODE = {"num_cpus": 1, "object_store_memory": 100_000_000, "include_log_monitor": False, "no_monitor": True}


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    found = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
    yield found
    found.shutdown()


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shown") / "demos"
    demos.record(envs.toy_expert, envs.TOY_ID, n_episodes=3, seed=0, out=folder)
    return folder


def test_optuna_searches_through_ray_tune_and_a_search_is_taken_up(cluster, shown, tmp_path) -> None:
    from gail_suite.jobs.tune import search

    planned = partial(plan, "bc", tmp_path, (0,), options=("--demos", str(shown), "--steps", "100"), eval_episodes=2)
    asked = partial(Search, planned, {"lr": Range.between("1e-6:0.1:log")}, shown, tmp_path)
    told: list[str] = []
    search(asked(3), 1, cluster.address, told.append)
    found = asked(3)
    assert len(told) == 3 and found.is_finished()
    for trial in found.tried:
        (job,) = found.jobs(trial["settings"])
        assert trial["value"] == pytest.approx(distance(job, shown), rel=1e-6)
    best, *_, worst = found.best()
    assert best["value"] < worst["value"]
    before = {job.folder: log_of(job).stat().st_mtime for t in found.tried for job in found.jobs(t["settings"])}

    search(asked(4), 1, cluster.address, told.append)  # one more, and none of the three is trained again
    assert asked(4).tried[:3] == found.tried and len(asked(4).best()) == 4
    assert all(folder.with_name(f"{folder.name}.log").stat().st_mtime == at for folder, at in before.items())
    assert not list(tmp_path.glob(".tune*"))


def test_a_lost_node_costs_no_trial_and_changes_no_result(cluster, shown, tmp_path) -> None:
    options = ["--demos", str(shown), "--generator", "ppo", "--steps", "6400"]
    options += [
        "--set",
        "learner.batch_steps=128",
        "--set",
        "learner.n_envs=2",
        "--set",
        "cadence.checkpoint_every=640",
    ]
    planned = partial(plan, "gail", seeds=(0, 1, 2), grid={}, options=options, eval_episodes=2)
    jobs = planned(out=tmp_path / "ray")
    node = cluster.add_node(**NODE)
    lost: list[list[str]] = []

    def lose() -> None:
        while len(begun := [job for job in jobs if checkpoints(job.folder / "checkpoints")]) < 2:
            time.sleep(0.05)
        lost.append([job.folder.name for job in begun if not job.is_finished()])
        cluster.remove_node(node, allow_graceful=False)

    thread = threading.Thread(target=lose, daemon=True)
    thread.start()
    outcomes = list(run_on_ray(jobs, cluster.address))
    thread.join(timeout=60)
    assert lost and len(lost[0]) == 2  # both nodes were at work, in the middle
    assert sorted(job.seed for job, _ in outcomes) == [0, 1, 2] and all(status == 0 for _, status in outcomes)

    serial = planned(out=tmp_path / "serial")
    assert all(status == 0 for _, status in run_here(serial, 1))
    again = 0
    for one, other in zip(jobs, serial, strict=True):
        assert _left(one) == _left(other)
        log = log_of(one).read_text()
        assert log.count("next: gail-suite eval") == 1  # trained to its end once
        again += log.count("resumed at step")
    assert again == 1  # the one whose node was lost, from its checkpoint; the other was left alone
    assert summary(jobs) == summary(serial)
    print("lost in the middle:", lost[0], "taken up:", again)


def _left(job: Job) -> tuple[bytes, dict, list[dict]]:
    """What a run leaves: its policy, its evaluation and its metrics but for the clock."""
    rows = [json.loads(line) for line in (job.folder / "metrics.jsonl").read_text().splitlines()]
    return (
        (job.folder / "policy/policy.safetensors").read_bytes(),
        read_json(job.folder / "eval.json", dict),
        [{name: value for name, value in row.items() if name not in CLOCK} for row in rows],
    )
