"""Data read batch by batch give the fit that the same data in memory give."""

import os

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import generative as g

X = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0)).round()
Y = torch.arange(60) % 3
MODELS = {
    "vae": lambda: g.VAE(latent=2, hidden=8, k_eval=2, prior_components=2),
    "pixelcnn": lambda: g.PixelCNN(features=4, layers=1),
    "gan": lambda: g.GAN(latent=2, hidden=8),
    "autoencoder": lambda: g.AutoEncoder(latent=2, hidden=8, mixture=2),
}


class Counted(Dataset):
    """Rows with labels, which counts the most that were asked for at once."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return X[i], int(Y[i])


@pytest.mark.parametrize("name", MODELS)
def test_an_epoch_is_the_same_as_in_memory(name: str, tmp_path):
    whole = MODELS[name]().fit(X, steps=4, progress=False)
    np.save(tmp_path / "x.npy", X.numpy())
    memmap = np.load(tmp_path / "x.npy", mmap_mode="r")
    for data in (TensorDataset(X), DataLoader(TensorDataset(X), batch_size=7), memmap):
        rows = MODELS[name]().fit(data, steps=4, progress=False)
        assert torch.equal(rows.sample(5, seed=0), whole.sample(5, seed=0)) and rows.calibration == whole.calibration


@pytest.mark.parametrize("name", ["vae", "gan"])
def test_labels_come_along(name: str):
    whole, rows = (
        MODELS[name]().fit(X, Y, steps=3, progress=False),
        MODELS[name]().fit(Counted(), steps=3, progress=False),
    )
    assert torch.equal(rows.sample(5, seed=0, y=1), whole.sample(5, seed=0, y=1))


class Read(Dataset):
    """Rows, and in their labels whether another process read them."""

    def __init__(self, path) -> None:
        self.path, self.here = path, os.getpid()

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> torch.Tensor:
        with open(self.path, "a") as file:
            file.write("here\n" if os.getpid() == self.here else "there\n")
        return X[i]


def test_the_workers_of_a_loader_read_the_batches_to_come(tmp_path):
    whole = MODELS["vae"]().fit(X, steps=6, progress=False)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    loader = DataLoader(Read(tmp_path / "log"), num_workers=1)
    rows = MODELS["vae"]().fit(loader, steps=6, progress=False)
    assert torch.equal(rows.sample(5, seed=0), whole.sample(5, seed=0)) and torch.equal(torch.get_rng_state(), before)
    assert (tmp_path / "log").read_text().count("there") >= 6 * 54  # nine tenths of the rows, all in one batch
    with pytest.raises(ValueError, match="NaN or infinite"):
        g.AutoEncoder().fit(DataLoader(TensorDataset(X / torch.zeros(1)), num_workers=1), steps=1, progress=False)


class Endless(IterableDataset):
    def __iter__(self):
        yield X[0]


def test_what_cannot_be_read_is_refused():
    for data, message in (
        (Endless(), "Endless has no length"),
        (iter([X]), "a list_iterator can be read once, and a network reads its data many times: give an array"),
        (TensorDataset(2 * X), "images must lie in"),
        (TensorDataset(X / torch.zeros(1)), "NaN or infinite"),
    ):
        with pytest.raises(ValueError, match=message):
            g.AutoEncoder().fit(data, steps=1, progress=False)
    with pytest.raises(ValueError, match="the labels of a TensorDataset come from there"):
        g.AutoEncoder().fit(TensorDataset(X), Y, steps=1, progress=False)
