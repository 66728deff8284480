"""`gail-suite gen inpaint | denoise | upscale`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from gail_suite.commands.common import DEFAULT, Output
from gail_suite.commands.gen.shared import (
    RESULTS,
    Count,
    Data,
    Device,
    File,
    Root,
    model_and_test,
    prepare,
    write,
)

if TYPE_CHECKING:
    from torch import Tensor

    from gail_suite.generative import GenerativeModel

MASKS = ("bottom", "top", "left", "right", "centre")


@Parameter(name="*")
@dataclass(frozen=True)
class Restoring:
    """What every verb takes that spoils test samples and lets a model restore them."""

    file: File
    data: Data = "digits"
    root: Root = field(default=None, kw_only=True)
    device: Device = field(default="auto", kw_only=True)
    output: Output = field(default=DEFAULT, kw_only=True)

    def begin(self, n: int, out: Path, images: bool = False) -> tuple[GenerativeModel, Tensor]:
        """The model and ``n`` test samples, once ``out`` can be written."""
        prepare(out, *RESULTS)
        return model_and_test(self.file, self.data, n, self.root, self.device, images)

    def end(self, out: Path, x: Tensor, spoiled: Tensor, found: Tensor, text: str) -> None:
        """Write, and report the root mean squared difference of ``found`` from the originals ``x``."""
        write(out, found, x, spoiled)
        rmse = float((found.to(x) - x).square().mean().sqrt())
        self.output.result({"file": str(out), "n": len(x), "rmse": rmse}, f"{text}, RMSE {rmse:.3f}, in {out}", [])


def inpaint(
    what: Restoring,
    *,
    mask: str = "bottom",
    n: Count = 10,
    seed: int = 0,
    out: Path = Path("inpaint.png"),
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
    from gail_suite.demos.names import known

    part = known("mask", mask, MASKS, any_case=True)
    model, x = what.begin(n, out, images=True)
    seen = known_part(part, *x.shape[2:])
    filled = g.inpaint(model, x, seen, seed=seed)
    what.end(out, x, x * seen, filled, f"{mask} of {len(x)} images filled in")


def denoise(
    what: Restoring,
    *,
    sigma: float = 0.3,
    n: Count = 10,
    seed: int = 0,
    out: Path = Path("denoise.png"),
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

    model, x = what.begin(n, out)
    noisy = x + sigma * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    what.end(out, x, noisy, g.denoise(model, noisy, sigma), f"{len(x)} samples denoised")


def upscale(
    what: Restoring,
    *,
    factor: int = 2,
    n: Count = 10,
    out: Path = Path("upscale.png"),
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

    model, x = what.begin(n, out, images=True)
    height, width = x.shape[2:]
    if factor < 1 or height % factor or width % factor:
        raise ValueError(f"--factor {factor} must divide the images' {height}x{width} pixels")
    small = F.avg_pool2d(x, factor)
    blocks = F.interpolate(small, scale_factor=factor, mode="nearest")
    what.end(out, x, blocks, g.upscale(model, small, factor), f"{len(x)} images upscaled by {factor}")


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
