"""Settings: later places win, types are checked, and mistakes are answered with the nearest name."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from gail_suite.runs.config import build, describe, merge


@dataclass(frozen=True)
class Learner:
    """A part."""

    gamma: float = 0.99
    """Discount."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths."""
    steps: int | None = None
    """Steps at most."""


@dataclass(frozen=True)
class Config:
    """The whole."""

    reward: Literal["gail", "airl"] = "gail"
    """Form of the reward,
    over two lines."""
    warm: bool = True
    """Start from cloning."""
    name: str = "x"
    """A name."""
    learner: Learner = field(default_factory=Learner)
    """The learner."""


def test_pairs_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "my settings.yaml"
    file.write_text("reward: airl\nlearner: {gamma: 0.5, hidden: [8, 8, 8]}\n")
    found = build(Config(), file, ["learner.gamma=1e-4", "warm=false", "learner.steps=1000"])
    assert found == Config("airl", False, "x", Learner(1e-4, (8, 8, 8), 1000))
    assert build(Config()) == Config()


def test_the_config_json_of_a_run_is_a_config_file(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"algo": "gail", "env_id": "Ant-v5", "config": {"learner": {"gamma": 0.9}}}')
    assert build(Config(), file).learner.gamma == 0.9


def test_the_described_settings_read_back(tmp_path: Path) -> None:
    text = describe(Config(learner=Learner(steps=5)))
    assert "# Form of the reward, over two lines.\n" in text and "  # Discount.\n  gamma: 0.99\n" in text
    assert merge(Config(), yaml.safe_load(text)) == Config(learner=Learner(steps=5))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("learner.gama=1", r"unknown setting 'learner\.gama': did you mean 'learner\.gamma'\?"),
        ("gamma=1", r"unknown setting 'gamma': did you mean 'learner\.gamma'\?"),
        ("qqq=1", r"unknown setting 'qqq': known are reward, warm, name, learner\.gamma"),
        ("learner=1", r"setting 'learner' is a group; set one of learner\.gamma, learner\.hidden, learner\.steps"),
        ("learner.gamma=high", r"setting 'learner\.gamma' is 'high', expected float"),
        ("learner.gamma=true", r"setting 'learner\.gamma' is True, expected float"),
        ("learner.steps=1.5", r"setting 'learner\.steps' is 1\.5, expected int"),
        ("learner.hidden=64", r"setting 'learner\.hidden' is 64, expected tuple"),
        ("learner.hidden=[a]", r"setting 'learner\.hidden' is 'a', expected int"),
        ("warm=1", r"setting 'warm' is 1, expected bool"),
        ("name=3", r"setting 'name' is 3, expected str"),
        ("reward=airll", r"setting 'reward' is 'airll'; choose one of gail, airl"),
        ("warm", r"setting 'warm' is not of the form key=value"),
    ],
)
def test_mistakes_are_named_in_one_line(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        build(Config(), None, [setting])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- 1\n", "holds list, expected a mapping"),
        ("a: [1\n", "is not a YAML file"),
        ("a: !!python/object/apply:os.system ['touch canary']\n", "is not a YAML file"),
        ("[" * 3000, "is not a YAML file"),
    ],
)
def test_bad_files_are_refused_and_run_nothing(tmp_path: Path, content: str, message: str, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "c.yaml"
    file.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        build(Config(), file)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "canary").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no\.yaml cannot be read \(No such file"):
        build(Config(), tmp_path / "no.yaml")
