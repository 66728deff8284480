"""The program `gail-suite`: a table of verbs that are imported when called, and one place where errors become one line.

A new verb is a function with annotated parameters in `gail_suite/commands/` and a line in VERBS.
"""

from __future__ import annotations

import io
import os
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, get_args

from cyclopts import App, CycloptsError, Parameter, Token, UnknownCommandError, convert
from cyclopts.help import DefaultFormatter

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel

VERBS = {
    "demo": ("demo:demo", "Record an expert on Ant, imitate it by BC and GAIL, compare, film: the main job."),
    "record": ("record:record", "Record demonstrations of an expert."),
    "eval": ("evaluate:evaluate", "Measure a policy over complete episodes."),
    "render": ("render:render", "Film a policy, alone or beside another."),
    "sweep": ("sweep:sweep", "Train with several seeds and settings, here or on a Ray cluster."),
    "watch": ("watch:watch", "Watch a policy live in a window."),
    "report": ("report:report", "Write the learning curve and report.html of a run."),
    "compare": ("compare:compare", "Put runs beside each other: results, settings that differ, curves."),
    "export": ("export:export", "Write a policy for stable-baselines3, TorchScript or ONNX, with a model card."),
    "doctor": ("doctor:doctor", "Show versions, devices, renderers and physics of this machine."),
    "train bc": ("train:bc", "Behaviour cloning from demonstrations."),
    "train gail": ("train:gail", "Generative adversarial imitation from demonstrations."),
    "train airl": ("train:airl", "Adversarial inverse reinforcement learning from demonstrations."),
    "train sqil": ("train:sqil", "Soft Q imitation learning: reward 1 for the expert's steps, 0 for one's own."),
    "train dagger": ("train:dagger", "Cloning that asks an expert at hand what it would have done."),
    "expert list": ("expert:show", "List the bundled experts."),
    "expert train": ("expert:train", "Train an expert on the environment's own reward (SAC)."),
    "data show": ("data:show", "Summarise a folder of demonstrations."),
    "data verify": ("data:verify", "Check every file, digest and value of a folder of demonstrations."),
    "data import": ("data:import_", "Turn Minari, imitation, D4RL or .npz data into a folder of demonstrations."),
    "data export": ("data:export", "Write demonstrations in the format of Minari or imitation."),
    "data actions": ("data:actions", "Find the actions of demonstrations without any, in the simulator."),
    "data merge": ("data:merge", "Put folders of demonstrations together."),
    "data filter": ("data:filter_", "Keep the episodes that meet conditions: return, length, typicality."),
    "data split": ("data:split", "Divide the episodes into two folders that share none."),
    "prior fit": ("prior:fit", "Fit a generative model to demonstrations as a prior for policies."),
    "prior score": ("prior:score", "Rank trajectories by how typical a prior finds them."),
    "gen fit": ("gen:fit", "Fit a generative model to images or vectors."),
    "gen sample": ("gen:sample", "Draw from a model."),
    "gen inpaint": ("gen:inpaint", "Fill in a hidden part of images."),
    "gen denoise": ("gen:denoise", "Remove noise from images."),
    "gen upscale": ("gen:upscale", "Enlarge images."),
    "gen interpolate": ("gen:interpolate", "Walk from one image to another."),
    "gen score": ("gen:score", "Measure a model on held-out data."),
    "gen info": ("gen:info", "Show what a model file holds."),
}
DEBUG = "--debug"
"""Shows the traceback of an error, for a report of it."""
GROUPS = {
    "train": "Learn a policy from demonstrations.",
    "expert": "Bundled experts, and training of new ones.",
    "data": "Look at, check, exchange and combine demonstrations.",
    "prior": "Generative models of an expert as priors for policies.",
    "gen": "Generative models: fit, sample, repair, measure.",
}


def make_app() -> App:
    """The tree of commands; nothing of a command but its name and its help is loaded."""
    app = App(
        name="gail-suite",
        help="Imitation learning on MuJoCo tasks from a handful of demonstrations.",
        help_format="plaintext",  # others need a parser of Markdown, a third of the time that --help takes
        help_formatter=Flowing(),
        version=_version,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
        print_error=False,
        exit_on_error=False,
        default_parameter=Parameter(converter=_converted),
    )
    groups = {name: App(name=name, help=text) for name, text in GROUPS.items()}
    for name, (target, text) in VERBS.items():
        group, _, verb = name.rpartition(" ")
        (groups[group] if group else app).command(f"gail_suite.commands.{target}", name=verb, help=text)
    for sub in groups.values():
        app.command(sub)
    app.register_install_completion_command(help="Complete verbs and options by TAB in this shell from now on.")
    return app


