import dataclasses
import json

import numpy as np
import pytest

import demos
import envs
from demos.trajectory import Demonstrations
from gail_suite.commands.cli import main
from gail_suite.priors.prior import load_prior


@pytest.fixture(scope="module")
def folder(toy_demos, tmp_path_factory):
    path = tmp_path_factory.mktemp("prior command") / "toy demos"
    Demonstrations(toy_demos.trajectories, {"env_id": envs.TOY_ID}).save(path)
    return path


@pytest.fixture(scope="module")
def fitted(folder):
    out = folder.parent / "prior"
    assert main(["prior", "fit", "--demos", str(folder), "--set", "n_components=2", "--out", str(out), "-q"]) == 0
    return out


def test_fit_says_what_it_did_and_what_comes_next(folder, capsys):
    out = folder.parent / "another"
    assert (
        main(["prior", "fit", "--demos", str(folder), "--out", str(out), "--model", "constant", "--set", "value=0.5"])
        == 0
    )
    text = capsys.readouterr().out
    assert "constant for typicality fitted to 400 pairs" in text
    assert f"next: gail-suite train gail --demos '{folder}' --prior '{out}'\n" in text
    assert load_prior(out).settings["value"] == 0.5


def test_a_model_of_a_folder_of_demonstrations_is_a_prior(folder, tmp_path, capsys):
    assert main(["gen", "fit", "gmm", "--data", str(folder), "--out", str(tmp_path / "model")]) == 1
    assert f"holds demonstrations: fit a prior to them with `gail-suite prior fit --demos '{folder}'`" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "model").exists()


def test_no_training_is_proposed_where_actions_are_a_choice(tmp_path, capsys):
    rng = np.random.default_rng(0)
    obs, acts = rng.normal(size=(31, 4)).astype(np.float32), np.eye(2, dtype=np.float32)[rng.integers(2, size=30)]
    shown = [demos.Trajectory(obs + i, acts, np.ones(30), terminated=True, truncated=False) for i in range(2)]
    folder = Demonstrations(tuple(shown), {"env_id": "CartPole-v1"}).save(tmp_path / "d")
    words = ["prior", "fit", "--demos", str(folder), "--out", str(tmp_path / "p"), "--set", "n_components=1"]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "next: gail-suite prior score" in said.out and "train gail" not in said.out
    assert "CartPole-v1 has discrete actions, and the learner that takes priors acts by continuous ones" in said.err


