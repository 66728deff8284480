"""One text that names a task whole: module, registered id, arguments, wrappers.

    Ant-v5    my_tasks:Goal-v0    Ant-v5(include_cfrc_ext_in_observation=false, max_episode_steps=500)

The part before a colon is a module whose import registers the id, as in `gymnasium.make`. Arguments are written as
JSON, sorted by name, so that equal tasks have equal names; `max_episode_steps` is Gymnasium's, and `wrappers` lists
[entry point, arguments].
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import sys
import sysconfig
from collections.abc import Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from gail_suite.envs.common import Env

Task = str | EnvSpec | Env
"""What a task may be given as: a name, a Gymnasium spec, or an environment that has one."""
Arguments = dict[str, Any]
"""Of an environment, by name."""
LARGEST = 3.4028234663852886e38  # of float32, since spaces may be made of it
_registered: dict[str, str] = {}
"""Ids by the module whose import by `import_tasks` registered them."""


def named(task: Task, env_kwargs: Mapping[str, object] | None = None) -> str:
    """The full name of a task, with further arguments.

    Raises:
        ValueError: an object without a spec, a malformed name, an argument that is no number, text or list of them.
    """
    if isinstance(task, str):
        env_id, known = parts(task)
    elif isinstance(spec := getattr(task, "spec", task), EnvSpec):
        env_id, known = spec.id, _unlike_registered(spec)
    else:
        raise ValueError(  # noqa: TRY004 (as all errors of names)
            "a task is named by its id, such as 'Ant-v5', by a Gymnasium spec, or by an environment that "
            f"gymnasium.make made; got {type(task).__name__}: register its class with gymnasium.register and give the "
            "id"
        )
    arguments = {**known, **(env_kwargs or {})}
    arguments.pop("render_mode", None)
    if not arguments:
        return _with_module(env_id)
    written = ", ".join(f"{key}={json.dumps(_plain(key, arguments[key]))}" for key in sorted(arguments))
    return f"{_with_module(env_id)}({written})"


def parts(name: str) -> tuple[str, Arguments]:
    """The id, with its module, and the arguments of a task's name; ValueError if it is malformed."""
    env_id, opened, rest = name.partition("(")
    if not opened:
        return name, {}
    arguments, decoder, rest = {}, json.JSONDecoder(), rest.rstrip()
    try:
        while rest != ")":
            key, _, rest = rest.partition("=")
            value, end = decoder.raw_decode(rest)
            arguments[key.strip()], rest = value, rest[end:].lstrip(", ")
    except ValueError:
        raise ValueError(f"{name!r} is no name of a task: write it as Ant-v5(healthy_z_range=[0.3, 1.0])") from None
    return env_id, arguments


def bare(name: str) -> str:
    """The registered id alone, without module and arguments."""
    return parts(name)[0].rpartition(":")[2]


def import_tasks(module: str | Path) -> str:
    """Imports a module, or a Python file, that registers tasks; its name as it stands before the colon of a task's
    name.

    Raises:
        ValueError: it cannot be imported.
    """
    path = Path(module)
    if path.suffix == ".py":
        if not path.is_file():
            raise ValueError(f"{path} is not a file: give a module, or a Python file, that registers the task")
        module = path.stem
        if str(path.parent.absolute()) not in sys.path:
            sys.path.append(str(path.parent.absolute()))  # what stands beside it, and its name in other processes
    before = set(gym.registry)
    try:
        if path.suffix == ".py":
            _import_file(path)
        else:
            importlib.import_module(str(module))
    except NameTaken:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        remedy = "stand in the folder of its file, or give --import PATH/FILE.py"
        raise ValueError(f"cannot import {module}, which is to register a task ({reason}): {remedy}") from error
    _registered.update(dict.fromkeys(set(gym.registry) - before, str(module)))
    return str(module)


class NameTaken(ValueError):
    """A file has the name of another module."""


def _import_file(path: Path) -> None:
    """Imports this very file, whatever else of its name could be found."""
    name, there = path.stem, sys.modules.get(path.stem)
    taken = getattr(there, "__file__", None) or (there and getattr(there.__spec__, "origin", None))
    if taken and Path(taken).resolve() == path.resolve():
        return
    taken = taken or _installed(path)
    if taken or name in sys.stdlib_module_names:
        raise NameTaken(
            f"{path} has the name of another module, {name} ({taken or 'of Python itself'}): rename the file"
        )
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _installed(path: Path) -> str | None:
    """The file of an installed library of that name, which nobody has imported yet."""
    if "." in path.stem:
        return None
    found = PathFinder.find_spec(path.stem, [sysconfig.get_path(kind) for kind in ("purelib", "platlib")])
    origin = found.origin if found is not None else None
    return origin if origin and Path(origin).resolve() != path.resolve() else None


def find(env_id: str) -> str:
    """The registered id in `env_id`, after the import of its module."""
    module, _, known = env_id.rpartition(":")
    if module:
        import_tasks(module)
    return known


def _with_module(env_id: str) -> str:
    module = _registered.get(env_id)
    return f"{module}:{env_id}" if module else env_id


def _unlike_registered(spec: EnvSpec) -> Arguments:
    """What a spec says beyond the registered one of its id."""
    registered = gym.registry.get(spec.id)
    usual = {} if registered is None else registered.kwargs
    found = {key: value for key, value in spec.kwargs.items() if key not in usual or usual[key] != value}
    if spec.max_episode_steps != getattr(registered, "max_episode_steps", None):
        found["max_episode_steps"] = spec.max_episode_steps or -1
    if lost := [w.name for w in spec.additional_wrappers if w.kwargs is None]:
        raise ValueError(
            f"the environment {spec.id} is wrapped in {', '.join(lost)}, which does not say how it was made: "
            "register an entry point that wraps it, and give its id"
        )
    if spec.additional_wrappers:
        found["wrappers"] = [[w.entry_point, w.kwargs] for w in spec.additional_wrappers]
    return found


def _plain(key: str, value: object) -> object:
    """The value as JSON has it; infinities become the largest number."""
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(k): _plain(key, v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(key, v) for v in value]
    if isinstance(value, float) and not math.isnan(value):
        return min(max(value, -LARGEST), LARGEST)
    if value is None or isinstance(value, str | bool | int):
        return value
    raise ValueError(
        f"the environment's argument {key} is {value!r}: only numbers, texts and lists of them can be kept in files; "
        "register the task with it under an id of its own"
    )
