"""The learning curve and the page of a run."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from gail_suite.runs.runlog import RunLog, write_run_files
from gail_suite.showing.report import learning_curve, write_report


def make_run(folder: Path, **rows: float) -> Path:
    write_run_files(
        folder, {"algo": "gail", "env_id": "Ant-v5", "seed": 3, "config": {"note": "<script>alert(1)</script>"}}
    )
    with RunLog(folder, quiet=True) as log:
        log.log(0, bc_score=0.4)
        for step in (100, 200, 300):
            log.log(step, score=step / 400, disc_loss=1 / step, alpha=0.1, reward_mean=float("nan"), **rows)
    return folder


def test_the_page_contains_everything_and_asks_the_network_for_nothing(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a run")
    (run / "eval.json").write_text(
        json.dumps({"score": 0.75, "return_mean": 3000.0, "n_episodes": 20, "returns": [1.0]})
    )
    (run / "video.mp4").write_bytes(b"film")
    page = write_report(run).read_text()
    assert "GAIL on Ant-v5, seed 3" in page and "0.75" in page and "Film" in page
    assert page.count("data:image/png;base64,") == 1 and "data:video/mp4;base64,ZmlsbQ==" in page
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "Content-Security-Policy\" content=\"default-src 'none'" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page) and "http://" not in page and "https://" not in page


def test_the_curve_is_a_picture_with_small_multiples(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    path = learning_curve(run)
    assert path == run / "learning_curve.png"
    with Image.open(path) as picture:
        # 8 inches at 130 dots; two drawable health records make one more row of 1.8 inches below the 4
        assert picture.size == (1040, round(5.8 * 130))


def test_a_run_without_scores_or_records_still_has_a_page(tmp_path: Path) -> None:
    write_run_files(tmp_path, {"algo": "bc", "env_id": "X-v0"})
    assert learning_curve(tmp_path) is None
    assert "Learning curve" not in write_report(tmp_path).read_text()
    with RunLog(tmp_path, quiet=True) as log:
        log.log(5, return_mean=-3.0)
    assert "Learning curve" in write_report(tmp_path).read_text()


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is not a run directory \(it has no readable config\.json\)"):
        write_report(tmp_path)