def test_score_ranks_and_speaks_json(folder, fitted, capsys):
    assert main(["prior", "score", "--prior", str(fitted), "--demos", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["trajectories"]
    means = [t["mean"] for t in found]
    assert means == sorted(means) and {t["index"] for t in found} == {0, 1, 2, 3}
    assert not any(t["foreign"] for t in found)


def test_a_prior_says_that_it_cannot_judge_what_it_was_fitted_to(folder, fitted, capsys):
    assert main(["prior", "score", "--prior", str(fitted), "--demos", str(folder)]) == 0
    said = capsys.readouterr()
    assert "was fitted to" in said.err and "leave out --prior" in said.err
    shown = demos.load(folder)
    others = demos.Demonstrations(tuple(dataclasses.replace(t, obs=t.obs + 0.01) for t in shown), shown.meta).save(
        folder.parent / "others"
    )
    assert main(["prior", "score", "--prior", str(fitted), "--demos", str(others)]) == 0
    assert not capsys.readouterr().err
    assert main(["prior", "score", "--demos", str(folder), "--set", "n_components=2"]) == 0
    said = capsys.readouterr()
    assert (
        not said.err and f"next: gail-suite train gail --demos '{folder}'\n" in said.out and said.out.count("\n") == 6
    )


@pytest.mark.parametrize(
    ("use", "model"), [("bottleneck", "vae"), ("latent-action", "ae"), ("behaviour", "gmm"), ("start", "gmm")]
)
def test_what_comes_next_repeats_what_was_chosen(folder, capsys, use, model):
    out = folder.parent / f"next-{use}"
    small = {"behaviour": ["components=1", "noise=0.1"], "start": ["n_components=1"]}.get(
        use, ["steps=5", "hidden=8", "layers=1"]
    )
    words = ["prior", "fit", "--demos", str(folder), "--use", use, "--take", "2", "--seed", "3", "--out", str(out)]
    assert main(words + [w for s in small for w in ("--set", s)]) == 0
    text = capsys.readouterr().out
    assert f"{model} for {use}" in text and "--take 2 --seed 3 --prior" in text and "prior score" not in text
    assert f"--prior '{out}'\n" in text


def test_train_takes_a_prior(folder, fitted, capsys):
    run = folder.parent / "run"
    words = [
        "train",
        "gail",
        "--demos",
        str(folder),
        "--prior",
        str(fitted),
        "--steps",
        "320",
        "--out",
        str(run),
        "--eval-episodes",
        "0",
        "-q",
        "--set",
        "warm_start=false",
        "--set",
        "loop.capacity=4000",
    ]
    assert main(words) == 0
    config = json.loads((run / "config.json").read_text())["config"]["priors"]["typicality"]
    assert config["path"] == str(fitted) and config["weight"] == 0.2 and not config["potential"]
    assert (run / "priors/typicality/prior.json").is_file()


def test_train_takes_two_priors(folder, fitted, capsys):
    starts, run = folder.parent / "starts \N{OWL}", folder.parent / "two"
    assert (
        main(
            [
                "prior",
                "fit",
                "--demos",
                str(folder),
                "--use",
                "start",
                "--set",
                "n_components=1",
                "--out",
                str(starts),
                "-q",
            ]
        )
        == 0
    )
    words = [
        "train",
        "gail",
        "--demos",
        str(folder),
        "--out",
        str(run),
        "--steps",
        "320",
        "--eval-episodes",
        "0",
        "--set",
        "warm_start=false",
    ]
    assert main([*words, "-q", "--prior", str(fitted), "--prior", str(starts), "--set", "priors.start.share=0.25"]) == 0
    config = json.loads((run / "config.json").read_text())["config"]["priors"]["start"]
    assert config == {"path": str(starts), "share": 0.25, "rollout": 50}
    assert {folder.name for folder in (run / "priors").iterdir()} == {"typicality", "start"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["prior", "fit", "--demos", "{demos}", "--out", "x", "--use", "behavior"], "did you mean 'behaviour'"),
        (
            ["prior", "fit", "--demos", "{demos}", "--out", "x", "--use", "bottleneck", "--model", "gmm"],
            "choose one of vae",
        ),
        (["prior", "fit", "--demos", "{demos}", "--out", "x", "--set", "componets=3"], "did you mean"),
        (["prior", "fit", "--demos", "{demos}", "--out", "{prior}"], "is there already"),
        (
            ["prior", "fit", "--demos", "{demos}", "--out", "x", "--set", "seed=3"],
            "seed is an option, not a setting: give --seed",
        ),
        (["prior", "fit", "--demos", "{demos}", "--out", "x", "--set", "n_components=2.5"], "expected int"),
        (
            ["prior", "fit", "--demos", "{demos}", "--out", "x", "--set", "n_components=[1"],
            "n_components' is '[1', expected int",
        ),
        (["prior", "score", "--prior", "{demos}", "--demos", "{demos}"], "holds no prior"),
        (
            ["prior", "score", "--prior", "{prior}", "--demos", "{demos}", "--model", "vae", "--seed", "0"],
            "is fitted already: leave out --model, --seed",
        ),
        (["prior", "score", "--demos", "{demos}", "--set", "tail=abc"], "setting 'tail' is 'abc', expected float"),
        (["prior", "score", "--demos", "{demos}", "--set", "states=maybe"], "expected bool"),
        (
            ["train", "gail", "--demos", "{demos}", "--prior", "{prior}", "--set", "priors.typicality.weight=1.5"],
            "a share of the reward in [0, 1], got weight=1.5",
        ),
        (
            ["train", "gail", "--demos", "{demos}", "--prior", "{prior}", "--set", "priors.typicality.weight=.nan"],
            "is NaN: give a number",
        ),
        (
            ["train", "gail", "--demos", "{demos}", "--prior", "{prior}", "--set", "priors.typicality.share=0.5"],
            "unknown setting 'priors.typicality.share': known are priors.typicality.path, priors.typicality.weight",
        ),
        (
            ["train", "gail", "--demos", "{demos}", "--set", "priors.typicality.weight=0.3"],
            "priors.typicality.weight would do nothing without a prior: give --prior DIR",
        ),
        (
            ["train", "gail", "--demos", "{demos}", "--prior", "{prior}", "--prior", "{prior}"],
            "are both for typicality, of which a run has one",
        ),
        (
            ["train", "gail", "--demos", "{demos}", "--prior", "{prior}", "--generator", "ppo"],
            "leave out --generator ppo",
        ),
        (["train", "gail", "--resume", "{demos}", "--prior", "{prior}"], "leave out --prior"),
    ],
)
def test_mistakes_are_one_line(folder, fitted, capsys, words, says):
    words = [w.replace("{demos}", str(folder)).replace("{prior}", str(fitted)) for w in words]
    assert main(words) == 1
    error = capsys.readouterr().err
    assert error.startswith("gail-suite: error: ") and says in error and error.count("\n") == 1


def test_a_prior_may_be_named_in_a_config_file(folder, fitted, capsys, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(f"priors:\n  typicality:\n    path: {fitted}\n    weight: 0.3\n")
    words = ["train", "gail", "--demos", str(folder), "--config", str(file), "--show-config"]
    assert main(words) == 0
    assert "    weight: 0.3\n" in capsys.readouterr().out


def test_the_prior_of_subsampled_demonstrations_sees_only_what_is_shown(folder, capsys):
    out = folder.parent / "few"
    words = [
        "prior",
        "fit",
        "--demos",
        str(folder),
        "--take",
        "2",
        "--subsample",
        "5",
        "--out",
        str(out),
        "--seed",
        "1",
        "-q",
    ]
    assert main(words) == 0
    shown = demos.load(folder).take(2, seed=1).subsample(5, seed=1).transitions()
    np.testing.assert_allclose(load_prior(out).features.mean, shown.obs.mean(0), rtol=1e-5)
