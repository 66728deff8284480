"""Parameters that several verbs take: type, names where they are not the parameter's own, help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

Algorithm = Literal["bc", "gail", "airl", "sqil", "dagger"]
"""What learns from demonstrations: the verbs of `gail-suite train`."""
Flag = Annotated[bool, Parameter(negative="")]
PolicyName = Annotated[
    str,
    Parameter(
        name=["--policy", "--run"], help='A run directory, a policy folder, an SB3 zip (with --trust), or "bundled".'
    ),
]
Env = Annotated[str | None, Parameter(help="Environment: an id, or module:Id; runs and demonstrations know their own.")]
EnvArg = Annotated[
    tuple[str, ...],
    Parameter(
        negative="", help="An argument of the environment, such as healthy_reward=0.5; may be given several times."
    ),
]
Limit = Annotated[
    int | None, Parameter(help="Steps after which an episode is cut off, in place of the environment's limit.")
]
Imports = Annotated[
    tuple[str, ...],
    Parameter(
        name="--import", negative="", help="A module, or a Python file, that registers environments of your own."
    ),
]


_files: list[Path] = []
"""Python files that this process was told to import."""


def import_all(modules: Sequence[str]) -> None:
    """Imports modules, or Python files, that register environments; ValueError where one cannot be."""
    from gail_suite import envs

    for module in modules:
        envs.import_tasks(module)
        if module.endswith(".py") and Path(module) not in _files:
            _files.append(Path(module))


def imported_again() -> list[str]:
    """The options by which another command knows the same tasks; what stands in this folder is found without them."""
    away = [file for file in _files if file.absolute().parent != Path.cwd()]
    return [word for file in away for word in ("--import", str(file))]


@Parameter(name="*")
@dataclass(frozen=True)
class Task:
    """The environment of a command, and what makes it known."""

    env: Env = None
    env_arg: EnvArg = ()
    max_episode_steps: Limit = None
    imports: Imports = ()

    def load(self) -> None:
        """Imports what registers environments, before anything asks for one; ValueError where that fails."""
        file, colon, _ = (self.env or "").rpartition(".py:")
        import_all((*self.imports, *[f"{file}.py"] * bool(colon)))

    def name(self, known: str | None = None) -> str | None:
        """The full name of the environment (see `envs.names`), `known` where none is given; after the imports.

        Raises ValueError for arguments of no environment, or an import that fails.
        """
        from gail_suite import envs
        from gail_suite.commands.common import set_values

        self.load()
        env_id = (self.env or known or "").rpartition(".py:")[2]
        kwargs = dict(set_values(self.env_arg, "--env-arg"))
        if self.max_episode_steps is not None:
            kwargs["max_episode_steps"] = self.max_episode_steps
        if not env_id and kwargs:
            raise ValueError(f"{', '.join(kwargs)} of which environment? give --env, such as --env Ant-v5")
        return envs.named(env_id, kwargs) if env_id else None

    def words(self) -> list[str]:
        """The options again, for another process; files by their full paths."""
        files = [str(Path(name).absolute()) if name.endswith(".py") else name for name in self.imports]
        given = [("--env-arg", arg) for arg in self.env_arg] + [("--import", name) for name in files]
        single = [("--env", self.env), ("--max-episode-steps", self.max_episode_steps)]
        return [str(word) for pair in (*single, *given) if pair[1] is not None for word in pair]


TASK = Task()
Reference = Annotated[
    str | None,
    Parameter(
        allow_leading_hyphen=True,
        help="Mean returns of random actions and of an expert, RANDOM,EXPERT: they make a normalised score where the "
        "suite knows none.",
    ),
]
Episodes = Annotated[int, Parameter(name=["--episodes", "-n"], help="Number of complete episodes.")]
EpisodeSeed = Annotated[int, Parameter(help="Episode j starts from seed + j.")]
Stochastic = Annotated[bool, Parameter(negative="", help="Sample the actions instead of taking their mean.")]
VecNormalize = Annotated[
    Path | None,
    Parameter(
        help="The pickled statistics of a VecNormalize that an SB3 zip was trained behind, "
        "where they do not lie beside it."
    ),
]
Trust = Annotated[bool, Parameter(negative="", help="Load an SB3 zip although it holds pickled data.")]
