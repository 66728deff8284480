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


def test_the_rows_that_a_loader_leaves_out_are_not_trained_on():
    chosen = torch.arange(0, 60, 2)
    whole = MODELS["autoencoder"]().fit(X[chosen], steps=3, progress=False)
    loader = DataLoader(TensorDataset(X), sampler=torch.utils.data.SubsetRandomSampler(chosen.tolist()))
    rows = MODELS["autoencoder"]().fit(loader, steps=3, progress=False)
    assert torch.equal(rows.sample(5, seed=0), whole.sample(5, seed=0))


@pytest.mark.parametrize(
    "loader",
    [
        lambda d: DataLoader(d, sampler=torch.utils.data.WeightedRandomSampler([1.0] * 60, 60)),
        lambda d: DataLoader(d, sampler=torch.utils.data.RandomSampler(d, num_samples=10)),
        lambda d: DataLoader(d, sampler=torch.utils.data.RandomSampler(range(30))),
        lambda d: DataLoader(d, sampler=torch.utils.data.SequentialSampler(range(30))),
        lambda d: DataLoader(d, batch_sampler=[[0, 1], [2, 3]]),
    ],
)
def test_a_loader_that_draws_in_its_own_way_is_refused(loader):
    with pytest.raises(ValueError, match="cannot follow the loader"):
        MODELS["autoencoder"]().fit(loader(TensorDataset(X)), steps=1, progress=False)


@pytest.mark.parametrize("labels", [Y, torch.randn(60, 3)])
def test_a_memmap_takes_labels_or_context_from_outside(labels, tmp_path):
    np.save(tmp_path / "x.npy", X.numpy())
    memmap = np.load(tmp_path / "x.npy", mmap_mode="r")
    y = labels[0]
    whole, rows, pairs = (
        MODELS["vae"]().fit(*data, steps=3, progress=False)
        for data in ((X, labels), (memmap, labels), (TensorDataset(X, labels),))
    )
    for other in (rows, pairs):
        assert torch.equal(other.sample(5, seed=0, y=y), whole.sample(5, seed=0, y=y))
    assert MODELS["autoencoder"]().fit(memmap, labels, steps=1, progress=False).spec["n_classes"] == 0
    with pytest.raises(ValueError, match="come from there: leave y out"):
        MODELS["vae"]().fit(TensorDataset(X, Y), Y, steps=1, progress=False)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.full((60,), 1.7), "numbers with fractions"),
        (torch.full((60,), -1), "labels must be"),
        (["cat"] * 60, "labels of a Dataset must be numbers"),
    ],
)
def test_labels_of_a_dataset_are_checked_as_those_in_memory(labels, message):
    data = list(zip(X, labels, strict=True))

    class Pairs(Dataset):
        def __len__(self):
            return 60

        def __getitem__(self, i):
            return data[i]

    with pytest.raises(ValueError, match=message):
        MODELS["vae"]().fit(Pairs(), steps=1, progress=False)


def test_a_label_that_was_not_counted_is_named(monkeypatch):
    monkeypatch.setattr("gail_suite.generative.data.rows.LOOKED_AT", 30)
    rare = torch.zeros(60, dtype=torch.int64)
    rare[1] = 2  # every second row is looked at
    with pytest.raises(ValueError, match=r"label 2 is outside the 1 classes .* counted in 30 rows"):
        MODELS["vae"]().fit(TensorDataset(X, rare), steps=9, progress=False)


def test_few_rows_are_all_held_out_and_none_is_an_error(tmp_path):
    whole, rows = (MODELS["vae"]().fit(data, steps=2, progress=False) for data in (X[:10], TensorDataset(X[:10])))
    assert rows.calibration == whole.calibration
    MODELS["vae"]().fit(TensorDataset(X[:10]), steps=2, progress=False, checkpoint=tmp_path / "c")
    with pytest.raises(ValueError, match="holds no sample"):
        MODELS["vae"]().fit(TensorDataset(X[:0]), steps=1, progress=False)


@pytest.mark.parametrize(
    "model", [lambda: g.VQVAE(codes=8, hidden=8, features=4), lambda: g.AutoEncoder(latent=2, hidden=8, mixture=2)]
)
def test_what_is_fitted_after_the_network_sees_all_rows(model, monkeypatch):
    monkeypatch.setattr("gail_suite.generative.data.rows.LOOKED_AT", 60)
    whole = model().fit(X, steps=3, progress=False)
    seen = []
    network = model()
    encode = network._of_all
    network._of_all = lambda function, x: seen.append(len(x)) or encode(function, x)
    monkeypatch.setattr("gail_suite.generative.interface.coded.ENCODED", 7)
    network.fit(TensorDataset(X), steps=3, progress=False)
    assert seen[0] == 54
    torch.testing.assert_close(network.sample(4, seed=0), whole.sample(4, seed=0))


def test_rows_that_statistics_are_read_from_are_read_once():
    """60 for what the data are, 54 for what the network is built from, 6 held out, 3 batches of 8, and a first row
    three times.
    """
    read = []

    class Heard(TensorDataset):
        def __getitem__(self, i):
            read.append(i)
            return super().__getitem__(i)

    g.VAE(latent=2, hidden=8, k_eval=2, batch_size=8).fit(Heard(X), steps=3, progress=False)
    assert len(read) == 60 + 54 + 6 + 3 * 8 + 3


def test_the_loaders_own_collation_is_used():
    def inverted(items: list) -> tuple[torch.Tensor, torch.Tensor]:
        return 1 - torch.stack([x for x, _ in items]), torch.tensor([2 - y for _, y in items])

    whole = MODELS["vae"]().fit(1 - X, 2 - Y, steps=3, progress=False)
    for workers in (0, 1):
        loader = DataLoader(Counted(), batch_size=7, collate_fn=inverted, num_workers=workers)
        rows = MODELS["vae"]().fit(loader, steps=3, progress=False)
        assert torch.equal(rows.sample(5, seed=0), whole.sample(5, seed=0)) and rows.calibration == whole.calibration
    with pytest.raises(ValueError, match=r"collate_fn made a batch of shape \(8, 8\) of 1 items"):
        MODELS["vae"]().fit(DataLoader(Counted(), collate_fn=lambda items: items[0][0][0]), steps=1, progress=False)


def test_items_that_are_batches_are_no_samples():
    with pytest.raises(ValueError, match="batch_size=None makes every item of a DataLoader one"):
        MODELS["vae"]().fit(DataLoader(TensorDataset(X), batch_size=None), steps=1, progress=False)


@pytest.mark.parametrize("values", [np.array([["1", "2"]] * 30), np.full((30, 2), 1 + 2j)])
def test_a_memmap_holds_real_numbers(values, tmp_path):
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(ValueError, match="data must be real numbers"):
        g.VAE(latent=2).fit(np.load(tmp_path / "x.npy", mmap_mode="r"), steps=1, progress=False)


@pytest.mark.parametrize("val", [Counted(), DataLoader(Counted(), batch_size=8)])
def test_held_out_data_may_be_read_too(val):
    given = MODELS["vae"]().fit(X, Y, val=(X, Y), steps=3, progress=False)
    rows = MODELS["vae"]().fit(X, Y, val=val, steps=3, progress=False)
    assert rows.calibration == given.calibration
    flat = TensorDataset(X.flatten(1) + 0.1 * torch.randn(60, 64, generator=torch.Generator().manual_seed(0)))
    mixtures = [g.GaussianMixture(1).fit(flat.tensors[0], val=v) for v in (flat, flat.tensors[0])]
    assert mixtures[0].calibration == mixtures[1].calibration
