"""A sweep: what is run, what is left alone, what is told of the rest."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import demos
import envs
from demos.sealed import write_results
from gail_suite.commands.cli import main
from gail_suite.commands.sweep import _line
from gail_suite.jobs import sweep
from gail_suite.jobs.sweep import Job, plan, run_here, summary


def test_every_combination_meets_every_seed(tmp_path: Path) -> None:
    jobs = plan("gail", tmp_path, (0, 1), {"sac.tau": ["0.1", "0.2"], "sac.hidden": ["[8,8]"]}, ("--demos", "d"))
    assert [job.folder.name for job in jobs] == [
        "sac.tau=0.1,sac.hidden=[8,8],seed=0",
        "sac.tau=0.1,sac.hidden=[8,8],seed=1",
        "sac.tau=0.2,sac.hidden=[8,8],seed=0",
        "sac.tau=0.2,sac.hidden=[8,8],seed=1",
    ]
    assert jobs[3].words() == [
        "train",
        "gail",
        "--out",
        str(jobs[3].folder),
        "--seed",
        "1",
        "--demos",
        "d",
        "--set",
        "sac.tau=0.2",
        "--set",
        "sac.hidden=[8,8]",
        "--eval-episodes",
        "50",
    ]
    assert [job.folder.name for job in plan("bc", tmp_path, (4, 4), {}, ())] == ["seed=4"]  # once is enough


def test_a_run_with_a_checkpoint_goes_on(tmp_path: Path) -> None:
    (job,) = plan("gail", tmp_path, (0,), {}, (), eval_episodes=7)
    (job.folder / "checkpoints" / "step_000000100.tmp-1").mkdir(parents=True)  # killed while it was written
    assert "--resume" not in job.words()
    (job.folder / "checkpoints" / "step_000000100").mkdir()
    assert job.words() == ["train", "gail", "--resume", str(job.folder), "--eval-episodes", "7"]
    assert not job.is_finished()
    finish(job)
    assert job.is_finished()


def finish(job: Job) -> None:
    """What a training leaves last."""
    (job.folder / "policy").mkdir(parents=True)
    (job.folder / "policy" / "policy.json").touch()
    (job.folder / "report.html").touch()


def test_a_run_that_was_begun_otherwise_is_not_taken_for_this_one(tmp_path: Path) -> None:
    (job,) = plan("gail", tmp_path, (0,), {}, ("--steps", "50"))
    sweep._note_beginning(job)
    assert plan("gail", tmp_path, (0,), {}, ("--steps", "50"), eval_episodes=3)[0].folder == job.folder
    for algo, steps in (("gail", "60"), ("bc", "50")):
        with pytest.raises(ValueError, match=r"was begun as gail-suite train gail .* --steps 50: choose another --out"):
            plan(algo, tmp_path, (0,), {}, ("--steps", steps))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Processes that end with their seed as status, in place of trainings; the jobs that got one."""
    jobs: list[Job] = []

    def start(job: Job) -> subprocess.Popen[bytes]:
        jobs.append(job)
        return subprocess.Popen([sys.executable, "-c", f"raise SystemExit({job.seed})"])

    monkeypatch.setattr(sweep, "_start", start)
    return jobs


def test_finished_runs_are_not_run_again_and_statuses_come_back(tmp_path: Path, started: list[Job]) -> None:
    jobs = plan("gail", tmp_path, (0, 1, 2), {}, ())
    finish(jobs[0])
    assert {job.seed: status for job, status in run_here(jobs, 2)} == {0: 0, 1: 1, 2: 2}
    assert [job.seed for job in started] == [1, 2]


def test_a_stop_reaches_the_processes_and_starts_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = plan("gail", tmp_path, (0, 1), {}, ())
    monkeypatch.setattr(
        sweep, "_start", lambda job: subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    )
    asked = iter([False, False])
    monkeypatch.setattr(sweep, "stop_requested", lambda: next(asked, True))
    assert list(run_here(jobs, 1)) == [(jobs[0], -signal.SIGTERM)]


