"""Models written by earlier versions still load and answer as they did."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import generative as g

OLD = Path(__file__).parents[2] / "fixtures/a17ba61/models"
EXPECTED = json.loads((OLD / "expected.json").read_text())


@pytest.mark.parametrize("name", EXPECTED)
def test_a_model_of_a17ba61_loads_and_answers_as_it_did(name):
    x = g.data.load("digits").x_test[:8]
    with pytest.warns(UserWarning, match="carries no SHA-256") as told:
        model = g.load(OLD / f"{name}.safetensors")
    assert len(told) == 1
    x = x.flatten(1)[:, 20:28] if len(model.spec["event_shape"]) == 1 else x
    expected = EXPECTED[name]
    found = {"score": model.typicality(x), "error": model.error(x)}  # what is typicality now was called score
    if "log_prob" in expected:
        found["log_prob"] = model.log_prob(x)
    for quantity, values in found.items():
        torch.testing.assert_close(values.double(), torch.tensor(expected[quantity]).double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        lambda: g.AutoEncoder(latent=2, hidden=4, patience=10**6, eval_every=10**6, warmup=10**6),
        lambda: g.GaussianMixture(2, verbose_interval=10**6),
        lambda: g.GaussianMixture(2, means_init=[np.zeros(3), torch.ones(3)]),
        lambda: g.GaussianMixture(2, means_init=(np.zeros(3), np.ones(3))),
    ],
)
def test_what_can_be_fitted_can_be_saved_and_loaded(model, tmp_path):
    x = torch.rand(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fitted = model().fit(x, steps=2, progress=False)
    again = g.load(fitted.save(tmp_path / "m.safetensors"))
    assert torch.equal(again.error(x), fitted.error(x))


def conditional() -> tuple[g.VAE, torch.Tensor, torch.Tensor]:
    x = torch.rand(40, 3, generator=torch.Generator().manual_seed(0))
    y = torch.arange(40) % 2
    return g.VAE(latent=2, hidden=4, k_eval=2).fit(x, y, val=(x, y), steps=2, progress=False), x, y


def test_a_file_of_before_contexts_is_fitted_further(tmp_path):
    model, x, y = conditional()
    del model.spec["context"]
    again = g.load(model.save(tmp_path / "m.safetensors"))
    assert again.spec["context"] == 0
    again.fit(x, y, val=(x, y), steps=2, progress=False, fine_tune=True)
    assert again.calibration_without_labels is not None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("context", "four", r"spec is damaged \(Expected `int`, got `str` - at `\$.context`\)"),
        ("context", -1, r"spec is damaged \(Expected `int` >= 0 - at `\$.context`\)"),
        ("context", 10**8, "setting context is 100,000,000, more than the tensors of the file allow"),
        ("n_classes", 10**8, "setting n_classes is 100,000,000, more than the tensors of the file allow"),
    ],
)
def test_sizes_that_a_fit_inferred_are_checked(name, value, message, tmp_path):
    model, _, _ = conditional()
    model.spec[name] = value
    with pytest.raises(ValueError, match=message):
        g.load(model.save(tmp_path / "m.safetensors"))
