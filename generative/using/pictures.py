"""Pictures as PNG and GIF: grids, reconstructions, a map of the codes, and samples that evolve during training."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gail_suite.generative.core.backend import untouched
from gail_suite.generative.core.tensors import write_whole
from gail_suite.generative.core.types import ArrayLike
from gail_suite.generative.interface.model import GenerativeModel


def grid(
    x: ArrayLike,
    path: str | Path | None = None,
    *,
    columns: int | None = None,
    scale: int | None = None,
    gap: int = 1,
    ink: bool = True,
) -> np.ndarray:
    """Images (N, C, H, W) side by side in ``columns``, each pixel ``scale`` wide, as a uint8 array (height, width, C).

    ``path`` also writes a PNG. ``ink`` draws grey images dark on light. ``scale`` None makes a tile about 48 pixels
    high.
    """
    images = torch.as_tensor(x).detach().cpu().float().clamp(0, 1)
    if images.ndim != 4 or len(images) == 0:
        raise ValueError(f"grid takes images (N, C, H, W), got shape {tuple(images.shape)}")
    n, channels, height, width = images.shape
    if path is not None and channels not in (1, 3):
        raise ValueError(f"a picture has 1 or 3 channels, these images have {channels}: write them as .npy")
    columns = columns or int(np.ceil(np.sqrt(n)))
    scale = scale or max(1, round(48 / height))
    rows = -(-n // columns)
    light = 0.0 if channels == 1 and ink else 1.0
    canvas = torch.full((rows * columns, channels, height + gap, width + gap), 0.15 if channels == 1 and ink else light)
    canvas[:, :, :height, :width] = light
    canvas[:n, :, :height, :width] = images
    canvas = (
        canvas.view(rows, columns, channels, height + gap, width + gap)
        .permute(0, 3, 1, 4, 2)
        .flatten(0, 1)
        .flatten(1, 2)
    )
    pixels = canvas[:-gap, :-gap] if gap else canvas
    pixels = (255 * (1 - pixels if channels == 1 and ink else pixels)).round().to(torch.uint8)
    array = pixels.repeat_interleave(scale, 0).repeat_interleave(scale, 1).numpy()
    if path is not None:
        _write(_as_image(array), Path(path), optimize=True)
    return array


def rows(*sets: ArrayLike, path: str | Path | None = None, **options: Any) -> np.ndarray:
    """Equally long sets of images, one set a row: for example originals, corrupted, restored."""
    stacked = torch.cat([torch.as_tensor(s).detach().cpu().float() for s in sets])
    return grid(stacked, path, columns=len(sets[0]), **options)


def reconstructions(model: GenerativeModel, x: ArrayLike, path: str | Path | None = None) -> np.ndarray:
    """Two rows: ``x`` and the model's reconstruction of it."""
    reconstruct = getattr(model, "reconstruct", None)
    if reconstruct is None:
        raise ValueError(f"{type(model).__name__} has no codes to reconstruct from: use an AutoEncoder or a VAE")
    return rows(x, reconstruct(x), path=path)


def latent_map(model: GenerativeModel, x: ArrayLike, path: str | Path, y: ArrayLike | None = None) -> Path:
    """Scatter of the codes of ``x``, on their first two principal components where there are more, coloured by
    ``y``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    encode = getattr(model, "encode", None)
    if encode is None:
        raise ValueError(f"{type(model).__name__} has no codes to map: use an AutoEncoder or a VAE")
    codes = encode(x).double().cpu()
    centred = codes - codes.mean(0)
    flat = centred if codes.shape[1] <= 2 else centred @ torch.linalg.eigh(centred.T @ centred)[1][:, -2:].flip(1)
    figure = Figure(figsize=(4, 4), dpi=80, layout="tight")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colours = None if y is None else torch.as_tensor(y).cpu().numpy()
    points = axes.scatter(flat[:, 0], flat[:, -1], s=6, c=colours, cmap=None if y is None else "tab10")
    if y is not None:
        axes.legend(*points.legend_elements(), fontsize=6, loc="upper right")
    axes.set_xticks([]), axes.set_yticks([])
    picture = io.BytesIO()
    figure.savefig(picture, format=Path(path).suffix[1:] or "png")
    return write_whole(Path(path), picture.getvalue())


def evolution(
    model: GenerativeModel,
    x: ArrayLike,
    path: str | Path,
    y: ArrayLike | None = None,
    *,
    n: int = 16,
    frames: int = 14,
    steps: int = 1000,
    seed: int = 0,
    **options: Any,
) -> GenerativeModel:
    """Fit ``model`` to ``x`` and write a GIF of ``n`` samples from a fixed seed, at ``frames`` moments of the training.

    Moments are dense at the start and sparse at the end. ``options`` go to ``fit``. Returns the fitted model.
    """
    animate(film(model, x, y, n=n, frames=frames, steps=steps, seed=seed, **options), path)
    return model


def film(
    model: GenerativeModel,
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    n: int = 16,
    frames: int = 14,
    steps: int = 1000,
    seed: int = 0,
    **options: Any,
) -> list[Image.Image]:
    """Fit ``model`` as ``evolution`` does and return the pictures."""
    if torch.as_tensor(x).ndim != 4:
        raise ValueError(f"only images (N, C, H, W) can be filmed in training, got shape {tuple(x.shape)}")
    if x.shape[1] not in (1, 3):
        raise ValueError(f"only grey images and images of 3 colours can be drawn, got {x.shape[1]} channels")
    when = sorted({max(1, round(steps * (i / frames) ** 2)) for i in range(1, frames + 1)})
    shots: list[Image.Image] = []

    def frame() -> Image.Image:
        images = fixed_samples(model, n, seed)
        return _as_image(grid(images, scale=max(1, round(32 / images.shape[2]))))

    def shoot(step: int, scalars: dict[str, float]) -> None:
        if step in when:
            shots.append(frame())

    model.fit(x, y, steps=steps, seed=seed, on_step=shoot, **options)
    return [*shots, frame()]


def animate(shots: list[Image.Image], path: str | Path) -> None:
    """Write a GIF that stays on the last picture for two seconds."""
    frames = [shot.quantize(16, dither=Image.Dither.NONE) for shot in shots]
    durations = [150] * (len(shots) - 1) + [2000]
    _write(frames[0], Path(path), save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=True)


def fixed_samples(model: GenerativeModel, n: int, seed: int) -> Tensor:
    """The same latents at every call; the decoder's mean where a model offers it."""
    with untouched(model.device):
        mean = {"mean": True} if hasattr(model, "elbo") else {}
        return model.sample(n, seed=seed, **mean)


def _as_image(array: np.ndarray) -> Image.Image:
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def _write(image: Image.Image, path: Path, **options: Any) -> None:
    """In the format that the suffix names, whole or not at all."""
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"{path} is no picture that can be written: name a .png")
    packed = io.BytesIO()
    image.save(packed, kind, **options)
    write_whole(path, packed.getvalue())
