"""The settings of runs by their dotted names, and in which of them runs differ."""

from __future__ import annotations

from collections.abc import Iterable

from gail_suite.demos.sealed import Json


def settings_of(config: Json) -> Json:
    """What config.json says of a run's settings, and on how many pairs it learned."""
    return flat({"n_pairs": config.get("n_pairs"), **config.get("config", {})})


def flat(values: Json, prefix: str = "") -> Json:
    """Nested settings by their dotted names.

    >>> flat({"sac": {"tau": 0.1}, "steps": 7})
    {'sac.tau': 0.1, 'steps': 7}
    """
    found: Json = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def unlike(own: Json, settings: Iterable[Json]) -> Json:
    """The entries of `own` that not all of the others have alike.

    >>> unlike({"tau": 0.1, "steps": 7}, [{"tau": 0.2, "steps": 7}])
    {'tau': 0.1}
    """
    others = list(settings)
    return {name: value for name, value in own.items() if any(other.get(name) != value for other in others)}


def in_words(settings: Json) -> str:
    """Settings in a line.

    >>> in_words({"tau": 0.1, "steps": 7})
    'tau=0.1 steps=7'
    """
    return " ".join(f"{name}={value}" for name, value in settings.items())
