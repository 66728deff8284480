"""The doctor: facts that a report of a fault needs, and problems with their remedies."""

import pytest

from gail_suite.jobs import doctor


def test_the_facts_are_those_of_this_machine() -> None:
    found = doctor.diagnose()
    assert {
        "python",
        "torch",
        "mujoco",
        "threads",
        "amx",
        "egl",
        "renderer",
        "ffmpeg",
        "imitation",
        "disk_free_gb",
    } <= set(found)
    assert found["renderer"] in ("egl", "raycast") and found["ffmpeg"]
    assert set(found["physics"]) == set(found["experts"]) == {"Ant-v5", "Humanoid-v5"}
    assert all(len(digest) == 16 for digest in found["physics"].values())


def test_problems_name_their_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    found = doctor.diagnose()
    assert [p for p in found["problems"] if not p.startswith("only")] == []
    bad = doctor._problems({**found, "ffmpeg": None, "mujoco": "4.0.1", "disk_free_gb": 0.5})
    assert len(bad) == 3
    assert "pip install imageio-ffmpeg" in bad[0] and "install mujoco 3.17" in bad[1] and "0.5 GB" in bad[2]
