"""Arrays in other people's archives, .npz and HDF5, read with bounds; nothing is ever unpickled, and nothing
outside the file is read.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING

import numpy as np

from gail_suite.demos.files import check_memory, open_regular

if TYPE_CHECKING:
    from h5py import Dataset, Group

LARGE, TIGHTEST = 1_000_000_000, 200
"""An archive that unpacks to more bytes than LARGE is refused where it packs tighter than TIGHTEST : 1, as no
recording does.
"""


ROWS = ("obs", "acts", "rews", "observations", "actions", "rewards")
"""Arrays without which there is nothing to read; others may be of objects, such as imitation's infos."""


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz that need no unpickling; ValueError if it is unreadable, holds none or is too large for
    memory.
    """
    try:
        with open_regular(Path(path)) as file:
            check_packing(file, path)
            with np.load(file, allow_pickle=False) as archive:
                found = {key: array for key in archive.files if (array := _plain(archive, key)) is not None}
                kept = [key for key in archive.files if key not in found and key in ROWS]
    except Exception as error:  # noqa: BLE001 (whatever NumPy meets in a damaged file)
        message = f"{path} cannot be read as an .npz of plain arrays ({error}): save it again with np.savez"
        raise ValueError(message) from None
    if kept:
        raise ValueError(
            f"{path} has {' and '.join(kept)} of objects, as episodes of different lengths make them, which only "
            "unpickling would read: np.concatenate the episodes, and give lengths, the number of steps of each"
        )
    return found


def check_packing(file: IO[bytes], path: str | Path) -> None:
    """ValueError where the parts of a zip archive need more memory than is free, or are packed as only a bomb is."""
    with zipfile.ZipFile(file) as archive:
        size, packed = (
            sum(getattr(part, name) for part in archive.infolist()) for name in ("file_size", "compress_size")
        )
    file.seek(0)
    check_memory(size, f"{path} unpacked")
    if size > LARGE and size > TIGHTEST * packed:
        raise ValueError(f"{packed:,} bytes unpack to {size:,}, which no recording does")


def _plain(archive: np.lib.npyio.NpzFile, key: str) -> np.ndarray | None:
    try:
        array = archive[key]
    except ValueError:  # an object array: never unpickled
        return None
    return array if array.dtype.kind in "biufU" else None


def read_hdf5(path: Path, wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
    """The arrays of the wanted names in an HDF5 file; ValueError if it is unreadable, points outside itself or is
    too large.
    """
    from gail_suite.demos.exchange.interchange import require

    h5py = require("h5py", "reading an HDF5 file")
    open_regular(path).close()
    if not h5py.is_hdf5(path):
        raise ValueError(
            f"{path} is no HDF5 file, or a damaged one: demonstrations are read from .npz and .hdf5 files and from "
            "folders, and nothing is ever unpickled"
        )
    try:
        with h5py.File(path, "r") as file:
            everything = dict(own_datasets(h5py, file, path))
            datasets = {name: found for name, found in everything.items() if wanted(name)}
            if everything and not datasets:
                raise ValueError(f"it holds {', '.join([*everything][:8])}, none of which is known here")
            check_memory(sum(found.nbytes for found in datasets.values()), str(path))
            return {name: np.asarray(found) for name, found in datasets.items()}
    except Exception as error:  # noqa: BLE001 (whatever HDF5 meets in a damaged file)
        message = (
            f"{path} cannot be read as HDF5 ({error}): see docs/save_format.md for the layout, or download it again"
        )
        raise ValueError(message) from None


def own_datasets(h5py: ModuleType, group: Group, path: Path, prefix: str = "") -> Iterator[tuple[str, Dataset]]:
    """Every data set below a group by its name; ValueError for one whose content lies in another file, or a soft
    link.
    """
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ValueError(  # noqa: TRY004 (a mistake in a file, not in a call)
                f"{path} holds the link {prefix}{name} to another place: export it again with its data inside"
            )
        found = group[name]
        if isinstance(found, h5py.Group):
            yield from own_datasets(h5py, found, path, f"{prefix}{name}/")
        elif isinstance(found, h5py.Dataset):
            if found.external or found.is_virtual:
                raise ValueError(
                    f"{path} keeps {prefix}{name} in another file of this machine: export it again with its data inside"
                )
            yield f"{prefix}{name}", found