def test_scores_are_gathered_by_setting(tmp_path: Path) -> None:
    jobs = plan("gail", tmp_path, (0, 1, 2), {"sac.tau": ["0.1", "0.2"]}, ())
    for job, score in zip(jobs[:4], (0.2, 0.4, 0.9, 0.5), strict=True):
        finish(job)
        write_results(job.folder / "eval.json", {"score": score})
    first, second = summary(jobs)
    assert first["scores"] == [0.2, 0.4, 0.9] and first["iqm"] == pytest.approx(0.5)  # 3 // 4 = 0 are cut off
    assert second["seeds"] == [0] and second["interval"] == [0.5, 0.5]
    assert summary(plan("bc", tmp_path / "none", (0,), {}, ())) == [
        {"settings": "", "measure": None, "seeds": [], "scores": [], "iqm": None, "interval": [None, None]}
    ]


def test_tasks_without_reference_returns_are_summed_up_against_the_demonstrations(tmp_path: Path) -> None:
    jobs = plan("gail", tmp_path, (0, 1), {}, ())
    for job, demo_score in zip(jobs, (0.2, 0.4), strict=True):
        finish(job)
        write_results(job.folder / "eval.json", {"score": None, "demo_score": demo_score})
    (found,) = summary(jobs)
    assert (found["measure"], found["scores"]) == ("demo_score", [0.2, 0.4])
    assert _line("gail", found) == "gail: IQM of the scores against the demonstrations 0.300 [0.200, 0.400], 2 runs"


def test_the_command_trains_and_says_what_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = tmp_path / "demos"
    demos.record(envs.toy_expert, envs.TOY_ID, n_episodes=3, seed=0, out=shown)
    words = [
        "sweep",
        "bc",
        "--demos",
        str(shown),
        "--out",
        "sweep",
        "--seeds",
        "3",
        "--eval-episodes",
        "2",
    ]
    assert main([*words, "--steps", "50", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["sweep"]
    assert entry["seeds"] == [3] and entry["scores"][0] is not None
    assert main([*words, "--steps", "50"]) == 0
    assert "next: gail-suite compare sweep/seed=3\n" in capsys.readouterr().out
    assert main([*words, "--grid", "no_such_setting=1"]) == 1
    assert "unknown setting 'no_such_setting'" in capsys.readouterr().err  # before anything starts
    assert main([*words, "--grid", "lr"]) == 1
    assert "--grid takes name=value,value" in capsys.readouterr().err
    assert main([*words, "--generator", "ppo"]) == 1
    assert "bc has no generator: leave out --generator ppo" in capsys.readouterr().err
    assert main([*words, "--config", str(tmp_path / "none.yaml")]) == 1
    assert "none.yaml is not a file of settings" in capsys.readouterr().err


def test_learner_and_settings_file_reach_every_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown, file = tmp_path / "demos", tmp_path / "settings.yaml"
    demos.record(envs.toy_expert, envs.TOY_ID, n_episodes=3, seed=0, out=shown)
    file.write_text("learner: {batch_steps: 64, n_envs: 2}\n")
    words = [
        "sweep",
        "gail",
        "--demos",
        str(shown),
        "--out",
        str(tmp_path / "sweep"),
        "--seeds",
        "0",
        "--steps",
        "128",
        "--eval-episodes",
        "2",
    ]
    assert main([*words, "--generator", "ppo", "--config", str(file), "--json"]) == 0
    saved = json.loads((tmp_path / "sweep" / "seed=0" / "config.json").read_text())["config"]["learner"]
    assert saved["generator"] == "ppo" and saved["batch_steps"] == 64


def test_a_cloning_that_lost_its_evaluation_begins_again(tmp_path: Path) -> None:
    (job,) = plan("bc", tmp_path, (0,), {}, ())
    (job.folder / "policy").mkdir(parents=True)
    (job.folder / "policy" / "policy.json").touch()
    sweep._note_beginning(job)
    assert not (job.folder / "policy").exists() and job.words()[:2] == ["train", "bc"] and "--resume" not in job.words()


def test_a_run_that_goes_on_knows_its_task(tmp_path: Path) -> None:
    options = ("--demos", "d", "--import", "/t/tasks.py", "--env", "carts.py:Cart-v0")
    (job,) = plan("gail", tmp_path, (0,), {}, options)
    (job.folder / "checkpoints" / "step_000000100").mkdir(parents=True)
    imports = ["--import", "/t/tasks.py", "--import", str(Path("carts.py").absolute())]
    assert job.words() == ["train", "gail", "--resume", str(job.folder), *imports, "--eval-episodes", "50"]
