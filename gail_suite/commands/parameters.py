"""Parameters that several verbs take: type, names where they are not the parameter's own, help."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

Flag = Annotated[bool, Parameter(negative="")]
PolicyName = Annotated[
    str,
    Parameter(
        name=["--policy", "--run"], help='A run directory, a policy folder, an SB3 zip (with --trust), or "bundled".'
    ),
]
Env = Annotated[str | None, Parameter(help="Environment; a run knows its own.")]
Episodes = Annotated[int, Parameter(name=["--episodes", "-n"], help="Number of complete episodes.")]
EpisodeSeed = Annotated[int, Parameter(help="Episode j starts from seed + j.")]
Stochastic = Annotated[bool, Parameter(negative="", help="Sample the actions instead of taking their mean.")]
Trust = Annotated[bool, Parameter(negative="", help="Load an SB3 zip although it holds pickled data.")]
