"""The MNIST recipes run from IDX files, and go on where they ended."""

import functools
import struct

import numpy as np
import pytest

from benchmarks.mnist_recipes import RECIPES, Run, reproduce
from generative.measuring import metrics


@pytest.mark.parametrize("name", RECIPES)
def test_mnist_recipes_run_from_idx_files(name, tmp_path, monkeypatch):
    """Two steps of each recipe on 120 images of 10x10; the same again goes on from the end and finds the same."""
    monkeypatch.setattr(metrics, "train_features", functools.partial(metrics.train_features, steps=5))
    rng = np.random.default_rng(0)
    for file, shape in (
        ("train-images-idx3", (120, 10, 10)),
        ("train-labels-idx1", (120,)),
        ("t10k-images-idx3", (8, 10, 10)),
        ("t10k-labels-idx1", (8,)),
    ):
        values = rng.integers(0, 256 if "images" in file else 10, shape, dtype=np.uint8)
        head = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *shape)
        (tmp_path / f"{file}-ubyte").write_bytes(head + values.tobytes())
    run = Run(tmp_path, tmp_path / "out", steps=2, progress=False)
    found = reproduce(name, run)
    assert reproduce(name, run).metrics == found.metrics
    assert np.isfinite(list(found.metrics.values())).all() and (run.out / "model.safetensors").is_file()
    assert ("frechet_samples" in found.metrics) == (name in ("autoencoder", "gan", "dcgan"))
    if "test_nats" in found.metrics:
        assert found.metrics["test_bits_per_dim"] == pytest.approx(found.metrics["test_nats"] / (100 * np.log(2)))
