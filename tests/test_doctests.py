"""Examples in docstrings are run: they are the shortest tutorial."""

import doctest
import importlib

import pytest

MODULES = (
    "demos.record",
    "demos.trajectory",
    "envs.make",
    "envs.specs",
    "gail_suite.algorithms.bc",
    "gail_suite.learning.rewards.of_logits",
    "gail_suite.priors.prior",
    "gail_suite.showing.evaluation",
    "gail_suite.showing.stats",
    "generative.mixtures.gmm",
    "generative.using.tasks",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted and not result.failed
