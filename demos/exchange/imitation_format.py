"""Trajectory files of the library `imitation` 1.0.1 (Gleave et al. 2022), read and written without importing it.

It stores a Hugging Face dataset folder: an Arrow stream with a row per trajectory and the columns obs, acts, infos (a
JSON string a step), terminal, rews. Decoding its infos with jsonpickle can run code, so only plain JSON is read here,
and only one key of the last info: `TimeLimit.truncated`, which tells a cut-off from an end (`terminal` marks both).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import msgspec
import numpy as np

from gail_suite.demos.exchange.archives import read_npz
from gail_suite.demos.exchange.arrays import require_keys, split
from gail_suite.demos.exchange.interchange import META_KEY, all_actions, assemble, build, require
from gail_suite.demos.files import read_bytes, write_atomic
from gail_suite.demos.pieces import horizon_of
from gail_suite.demos.sealed import JSON_LIMIT, Json, checked, parse_json
from gail_suite.demos.trajectory import Demonstrations, Trajectory

STATE = "state.json"
DATA_FILE = "data-00000-of-00001.arrow"
TRUNCATED = "TimeLimit.truncated"
NUMPY_BOOLS: dict[str | None, bool] = {"AA==": False, "AQ==": True}
"""One byte in base64, as jsonpickle writes np.bool_."""


class DataFile(msgspec.Struct):
    """An entry of state.json's list."""

    filename: str


class DatasetState(msgspec.Struct):
    """What is read of a dataset folder's state.json."""

    _data_files: list[DataFile] = []


COLUMNS = ("obs", "acts", "terminal")


