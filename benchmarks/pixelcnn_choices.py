"""The short runs behind PixelCNN's MNIST recipe: optimiser, rate, size and kernel, each 1000 steps of 32 drawn images.

    python -m benchmarks.pixelcnn_choices --data DIR     # DIR holds the IDX files of MNIST; runs what the CSV lacks

One cosine over the run, last weights, exact nats of the first 500 validation images (fixed binarisation), one thread.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

from benchmarks.records import RESULTS, append_missing

CSV = RESULTS / "pixelcnn_choices.csv"
COLUMNS = ("arm", "seed", "steps", "val_nats", "parameters", "train_cpu_s", "machine", "commit", "command")
STEPS, IMAGES = 1000, 500
MUON, ADAMW = {"optimiser": "muon", "lr": 5e-3}, {"optimiser": "adamw", "lr": 2e-3}
MASKED, GATED = {"gated": False, "features": 64, "layers": 10}, {"gated": True, "features": 32, "layers": 8}
ARMS = {
    "masked-adamw": MASKED | ADAMW,
    "masked-muon": MASKED | MUON,
    "masked-muon-lr-2.5e-3": MASKED | MUON | {"lr": 2.5e-3},
    "masked-muon-lr-1e-2": MASKED | MUON | {"lr": 1e-2},
    "masked-muon-15x32": MASKED | MUON | {"features": 32, "layers": 15},
    "masked-muon-kernel-5": MASKED | MUON | {"kernel": 5},
    "masked-muon-kernel-7": MASKED | MUON | {"kernel": 7},
    "gated-adamw": GATED | ADAMW,
    "gated-muon": GATED | MUON,
    "gated-muon-lr-3e-3": GATED | MUON | {"lr": 3e-3},
    "gated-muon-kernel-5": GATED | MUON | {"kernel": 5},
}


def measure(data: Path, arm: str, seed: int) -> dict[str, object]:
    """Trains one arm; nats of the validation images, size, processor seconds."""
    from benchmarks.mnist_recipes import binarised
    from generative import PixelCNN
    from generative.measuring import metrics

    splits = binarised(data)
    held_out = splits.x_val[:IMAGES]
    model = PixelCNN(binarize=True, steps=STEPS, batch_size=32, ema=0.0, eval_every=STEPS, patience=0, **ARMS[arm])
    began = time.process_time()
    model.fit(splits.x_train, val=held_out, seed=seed, progress=True)
    spent = time.process_time() - began
    return {
        "arm": arm,
        "seed": seed,
        "steps": STEPS,
        "val_nats": round(metrics.nats(model, held_out), 2),
        "parameters": sum(p.numel() for p in model.net.parameters()),
        "train_cpu_s": round(spent),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=1)
    a = parser.parse_args()
    append_missing(CSV, COLUMNS, a.arms, range(a.seeds), partial(measure, a.data))


if __name__ == "__main__":
    main()
