"""The learning curve and the page of a run."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import envs
from demos.sealed import read_json, write_json, write_results
from gail_suite.runs.runlog import RunLog, write_run_files
from gail_suite.showing.page import rows_table
from gail_suite.showing.report import _band, learning_curve, write_report
from gail_suite.showing.scale import Scale
from gail_suite.showing.stats import t_interval
from gail_suite.showing.video import film_note, write_film


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
    write_results(run / "eval.json", {"score": 0.75, "return_mean": 3000.0, "n_episodes": 20, "returns": [1.0]})
    (run / "video.mp4").write_bytes(b"film")
    page = write_report(run).read_text()
    assert "GAIL on Ant-v5, seed 3" in page and "0.75" in page and "Film" in page
    assert page.count("data:image/png;base64,") == 3 and "data:video/mp4;base64,ZmlsbQ==" in page
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


def test_the_page_fits_a_phone_and_folds_its_settings(tmp_path: Path) -> None:
    page = write_report(make_run(tmp_path)).read_text()
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert page.index("<details>") > page.index("Learning curve on Ant-v5")
    assert not re.search(r"width:\s*\d+px", page)  # nothing that a narrow screen cannot shrink


def cells(page: str, name: str) -> list[str]:
    """The cells of the results' row that begins with `name`."""
    row = next(r for r in re.findall(r"<tr>(.*?)</tr>", page) if f">{name}" in r)
    return re.findall(r"<td[^>]*>(.*?)</td>", row)


def evaluation(mean: float, score: float) -> dict[str, object]:
    return {
        "return_mean": mean,
        "return_interval": [mean - 10, mean + 10],
        "score": score,
        "score_interval": [score - 0.01, score + 0.01],
        "demo_score": score + 0.1,
        "demo_score_interval": [score + 0.08, score + 0.12],
        "length_mean": 900.0,
        "n_episodes": 20,
    }


