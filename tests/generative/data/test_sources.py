"""Loaders: splits, files of every kind, and the answers to files that are not right."""

import gzip
import re
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from generative.data import sources as data
from generative.latent.vae import VAE
from generative.mixtures.gmm import GaussianMixture


def test_digits_split_is_in_order():
    from sklearn.datasets import load_digits

    raw = load_digits()
    s = data.load("digits")
    assert s.x_train.shape == (1000, 1, 8, 8) and s.x_val.shape == (350, 1, 8, 8) and s.x_test.shape == (447, 1, 8, 8)
    np.testing.assert_allclose(s.x_val[0, 0].numpy() * 16, raw.images[1000])
    x, y = torch.cat([s.x_train, s.x_val, s.x_test]), torch.cat([s.y_train, s.y_val, s.y_test])
    np.testing.assert_array_equal(x[:, 0].numpy() * 16, raw.images)
    np.testing.assert_array_equal(y.numpy(), raw.target)
    assert s.y_test[-1] == raw.target[-1] and float(s.x_train.max()) == 1.0 and s.x_train.dtype == torch.float32


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def mnist_folder(folder, compress: bool):
    rng = np.random.default_rng(0)
    for name, shape in (
        ("train-images-idx3", (24, 5, 4)),
        ("train-labels-idx1", (24,)),
        ("t10k-images-idx3", (6, 5, 4)),
        ("t10k-labels-idx1", (6,)),
    ):
        raw = idx(rng.integers(0, 256 if "images" in name else 10, shape, dtype=np.uint8))
        path = folder / f"{name}-ubyte{'.gz' if compress else ''}"
        path.write_bytes(gzip.compress(raw) if compress else raw)
    return folder


@pytest.mark.parametrize("compress", [False, True])
def test_mnist_from_idx_files(tmp_path, compress, monkeypatch):
    folder = mnist_folder(tmp_path, compress)
    s = data.load("mnist", root=folder)
    assert s.x_train.shape == (22, 1, 5, 4) and s.x_val.shape == (2, 1, 5, 4) and s.x_test.shape == (6, 1, 5, 4)
    assert torch.equal(data.load(folder).x_test, s.x_test)
    monkeypatch.setenv("GENERATIVE_MNIST", str(folder))
    assert torch.equal(data.load("mnist").x_test, s.x_test)


def test_damaged_idx_files_are_named(tmp_path):
    folder = mnist_folder(tmp_path, False)
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match="is damaged: 473 bytes where shape"):
        data.load(folder)
    path.write_bytes(idx(np.zeros((24, 5, 4), np.uint8))[:10])
    with pytest.raises(ValueError, match="is damaged: 0 bytes where shape"):
        data.load(folder)
    path.write_bytes(gzip.compress(idx(np.zeros((24, 5, 4), np.uint8)))[:-9])
    with pytest.raises(ValueError, match="is damaged: Compressed file ended"):
        data.load(folder)
    path.write_bytes(b"PNG?")
    with pytest.raises(ValueError, match="is not an IDX file"):
        data.load(folder)
    with pytest.raises(ValueError, match=r"no MNIST file train-images-idx3-ubyte\(\.gz\) in"):
        data.load("mnist", root=tmp_path / "empty")


def images(folder, mode="L", sizes=((6, 4),) * 12, classes=("a", "b")):
    for i, size in enumerate(sizes):
        sub = folder / classes[i % len(classes)] if classes else folder
        sub.mkdir(parents=True, exist_ok=True)
        Image.new(mode, size, color=20 * i if mode == "L" else (20 * i, 0, 255)).save(sub / f"{i:02d}.png")
    return folder


def test_folder_of_grey_images_stays_grey_and_sub_folders_are_classes(tmp_path):
    x, y = data.image_folder(images(tmp_path))
    assert x.shape == (12, 1, 4, 6) and y.tolist() == [0] * 6 + [1] * 6
    np.testing.assert_allclose(x[1, 0, 0, 0].item(), 40 / 255, rtol=1e-6)
    s = data.load(tmp_path)
    assert len(s.x_train) == 10 and len(s.x_val) == 1 and s.y_train is not None


def test_folder_of_colour_images(tmp_path):
    x, y = data.image_folder(images(tmp_path, "RGB", classes=()))
    assert x.shape == (12, 3, 4, 6) and y is None and float(x[0, 2].min()) == 1.0


