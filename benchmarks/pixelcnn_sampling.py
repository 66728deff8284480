"""Cached against plain PixelCNN sampling at 28x28, batch 16, in one run: seconds, ratio, and whether the images are
equal.

    python -m benchmarks.pixelcnn_sampling

The plain loop runs the whole network for each of the 784 pixels. Both use the same pre-drawn uniforms. Networks are
fresh from their initial weights: speed does not depend on them. The cached sampler is timed before and after the plain
one, so that a load on the machine falls on both; the ratio takes the slower of the two.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from benchmarks.records import RESULTS, append_row, command, commit, machine
from generative.autoregressive.causal_sampling import sample_cached, sample_plain
from generative.autoregressive.pixelcnn import PixelCNN
from generative.autoregressive.pixelrnn import PixelRNN

COLUMNS = ("model", "size", "batch", "threads", "plain_s", "cached_s", "ratio", "equal", "machine", "commit", "command")
CSV = RESULTS / "pixelcnn_sampling.csv"
MODELS = {
    "pixelcnn": lambda: PixelCNN(gated=False),
    "gated_pixelcnn": lambda: PixelCNN(gated=True),
    "row_lstm": lambda: PixelRNN("row"),
    "diagonal_bilstm": lambda: PixelRNN("diagonal"),
}


def seconds(sampler: Callable[..., torch.Tensor], *args: object) -> tuple[float, torch.Tensor]:
    """Wall-clock of one call, and its result."""
    began = time.perf_counter()
    x = sampler(*args)
    return time.perf_counter() - began, x


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["pixelcnn", "gated_pixelcnn"])
    parser.add_argument("--size", type=int, default=28)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    for name in a.models:
        torch.manual_seed(0)
        net = MODELS[name]()._network((1, a.size, a.size), 2, 0).eval()
        u = torch.rand(a.batch, 1, a.size, a.size, dtype=torch.float64)
        with torch.no_grad():
            first, _ = seconds(sample_cached, net, u, None)
            plain, x = seconds(sample_plain, net, u, None)
            second, again = seconds(sample_cached, net, u, None)
        cached = max(first, second)
        row = {
            "model": name,
            "size": a.size,
            "batch": a.batch,
            "threads": a.threads,
            "plain_s": f"{plain:.2f}",
            "cached_s": f"{cached:.3f}",
            "ratio": f"{plain / cached:.1f}",
            "equal": torch.equal(x, again),
            "machine": machine(),
            "commit": commit(),
            "command": command(),
        }
        append_row(CSV, COLUMNS, row)
        print(
            f"{name}: plain {plain:.2f} s, cached {cached:.3f} s, ratio {plain / cached:.1f}, equal {row['equal']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
