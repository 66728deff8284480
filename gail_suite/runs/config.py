"""Settings from three places: the defaults of a frozen dataclass, then a YAML file, then `key=value` pairs."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import inspect
import json
import math
import operator
import re
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeGuard, TypeVar

import numpy as np
from msgspec import Meta

from gail_suite.demos.files import read_bytes
from gail_suite.demos.sealed import JSON_LIMIT

if TYPE_CHECKING:
    from yaml import SafeLoader

T = TypeVar("T", bound="Settings")
DEEPEST = 20
"""Levels of lists and mappings in a file of settings."""
NonNegative = Annotated[float, Meta(ge=0)]
Above0 = Annotated[float, Meta(gt=0)]
Unit = Annotated[float, Meta(ge=0, le=1)]
Fraction = Annotated[float, Meta(ge=0, lt=1)]
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Environments = Annotated[int, Meta(ge=1, le=10_000)]
WIDEST = 65_536
Width = Annotated[int, Meta(ge=1, le=WIDEST)]
Layers = Annotated[tuple[Width, ...], Meta(min_length=1)]
"""Bounds that a field of settings may have; they hold whichever way its value came in."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of a frozen dataclass of settings: every field is of its type and within its bounds, else ValueError."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self), include_extras=True)
        plain = typing.get_type_hints(type(self))
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if dataclasses.is_dataclass(plain[f.name]):
                if not isinstance(value, plain[f.name]):  # type: ignore[arg-type]
                    expected = getattr(plain[f.name], "__name__", plain[f.name])
                    raise ValueError(f"setting {f.name} is a {type(value).__name__}, expected a {expected}")
            else:
                value = value.item() if isinstance(value, np.generic) else value
                if isinstance(value, float) and math.isnan(value):
                    raise ValueError(f"setting {f.name} is NaN: give a number")
                object.__setattr__(self, f.name, converted(value, plain[f.name], f.name))
                check_bounds(getattr(self, f.name), hints[f.name], f.name)


def check_bounds(value: Any, hint: object, name: str) -> None:
    """ValueError where `value` is outside the bounds of its annotation; None and what is not annotated passes."""
    if value is None:
        return
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        for option in typing.get_args(hint):
            check_bounds(value, option, name)
        return
    for meta in getattr(hint, "__metadata__", ()):
        for words, bound, holds in (
            ("at least", meta.ge, operator.ge),
            ("above", meta.gt, operator.gt),
            ("at most", meta.le, operator.le),
            ("below", meta.lt, operator.lt),
        ):
            if bound is not None and not holds(value, bound):
                raise ValueError(f"setting {name} must be {words} {bound}, got {value}")
        if meta.min_length is not None and not (value and 1 <= min(value) and max(value) <= WIDEST):
            raise ValueError(
                f"setting {name} holds the widths of at least one layer, each from 1 to {WIDEST:,}, got {list(value)}"
            )


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
        *groups, name = key.strip().split(".")
        values = {name: parsed(text)}
        for group in reversed(groups):
            values = {group: values}
        defaults = merge(defaults, values)
    return defaults


def merge(config: T, values: Mapping[str, object], prefix: str = "") -> T:
    """A copy of a dataclass with the given values; nested dataclasses take nested mappings. Errors as for `build`."""
    hints = typing.get_type_hints(type(config))
    known = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
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
    return dataclasses.replace(config, **changes)


GONE: Mapping[str, Mapping[str, tuple[object, ...]]] = {
    "loop": {"indistinct": (0.0, 0.05)},
    "sac": {"target_entropy_final": (None,)},
    "starts": {"early": (0.0,), "early_length": (200,)},
}
"""Settings of one day's version, with the values by which a run goes on as it is without them. GAIL's `arrive` and
`adversary.entropy_safe` have taken the places of the first two."""


