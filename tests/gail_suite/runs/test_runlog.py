"""Run directories: metrics that can be cut back to a checkpoint, progress, the lock, and stopping on signals."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demos.sealed import read_json
from gail_suite.runs.runlog import (
    RunLocked,
    RunLog,
    StopRequested,
    read_metrics,
    stop_on_signals,
    stop_requested,
    write_run_files,
)


def test_records_have_sorted_keys_with_the_wall_clock_last(tmp_path: Path) -> None:
    with RunLog(tmp_path, quiet=True) as log:
        log.log(10, loss=0.5, accuracy=1)
        log.log(20, loss=float("nan"))
    first, second = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert list(json.loads(first)) == ["accuracy", "loss", "step", "sps", "wall_s"]
    assert json.loads(second)["loss"] is None  # strict JSON has no NaN


def test_tensorboard_shows_the_same_numbers(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with RunLog(tmp_path, quiet=True) as log:
        log.log(10, loss=0.5)
        log.log(20, loss=0.25)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(10, 0.5), (20, 0.25)]


def test_resume_drops_what_came_after_the_checkpoint_and_a_torn_line(tmp_path: Path) -> None:
    with RunLog(tmp_path, quiet=True) as log:
        for step in (10, 20, 30):
            log.log(step, loss=step)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"loss": 4')
    assert [r["step"] for r in read_metrics(tmp_path)] == [10, 20, 30]
    with RunLog(tmp_path, quiet=True) as log:
        log.truncate_to(20)
        log.log(25, loss=25)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows] == [10, 20, 25]
    assert rows[2]["wall_s"] >= rows[1]["wall_s"]  # the clock goes on where the kept part ended


def test_plain_progress_is_one_line_with_rate_eta_and_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with RunLog(tmp_path, total_steps=1000) as log:
        log.progress(0)
        now[0] += 1.0
        log.progress(100)  # too soon after the first line
        now[0] += 4.0
        log.progress(500, score=0.25, entropy=1.5)
        now[0] += 5.0
        log.progress(750)
        now[0] += 5.0
        log.progress(1000)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "step 0/1,000"
    # 500 steps in 5 s; how long the rest takes is not guessed from a first stretch that includes warming up
    assert lines[1] == "step 500/1,000  100 steps/s  score 0.250  entropy 1.5"
    # 250 steps in 5 s are 50 steps/s, so the last 250 take 5 s
    assert lines[2] == "step 750/1,000  50 steps/s  ETA 0:00:05  score 0.250"
    assert lines[3].startswith("step 1,000/1,000")
    assert len(lines) == 4


def test_quiet_prints_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunLog(tmp_path, total_steps=10, quiet=True) as log:
        log.progress(10)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_terminal_gets_a_bar(tmp_path: Path) -> None:
    code = "import sys; from gail_suite.runs.runlog import RunLog\nwith RunLog(sys.argv[1], 10) as log: log.progress(5)"
    parent, child = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], stderr=child, check=True, env={**os.environ, "TERM": "xterm"}
    )
    os.close(child)
    shown = os.read(parent, 65536).decode()
    os.close(parent)
    assert "5/10" in shown and "━" in shown


def test_a_second_owner_is_refused_and_a_dead_one_is_not_in_the_way(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom gail_suite.runs.runlog import RunLog\n"
        "with RunLog(sys.argv[1]): print('in', flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert owner.stdout is not None and owner.stdout.readline() == b"in\n"
    with (
        pytest.raises(RunLocked, match=rf"in use by another process \(pid {owner.pid} on .*, boot .*--out"),
        RunLog(tmp_path),
    ):
        pass
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    with RunLog(tmp_path):
        assert f"pid {os.getpid()} " in (tmp_path / ".lock").read_text()


def test_run_files_rebuild_the_run_and_name_the_stack(tmp_path: Path) -> None:
    write_run_files(tmp_path / "new", {"algo": "gail", "config": {"lr": 1e-4}})
    assert read_json(tmp_path / "new/config.json") == {"algo": "gail", "config": {"lr": 1e-4}}
    found = read_json(tmp_path / "new/versions.json")
    assert {"python", "torch", "mujoco", "gymnasium", "stable-baselines3", "numpy", "commit", "cpus"} <= set(found)
    assert found["python"] == ".".join(map(str, sys.version_info[:3])) and found["mujoco"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_only_raises_the_flag(signum: signal.Signals) -> None:
    before = signal.getsignal(signum)
    with stop_on_signals():
        assert not stop_requested()
        os.kill(os.getpid(), signum)
        assert stop_requested()
        assert StopRequested().signum == signum
    assert not stop_requested() and signal.getsignal(signum) is before


def test_a_second_signal_ends_the_process_at_once() -> None:
    code = (
        "import os, signal, time\nfrom gail_suite.runs.runlog import stop_on_signals\n"
        "with stop_on_signals():\n    for _ in range(2): os.kill(os.getpid(), signal.SIGTERM)\n    time.sleep(60)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=20).returncode == 143


@pytest.mark.parametrize("name", ["priors/mine", "best", "policy", "video.mp4", "metrics.jsonl"])
def test_what_no_run_wrote_is_not_taken_for_a_runs(tmp_path, name):
    from gail_suite.runs.runlog import refuse_used

    (tmp_path / name).mkdir(parents=True)
    with pytest.raises(ValueError, match="which no run wrote and a run would replace: choose another folder"):
        refuse_used(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    refuse_used(tmp_path)  # a run that saved nothing


def test_a_run_that_trains_on_takes_its_results_back(tmp_path):
    from gail_suite.runs.runlog import forget_results

    for folder in ("policy", "reward", "best"):
        (tmp_path / folder).mkdir()
    for file in ("eval.json", "video.mp4", "report.html", "metrics.jsonl"):
        (tmp_path / file).write_text("")
    forget_results(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "metrics.jsonl"]