class Flowing(DefaultFormatter):
    """Help whose texts flow: where a line of a docstring ended means nothing there."""

    def __call__(self, console: Any, options: Any, panel: HelpPanel) -> None:
        """Print a panel."""
        from rich.text import Text

        for entry in panel.entries:
            text = getattr(entry.description, "primary_renderable", None)
            if isinstance(text, Text):
                text.plain = " ".join(text.plain.split())
        super().__call__(console, options, panel)


def main(argv: list[str] | None = None) -> int:
    """Run one command; 0 if it worked, 1 for an error, 2 for wrong usage, 128 + n after signal n."""
    warnings.showwarning = _warn
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8
    argv = sys.argv[1:] if argv is None else list(argv)
    debug = DEBUG in argv
    argv = [word for word in argv if word != DEBUG]
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # where the module of a task of one's own stands; last, so that it hides nothing
    try:
        make_app()(argv)
    except CycloptsError as error:
        return _fail(f"{_usage_error(error, argv)} (see gail-suite --help)", 2)
    except KeyboardInterrupt as error:
        return 128 + int(getattr(error, "signum", 2))
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:  # whatever it is, people get one line
        if debug:
            raise
        return _fail(_one_line(error), 1)
    return 0


def _converted(kind: type, tokens: Sequence[Token]) -> object:
    """What cyclopts makes of the words, but for whole numbers, which it rounds."""
    kinds = {kind, *get_args(kind)}
    if int in kinds and float not in kinds:
        for token in tokens:
            if "." in token.value and not token.value.rstrip("0").endswith("."):
                raise ValueError(f"{token.keyword or 'it'} takes whole numbers, got {token.value}")
    return convert(kind, tokens)


def _fail(message: str, code: int) -> int:
    print(f"gail-suite: error: {message}", file=sys.stderr)
    return code


def _one_line(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return f"out of memory ({error}): make the data, the model or the replay buffer smaller"
    if isinstance(error, OSError) and error.strerror:
        where = f": {os.fsdecode(error.filename)}" if error.filename else ""
        remedy = "; free some space and try again" if error.errno in (27, 28, 122) else ""
        return f"{error.strerror}{where}{remedy}"
    text = " ".join(str(error).split())
    if where := _foreign(error):  # also what says nothing of a place, such as NumPy of shapes that do not fit
        return f"{type(error).__name__}: {text[:200]} ({where}, which is no part of gail-suite)"
    if text and isinstance(error, ValueError | OSError | FloatingPointError | ImportError):
        return text
    return (
        f"{type(error).__name__}: {text[:200]}: this is a fault of gail-suite; please report it with what the same "
        f"command prints with {DEBUG} added"
    )


def _foreign(error: BaseException) -> str:
    """Where an error was raised, if in a file that was not installed, such as that of a task of one's own, or in a
    library that this called.
    """
    import traceback

    ours = Path(__file__).parents[2]
    for place in reversed(traceback.extract_tb(error.__traceback__)):
        parents = Path(place.filename).parents
        if any((ours / room) in parents for room in ("gail_suite", "envs", "demos", "generative")):
            return ""
        if not any(place.filename.startswith(root) for root in (sys.prefix, sys.base_prefix, "<")):
            return f"{place.filename}, line {place.lineno}"
    return ""


def _usage_error(error: CycloptsError, argv: list[str]) -> str:
    from gail_suite.demos.names import hint

    if not isinstance(error, UnknownCommandError):
        return " ".join(str(error).split())
    # cyclopts would import every verb to word this one
    group = f"{argv[0]} " if argv and argv[0] in GROUPS else ""
    names = [name.removeprefix(group) for name in VERBS if name.startswith(group)]
    known = sorted({name.split()[0] for name in names})
    unknown = str((error.unused_tokens or ["?"])[0])
    return f"unknown command {group + unknown!r}: {hint(unknown, known)}"


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(message))  # Gymnasium's colours
    print(f"gail-suite: warning: {' '.join(text.split()).removeprefix('WARN: ')}", file=sys.stderr)


def _version() -> str:
    import gail_suite

    return gail_suite.__version__
