"""Text in bits per character: PixelCNN and PixelRNN in one dimension beside n-grams, on the help texts of Python.

    python -m benchmarks.characters [--models pixelrnn]

The text is what `help("if")` and the like print, 460,000 characters that ship with Python (pydoc_data.topics), in
pieces of 64 characters, 80/10/10 from beginning to end. Every model knows nothing before a piece. Appends what
benchmarks/results/characters.csv lacks, with a sample.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

import generative as g
from benchmarks.records import RESULTS, append_row, command, commit, machine, markdown, read_rows
from generative.data.sources import Splits
from generative.measuring import metrics

CSV = RESULTS / "characters.csv"
COLUMNS = ("model", "seed", "steps", "bits_per_character", "cpu_s", "sample", "machine", "commit", "command")
BASELINES = {"context-free": 1, "3-gram": 3, "5-gram": 5}
MODELS: dict[str, tuple[Callable[[], g.GenerativeModel], int]] = {
    "pixelcnn": (
        lambda: g.PixelCNN(symbols=True, features=48, layers=5, ema=0.99, precision="fast", optimiser="muon"),
        500,
    ),
    "pixelrnn": (
        lambda: g.PixelRNN(kind="diagonal", symbols=True, features=64, hidden=96, layers=1, lr=4e-3, ema=0.99),
        700,
    ),
}
"""Model and optimiser steps: about five minutes of a processor each."""


def text() -> Splits:
    """Python's help texts as pieces of 64 symbols."""
    from pydoc_data.topics import topics

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "topics.txt"
        path.write_text("\n".join(topics[name] for name in sorted(topics)), encoding="utf-8")
        return g.data.load(path)


def measure(name: str, s: Splits) -> tuple[float, str]:
    """Bits per character of the last tenth, and two pieces that the model draws."""
    if name in BASELINES:
        return g.text.ngram_bits(s.x_train, s.x_test, len(s.alphabet), BASELINES[name]), ""
    make, steps = MODELS[name]
    model = make().fit(s.x_train, steps=steps, val=s.x_val, progress=False)
    bits = metrics.bits_per_dim(metrics.nats(model, s.x_test), s.x_test[0].numel())
    return bits, "".join(g.text.as_text(model.sample(3, seed=0), s.alphabet)[:3])


def table() -> str:
    """Bits per character, most first."""
    rows = sorted(read_rows(CSV), key=lambda r: -float(r["bits_per_character"]))
    return markdown(
        ["model", "bits per character", "processor seconds"],
        [[r["model"], f"{float(r['bits_per_character']):.2f}", f"{float(r['cpu_s']):.0f}"] for r in rows],
    )


def samples() -> str:
    """What the models write, three pieces each, line by line."""
    parts = [f"{r['model']}:\n\n```text\n{r['sample'].rstrip()}\n```\n" for r in read_rows(CSV) if r["sample"]]
    return "\n".join(parts) or "(not measured yet)\n"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=(*BASELINES, *MODELS), default=(*BASELINES, *MODELS))
    a = parser.parse_args()
    torch.set_num_threads(1)
    s = text()
    done = {r["model"] for r in read_rows(CSV)}
    for name in [name for name in a.models if name not in done]:
        start = time.process_time()
        bits, sample = measure(name, s)
        row = {
            "model": name,
            "seed": 0,
            "steps": MODELS[name][1] if name in MODELS else "",
            "bits_per_character": f"{bits:.4f}",
            "cpu_s": f"{time.process_time() - start:.1f}",
            "sample": sample,
            "machine": machine(),
            "commit": commit(),
            "command": command(),
        }
        append_row(CSV, COLUMNS, row)
        print(row, flush=True)
    print(table())


if __name__ == "__main__":
    main()