def test_expert_clone_and_random_stand_beside_the_learner_with_intervals(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    write_results(run / "eval.json", evaluation(3000.0, 0.6))
    page = write_report(run, others={"BC, 4 demonstrations": evaluation(700.0, 0.25)}).read_text()
    assert cells(page, "GAIL")[1:] == [
        "3000 [2990, 3010]",
        "0.600 [0.590, 0.610]",
        "0.700 [0.680, 0.720]",
        "900",
        "20 episodes",
    ]
    assert cells(page, "BC, 4 demonstrations")[1] == "700 [690, 710]"
    expert, chance = envs.spec("Ant-v5").expert_return, envs.spec("Ant-v5").random_return
    half = 1.96 * expert.sd / expert.episodes**0.5
    assert cells(page, "expert")[1] == f"{expert.mean:.0f} [{expert.mean - half:.0f}, {expert.mean + half:.0f}]"
    assert cells(page, "random actions")[1].startswith(f"{chance.mean:.0f} [")


def test_a_given_scale_makes_the_scores(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    write_results(run / "eval.json", evaluation(3000.0, 0.6))
    page = write_report(run, scale=Scale(-1000.0, 4000.0)).read_text()
    assert cells(page, "GAIL")[1:3] == ["3000 [2990, 3010]", "0.800 [0.798, 0.802]"]


def test_several_runs_share_a_page_and_seeds_a_band(tmp_path: Path) -> None:
    runs = []
    for seed, mean in ((0, 3000.0), (1, 3200.0)):
        run = make_run(tmp_path / f"seed {seed}")
        write_json(run / "config.json", read_json(run / "config.json") | {"seed": seed})
        write_results(run / "eval.json", evaluation(mean, mean / 5000))
        runs.append(run)
    with pytest.raises(ValueError, match="a report of 2 runs needs a file: give --out"):
        write_report(runs)
    page = write_report(runs, tmp_path / "both.html").read_text()
    low, high = t_interval(np.array([3000.0, 3200.0]))
    score = [bound / 5000 for bound in (low, high)]
    assert cells(page, "GAIL")[1:4] == [
        f"3100 [{low:.0f}, {high:.0f}]",
        f"0.620 [{score[0]:.3f}, {score[1]:.3f}]",
        f"0.720 [{score[0] + 0.1:.3f}, {score[1] + 0.1:.3f}]",
    ]
    assert cells(page, "seed 1, seed 1")[1] == "3200 [3190, 3210]" and "bands are the range over seeds" in page
    assert page.count("<summary>Settings of") == 2


def test_kinds_are_told_apart_by_settings_and_an_unfinished_run_shows_its_last_evaluation(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, return_mean=1000.0) for name in "abc"]
    for run, gamma in zip(runs, (0.9, 0.99, 0.99), strict=True):
        write_json(run / "config.json", read_json(run / "config.json") | {"config": {"sac": {"gamma": gamma}}})
    write_results(runs[0] / "eval.json", evaluation(3000.0, 0.6))
    with RunLog(runs[1], quiet=True) as log:
        log.log(0, bc_score=0.4, bc_return_mean=412.3)
    page = write_report(runs[:2], tmp_path / "both.html").read_text()
    assert "<h1>2 runs on Ant-v5</h1>" in page and cells(page, "GAIL, sac.gamma=0.9<")[1] == "3000 [2990, 3010]"
    assert cells(page, "GAIL, sac.gamma=0.99")[1:] == ["1000", "0.750", "-", "-", "step 300, in training"]
    assert cells(page, "GAIL, sac.gamma=0.99: BC start")[1:] == ["412", "0.400", "-", "-", "in training"]
    write_json(runs[2] / "config.json", read_json(runs[2] / "config.json") | {"algo": "bc", "env_id": "X-v0"})
    page = write_report(runs[1:], tmp_path / "others.html").read_text()
    assert "<h1>2 runs on Ant-v5 and X-v0</h1>" in page and cells(page, "GAIL on Ant-v5")
    assert cells(page, "BC on X-v0") and cells(page, "expert (Ant-v5)")


def test_columns_of_numbers_stand_at_the_right_with_their_headings() -> None:
    table = rows_table(("name", "steps", "return"), [("a", 3, "1 [0, 2]"), ("b", None, None)])
    assert table.count("class=n") == 3 and "<th class=n>steps</th>" in table and "<td>-</td>" in table
    assert rows_table(("name",), []).count("<th>name</th>") == 1


def test_bands_by_hand() -> None:
    steps, low, mean, high = _band(
        [[{"step": 0, "x": 0.0}, {"step": 10, "x": 10.0}], [{"step": 5, "x": 1.0}, {"step": 20, "x": 16.0}]], "x"
    )
    assert steps.tolist() == [5, 10]  # where both are; the first run's line is at 5 and 10, the second's at 1 and 6
    assert (low.tolist(), mean.tolist(), high.tolist()) == ([1, 6], [3, 8], [5, 10])
    assert _band([[]], "x")[0].size == 0


def test_the_film_says_which_part_it_shows(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    frames = (np.full((64, 64, 3), i, np.uint8) for i in range(40))
    write_film(run / "video.mp4", frames, 20)
    said = "The film shows the first 40 steps of an episode that may last 1,000, 2 seconds"
    assert said in write_report(run).read_text()
    assert film_note(run / "config.json", "Ant-v5") is None


def test_a_long_name_of_a_task_does_not_push_the_curve_out_of_its_picture(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    wrappers = '[["gymnasium.wrappers:TimeAwareObservation", {}]]'
    task = f"HalfCheetah-v5(forward_reward_weight=2.0, max_episode_steps=30, wrappers={wrappers})"
    write_json(run / "config.json", read_json(run / "config.json") | {"env_id": task})
    write_report(run)  # warnings, such as matplotlib's of axes without room, are errors here
