"""What the JSON files of a run have to say, how they are read, and what follows where one cannot be written."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import UNSET, Struct, UnsetType

from gail_suite.demos.files import read_bytes
from gail_suite.demos.sealed import JSON_LIMIT, Json, parse_json, read_json


class RunRecord(Struct):
    """config.json; anything else in it is provenance."""

    algo: str
    env_id: str
    seed: int | UnsetType = UNSET
    config: Json | UnsetType = UNSET
    total_steps: int | UnsetType = UNSET
    n_pairs: int | UnsetType = UNSET
    demos: Json | UnsetType = UNSET


class EvaluationRecord(Struct):
    """eval.json."""

    env_id: str | UnsetType = UNSET
    n_episodes: int | UnsetType = UNSET
    seed: int | UnsetType | None = UNSET
    deterministic: bool | UnsetType = UNSET
    score: float | None = None
    score_interval: tuple[float, float] | None = None
    return_mean: float | None = None
    return_sd: float | None = None
    return_interval: tuple[float, float] | None = None
    length_mean: float | None = None
    demo_score: float | None = None
    demo_score_interval: tuple[float, float] | None = None
    random_return: float | None = None
    demo_return: float | None = None
    returns: list[float] = []
    lengths: list[float] = []


class ReferenceRecord(Struct):
    """reference.json: what random actions got on the task of a run, and the standard error of that."""

    random_return: float
    n_episodes: int
    seed: int
    random_error: float = 0.0


class BeginningRecord(Struct):
    """sweep.json: the command that began a run."""

    words: list[str]


class SearchRecord(Struct):
    """search.json: what was searched, and the settings and values of its trials."""

    asked: str
    tried: list[Json]


def config_of(run_dir: str | Path) -> Json:
    """config.json of a run, empty where there is none; errors as for `read_json`."""
    return read_if_there(Path(run_dir) / "config.json", RunRecord)


def evaluation_of(run_dir: str | Path) -> Json:
    """eval.json of a run, empty where there is none; errors as for `read_json`."""
    return read_results(Path(run_dir) / "eval.json")


def read_results(file: Path) -> Json:
    """An evaluation's file, empty where there is none; ValueError for a damaged one."""
    return parse_json(read_bytes(file, JSON_LIMIT), file, EvaluationRecord) if file.exists() else {}


def versions_of(run_dir: str | Path) -> Json:
    """versions.json of a run, empty where there is none; errors as for `read_json`."""
    return read_if_there(Path(run_dir) / "versions.json", Json)


def read_if_there(file: Path, schema: object) -> Json:
    """The object in a file, empty where there is none; errors as for `read_json`."""
    return read_json(file, schema) if file.exists() else {}


@contextmanager
def by_product(file: Path) -> Iterator[None]:
    """What writes `file` within the block is not what was asked for: where it cannot, a warning says so."""
    try:
        yield
    except OSError as error:
        warnings.warn(f"{file} could not be written ({error.strerror or error})", stacklevel=3)
