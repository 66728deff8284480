"""The command line from record to report on the toy task, and what it says to people who make mistakes."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import demos
import envs
from gail_suite.commands.cli import GROUPS, VERBS, main
from gail_suite.commands.common import beside_expert, filming
from gail_suite.runs.checkpoint import checkpoints, load_checkpoint

TOY = envs.TOY_ID
AIRL_RUN = Path(__file__).parents[2] / "fixtures/a17ba61/run-airl"
SMALL = ("--set", "bc.steps=100", "--set", "sac.burn_in=20", "--set", "loop.capacity=4000", "--set",
         "sac.hidden=[32,32]",
         "--set", "bc.hidden=[32,32]")  # fmt: skip
Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demonstrations of the toy in a folder whose name has a space."""
    path = tmp_path_factory.mktemp("cli") / "toy demos"
    assert main(["record", "--env", TOY, "--out", str(path), "-n", "3", "--quiet"]) == 0
    return path


@pytest.fixture(scope="module")
def trained(recorded: Path) -> Path:
    """A finished BC run."""
    run = recorded.parent / "bc run"
    words = ["train", "bc", "--demos", str(recorded), "--out", str(run), "--steps", "150", "--eval-episodes", "2", "-q"]
    assert main(words) == 0
    return run


def fails(result: tuple[int, str, str], status: int, *fragments: str) -> None:
    """One line on standard error that says these things, nothing else anywhere."""
    found, out, err = result
    assert found == status and out == ""
    assert err.startswith("gail-suite: error: ") and err.count("\n") == 1
    for fragment in fragments:
        assert fragment in err


