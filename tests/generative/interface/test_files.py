"""Models written by earlier versions still load and answer as they did."""

import json
from pathlib import Path

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
