"""Films, noise, and refusals that come before the work."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gail_suite import demos, envs
from gail_suite.commands.cli import main
from gail_suite.showing.scale import Uniform, scale_of
from gail_suite.showing.video import check_filmable, render


@pytest.mark.case("tasks", "Films of tasks that draw themselves", "not stretched, whatever the size of the film")
@pytest.mark.parametrize(("width", "height"), [(480, 360), (128, 256)])
def test_a_disc_stays_a_disc(tmp_path, width, height):
    task = "own_tasks:Disc-v0"
    render(Uniform(task, 0), task, tmp_path / "d.npz", n_frames=1, width=width, height=height)
    frame = np.load(tmp_path / "d.npz")["x"][0, 0] > 128
    rows, columns = np.flatnonzero(frame.any(1)), np.flatnonzero(frame.any(0))
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=2) and np.ptp(rows) > 40


@pytest.mark.case(
    "refused", "A film of a task that draws with a library that is missing (pygame)", "before the training, in one line"
)
def test_a_film_that_cannot_be_drawn_is_refused_before_the_training(tmp_path, capsys):
    task = "own_tasks:NeedsPygame-v0"
    with pytest.raises(ValueError, match="NeedsPygame-v0 cannot be filmed here: pygame is not installed"):
        check_filmable(task)
    demos.record(Uniform(task, 0), task, 2, out=tmp_path / "d")
    words = ["train", "bc", "--demos", str(tmp_path / "d"), "--out", str(tmp_path / "run"), "--video", "--steps", "10"]
    assert main(words) == 1
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1 and "pygame is not installed" in told[0] and not (tmp_path / "run").exists()


@pytest.mark.case("manners", "MuJoCo's `settotalmass` warning, MUJOCO_LOG.TXT", "neither")
def test_no_noise_of_the_simulator(tmp_path):
    code = "from gail_suite import envs; [envs.make('HalfCheetah-v5').close() for _ in range(3)]; envs.make('Ant-v4')"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout + done.stderr == "" and not list(tmp_path.iterdir())


@pytest.mark.case("manners", "Warnings of Gymnasium on the command line", "without colour codes")
def test_warnings_have_no_colour_codes(capsys):
    from gail_suite.commands.cli import _warn

    _warn("\x1b[33mWARN: Box low's precision lowered\x1b[0m", UserWarning, "x.py", 1)
    assert capsys.readouterr().err == "gail-suite: warning: Box low's precision lowered\n"


@pytest.mark.case("manners", "The time left", "not said of a run that is through")
def test_no_time_left_at_the_end(tmp_path, capsys):
    from gail_suite.runs.runlog import RunLog

    with RunLog(tmp_path, 100) as log:
        log._shown_speed.rate, log._shown_speed.measured = 10.0, 5
        assert "ETA 0:00:05" in log._details(50, 0.0, {})
        assert "ETA" not in log._details(100, 0.0, {})


@pytest.mark.case("refused", "The bundled expert of a task that has none", "without a far-fetched guess")
def test_no_far_fetched_guess_of_an_expert():
    with pytest.raises(ValueError, match="no expert is bundled for 'Pendulum-v1': bundled are Ant-v5, Humanoid-v5"):
        demos.expert("Pendulum-v1")
    with pytest.raises(ValueError, match=r"did you mean 'Humanoid-v5'\?"):
        demos.expert("Humanoid-v4")


@pytest.fixture
def shown(tmp_path):
    demos.record(envs.toy_expert, envs.TOY_ID, 2, out=tmp_path / "d")
    return tmp_path / "d"


@pytest.mark.case("refused", "A sweep with a wrong setting", "before any run begins")
@pytest.mark.parametrize("wrong", [["--set", "lrr=1"], ["--grid", "lr=0.001,fast"], ["--grid", "hiden=[8],[16]"]])
def test_a_sweep_with_a_wrong_setting_starts_nothing(shown, tmp_path, capsys, wrong):
    assert main(["sweep", "bc", "--demos", str(shown), "--out", str(tmp_path / "s"), *wrong]) == 1
    assert "setting" in capsys.readouterr().err and not (tmp_path / "s").exists()


@pytest.mark.case("refused", "A sweep on a task that its demonstrations do not fit", "before any run begins")
def test_a_sweep_on_a_task_that_does_not_fit_starts_nothing(shown, tmp_path, capsys):
    words = ["sweep", "bc", "--demos", str(shown), "--out", str(tmp_path / "s"), "--env", "own_tasks:Plain-v0"]
    assert main([*words, "--env-arg", "low=0.5", "--env-arg", "high=0.5"]) == 1
    assert "no room between its bounds" in capsys.readouterr().err and not (tmp_path / "s").exists()
    assert main(words) == 1
    assert "the demonstrations have 3 observation and 2 action" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


@pytest.mark.case("refused", "An error inside a task of one's own", "in one line that names its file and line")
def test_an_error_in_a_task_of_ones_own_is_not_reported_as_ours(shown, tmp_path, capsys):
    class Beyond:
        env_id = "own_tasks:Plain-v0"

        def predict(self, obs, state=None, episode_start=None, deterministic=False):
            return np.full((len(obs), 1), 9.0, np.float32), state

    from gail_suite.commands.cli import _one_line

    with pytest.raises(AssertionError) as raised:
        demos.record(Beyond(), "own_tasks:Plain-v0", 1)
    told = _one_line(raised.value)
    assert re.search(r"is outside Box\(.*own_tasks\.py, line \d+, which is no part of gail-suite\)$", told)


@pytest.mark.parametrize("slip", [lambda: np.zeros(2) + np.zeros(3), lambda: np.stack([np.zeros(2), np.zeros(3)])])
def test_a_slip_in_a_file_of_ones_own_is_said_with_its_place(slip):
    class Clumsy:
        env_id = "own_tasks:Plain-v0"

        def predict(self, obs, state=None, episode_start=None, deterministic=False):
            return slip(), state

    from gail_suite.commands.cli import _one_line

    with pytest.raises(ValueError, match="shape") as raised:
        demos.record(Clumsy(), "own_tasks:Plain-v0", 1)
    told = _one_line(raised.value)
    assert re.search(r"^ValueError: .*shape.* \(.*test_manners\.py, line \d+, which is no part of gail-suite\)$", told)


@pytest.mark.case("manners", "Numbers as people write them, --env-arg reset_noise_scale=1e-3", "numbers")
def test_numbers_with_exponents_are_numbers():
    from gail_suite.commands.common import set_values

    given = dict(set_values(["a=1e-3", "b=-3.4e38", "c=[1E2, .5e1]", "d=e5", "e=1e"], "--env-arg"))
    assert given == {"a": 1e-3, "b": -3.4e38, "c": [100.0, 5.0], "d": "e5", "e": "1e"}


@pytest.mark.case("manners", "compare DIR/* of a sweep", "its .log files are passed over")
def test_compare_passes_over_the_logs_of_a_sweep(shown, tmp_path, capsys):
    out = tmp_path / "s"
    words = ["--steps", "10", "--eval-episodes", "2", "--quiet"]
    for seed in ("0", "1"):
        assert main(["train", "bc", "--demos", str(shown), "--seed", seed, "--out", str(out / seed), *words]) == 0
        (out / f"{seed}.log").write_text("a log")
    assert main(["compare", *map(str, sorted(out.iterdir()))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith(str(out))]) == 2


@pytest.mark.case("scores", "Every result", "with n, interval, return, and the score against the demonstrations")
def test_results_have_n_interval_and_both_scores(shown, tmp_path, capsys):
    run = tmp_path / "run"
    words = ["--steps", "200", "--eval-episodes", "4", "--json", "--quiet"]
    assert main(["train", "bc", "--demos", str(shown), "--out", str(run), *words]) == 0
    found = json.loads(capsys.readouterr().out)
    scale, d = scale_of(run), demos.load(shown)
    assert scale.random == envs.spec(envs.TOY_ID).random_return.mean and scale.shown == pytest.approx(d.returns.mean())
    assert found["demo_score"] == pytest.approx(
        (found["return_mean"] - scale.random) / (d.returns.mean() - scale.random)
    )
    assert found["demo_score_interval"][0] <= found["demo_score"] <= found["demo_score_interval"][1]
    assert main(["eval", str(run), "-n", "3"]) == 0
    told = capsys.readouterr().out
    number = r"-?\d+(\.\d+)?"
    assert re.search(rf"score against the demonstrations {number} \[{number}, {number}\], normalised score", told)
    assert re.search(rf"return {number} \+- {number} \[{number}, {number}\], \d+ steps, 3 episodes", told)


@pytest.mark.case(
    "scores",
    "A task without reference returns",
    "random actions are measured once; --reference RANDOM,EXPERT adds the other score in eval, compare and report",
)
def test_a_task_of_ones_own_has_scores(tmp_path, capsys):
    task = "own_tasks:Plain-v0"

    class Home:
        def predict(self, obs, state=None, episode_start=None, deterministic=False):
            return np.clip(-5 * obs[:, :1], -1, 1).astype(np.float32), state

    demos.record(Home(), task, 4, out=tmp_path / "d")
    words = ["train", "bc", "--demos", str(tmp_path / "d"), "--out", str(tmp_path / "run")]
    assert main([*words, "--steps", "300", "--eval-episodes", "4", "--quiet"]) == 0
    kept = json.loads((tmp_path / "run/reference.json").read_text())
    assert kept["n_episodes"] == 10 and kept["random_return"] < demos.load(tmp_path / "d").returns.mean()
    assert main(["eval", str(tmp_path / "run"), "-n", "2", "--reference", "-10,0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["score"] == pytest.approx((found["return_mean"] + 10) / 10) and found["demo_score"] > 0.5
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "run"), "--reference", "-8,0", "--json"]) == 0
    (beside,) = json.loads(capsys.readouterr().out)["runs"]
    assert beside["score"] == pytest.approx((found["return_mean"] + 8) / 8) and beside["demo_score"] > 0.5
    assert beside["score_interval"] == [(bound + 8) / 8 for bound in found["return_interval"]]
    assert main(["report", str(tmp_path / "run"), "--reference", "-8,0"]) == 0
    assert f"<td>{beside['score']:.3f} [" in (tmp_path / "run/report.html").read_text()
    assert main(["eval", str(tmp_path / "run"), "--reference", "5"]) == 1
    assert "--reference takes two returns" in capsys.readouterr().err
    with pytest.raises(ValueError, match="the expert's is the larger"):
        envs.register_reference(task, 1.0, 1.0)


def test_pictures_of_the_films_are_pictures(tmp_path):
    task = "own_tasks:Disc-v0"
    render(Uniform(task, 0), task, tmp_path / "d.gif", n_frames=2, width=96, height=96)
    with Image.open(tmp_path / "d.gif") as film:
        assert film.size == (96, 96) and film.n_frames == 2