def spawn(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gail_suite", *map(str, words)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    )


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- help ---


def cpu_seconds(code: str, *words: str) -> tuple[float, str, str]:
    """Processor time of a program in a fresh interpreter, the least of three: others may be using the machine;
    stdout, stderr.
    """
    code += "\nimport time; print(time.process_time(), file=sys.stderr)"
    runs = [
        subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    return min(float(r.stderr.split()[-1]) for r in runs), runs[0].stdout, runs[0].stderr


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'mujoco', 'gymnasium', 'stable_baselines3', 'matplotlib', 'numpy'}"
    code = (
        "import sys\nfrom gail_suite.commands.cli import main\nassert main(sys.argv[1:]) == 0\n"
        f"print(sorted({heavy} & set(sys.modules)), file=sys.stderr)"
    )
    torch = cpu_seconds("import sys, torch")[0]  # measured beside it: seconds alone would be those of the machine
    for words in (["--help"], ["train", "gail", "--help"]):
        taken, out, err = min(cpu_seconds(code, *words) for _ in range(3))  # the least disturbed by what runs beside it
        assert err.startswith("[]") and "Usage: gail-suite" in out
        assert taken < torch / 4


def test_texts_of_help_flow(shell: Shell) -> None:
    out = " ".join(shell("train", "gail", "--help")[1].replace("│", " ").split())
    assert "which reads no reward, or by the task's return." in out
    lines = [line.strip("│ \n") for line in shell("train", "gail", "--help")[1].splitlines()]
    assert "simulator can be" not in lines  # where the line of the docstring ended


def test_every_verb_has_a_page_of_help(shell: Shell) -> None:
    for name in (*VERBS, *GROUPS):
        status, out, _ = shell(*name.split(), "--help")
        assert status == 0 and f"Usage: gail-suite {name}" in out


def test_all_verbs_are_listed(shell: Shell) -> None:
    out = shell("--help")[1]
    for name in VERBS:
        assert f" {name.split()[0]} " in out


# --- the flow ---


def test_data_can_be_shown_and_verified(recorded: Path, shell: Shell) -> None:
    status, out, _ = shell("data", "show", recorded, "--json")
    shown = json.loads(out)
    assert status == 0 and (shown["env_id"], shown["n_episodes"], shown["obs_dim"]) == (TOY, 3, 3)
    status, out, _ = shell("data", "verify", recorded)
    assert status == 0 and "is sound: 3 episodes" in out
    assert f"next: gail-suite train gail --demos {shlex.quote(str(recorded))}" in out


def test_the_toy_is_learned_by_cloning(trained: Path, shell: Shell) -> None:
    files = {p.name for p in trained.iterdir()}
    assert {
        "config.json",
        "versions.json",
        "metrics.jsonl",
        "tensorboard",
        "policy",
        "eval.json",
        "report.html",
    } <= files
    assert "learning_curve.png" in files
    status, out, err = shell("eval", trained, "-n", 4, "--json")
    found = json.loads(out)
    assert status == 0 and err == "" and out.count("\n") == 1
    assert {"return_mean", "return_sd", "length_mean", "score", "n_episodes"} <= set(found)
    assert found["score"] > 0.9 and found["n_episodes"] == 4
    assert json.loads((trained / "eval.json").read_text()) == found


def test_next_commands_can_be_pasted(trained: Path, shell: Shell) -> None:
    _, out, _ = shell("eval", trained, "-n", 1)
    following = [line.removeprefix("next: ") for line in out.splitlines() if line.startswith("next: ")]
    words = shlex.split(following[0])
    assert words == ["gail-suite", "report", str(trained)]  # no film, since the toy draws no pictures
    _, out, _ = shell(*words[1:])
    assert "next: " not in out


def test_next_commands_name_the_file_that_registers_the_task(tmp_path: Path) -> None:
    folder = tmp_path / "some where"
    folder.mkdir()
    (folder / "pushed_task.py").write_text(
        "import gymnasium as gym\n"
        'ENTRY = "gymnasium.envs.classic_control:Continuous_MountainCarEnv"\n'
        'gym.register("Pushed-v0", entry_point=ENTRY, max_episode_steps=5)\n'
    )
    obs = np.linspace(0, 0.1, 2 * 6).reshape(6, 2)
    np.savez(tmp_path / "pushed.npz", obs=obs, acts=np.zeros((5, 1)))
    words = ["data", "import", "pushed.npz", "--env", "Pushed-v0", "--import", "some where/pushed_task.py"]
    for _ in range(2):  # the second is what the first proposes
        done = subprocess.run(
            [sys.executable, "-m", "gail_suite", *words, *["--out", "pushed"] * ("import" in words)],
            capture_output=True, text=True, cwd=tmp_path, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        following = done.stdout.partition("next: ")[2].splitlines()[0]
        assert "--import 'some where/pushed_task.py'" in following
        words = shlex.split(following)[1:]


def test_a_run_that_saved_nothing_is_not_said_to_be_something_else(trained: Path, tmp_path: Path, shell: Shell) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_bytes((trained / "config.json").read_bytes())
    (run / "metrics.jsonl").write_text("")
    fails(shell("eval", run), 1, f"{run} is a run that ended before it saved anything: begin it anew")
    status, out, _ = shell("report", run)
    assert status == 0 and "render" not in out


def test_report_rewrites_the_page(trained: Path, shell: Shell) -> None:
    (trained / "report.html").unlink()
    assert shell("report", trained)[0] == 0
    assert (trained / "report.html").stat().st_size > 10_000


def test_gail_leaves_a_complete_run(recorded: Path, tmp_path: Path, shell: Shell) -> None:
    run = tmp_path / "gail run"
    words = ("train", "gail", "--demos", recorded, "--take", 2, "--subsample", 2, "--steps", 160, "--out", run)
    status, out, _ = shell(*words, *SMALL, "--eval-episodes", 2, "--json")
    assert status == 0 and json.loads(out)["n_episodes"] == 2
    config = json.loads((run / "config.json").read_text())
    assert config["algo"] == "gail" and config["demos"]["take"]["n"] == 2 and config["demos"]["subsample"]["k"] == 2
    assert config["config"]["sac"]["burn_in"] == 20
    names = {
        "config.json",
        "versions.json",
        "metrics.jsonl",
        "checkpoints",
        "policy",
        "eval.json",
        "learning_curve.png",
    }
    assert names <= {p.name for p in run.iterdir()}
    fails(shell(*words), 1, "holds a run already: go on with gail-suite train gail --resume")
    fails(shell("train", "gail", "--resume", run, "--take", 1), 1, "leave out --take")
    fails(shell("train", "gail", "--resume", run, "--num-envs", 2), 1, "leave out --num-envs")
    fails(
        shell("train", "gail", "--resume", run, "--seed", 5, "--show-config", "--strict"),
        1,
        "leave out --seed, --show-config, --strict",
    )
    fails(shell("train", "gail", "--resume", run, "--generator", "ppo"), 1, "leave out --generator ppo")
    fails(shell("train", "gail", "--resume", run, "--steps", 0), 1, "at least 1 step, got 0")
    fails(shell("expert", "train", "--resume", run), 1, "is a run of gail, not of expert")
    fails(shell("train", "airl", "--resume", run), 1, "is a run of gail, not of airl")
    status, out, _ = shell("train", "gail", "--resume", run, "--steps", 320, "--eval-episodes", 0, "-q")
    assert status == 0 and out == "" and load_checkpoint(run / "checkpoints")[0] >= 320


def test_settings_can_be_printed_and_read_back(recorded: Path, tmp_path: Path, shell: Shell) -> None:
    status, out, _ = shell("train", "bc", "--show-config", "--set", "lr=0.5")
    assert status == 0 and "# Adam rate" in out and "lr: 0.5" in out
    (tmp_path / "c.yaml").write_text(out)
    words = ("train", "bc", "--demos", recorded, "--out", tmp_path / "run", "--config", tmp_path / "c.yaml")
    assert shell(*words, "--set", "steps=1", "--eval-episodes", 0)[0] == 0
    assert json.loads((tmp_path / "run/config.json").read_text())["config"]["lr"] == 0.5
    fails(shell(*words), 1, f"{tmp_path / 'run'} holds a run already: choose another --out")  # cloning has no --resume


def test_printed_settings_are_those_of_a_run_of_that_length(recorded: Path, shell: Shell) -> None:
    status, out, _ = shell("train", "gail", "--demos", recorded, "--steps", 1500, "--show-config")
    assert status == 0 and "\nsteps: 1500\n" in out
    for algo in ("gail", "bc"):
        words = ("train", algo, "--demos", recorded, "--steps", -5)
        fails(shell(*words), 1, "the length of a training is at least 1 step")


def test_what_cannot_be_written_is_told_before_any_work(recorded: Path, tmp_path: Path, shell: Shell) -> None:
    (tmp_path / "file").write_text("")
    for words in (("data", "actions", recorded), ("render", recorded, "--episode", 0)):
        out = tmp_path / "file" / "x.mp4"
        path = recorded
        if words[0] == "data":
            path = demos.load(recorded).observations_only().save(tmp_path / "seen")
        status, _, err = shell(*(path if word == recorded else word for word in words), "--out", out)
        assert status == 1 and f"{out} cannot be written (Not a directory): choose another place" in err


@pytest.mark.parametrize("algo", ["gail", "airl"])
def test_an_on_policy_run_can_be_repeated_from_its_settings(
    algo: str, recorded: Path, tmp_path: Path, shell: Shell
) -> None:
    words = ("train", algo, "--demos", recorded, "--steps", 64, "--eval-episodes", 0, "-q")
    small = (
        "--set",
        "learner.batch_steps=64",
        "--set",
        "learner.minibatch=32",
        "--set",
        "learner.n_envs=4",
        "--set",
        "cadence.eval_episodes=1",
    )
    assert shell(*words, "--generator", "trpo", *small, "--out", tmp_path / "first")[0] == 0
    generator = ("--generator", "trpo") if algo == "gail" else ()
    assert shell(*words, *generator, "--config", tmp_path / "first/config.json", "--out", tmp_path / "second")[0] == 0
    first, second = (json.loads((tmp_path / run / "config.json").read_text())["config"] for run in ("first", "second"))
    assert first == second and first["learner"]["generator"] == "trpo"


def test_a_run_without_a_checkpoint_can_be_started_again(recorded: Path, tmp_path: Path, shell: Shell) -> None:
    (tmp_path / "config.json").write_text("{}")  # all that a run killed in its first second leaves
    words = (
        "train",
        "gail",
        "--demos",
        recorded,
        "--out",
        tmp_path,
        "--steps",
        320,
        *SMALL,
        "--eval-episodes",
        0,
        "-q",
    )
    assert shell(*words)[0] == 0 and checkpoints(tmp_path / "checkpoints")


def test_the_bundled_experts_are_listed(shell: Shell) -> None:
    status, out, _ = shell("expert", "list", "--json")
    assert status == 0 and {"Ant-v5", "Humanoid-v5"} <= set(json.loads(out))


def test_npz_can_be_imported(tmp_path: Path, shell: Shell) -> None:
    whole = {"obs": np.zeros((6, 3)), "acts": np.zeros((5, 2)), "rews": np.zeros(5), "terminated": True}
    np.savez(tmp_path / "d.npz", env_id=TOY, **whole)
    status, out, _ = shell("data", "import", tmp_path / "d.npz", "--out", tmp_path / "imported", "--json")
    assert status == 0 and json.loads(out)["n_pairs"] == 5
    assert len(demos.load(tmp_path / "imported")) == 1


def test_a_film_of_ant_without_opengl(tmp_path: Path, shell: Shell) -> None:
    words = (
        "render",
        "bundled",
        "--env",
        "Ant-v5",
        "--frames",
        2,
        "--renderer",
        "raycast",
        "--width",
        64,
        "--height",
        64,
    )
    status, out, _ = shell(*words, "--out", tmp_path / "my ant.gif")
    assert status == 0 and (tmp_path / "my ant.gif").stat().st_size > 500 and "next: " in out
    assert filming("Ant-v5", "a run", *beside_expert("Ant-v5")) == ["gail-suite render 'a run' --compare bundled"]
    assert filming("gail_suite/PointToy-v0", "a run") == filming("NoTask-v0", "a run") == filming(None, "x") == []


# --- accidents ---


def test_kill_minus_nine_in_training_then_resume(recorded: Path, tmp_path: Path, shell: Shell) -> None:
    run = tmp_path / "run"
    process = spawn("train", "gail", "--demos", recorded, "--out", run, "--steps", 100_000, *SMALL,
                    "--set", "loop.checkpoint_every=80", "-q")  # fmt: skip
    wait_for(lambda: checkpoints(run / "checkpoints"), process)
    process.kill()
    process.communicate()
    step = load_checkpoint(run / "checkpoints")[0]
    status, _, err = shell("train", "gail", "--resume", run, "--steps", step + 80, "--eval-episodes", 1)
    assert status == 0 and load_checkpoint(run / "checkpoints")[0] >= step + 80
    assert f"resumed at step {step:,}/{step + 80:,}\n" in err
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert shell("eval", run, "-n", 1)[0] == 0


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(
    recorded: Path, tmp_path: Path, signum: signal.Signals, status: int
) -> None:
    run = tmp_path / "a run"
    process = spawn("train", "gail", "--demos", recorded, "--out", run, "--steps", 100_000, *SMALL,
                    "--set", "loop.checkpoint_every=80")  # fmt: skip
    wait_for(lambda: checkpoints(run / "checkpoints"), process)
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert f"stopped; go on with: gail-suite train gail --resume {shlex.quote(str(run))}" in err
    assert "Traceback" not in err
    assert load_checkpoint(run / "checkpoints")[0] >= 80


# --- mistakes ---


def test_wrong_words_get_the_nearest_right_one(shell: Shell) -> None:
    fails(shell("recrod"), 2, "unknown command 'recrod': did you mean 'record'?")
    fails(shell("train", "gial"), 2, "unknown command 'train gial': did you mean 'gail'?")
    fails(shell("record", "--env", TOY, "--out", "x", "--sede", 1), 2, "Unknown option: --sede. Did you mean --seed?")
    fails(shell("render", "bundled", "--env", "Ant-v5", "--renderer", "osmesa"), 2, '"auto", "egl", "raycast"')
    fails(shell("record", "--env", TOY), 2, "--out")
    fails(shell("record", "--env", "Ant-v6", "--out", "x"), 1, "unknown environment 'Ant-v6': did you mean 'Ant-v5'?")
    fails(shell("record", "--env", "CartPole-v1", "--out", "x"), 1, "no expert is bundled for")
    fails(shell("train", "bc", "--set", "lrr=1"), 1, "unknown setting 'lrr': did you mean 'lr'?")


def test_missing_things_are_named(tmp_path: Path, shell: Shell) -> None:
    fails(shell("eval", tmp_path / "nowhere"), 1, "nowhere does not exist", "SB3 .zip")
    fails(shell("eval", tmp_path), 1, "holds no policy")
    fails(shell("eval", "bundled"), 1, "give --env")
    fails(shell("train", "gail"), 1, "give --demos DIR", "gail-suite record")
    fails(shell("train", "bc", "--demos", tmp_path / "none"), 1, "give a demonstrations folder")
    fails(shell("train", "gail", "--resume", tmp_path), 1, "not a run directory")
    fails(shell("report", tmp_path), 1, "not a run directory")
    (tmp_path / "policy.zip").write_bytes(b"PK")
    fails(shell("eval", tmp_path / "policy.zip", "--env", TOY), 1, "pickled data", "--trust")


def test_bad_demonstrations_are_refused(recorded: Path, tmp_path: Path, shell: Shell) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(recorded, broken)
    shard = sorted(broken.glob("*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:-10])
    fails(shell("train", "bc", "--demos", broken, "--out", tmp_path / "r"), 1, shard.name)
    status, out, err = shell("data", "verify", broken)
    assert status == 1 and shard.name in out and "is not sound" in err
    empty = tmp_path / "empty"
    shutil.copytree(recorded, empty)
    for file in (*empty.glob("*.safetensors"), empty / "manifest.jsonl"):
        file.unlink()
    fails(shell("train", "gail", "--demos", empty, "--out", tmp_path / "r"), 1, "holds no finished episode")
    fails(shell("train", "bc", "--demos", recorded, "--take", 9, "--out", tmp_path / "r"), 1, "cannot take 9 of 3")
    np.savez(tmp_path / "nan.npz", obs=np.full((6, 3), np.nan), acts=np.zeros((5, 2)), rews=np.zeros(5), env_id=TOY)
    fails(shell("data", "import", tmp_path / "nan.npz", "--out", tmp_path / "n"), 1, "NaN")
    fails(
        shell("train", "bc", "--demos", recorded, "--env", "Ant-v5", "--out", tmp_path / "r"), 1, "was recorded on", TOY
    )


def test_a_policy_for_other_observations_is_refused(trained: Path, shell: Shell) -> None:
    fails(shell("eval", trained, "--env", "Ant-v5", "-n", 1), 1, "reads 3 numbers", TOY)


def test_unwritable_places_are_named(recorded: Path, tmp_path: Path, shell: Shell) -> None:
    (tmp_path / "file").write_text("")
    fails(shell("train", "bc", "--demos", recorded, "--out", tmp_path / "file/run"), 1, "Not a directory", "file/run")
    fails(shell("record", "--env", TOY, "--out", tmp_path / "file", "-n", 1), 1, "file")


@pytest.mark.filterwarnings("default:.*could not be written")
def test_a_measurement_is_not_lost_where_a_run_cannot_be_written(trained: Path, tmp_path: Path, shell: Shell) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / "eval.json").unlink()
    (run / "eval.json").mkdir()  # nothing can take the place of a folder
    status, out, err = shell("eval", run, "-n", 2, "--json")
    assert status == 0 and json.loads(out)["n_episodes"] == 2, err
    assert "warning" in err and "run/eval.json could not be written (Is a directory)" in err


def test_a_page_elsewhere_leaves_the_run_alone(trained: Path, tmp_path: Path, shell: Shell) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / "learning_curve.png").unlink(missing_ok=True)
    for verb in ("compare", "report"):
        assert shell(verb, run, "--out", tmp_path / f"{verb}.html")[0] == 0
    assert not (run / "learning_curve.png").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch, trained: Path, shell: Shell) -> None:
    def full(*_: object) -> None:
        with open("/dev/full", "wb", buffering=0) as file:
            file.write(b"x")

    monkeypatch.setattr("os.fsync", full)
    fails(shell("report", trained), 1, "No space left on device", "free some space")


def test_output_into_a_closed_pipe_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "gail_suite", "expert", "list"], stdout=writer, stderr=subprocess.PIPE,
                          text=True, check=False)  # fmt: skip
    os.close(writer)
    assert done.returncode == 141 and done.stderr == ""


