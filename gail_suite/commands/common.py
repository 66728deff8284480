"""What the verbs share: options that people know, results for people or for programs, policies by name."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gail_suite.commands.parameters import Flag, Task, imported_again

if TYPE_CHECKING:
    from gail_suite.demos import Demonstrations
    from gail_suite.demos.policy import Policy
    from gail_suite.demos.sealed import Json
    from gail_suite.showing.scale import Scale


@Parameter(name="*")
@dataclass(frozen=True)
class Output:
    """How a command answers."""

    json: Flag = False
    """Print one JSON object on standard output and nothing else there."""
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False
    """Print neither progress nor results."""

    def say(self, text: str) -> None:
        """A line for people."""
        if not (self.json or self.quiet):
            print(text, flush=True)

    def result(self, values: Json, text: str = "", following: list[str] | None = None) -> None:
        """The result as JSON, or `text` and the commands that are useful next."""
        if self.json:
            print(json.dumps(_without_nan(values), allow_nan=False))
        elif not self.quiet:
            print("\n".join([text] * bool(text) + [f"next: {command}" for command in following or []]), flush=True)


def _without_nan(value: object) -> object:
    """The value with null where a number is not known, such as the returns of demonstrations without rewards."""
    if isinstance(value, dict):
        return {key: _without_nan(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


DEFAULT = Output()


VERB_WORDS = {"record": 1, "eval": 1, "render": 1, "train": 2, "expert": 2, "data": 2, "prior": 2}
"""The verbs that take --import, of those that are proposed, and of how many words they are."""


def command(*words: object) -> str:
    """A command line that can be pasted: words with spaces are quoted, files that register tasks are named again."""
    verb = VERB_WORDS.get(str(words[0]), 0)
    tasks = imported_again() if verb else []
    return shlex.join(["gail-suite", *map(str, words[:verb]), *tasks, *map(str, words[verb:])])


def filming(env_id: str | None, *words: object) -> list[str]:
    """The command `render WORDS` where a task can be filmed here, and none where it cannot."""
    from gail_suite.showing.video import check_filmable

    if env_id is None or not can_run(env_id):
        return []
    try:
        check_filmable(env_id)
    except ValueError:
        return []
    return [command("render", *words)]


def beside_expert(env_id: str | None) -> list[str]:
    """What `render` is told to show the bundled expert too, where a task has one."""
    from gail_suite import demos

    return ["--compare", "bundled"] if env_id in demos.experts() else []


def can_run(task: str | None) -> bool:
    """Whether a task can be run here; demonstrations of one that cannot say enough of it for behaviour cloning."""
    from gail_suite import envs

    return task is not None and envs.is_registered(task) and envs.is_runnable(task)


def imitating(folder: Path, task: str, *options: object) -> str:
    """The command that learns from a folder of demonstrations of `task` what can be learned: GAIL by its default, by
    PPO where actions are a choice, behaviour cloning where the task cannot be run here.
    """
    from gail_suite import envs

    if not can_run(task):
        return command("train", "bc", "--demos", folder)
    generator = ["--generator", "ppo"] if envs.spec(task).discrete else []
    return command("train", "gail", "--demos", folder, *generator, *options)


def note(text: str) -> None:
    """A line about progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def set_values(pairs: Iterable[str], option: str = "--set") -> Iterator[tuple[str, object]]:
    """Names and values, read as YAML, of name=value texts; ValueError for any other text."""
    from gail_suite.runs.config import parsed

    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{option} takes name=value, got {pair!r}")
        yield name, parsed(value)


