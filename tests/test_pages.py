"""Pages and notebooks: their blocks of commands and of Python are run in order, in a fresh folder.

What a block costs is lowered by `OPTIONS`, `IN_COMMANDS` and `IN_PYTHON`, and by nothing else. A block that cannot be
run has a comment `<!-- not run: REASON -->` before it.

docs/your-own-environment.md has a test of its own, tests/field/test_walk.py.
"""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import CycloptsError, MissingArgumentError

from gail_suite.commands.cli import VERBS, main, make_app
from gail_suite.learning.sb3 import OnPolicyConfig

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/algorithms").glob("*.md"))]
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL
)
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))
INLINE = re.compile(r"`(gail-suite [^`]+)`")
RUN = {"sh", "bash", "python"}
LEAST_SAC = ["sac.hidden=[32,32]", "loop.n_envs=4", "loop.eval_episodes=1"]
LEAST_GAIL = [*LEAST_SAC, "bc.steps=20", "bc.hidden=[32,32]"]
LEAST_PPO = ["learner.n_envs=2", "learner.batch_steps=64", "learner.minibatch=64", "updates=1"]
OPTIONS: dict[str, dict[str, str | list[str]]] = {
    "record": {"-n": "3"},
    "eval": {"-n": "1"},
    "render": {"-n": "5"},
    "train bc": {"--steps": "50", "--eval-episodes": "1"},
    "train gail": {"--steps": "160", "--eval-episodes": "1", "--set": LEAST_GAIL},
    "train airl": {"--steps": "128", "--eval-episodes": "1", "--set": LEAST_PPO},
    "train sqil": {"--steps": "160", "--eval-episodes": "1", "--set": LEAST_SAC},
    "train dagger": {"--steps": "1", "--eval-episodes": "1", "--set": ["bc.steps=20", "episodes=1"]},
    "expert train": {"--steps": "160", "--set": LEAST_SAC},
    "gen fit": {"--steps": "3"},
}
"""Options of a verb in the place of a page's; those of --set beside them."""
IN_PYTHON = {
    ', "Ant-v5", n_episodes': ', "Ant-v5", env_kwargs={"max_episode_steps": 50}, n_episodes',
    "n_episodes=4": "n_episodes=3",
    'envs.make_vec("Ant-v5"': 'envs.make_vec("Ant-v5(max_episode_steps=50)"',
    "n_episodes=50": "n_episodes=1",
    'shown.take(1, seed=0), seed=0, run_dir="runs/from-python").train()': (
        "shown.take(1, seed=0), gs.GAILConfig(bc=gs.BCConfig(steps=20), loop=gs.LoopConfig(n_envs=4, eval_episodes=1, "
        'warm_up=40)), seed=0, run_dir="runs/from-python").train(160, eval_episodes=1)'
    ),
    'gs.GAIL("Ant-v5", shown, run_dir="runs/watched").train(': (
        'gs.GAIL("Ant-v5", shown, gs.GAILConfig(bc=gs.BCConfig(steps=20), loop=gs.LoopConfig(n_envs=4, warm_up=40)), '
        'run_dir="runs/watched").train(160, 1, '
    ),
    'gs.AIRL("Ant-v5", shown, seed=0).train()': (
        'gs.AIRL("Ant-v5", shown, gs.AIRLConfig(LEAST, updates=1), seed=0).train(1, eval_episodes=1)'
    ),
    'gs.evaluate(model, "Ant-v5"': 'gs.evaluate(model, "Ant-v5(max_episode_steps=50)"',
    "learn(1_000_000)": "learn(100)",
    'PPO("MlpPolicy", venv)': 'PPO("MlpPolicy", venv, n_steps=8, batch_size=8)',
    "g.VAE(latent=16)": "g.VAE(latent=16, steps=3)",
    "symbols=True, levels=len(s.alphabet))": "symbols=True, levels=len(s.alphabet), steps=1, features=4)",
}
"""Text in a Python block -> what is run in its place."""
IN_NOTEBOOKS = {
    "demos.expert(TASK)": 'demos.expert("Ant-v5")',
    'TASK = "Ant-v5"': 'TASK = "Ant-v5(max_episode_steps=50)"',
    "STEPS = 60_000": "STEPS = 160",
    "STEPS = 40_000": "STEPS = 160",
    "STEPS = 1500": "STEPS = 3",
    "gs.BC(TASK, shown, seed=0)": "gs.BC(TASK, shown, gs.BCConfig(steps=20), seed=0)",
    "gs.few_steps()": "gs.GAILConfig(bc=gs.BCConfig(steps=20), loop=gs.LoopConfig(n_envs=4, warm_up=40))",
    "gs.GAILConfig(priors": "gs.GAILConfig(bc=gs.BCConfig(steps=20), loop=gs.LoopConfig(n_envs=4, warm_up=40), priors",
    "eval_episodes=5": "eval_episodes=1",
    "n_episodes=10": "n_episodes=1",
    "n_frames=60": "n_frames=3",
}
"""The same of notebooks."""
IN_COMMANDS = {
    "--env Ant-v5": "--env Ant-v5 --max-episode-steps 50",
    "gen fit PixelCNN": "gen fit PixelCNN --set features=8 --set layers=2",
    "--use bottleneck": "--use bottleneck --set steps=20",
}
"""Text in a block of commands -> what is run in its place."""


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Kind and text of the blocks that are run."""
    for found in BLOCK.finditer(page.read_text()):
        if found["kind"] in RUN and not found["reason"]:
            yield found["kind"], found["text"]


def commands(text: str) -> list[list[str]]:
    """The words of each command of a block, without comments; lines that end in a backslash go on."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def verb_of(words: list[str]) -> str:
    return " ".join(words[:2]) if " ".join(words[:2]) in VERBS else words[0]