def to_imitation(demonstrations: Demonstrations, path: str | Path) -> Path:
    """Writes the whole trajectories as a folder that `imitation.data.serialize.load` reads.

    Raises:
        ValueError: pyarrow is missing, or the path exists.
    """
    pa = require("pyarrow", "writing imitation's files")
    folder = Path(path)
    if folder.exists():
        raise ValueError(f"{folder} exists already: choose another path, or remove it first")
    actions = all_actions(demonstrations, "imitation")
    infos = [["{}"] * (len(t) - 1) + [json.dumps({TRUNCATED: t.truncated})] for t in demonstrations]
    table = pa.table(
        {
            "obs": _nested(pa, [t.obs for t in demonstrations]),
            "acts": _nested(pa, actions),
            "infos": pa.array(infos, pa.list_(pa.string())),
            "terminal": pa.array([t.terminated or t.truncated for t in demonstrations]),
        }
        | (
            {"rews": pa.array([t.rews for t in demonstrations], pa.list_(pa.float32()))}
            if demonstrations.has_rewards
            else {}
        )
    ).replace_schema_metadata({META_KEY: json.dumps(demonstrations.meta)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    write_atomic(folder / DATA_FILE, sink.getvalue().to_pybytes())
    write_atomic(folder / "dataset_info.json", b"{}")
    state = json.dumps(
        {
            "_data_files": [{"filename": DATA_FILE}],
            "_fingerprint": "0",
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": None,
        }
    )
    write_atomic(folder / STATE, state.encode())
    return folder


def from_imitation(path: str | Path, env_id: str | None = None, columns: Sequence[int] | None = None) -> Demonstrations:
    """Demonstrations from imitation's dataset folder, or from its older .npz.

    Its files name no environment, so say which (files of `to_imitation` know it). Where the infos do not tell, a
    terminal episode as long as the environment's limit counts as truncated, a shorter one as terminated. Without
    rewards their returns are unknown. `columns` chooses observation columns.

    Raises:
        ValueError: unreadable, pickled, a column is missing, no environment named, other widths than the environment's.
    """
    path = Path(path)
    rows, meta = _read_folder(path) if path.is_dir() else (_read_npz(path), {})
    env_id = env_id or meta.get("env_id")
    return assemble(list(_trajectories(str(path), rows, horizon_of(env_id))), str(path), env_id, meta, columns)


def _nested(pa: ModuleType, arrays: list[np.ndarray]) -> object:
    """list<list<float>>: trajectory, step, entry."""
    flat, width = np.concatenate(arrays), arrays[0].shape[1]
    steps = pa.ListArray.from_arrays(np.arange(len(flat) + 1, dtype=np.int32) * width, flat.ravel())
    return pa.ListArray.from_arrays(np.cumsum([0, *map(len, arrays)], dtype=np.int32), steps)


def _read_folder(folder: Path) -> tuple[Iterator[Json], Json]:
    if not (folder / STATE).is_file():
        raise ValueError(
            f"{folder} has no {STATE}: a folder to import is a data set as imitation saves it, with {STATE} beside its "
            ".arrow files; this suite's own demonstrations are used as they are, and other data are .npz or .hdf5 files"
        )
    pa = require("pyarrow", "reading imitation's files")
    names = _data_files(folder / STATE)
    try:
        tables = [pa.ipc.open_stream(read_bytes(folder / name)).read_all() for name in names]
        table = pa.concat_tables(tables)
        table.validate(full=True)
    except Exception as error:  # noqa: BLE001 (whatever Arrow meets in a damaged file)
        message = f"{folder} cannot be read as a dataset folder ({error}): save it again with imitation"
        raise ValueError(message) from None
    require_keys(str(folder), table.column_names, COLUMNS)
    kept = [name for name in (*COLUMNS, "rews", "infos") if name in table.column_names]
    rows = ({name: table[name][i].as_py() for name in kept} for i in range(table.num_rows))
    return rows, parse_json((table.schema.metadata or {}).get(META_KEY.encode(), b"{}"), folder)


def _data_files(source: Path) -> list[str]:
    state = checked(parse_json(read_bytes(source, JSON_LIMIT), source), DatasetState, source)
    return [Path(file.filename).name for file in state._data_files]


def _read_npz(path: Path) -> Iterator[Json]:
    arrays, source = read_npz(path), str(path)
    require_keys(source, arrays, (*COLUMNS, "indices"))
    lengths = np.diff([0, *arrays["indices"].tolist(), len(arrays["acts"])])
    pieces: dict[str, list[np.ndarray] | list[bool]] = {}
    for name in {"obs", "acts", "rews"}.intersection(arrays):
        pieces[name] = split(source, name, arrays[name], lengths + (name == "obs"))
    pieces["terminal"] = np.broadcast_to(arrays["terminal"], lengths.shape).tolist()
    return ({name: piece[i] for name, piece in pieces.items()} for i in range(len(lengths)))


def _trajectories(source: str, rows: Iterator[Json], horizon: int | None) -> Iterator[Trajectory]:
    for number, row in enumerate(rows):
        steps = len(row["acts"])
        truncated = row["terminal"] and _was_truncated(row.get("infos"), steps == horizon)
        yield build(
            number,
            source,
            row["obs"],
            row["acts"],
            row.get("rews"),
            terminated=row["terminal"] and not truncated,
            truncated=truncated,
        )


def _was_truncated(infos: list[str] | None, default: bool) -> bool:
    try:
        info = dict(json.loads(infos[-1])) if infos else {}
    except (ValueError, TypeError):
        return default
    found = info.get(TRUNCATED)
    if isinstance(found, bool):
        return found
    if isinstance(found, dict) and "py/id" in found:  # a NumPy bool that was met before in the same info: which one?
        met = {NUMPY_BOOLS.get(_scalar_bytes(value)) for value in info.values()} - {None}
        return bool(met.pop()) if len(met) == 1 else default
    return NUMPY_BOOLS.get(_scalar_bytes(found), default)


def _scalar_bytes(found: object) -> str | None:
    """The bytes (base64) of a NumPy scalar as jsonpickle writes it, which is read as data; None for anything else."""
    try:
        value = found["py/reduce"][1]["py/tuple"][1]["py/b64"]  # type: ignore[index]
    except (TypeError, KeyError, IndexError):
        return None
    return value if isinstance(value, str) else None
