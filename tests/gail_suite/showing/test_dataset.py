"""Demonstrations at a glance."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demos import Demonstrations, Trajectory
from gail_suite.showing.dataset import cells, coverage, draw, summary


def made(*steps: int) -> Demonstrations:
    rng = np.random.default_rng(0)
    return Demonstrations(
        tuple(
            Trajectory(rng.normal(size=(n + 1, 4)), rng.uniform(-1, 1, (n, 2)), np.ones(n), i == 0, i == 1, i)
            for i, n in enumerate(steps)
        ),
        {"env_id": "Toy-v0", "note": "<b>"},
    )


def test_the_page_has_every_episode_and_five_pictures(tmp_path: Path) -> None:
    page = draw(made(3, 5, 4), tmp_path / "d.html").read_text()
    assert page.count("data:image/png;base64,") == 5 and "Demonstrations of Toy-v0" in page
    assert 'name="viewport" content="width=device-width' in page and "&lt;b&gt;" in page and "<b>" not in page
    assert page.count("<tr>") == 6 + 4 + 2  # facts; heading and episodes; provenance
    with Image.open(draw(made(3).observations_only(), tmp_path / "d.png")) as picture:
        assert picture.size == (1430, 780)  # 11 inches, two rows of 3 as there are no actions, at 130 dots
    with pytest.raises(ValueError, match=r"d\.pdf is neither \.html nor \.png"):
        draw(made(3), tmp_path / "d.pdf")


def test_the_summary_counts() -> None:
    found = summary(made(3, 5, 4))
    assert found["return"] == "4.0 +- 0.8, from 3.0 to 5.0" and found["steps"] == "4.0, from 3 to 5"
    assert found["endings"] == "1 fragment, 1 terminated, 1 truncated"
    assert found["observation, action"] == "4 and 2 entries"


def test_coverage_by_hand() -> None:
    line = Trajectory(np.array([[0, 0, 7], [1, 1, 7], [2, 2, 7]]), np.zeros((2, 1)), np.zeros(2), True, False)
    points, episode, share = coverage(Demonstrations((line, line), {"env_id": "Toy-v0"}))
    assert episode.tolist() == [0, 0, 0, 1, 1, 1] and share == pytest.approx(1.0)  # all variance lies on one line
    assert np.ptp(points[:, 0]) == pytest.approx(2 * np.sqrt(3))  # both columns run from -sqrt(1.5) to sqrt(1.5)
    assert cells(points, episode) == (3, 1.0)  # three cells, each episode visits all
    assert cells(np.array([[0.0, 0], [1, 1], [0, 1], [0, 1]]), np.array([0, 0, 1, 1])) == (3, 0.5)  # 2 of 3, 1 of 3
    still = Trajectory(np.zeros((3, 2)), np.zeros((2, 1)), np.zeros(2), True, False)
    assert coverage(Demonstrations((still,), {"env_id": "Toy-v0"}))[0].shape == (3, 2)
