"""Settings from three places: the defaults of a frozen dataclass, then a YAML file, then `key=value` pairs."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import inspect
import json
import math
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def build(defaults: T, file: str | Path | None = None, settings: Sequence[str] = ()) -> T:
    """`defaults` with the values of a YAML (or JSON) mapping and of settings such as "sac.gamma=0.99" put in.

    Raises ValueError for an unknown key (naming the nearest), a value of the wrong type, or a file that is no mapping.
    """
    if file is not None:
        defaults = merge(defaults, _read(Path(file)))
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"setting {setting!r} is not of the form key=value, such as sac.gamma=0.99")
        value: Any = parsed(text)
        for part in reversed(key.strip().split(".")):
            value = {part: value}
        defaults = merge(defaults, value)
    return defaults


def merge(config: T, values: Mapping[str, Any], prefix: str = "") -> T:
    """A copy of a dataclass with the given values; nested dataclasses take nested mappings. Errors as for `build`."""
    hints = typing.get_type_hints(type(config))
    known = {f.name: getattr(config, f.name) for f in dataclasses.fields(typing.cast(Any, config))}
    changes = {}
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"unknown setting '{prefix}{key}': {_nearest(str(key), prefix, config)}")
        if dataclasses.is_dataclass(known[key]):
            if not isinstance(value, Mapping):
                raise ValueError(f"setting '{prefix}{key}' is a group; set one of {', '.join(_names(known[key], key))}")
            changes[key] = merge(known[key], value, f"{prefix}{key}.")
        else:
            changes[key] = converted(value, hints[key], f"{prefix}{key}")
    return dataclasses.replace(typing.cast(Any, config), **changes)


def recorded(defaults: T, values: Mapping[str, Any]) -> T:
    """The config that a run wrote down; what it lacks is as in `defaults`.

    Raises ValueError where it has settings that this version does not know.
    """
    try:
        return merge(defaults, values)
    except ValueError as error:
        raise ValueError(f"the run was begun by another version of gail-suite: {error}") from error


def at_least(config: Any, least: float, *names: str) -> None:
    """ValueError for a setting of `config` below `least`, or NaN; None passes."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not value >= least:
            raise ValueError(f"setting {name} must be at least {least}, got {value}")


def finite(config: Any, *names: str) -> None:
    """ValueError for a setting of `config` that is no number, or infinite; None passes."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not math.isfinite(value):
            raise ValueError(f"setting {name} must be a finite number, got {value}")


def shares(config: Any, *names: str) -> None:
    """ValueError for a setting of `config` outside [0, 1]; None passes."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not 0 <= value <= 1:
            raise ValueError(f"setting {name} is a share in [0, 1], got {value}")


def within(config: Any, *names: str) -> None:
    """ValueError for a setting of `config` outside [0, 1); None passes."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not 0 <= value < 1:
            raise ValueError(f"setting {name} must be in [0, 1), got {value}")


def has_layers(config: Any) -> None:
    """ValueError for a setting `hidden` without layers, or with an empty one."""
    if min(config.hidden, default=0) < 1:
        raise ValueError(
            f"setting hidden holds the widths of at least one layer, each at least 1, got {list(config.hidden)}"
        )


def length(asked: int | None, default: int) -> int:
    """The number of steps that was asked for, or the default; ValueError below 1."""
    if asked is not None and asked < 1:
        raise ValueError(f"the length of a training is at least 1 step, got {asked}")
    return default if asked is None else asked


def describe(config: Any) -> str:
    """The settings as a YAML file with the help text of each: a template for --config."""
    return "\n".join(_lines(config, 0)) + "\n"


def field_help(cls: type) -> dict[str, str]:
    """The docstring below each field of a dataclass, those that it inherits too."""
    found: dict[str, str] = {}
    for part in reversed([c for c in cls.__mro__ if dataclasses.is_dataclass(c)]):
        found |= _own_field_help(part)
    return found


def _own_field_help(cls: type) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        is_text = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and is_text:
            found[statement.target.id] = " ".join(str(typing.cast(Any, following).value.value).split())
    return found


def _lines(config: Any, depth: int) -> Iterator[str]:
    pad, texts = "  " * depth, field_help(type(config))
    for name in (f.name for f in dataclasses.fields(config)):
        value = getattr(config, name)
        yield from (f"{pad}# {line}" for line in textwrap.wrap(texts.get(name, ""), 110 - len(pad)))
        if dataclasses.is_dataclass(value):
            yield f"{pad}{name}:"
            yield from _lines(value, depth + 1)
        else:
            yield f"{pad}{name}: {json.dumps(value)}"


def _read(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read the config file {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(content, Mapping):
        raise ValueError(  # noqa: TRY004 (a mistake in a file, not in a call)
            f"{path} holds {type(content).__name__}, expected a mapping of settings to values"
        )
    if "algo" in content and isinstance(content.get("config"), Mapping):
        return content["config"]  # the config.json of a run
    return content


def parsed(text: str) -> Any:
    """The text read as YAML, or itself where it is none."""
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def converted(value: Any, hint: Any, name: str) -> Any:
    """The value as the annotated type; only conversions that lose nothing are made. ValueError for any other value."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return converted(value, next(a for a in arguments if a is not type(None)), name)
    if origin is typing.Literal:
        if value in arguments:
            return value
        raise ValueError(f"setting '{name}' is {value!r}; choose one of {', '.join(map(str, arguments))}")
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) == len(value):
            return tuple(converted(v, k, name) for v, k in zip(value, kinds, strict=True))
    elif isinstance(hint, type) and origin is None:
        scalar = _scalar(value, hint)
        if scalar is not None:
            return scalar
    expected = getattr(hint, "__name__", str(hint)) if origin is None else str(hint)
    raise ValueError(f"setting '{name}' is {value!r}, expected {expected}")


def _scalar(value: Any, kind: type) -> Any:
    if kind is float and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-4 as text
        except (TypeError, ValueError):
            return None
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind is not bool and isinstance(value, bool):
        return None
    return value if isinstance(value, kind) else None


def _names(config: Any, prefix: str = "") -> list[str]:
    names = []
    for f in dataclasses.fields(config):
        value, name = getattr(config, f.name), f"{prefix}.{f.name}" if prefix else f.name
        names += _names(value, name) if dataclasses.is_dataclass(value) else [name]
    return names


def _nearest(key: str, prefix: str, config: Any) -> str:
    options = _names(config)
    close = difflib.get_close_matches(key, options, n=1, cutoff=0.5)
    close = close or [name for name in options if name.split(".")[-1] == key][:1]
    if close:
        return f"did you mean '{prefix}{close[0]}'?"
    return f"known are {', '.join(prefix + name for name in options)}"
