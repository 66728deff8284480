"""Cloning of experts who do now one thing and now another: least squares does neither, a mixture does one of them."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

import demos
import envs
import gail_suite as gs
from gail_suite.commands.cli import main
from gail_suite.learning.networks import MixtureActor


class Runner:
    """The toy's expert at 0.8 of its thrust, forwards or backwards."""

    def __init__(self, way: float) -> None:
        self.way = way

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        actions, _ = envs.toy_expert.predict(observation, state, episode_start, deterministic)
        actions[..., 0] = 0.8 * self.way
        return actions, None


TASK = envs.named(envs.TOY_ID, {"max_episode_steps": 8})
CONFIG = {"hidden": (32, 32), "steps": 300, "lr": 3e-3}


@pytest.fixture(scope="module")
def both_ways() -> demos.Demonstrations:
    forwards, backwards = (demos.record(Runner(way), TASK, n_episodes=40, seed=0, n_envs=10) for way in (1.0, -1.0))
    return forwards + backwards


@pytest.fixture(scope="module")
def starts(both_ways) -> np.ndarray:
    """First observations, each seen with either expert: they do not tell which way it is about to go."""
    return np.stack([trajectory.obs[0] for trajectory in both_ways[:40]])


def test_least_squares_averages_two_experts_and_a_mixture_follows_one(both_ways, starts, tmp_path):
    squares = gs.BC(TASK, both_ways, gs.BCConfig(**CONFIG), seed=0).train(eval_episodes=0).policy
    mixture = gs.BC(TASK, both_ways, gs.BCConfig(components=2, **CONFIG), seed=0).train(eval_episodes=0).policy
    chosen = mixture.predict(starts, deterministic=True)[0][:, 0]
    assert np.abs(squares.predict(starts, deterministic=True)[0][:, 0]).max() < 0.7  # what nobody showed
    np.testing.assert_allclose(np.abs(chosen), 0.8, atol=0.05)

    mixture.seed(0)
    drawn = np.concatenate([mixture.predict(starts)[0][:, 0] for _ in range(10)])
    np.testing.assert_allclose(np.abs(drawn), 0.8, atol=0.25)
    assert 0.3 < np.mean(drawn > 0) < 0.7  # both are drawn

    loaded = gs.load_policy(mixture.save(tmp_path / "policy"))
    assert loaded.n_components == 2
    np.testing.assert_array_equal(loaded.predict(starts, deterministic=True)[0][:, 0], chosen)
    with pytest.raises(ValueError, match="a mixture of 2 Gaussians cannot be exported: stable-baselines3's actors"):
        loaded.save_sb3(tmp_path / "policy.zip")


def test_likelihood_is_that_of_torch_distributions():
    torch.manual_seed(0)
    actor = MixtureActor(3, 2, (8,), 4)
    features, actions = torch.randn(50, 3), torch.rand(50, 2) * 2 - 1
    log_weights, mean, log_std = actor.components(features)
    parts = Independent(Normal(mean, log_std.exp()), 1)
    expected = MixtureSameFamily(Categorical(logits=log_weights), parts).log_prob(actions)
    torch.testing.assert_close(actor.log_prob(features, actions), expected)
    chosen = mean[range(50), log_weights.argmax(1)]
    torch.testing.assert_close(actor.mode(features), chosen)


def test_the_policy_acts_as_its_network_did(both_ways, starts):
    trainer = gs.BC(TASK, both_ways, gs.BCConfig(components=3, hidden=(8,), steps=50))
    policy = trainer.train(eval_episodes=0).policy
    features = torch.as_tensor(trainer.shown.features(starts), dtype=torch.float32)
    expected = trainer.loop.actor.mode(features).detach().numpy()
    np.testing.assert_allclose(policy.predict(starts, deterministic=True)[0], expected, atol=1e-5)


def test_the_command_clones_with_a_mixture(both_ways, tmp_path, capsys):
    both_ways.save(tmp_path / "d")
    words = ["--demos", str(tmp_path / "d"), "--out", str(tmp_path / "run"), "--steps", "100", "--eval-episodes", "2"]
    assert main(["train", "bc", *words, "--set", "components=2", "-q"]) == 0
    assert gs.load_policy(tmp_path / "run").n_components == 2
    assert main(["eval", str(tmp_path / "run"), "-n", "2", "-q"]) == 0
    assert main(["export", str(tmp_path / "run"), "--format", "sb3"]) == 1
    assert "choose --format torchscript or onnx" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gs.GAILConfig(bc=gs.BCConfig(components=2)), "GAIL's policy is one Gaussian"),
        (lambda: gs.BCConfig(components=0), "components"),
    ],
)
def test_what_no_mixture_can_begin_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_mixture_without_its_logits_is_refused(both_ways, starts):
    policy = gs.BC(TASK, both_ways, gs.BCConfig(components=2, hidden=(8,), steps=50)).train(eval_episodes=0).policy
    tensors = {name: value for name, value in policy.tensors.items() if name != "logits.bias"}
    with pytest.raises(ValueError, match=r"lacks the tensors logits\.bias"):
        demos.MlpPolicy(tensors, policy.meta)
    with pytest.raises(ValueError, match="a mixture is squashed, not discrete"):
        demos.MlpPolicy(policy.tensors, policy.meta | {"squash": False})
    assert math.isfinite(policy.predict(starts)[0].sum())