def find_policy(
    source: str, task: Task | str | None, trust: bool = False, vecnormalize: Path | None = None
) -> tuple[Policy, str]:
    """The policy that `source` names, and its environment: "bundled", a run, a policy folder or an SB3 zip.

    Raises ValueError when nothing there is a policy, or no environment is known for it.
    """
    from gail_suite import demos, envs

    task = task if isinstance(task, Task) else Task(env=task)
    if task.env is not None or source == "bundled":
        env_id = task.name()
        if env_id is None:
            raise ValueError("the bundled expert of which environment? give --env, such as --env Ant-v5")
        envs.spec(env_id)  # an unknown or discrete environment is a mistake before anything else is
        if source == "bundled":
            bare = envs.parts(env_id)[0]
            return (envs.toy_expert if bare == envs.TOY_ID else demos.expert(bare)), env_id
    from gail_suite.learning.policies.policy import load_policy

    path = Path(source)
    if Path(source.partition(":")[0]).suffix == ".py" and not path.is_dir():
        raise ValueError(
            f"{source} is Python, and a policy is named by what it left on the disk: record an expert in Python by "
            "demos.record, see docs/your-own-environment.md"
        )
    if not path.exists():
        raise ValueError(f"{source} does not exist: give 'bundled', a run directory, a policy folder or an SB3 .zip")
    policy = load_policy(path, trust, vecnormalize)
    known = task.name(getattr(policy, "env_id", None))
    if not known:
        raise ValueError(f"{source} does not say for which environment it is: give --env")
    return policy, known


def named_again(policy: object, env_id: str | None, trust: bool, vecnormalize: Path | None) -> list[object]:
    """The words by which another command finds the same policy, on `env_id` where it is not the policy's own."""
    statistics = [] if vecnormalize is None else ["--vecnormalize", vecnormalize]
    return [policy, *([] if env_id is None else ["--env", env_id]), *["--trust"] * trust, *statistics]


def some_of(shown: Demonstrations, take: int | None, subsample: int | None, seed: int) -> Demonstrations:
    """What --take and --subsample choose of demonstrations; all where they are not given."""
    taken = shown if take is None else shown.take(take, seed=seed)
    return taken if subsample is None else taken.subsample(subsample, seed=seed)


def scale_given(reference: str | None, tasks: Iterable[str | None]) -> Scale | None:
    """The scale of --reference, a text such as -40,5172.8, which becomes that of the task; None where none is given.

    Raises ValueError for any other text, returns that make no scale, or several tasks.
    """
    if reference is None:
        return None
    from gail_suite import envs
    from gail_suite.showing.scale import Scale

    try:
        low, high = map(float, reference.split(","))
    except ValueError:
        raise ValueError(
            f"--reference takes two returns, RANDOM,EXPERT such as -40,5172.8, got {reference!r}"
        ) from None
    several = sorted({task for task in tasks if task is not None})
    if len(several) > 1:
        raise ValueError(f"--reference is of one task, and these are runs of {', '.join(several)}: give those of one")
    for task in several:
        envs.register_reference(task, low, high, source="--reference")
    return Scale(low, high)


def check_resume(run_dir: Path, algo: str, given: Sequence[str]) -> None:
    """ValueError unless `run_dir` is a run of `algo`, or where options are `given` that a resumed run cannot follow."""
    file = run_dir / "config.json"
    if not file.is_file():
        raise ValueError(f"{run_dir} is not a run directory (it has no config.json)")
    from gail_suite.runs.records import config_of

    found = config_of(run_dir)["algo"]
    if found != algo:
        verb = "expert train" if found == "expert" else f"train {found}"
        raise ValueError(f"{run_dir} is a run of {found}, not of {algo}: use gail-suite {verb} --resume")
    if given:
        named = ", ".join(f"--{name}" for name in given)
        raise ValueError(f"a resumed run keeps its settings: leave out {named}, or start a new run")


def check_resume_from(resume: Path | None, step: int | None) -> None:
    """ValueError for a checkpoint's step without the run that it is of."""
    if step is not None and resume is None:
        raise ValueError(f"--resume-from {step} of which run? give --resume RUN too")


def run_folder(out: Path | None, name: str, resume: str | None) -> Path:
    """The directory of a new run; ValueError if it holds a checkpoint or a policy of another.

    What a run leaves that was killed before its first checkpoint is no hindrance: there is nothing to lose.
    """
    from gail_suite.runs.runlog import holds_run

    folder = out if out is not None else Path("runs") / name.replace("/", "-")
    if holds_run(folder):
        remedy = f"go on with {resume} {shlex.quote(str(folder))}, or " if resume else ""
        raise ValueError(f"{folder} holds a run already: {remedy}choose another --out")
    return folder