def recorded(defaults: T, values: Mapping[str, object]) -> T:
    """The config that a run wrote down; what it lacks is as in `defaults`, and what is `GONE` is left out.

    Raises ValueError where it has settings that this version does not know.
    """
    known = {
        group: {k: v for k, v in value.items() if v not in GONE.get(group, {}).get(k, ())}
        if isinstance(value, Mapping)
        else value
        for group, value in values.items()
    }
    try:
        return merge(defaults, known)
    except ValueError as error:
        raise ValueError(f"the run was begun by another version of gail-suite: {error}") from error


def finite(config: object, *names: str) -> None:
    """ValueError for a setting of `config` that is no number, or infinite; None passes."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not math.isfinite(value):
            raise ValueError(f"setting {name} must be a finite number, got {value}")


def shares(config: object, *names: str) -> None:
    """ValueError for a setting of `config` outside [0, 1]; None passes."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not 0 <= value <= 1:
            raise ValueError(f"setting {name} is a share in [0, 1], got {value}")


def length(asked: int | None, default: int) -> int:
    """The number of steps that was asked for, or the default; ValueError below 1."""
    if asked is not None and not isinstance(asked, int | np.integer):
        raise ValueError(f"the length of a training is a whole number of steps, got {asked!r}")
    if asked is not None and asked < 1:
        raise ValueError(f"the length of a training is at least 1 step, got {asked}")
    return default if asked is None else asked


def describe(config: Settings) -> str:
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
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            found[statement.target.id] = " ".join(str(following.value.value).split())
    return found


def _lines(config: Settings, depth: int) -> Iterator[str]:
    pad, texts = "  " * depth, field_help(type(config))
    for name in (f.name for f in dataclasses.fields(config)):
        value = getattr(config, name)
        yield from (f"{pad}# {line}" for line in textwrap.wrap(texts.get(name, ""), 110 - len(pad)))
        if _is_part(value):
            yield f"{pad}{name}:"
            yield from _lines(value, depth + 1)
        else:
            yield f"{pad}{name}: {json.dumps(value)}"


def _read(path: Path) -> Mapping[str, object]:
    import yaml

    data = read_bytes(path, JSON_LIMIT)
    try:
        content = _bounded_yaml(data.decode())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(content, Mapping):
        raise ValueError(  # noqa: TRY004 (every error of ours is a ValueError)
            f"{path} holds {type(content).__name__}, expected a mapping of settings to values"
        )
    if "algo" in content and isinstance(content.get("config"), Mapping):
        return content["config"]  # the config.json of a run
    return content


def parsed(text: str) -> object:
    """The text read as YAML, or itself where it is none."""
    import yaml

    try:
        return _bounded_yaml(text)
    except (yaml.YAMLError, ValueError):
        return text


def _bounded_yaml(text: str) -> object:
    """The value of a YAML text; ValueError where it is deeper than settings are, or could unfold without bounds."""
    import yaml

    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(  # noqa: TRY004 (a mistake in a file, not in a call)
                "an alias, of which a few lines can unfold to more than any memory: write its value out"
            )
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:  # the time that PyYAML needs grows with the square of it
            raise ValueError(f"more than {DEEPEST} levels of lists and mappings, which no setting has")
    loader = _loader()(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


@cache
def _loader() -> type[SafeLoader]:
    """PyYAML's safe loader, for which 1e-3 is a number too, as YAML 1.2 has it and everybody writes it."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    number = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    return Loader


def converted(value: object, hint: object, name: str) -> Any:
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


def _scalar(value: Any, kind: type) -> object:
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


def _names(config: Settings, prefix: str = "") -> list[str]:
    names = []
    for f in dataclasses.fields(config):
        value, name = getattr(config, f.name), f"{prefix}.{f.name}" if prefix else f.name
        names += _names(value, name) if _is_part(value) else [name]
    return names


def _is_part(value: object) -> TypeGuard[Settings]:
    """Whether a value holds settings of its own, as any dataclass does."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _nearest(key: str, prefix: str, config: Settings) -> str:
    options = _names(config)
    close = difflib.get_close_matches(key, options, n=1, cutoff=0.5)
    close = close or [name for name in options if name.split(".")[-1] == key][:1]
    if close:
        return f"did you mean '{prefix}{close[0]}'?"
    return f"known are {', '.join(prefix + name for name in options)}"