def test_data_travel_to_an_npz_and_back(recorded: Path, tmp_path: Path, shell: Shell) -> None:
    file = tmp_path / "x.npz"
    assert shell("data", "export", recorded, "--format", "npz", "--out", file)[0] == 0
    assert shell("data", "import", file, "--out", tmp_path / "back")[0] == 0
    there, back = demos.load(recorded), demos.load(tmp_path / "back")
    assert [t.obs.tobytes() for t in back] == [t.obs.tobytes() for t in there]
    assert back.meta["expert"] == there.meta["expert"]


def test_data_travel_to_imitation_and_back(recorded: Path, tmp_path: Path, shell: Shell) -> None:
    assert shell("data", "export", recorded, "--format", "imitation", "--out", tmp_path / "theirs")[0] == 0
    status, _, _ = shell("data", "import", tmp_path / "theirs", "--out", tmp_path / "back", "-q")
    assert status == 0 and demos.load(tmp_path / "back").n_pairs == demos.load(recorded).n_pairs
    fails(shell("data", "export", recorded, "--out", "bad"), 1, "give one such as ant/expert-v0")


def test_runs_can_be_compared_and_the_machine_looked_at(trained: Path, shell: Shell) -> None:
    status, out, _ = shell("compare", trained, trained)
    assert status == 0 and out.count(str(trained)) == 2 and "--out" not in out  # cloning has no curve
    status, out, _ = shell("doctor", "--json")
    assert status == 0 and "mujoco" in out