def lowered(words: list[str]) -> list[str]:
    """The command with the options of its verb."""
    words = list(words)
    for name, value in OPTIONS.get(verb_of(words), {}).items():
        if isinstance(value, list):
            words += [] if "--resume" in words else [word for one in value for word in (name, one)]
        elif name in words:
            words[words.index(name) + 1] = value
        else:
            words += [name, value]
    return words


def replaced(text: str, by: dict[str, str]) -> str:
    for old, new in by.items():
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(blocks(page)) and page.stem != "your-own-environment"],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_blocks_run_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book.txt").write_text((ROOT / "README.md").read_text())
    names: dict[str, object] = {"__name__": "page", "LEAST": OnPolicyConfig(n_envs=2, batch_steps=64, minibatch=64)}
    for kind, text in blocks(page):
        if kind == "python":
            exec(compile(replaced(text, IN_PYTHON), f"{page.name}: {text.splitlines()[0]}", "exec"), names)  # noqa: S102
            continue
        for program, *words in commands(replaced(text, IN_COMMANDS)):
            assert program == "gail-suite", f"{page.name}: only gail-suite is run, not {program}"
            capsys.readouterr()
            assert main(lowered(words)) == 0, f"{shlex.join(words)}: {capsys.readouterr().err}"


def cells(notebook: Path) -> list[str]:
    """The code of a notebook."""
    found = json.loads(notebook.read_text())["cells"]
    assert not any(cell.get("outputs") for cell in found), f"{notebook.name} holds outputs: clear them"
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == "code"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "notebook"}
    for number, code in enumerate(cells(notebook)):
        exec(compile(replaced(code, IN_NOTEBOOKS), f"{notebook.name}[{number}]", "exec"), names)  # noqa: S102


def test_what_is_lowered_is_on_a_page() -> None:
    written = "".join(code for notebook in NOTEBOOKS for code in cells(notebook))
    assert [old for old in IN_NOTEBOOKS if old not in written] == []
    text = "".join(text for page in PAGES for kind, text in blocks(page) if kind == "python")
    assert [old for old in IN_PYTHON if old not in text] == []
    said = {verb_of(words) for page in PAGES for kind, text in blocks(page) if kind != "python"
            for _, *words in commands(text)}  # fmt: skip
    assert OPTIONS.keys() <= said


def test_commands_in_the_text_are_understood() -> None:
    app = make_app()
    found = [(page.name, said) for page in PAGES for said in INLINE.findall(page.read_text())]
    assert len(found) > 20
    for name, said in found:
        words = shlex.split(said.replace("...", "").replace("\n", " "))[1:]
        try:
            app.parse_args(words)
        except MissingArgumentError:
            pass  # a verb that is only named
        except CycloptsError as error:
            raise AssertionError(f"{name}: {said}: {error}") from error
