"""Names that may be misspelled."""

import pytest

from demos.names import hint, known


def test_the_nearest_name_is_told_whatever_its_case() -> None:
    assert hint("vea", ("PixelCNN", "VAE")) == "did you mean 'VAE'?"
    assert hint("qqq", ("PixelCNN", "VAE")) == "known are PixelCNN, VAE"
    assert hint("qqq", ("PixelCNN", "VAE"), "make one") == "make one"


def test_a_known_name_is_given_back() -> None:
    assert known("model", "vae", ("VAE",), any_case=True) == known("model", "VAE", ("VAE",)) == "VAE"
    with pytest.raises(ValueError, match="unknown model 'vae': did you mean 'VAE'"):
        known("model", "vae", ("VAE",))