@pytest.mark.filterwarnings("ignore:.*carries no SHA-256")
def test_an_expert_is_trained_and_recorded(tmp_path: Path, shell: Shell) -> None:
    small = (
        "--set",
        "loop.warm_up=40",
        "--set",
        "loop.capacity=2000",
        "--set",
        "sac.hidden=[16]",
        "--set",
        "loop.eval_every=0",
        "--set",
        "loop.eval_episodes=1",
    )
    words = ("expert", "train", "--env", TOY, "--steps", 160, *small, "--out", tmp_path / "expert", "-q")
    assert shell(*words)[0] == 0
    fails(shell(*words), 1, "holds a run already: go on with gail-suite expert train --resume")
    fails(shell("expert", "train", "--resume", tmp_path / "expert", "--seed", 3), 1, "leave out --seed")
    fails(shell("expert", "train", "--resume", tmp_path / "expert", "--reward", "x"), 1, "leave out --reward")
    fails(shell("expert", "train", "--reward", tmp_path / "expert"), 1, "keeps no learned reward")
    again = ("expert", "train", "--steps", 80, *small, "--reward", AIRL_RUN, "--out", tmp_path / "again", "-q")
    assert shell(*again)[0] == 0
    record = json.loads((tmp_path / "again/config.json").read_text())
    assert record["env_id"] == TOY and record["config"]["reward"] == str(AIRL_RUN)
    assert (tmp_path / "again/given_reward/reward.json").is_file()
    fails(
        shell("expert", "train", "--env", TOY, "--warm-start", "2026-11-27", "--out", tmp_path / "x"), 1, "2026-11-27"
    )  # a folder's name and no date
    assert (
        shell("record", "--env", TOY, "--expert", tmp_path / "expert", "-n", 1, "--out", tmp_path / "shown", "-q")[0]
        == 0
    )


