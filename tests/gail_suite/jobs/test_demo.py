"""The demo leaves everything it promises, prints honest numbers, and goes on where it stopped."""

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from gail_suite.algorithms.bc import BC, BCConfig
from gail_suite.algorithms.gail import GAIL, GAILConfig
from gail_suite.jobs import demo
from gail_suite.learning.offpolicy import LoopConfig
from gail_suite.learning.sac import SACConfig
from gail_suite.runs import runlog
from gail_suite.runs.checkpoint import checkpoints
from gail_suite.runs.runlog import StopRequested

TINY = {"env_id": "Ant-v5", "n_demos": 1, "steps": 160, "n_eval": 1, "n_frames": 4, "quiet": True}


class SmallBC(BC):
    """BC that learns next to nothing, at once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, config=BCConfig(steps=50, hidden=(16,)), **kwargs)


class SmallGAIL(GAIL):
    """The same for GAIL."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        config = GAILConfig(
            bc=BCConfig(steps=50, hidden=(16,)),
            sac=SACConfig(hidden=(16,), burn_in=2),
            choose=False,
            loop=LoopConfig(capacity=2000, eval_episodes=1, checkpoint_every=80),
        )
        super().__init__(*args, **kwargs | {"config": config})


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "BC", SmallBC)
    monkeypatch.setattr(demo, "GAIL", SmallGAIL)
    monkeypatch.setattr(demo, "EXPERT_FRAMES", 2)


def test_a_stopped_demo_goes_on_and_a_finished_one_is_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, said = tmp_path / "my demo", []
    with monkeypatch.context() as patch:
        patch.setattr(runlog, "_signal_seen", signal.SIGINT)
        with pytest.raises(StopRequested):
            demo.run_demo(out, **TINY, say=said.append)
    assert len(said) == 4 and checkpoints(out / "gail/checkpoints") and not (out / "gail/policy").exists()
    found = demo.run_demo(out, **TINY, say=said.append)
    assert json.loads((out / "summary.json").read_text()) == found
    assert all(Path(path).stat().st_size > 100 for path in found["files"].values())
    assert set(found["files"]) == {"expert", "video", "curve", "report", "summary"}
    page = (out / "gail/report.html").read_text()
    assert "data:video/mp4" in page and "The film shows the first 4 steps of an episode that may last 1,000" in page
    for name, measured in (("GAIL", False), ("bundled expert", False), ("BC, 1 demonstration", False),
                           ("expert", True), ("random actions", True)):  # fmt: skip
        returned = page.split(f"<td>{name}</td><td>")[1].split("</td>")[0]  # one episode has no interval
        assert re.fullmatch(r"-?\d+ \[-?\d+, -?\d+\]" if measured else r"-?\d+", returned), (name, returned)

    before = {name: (out / name).stat().st_mtime_ns for name in ("gail/policy/policy.safetensors", "bc/eval.json")}
    again = demo.run_demo(out, **TINY, say=said.append)
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    assert [again[who] for who in ("expert", "bc", "gail")] == [found[who] for who in ("expert", "bc", "gail")]
    with pytest.raises(ValueError, match="was begun with total_steps 160, not 320: choose another --out"):
        demo.run_demo(out, **{**TINY, "steps": 320}, say=said.append)


def test_the_table_shows_what_was_measured() -> None:
    row = {"score": 0.5, "return_mean": 2100.4, "return_sd": 10.2, "length_mean": 900.0}
    summary = {
        "env_id": "Ant-v5",
        "n_demos": 4,
        "n_eval": 20,
        "wall_s": 300.0,
        "bc_wall_s": 9.6,
        "gail_wall_s": 200.0,
        "expert": {**row, "score": 1.0},
        "bc": {**row, "score": 0.25},
        "gail": {**row, "score": None},
        "files": {},
    }
    lines = demo.table(summary).splitlines()
    assert lines[1].split() == ["expert", "1.000", "2100", "+-", "10", "900"]
    assert lines[2].split() == ["BC,", "4", "demos", "0.250", "2100", "+-", "10", "900", "10", "s"]
    assert lines[3].split()[3] == "-"
