"""`gail-suite gen inpaint | denoise | upscale`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gail_suite.commands.common import DEFAULT, Output
from gail_suite.commands.gen.shared import (
    RESULTS,
    Count,
    Data,
    Device,
    File,
    Root,
    model_and_test,
    nearest,
    prepare,
    write,
)

if TYPE_CHECKING:
    from torch import Tensor

MASKS = ("bottom", "top", "left", "right", "centre")


def inpaint(
    file: File,
    data: Data = "digits",
    *,
    mask: str = "bottom",
    n: Count = 10,
    seed: int = 0,
    out: Path = Path("inpaint.png"),
    root: Root = None,
    device: Device = "auto",
    output: Output = DEFAULT,
) -> None:
    """Hide a part of test images and let a model fill it in.

    Parameters
    ----------
    mask
        The hidden part: bottom, top, left, right or centre.
    n
        Number of images.
    seed
        Seed of models that draw what is missing.
    out
        .png (rows: original, hidden, filled in), .npz or .npy.
    """
    from gail_suite import generative as g

    prepare(out, *RESULTS)
    part = nearest(mask, MASKS, "mask")
    model, x = model_and_test(file, data, n, root, device, images=True)
    known = known_part(part, *x.shape[2:])
    filled = g.inpaint(model, x, known, seed=seed)
    write(out, filled, x, x * known)
    _restored(output, x, filled, out, f"{mask} of {len(x)} images filled in")


def denoise(
    file: File,
    data: Data = "digits",
    *,
    sigma: float = 0.3,
    n: Count = 10,
    seed: int = 0,
    out: Path = Path("denoise.png"),
    root: Root = None,
    device: Device = "auto",
    output: Output = DEFAULT,
) -> None:
    """Add noise to test samples and let a model remove it.

    Parameters
    ----------
    sigma
        Standard deviation of the noise.
    n
        Number of samples.
    seed
        Seed of the noise.
    out
        .png (rows: original, noisy, denoised), .npz or .npy.
    """
    import torch

    from gail_suite import generative as g

    prepare(out, *RESULTS)
    model, x = model_and_test(file, data, n, root, device)
    noisy = x + sigma * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    clean = g.denoise(model, noisy, sigma)
    write(out, clean, x, noisy)
    _restored(output, x, clean, out, f"{len(x)} samples denoised")


def upscale(
    file: File,
    data: Data = "digits",
    *,
    factor: int = 2,
    n: Count = 10,
    out: Path = Path("upscale.png"),
    root: Root = None,
    device: Device = "auto",
    output: Output = DEFAULT,
) -> None:
    """Average blocks of test images and let a model restore the size.

    Parameters
    ----------
    factor
        Side of the blocks in pixels.
    n
        Number of images.
    out
        .png (rows: original, averaged, restored), .npz or .npy.
    """
    import torch.nn.functional as F

    from gail_suite import generative as g

    prepare(out, *RESULTS)
    model, x = model_and_test(file, data, n, root, device, images=True)
    height, width = x.shape[2:]
    if factor < 1 or height % factor or width % factor:
        raise ValueError(f"--factor {factor} must divide the images' {height}x{width} pixels")
    small = F.avg_pool2d(x, factor)
    large = g.upscale(model, small, factor)
    write(out, large, x, F.interpolate(small, scale_factor=factor, mode="nearest"))
    _restored(output, x, large, out, f"{len(x)} images upscaled by {factor}")


def known_part(mask: str, height: int, width: int) -> Tensor:
    """True where an image stays visible, (H, W)."""
    import torch

    known = torch.ones(height, width, dtype=torch.bool)
    hidden = {
        "bottom": (slice(height // 2, None), slice(None)),
        "top": (slice(0, height // 2), slice(None)),
        "left": (slice(None), slice(0, width // 2)),
        "right": (slice(None), slice(width // 2, None)),
        "centre": (slice(height // 4, height - height // 4), slice(width // 4, width - width // 4)),
    }
    known[hidden[mask]] = False
    return known


def _restored(output: Output, x: Tensor, found: Tensor, out: Path, text: str) -> None:
    """Report the root mean squared difference of ``found`` from the originals."""
    rmse = float((found.to(x) - x).square().mean().sqrt())
    output.result({"file": str(out), "n": len(x), "rmse": rmse}, f"{text}, RMSE {rmse:.3f}, in {out}", [])