def test_only_the_runs_own_protocol_goes_into_its_folder(trained: Path, shell: Shell) -> None:
    assert shell("eval", trained, "-n", 2, "-q")[0] == 0
    before = (trained / "eval.json").read_bytes()
    assert shell("eval", trained, "-n", 3, "--stochastic", "-q")[0] == 0
    assert (trained / "eval.json").read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ("record", "--env", TOY, "--out", "{new}", "--seed", "-5"),
        ("eval", "{run}", "--seed", "-5"),
        ("train", "gail", "--demos", "{demos}", "--out", "{new}", "--seed", "-1"),
    ],
)
def test_seeds_below_zero_are_one_line(
    words: tuple[str, ...], recorded: Path, trained: Path, tmp_path: Path, shell: Shell
) -> None:
    places = {"{new}": str(tmp_path / "new"), "{run}": str(trained), "{demos}": str(recorded)}
    fails(shell(*(places.get(word, word) for word in words)), 1, "seeds of at least 0")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("train", "bc", "--demos", "{demos}", "--eval-episodes", "-3"), "--eval-episodes is -3"),
        (("train", "airl", "--demos", "{demos}", "--set", "updates=0"), "updates must be at least 1"),
        (
            ("train", "gail", "--demos", "{demos}", "--generator", "ppo", "--set", "learner.minibatch=1"),
            "minibatch must be at least 2",
        ),
        (
            ("train", "gail", "--demos", "{demos}", "--set", "loop.matmul=floot32"),
            "choose one of auto, float32, bfloat16",
        ),
        (("train", "gail", "--demos", "{demos}", "--device", "mps"), "none that this suite computes on"),
        (("sweep", "bc", "--demos", "{demos}", "--out", "{new}", "--seeds"), "--seeds"),
        (("demo", "--out", "{new}", "--frames", "0"), "at least 1 frame"),
        (("gen", "fit", "VAE", "digits", "--root", "x"), "--root is the folder of mnist's files"),
        (("gen", "fit", "VAE", "digits", "--set", "betas=[a,b]", "--out", "{new}"), "betas are two decays"),
        (
            ("record", "--out", "{new}", "--expert", "mine.py:Driver"),
            "mine.py:Driver is Python, and a policy is named by",
        ),
    ],
)
def test_more_mistakes_are_one_line(
    words: tuple[str, ...], says: str, recorded: Path, tmp_path: Path, shell: Shell
) -> None:
    places = {"{new}": str(tmp_path / "new"), "{demos}": str(recorded)}
    status, out, err = shell(*(places.get(word, word) for word in words))
    assert status in (1, 2) and out == "" and err.count("\n") == 1 and says in err


