"""The models that ship with the package."""

import numpy as np
import pytest

import generative as g
from generative.using.library import FOLDER, names


def test_each_draws_digits_and_is_small() -> None:
    kinds = ["mixture", "bayesian-mixture", "autoencoder", "vae", "vqvae", "gan", "dcgan", "pixelcnn", "pixelrnn"]
    assert set(names()) == {f"{kind}-digits" for kind in kinds}
    real = g.data.load("digits").x_test
    for name in names():
        assert (FOLDER / f"{name}.safetensors").stat().st_size < 300_000
        model = g.pretrained(name)
        drawn = np.asarray(model.sample(50, seed=0).reshape(50, -1))
        assert drawn.shape[1] == 64 and np.isfinite(drawn).all()
        # ink where digits have ink: the mean picture is like the mean digit
        assert np.corrcoef(drawn.mean(0), real.reshape(len(real), -1).mean(0))[0, 1] > 0.9


def test_another_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'vae-digits'"):
        g.pretrained("vea-digits")
    with pytest.raises(ValueError, match="did you mean 'mixture-digits'"):
        g.pretrained("MIXTURE-DIGITS")