def test_grey_images_of_16_bits_are_not_cut_off(tmp_path):
    values = np.array([[0, 255, 256, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    x, _ = data.image_folder(tmp_path)
    np.testing.assert_allclose(x[0, 0].numpy(), values / 65535, rtol=1e-6)
    for array, mode in ((np.array([[0, 70_000]], np.int32), "I"), (np.array([[0.0, 2.5]], np.float32), "F")):
        Image.fromarray(array).save(tmp_path / "a.tif")
        with pytest.raises(
            ValueError, match=rf"a\.tif holds values in \[0, .*\] .* \(mode {mode}\): save it with 8 or 16 bits"
        ):
            data.image_folder(tmp_path)


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(ValueError, match="holds no images"):
        data.load(tmp_path)
    with pytest.raises(ValueError, match=r"mixes 2 image sizes \(4x6, 5x5\)"):
        data.load(images(tmp_path, sizes=((6, 4), (5, 5))))
    with pytest.raises(ValueError, match="no data at 'digts'"):
        data.load("digts")


def test_numpy_files(tmp_path):
    x = np.random.default_rng(0).random((30, 4, 4), dtype=np.float32)
    np.savez(tmp_path / "d.npz", data=x, y=np.arange(30))
    np.save(tmp_path / "d.npy", (x * 255).astype(np.uint8))
    s = data.load(tmp_path / "d.npz")
    assert s.x_train.shape == (24, 1, 4, 4) and sorted(torch.cat([s.y_train, s.y_val, s.y_test]).tolist()) == list(
        range(30)
    )
    assert float(data.load(tmp_path / "d.npy").x_train.max()) <= 1
    np.save(tmp_path / "p.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="cannot be read without pickle"):
        data.load(tmp_path / "p.npy")
    np.savez(tmp_path / "q.npz", pixels=x)
    with pytest.raises(ValueError, match="holds pixels: name the images x"):
        data.load(tmp_path / "q.npz")
    np.savez(tmp_path / "none.npz")
    with pytest.raises(ValueError, match="holds nothing: name the images x"):
        data.load(tmp_path / "none.npz")
    whole = (tmp_path / "d.npz").read_bytes()
    for name, content, message in (
        ("empty.npz", b"", "is no .npz file"),
        ("torn.npz", whole[:200], "is no .npz file"),
        ("text.npz", b"not a zip", "is no .npz file"),
        ("empty.npy", b"", "is damaged"),
        ("crc.npz", whole[:300] + b"!!!" + whole[303:], "is damaged: Bad CRC-32"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} {message}"):
            data.load(tmp_path / name)
    for shape in ((0, 3), (3, 0), (4, 1, 0, 8)):
        np.savez(tmp_path / "rows.npz", x=np.zeros(shape))
        with pytest.raises(ValueError, match=re.escape(f"N >= 1 and no empty side, got shape {shape}")):
            data.load(tmp_path / "rows.npz")


def test_arrays_are_checked():
    s = data.load(np.zeros((20, 3), dtype=np.float32), np.zeros(20))
    assert s.x_train.shape == (16, 3)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got \[0, 2\]"):
        data.load(np.array([0.0, 2.0]).reshape(2, 1, 1))
    for most in (1, 16):
        with pytest.raises(
            ValueError, match=f"uint8 images must lie in 0..255, but the largest value is {most}: divide"
        ):
            data.load(np.arange(16, dtype=np.uint8).reshape(1, 4, 4) % 2 * most)
    assert float(data.as_images(np.full((1, 2, 2), 17, np.uint8)).max()) == pytest.approx(17 / 255)
    with pytest.raises(ValueError, match="looks like"):
        data.load(np.zeros((5, 8, 8, 3)))
    with pytest.raises(ValueError, match=r"labels must be 20 integers"):
        data.load(np.zeros((20, 3)), np.zeros(19))


def test_binarize_draws_with_the_grey_value_as_probability():
    x = torch.full((1, 1, 200, 200), 0.3)
    fixed = data.binarize(x)
    assert torch.equal(fixed, data.binarize(x)) and float(fixed.mean()) == pytest.approx(0.3, abs=0.01)
    assert not torch.equal(data.binarize(x, "dynamic"), data.binarize(x, "dynamic"))
    assert torch.equal(data.binarize(x, "dynamic", 4), data.binarize(x, "dynamic", 4))
    assert float(data.binarize(x, "threshold").max()) == 0
    with pytest.raises(ValueError, match="none of fixed, dynamic, threshold"):
        data.binarize(x, "hard")


def png(path, size=(4, 3), mode="L", value=100, **options):
    Image.new(mode, size, value).save(path, **options)
    return path


def test_a_corrupt_image_is_named(tmp_path):
    png(tmp_path / "a.png")
    whole = png(tmp_path / "b.png", (64, 64)).read_bytes()
    for broken in (whole[: len(whole) // 2], whole[:40] + b"????" + whole[44:], b"no image at all"):
        (tmp_path / "b.png").write_bytes(broken)
        with pytest.raises(ValueError, match=r"b\.png cannot be read as an image"):
            data.load(tmp_path)


def test_images_stand_as_their_orientation_says(tmp_path):
    """Orientation 6: the first row of the file is the right-hand column of the picture."""
    picture = Image.fromarray(np.array([[0, 0, 0], [255, 255, 255]], np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.png", exif=exif)
    x, _ = data.image_folder(tmp_path)
    assert x.tolist() == [[[[1, 0], [1, 0], [1, 0]]]]


def test_transparent_images_are_laid_on_white_with_a_warning(tmp_path):
    """Half of 100 and half of the white beneath it: (100 + 255) / 2 = 177.5, which 8 bits hold as 177 or 178."""
    png(tmp_path / "a.png", mode="RGBA", value=(100, 100, 100, 128))
    png(tmp_path / "b.png", mode="RGBA", value=(100, 100, 100, 255))
    with pytest.warns(UserWarning, match="1 images in .* are partly transparent: they are laid on white"):
        x, _ = data.image_folder(tmp_path)
    assert x[0].unique().item() * 255 == pytest.approx(177.5, abs=1) and x[1].unique().item() * 255 == pytest.approx(
        100
    )


@pytest.mark.parametrize(
    ("y", "message"),
    [(np.array(["a"] * 20), "of <U1"), (np.arange(20) * 0.5, "fractions"), (np.full(20, -1), "from -1")],
)
def test_labels_are_checked_where_they_are_read(y, message, tmp_path):
    x = np.random.default_rng(0).random((20, 3))
    np.savez(tmp_path / "s.npz", x=x, y=y)
    for call in (lambda: data.load(x, y), lambda: data.load(tmp_path / "s.npz")):
        with pytest.raises(ValueError, match=message):
            call()


def test_what_is_no_number_and_labels_that_nothing_reads_are_refused():
    with pytest.raises(ValueError, match="data must be real numbers, got values of type <U1"):
        data.load(np.array([["a", "b"]] * 9))
    with pytest.raises(ValueError, match="the labels of 'digits' come from there: leave y out"):
        data.load("digits", y=np.zeros(1797))
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        data.binarize(np.random.default_rng(0).normal(size=(9, 4)))


def test_a_file_of_another_kind_is_not_said_to_be_missing(tmp_path):
    (tmp_path / "x.csv").write_text("1,2")
    with pytest.raises(ValueError, match=r"x.csv is of a kind that is not read: give digits"):
        data.load(tmp_path / "x.csv")
    with pytest.raises(ValueError, match=r"no data at '.*y.csv': give digits"):
        data.load(tmp_path / "y.csv")


def test_rows_with_gaps_are_read_and_a_mixture_is_fitted_to_them(tmp_path):
    rows = np.random.default_rng(0).normal(size=(60, 3))
    rows[4, 1] = np.nan
    np.save(tmp_path / "x.npy", rows)
    splits = data.load(tmp_path / "x.npy")
    assert sum(int(part.isnan().sum()) for part in (splits.x_train, splits.x_val, splits.x_test)) == 1
    assert GaussianMixture(1).fit(splits.x_train).log_prob(splits.x_train).isfinite().all()
    with pytest.raises(ValueError, match="NaN or infinite"):
        VAE(steps=1).fit(torch.as_tensor(rows, dtype=torch.float32))
    rows[0, 0] = np.inf
    with pytest.raises(ValueError, match="1 values that are NaN or infinite"):
        data.as_images(rows)
    with pytest.raises(ValueError, match="1 values that are NaN or infinite"):
        data.as_images(np.full((1, 1, 1), np.nan))