def test_a_damaged_config_is_named(tmp_path: Path, shell: Shell) -> None:
    (tmp_path / "config.json").write_text("[1]")
    fails(shell("train", "gail", "--resume", tmp_path), 1, "config.json is damaged")


# --- what a training can be asked for ---


def test_best_policy_patience_and_logger_from_the_command_line(
    recorded: Path, tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tracking.py").write_text("rows = []\n\ndef log(metrics, step):\n    rows.append((step, metrics))\n")
    words = ["train", "gail", "--demos", recorded, "--out", "run", "--steps", 4000, "--eval-episodes", 0, *SMALL]
    words += ["--num-envs", 4, "--set", "loop.eval_every=40", "--set", "loop.eval_episodes=1", "--patience", 1]
    status, out, _ = shell(*words, "--logger", "tracking.py:log", "--json")
    found = json.loads(out)
    assert status == 0 and found["best"] == "run/best"
    kept = json.loads((tmp_path / "run/config.json").read_text())["config"]["keep"]
    assert kept == {"best": "distance", "patience": 1}
    rows = sys.modules["tracking"].rows
    assert rows[-1][0] < 4000 and any("eval/distance" in metrics for _, metrics in rows)
    assert shell("eval", "run/best", "-n", 1)[0] == 0
    fails(shell("train", "gail", "--resume", "run", "--patience", 3), 1, "a resumed run keeps its settings")
    fails(shell(*words, "--logger", "tracking.py:nothing"), 1, "tracking.py has no function 'nothing' to log by")
    fails(shell(*words, "--logger", "tracking"), 1, "--logger takes module:function or FILE.py:function")


def test_sqil_and_dagger_from_the_command_line(
    recorded: Path, tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ["--eval-episodes", 1, "--demos", recorded]
    words = ["train", "sqil", *small, "--out", tmp_path / "sqil", "--steps", 80, "--num-envs", 4]
    assert shell(*words, "--set", "sac.hidden=[8,8]", "--set", "loop.warm_up=40")[0] == 0
    words = ["train", "dagger", *small, "--out", tmp_path / "dagger", "--expert", "bundled", "--steps", 1]
    (tmp_path / "heard.py").write_text("rows = []\n\ndef log(metrics, step):\n    rows.append(metrics)\n")
    monkeypatch.chdir(tmp_path)
    loads: list[object] = []
    load = demos.load
    monkeypatch.setattr(demos, "load", lambda *a, **k: (loads.append(a), load(*a, **k))[1])
    words += ["--logger", "heard.py:log"]
    status, out, _ = shell(*words, "--set", "bc.steps=50", "--set", "episodes=1", "--json")
    assert status == 0 and json.loads(out)["algo"] == "dagger"
    assert sys.modules["heard"].rows and len(loads) == 1
    fails(shell("train", "sqil", "--resume", tmp_path / "dagger"), 1, "is a run of dagger, not of sqil")
