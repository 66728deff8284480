"""Policies in other programs act as they act here."""

import json

import numpy as np
import pytest
import torch

import demos
from gail_suite.commands.cli import main
from gail_suite.learning.policies.export import save_onnx, save_torchscript
from gail_suite.learning.policies.policy import LearnedPolicy


def policy(
    env_id="Hopper-v5", obs_dim=11, act_dim=3, squash=True, discrete=False, decoder=False, mixed=1
) -> LearnedPolicy:
    """A random policy of two layers, of which one observation entry is hidden."""
    rng = np.random.default_rng(0)
    wide = mixed * (act_dim + 2 * decoder)
    shapes = {"hidden.0.weight": (16, obs_dim), "hidden.0.bias": (16,),
              "hidden.1.weight": (8, 16), "hidden.1.bias": (8,),
              "mean.weight": (wide, 8), "mean.bias": (wide,)}  # fmt: skip
    if not discrete:
        shapes |= {"log_std.weight": (wide, 8), "log_std.bias": (wide,)} if squash else {"log_std": (wide,)}
    if mixed > 1:
        shapes |= {"logits.weight": (mixed, 8), "logits.bias": (mixed,)}
    if decoder:
        shapes |= {
            "decoder.0.weight": (8, 2),
            "decoder.0.bias": (8,),
            "decoder.1.weight": (act_dim, 8),
            "decoder.1.bias": (act_dim,),
        }
    tensors = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    tensors |= {"decoder.share": np.array([0.7])} if decoder else {}
    tensors |= {"obs_mean": rng.normal(size=obs_dim), "obs_scale": np.where(np.arange(obs_dim) == 1, 0.0, 0.5)}
    tensors |= {"act_low": np.full(act_dim, 0.0 if discrete else -1.0), "act_high": np.ones(act_dim)}
    meta = {"env_id": env_id, "activation": "tanh" if discrete else "relu", "squash": squash and not discrete}
    return LearnedPolicy(tensors, meta | ({"discrete": True} if discrete else {}))


CASES = [
    {},
    {"squash": False},
    {"decoder": True},
    {"mixed": 3},
    {"env_id": "CartPole-v1", "obs_dim": 4, "act_dim": 2, "discrete": True},
]


@pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_torchscript_and_onnx_act_as_the_policy_does(tmp_path, case) -> None:
    import onnxruntime

    made = policy(**case)
    obs = np.random.default_rng(1).normal(size=(7, made.obs_dim)).astype(np.float32)
    expected, _ = made.predict(obs, deterministic=True)
    expected = expected.argmax(1) if case.get("discrete") else expected
    script = torch.jit.load(str(save_torchscript(made, tmp_path / "p.pt")))
    np.testing.assert_allclose(script(torch.from_numpy(obs)).numpy(), expected, atol=1e-5)
    session = onnxruntime.InferenceSession(
        str(save_onnx(made, tmp_path / "p.onnx")), providers=["CPUExecutionProvider"]
    )
    np.testing.assert_allclose(session.run(["action"], {"obs": obs})[0], expected, atol=1e-5)
    assert session.run(["action"], {"obs": obs[:1]})[0].shape == expected[:1].shape  # any batch


def test_stable_baselines3_chooses_alike(tmp_path) -> None:
    from stable_baselines3 import PPO

    made = policy(**CASES[-1])
    obs = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    theirs, _ = PPO.load(made.save_sb3(tmp_path / "p.zip"), device="cpu").predict(obs, deterministic=True)
    np.testing.assert_array_equal(theirs, made.predict(obs, deterministic=True)[0].argmax(1))


def test_the_command_writes_file_and_card(tmp_path, capsys) -> None:
    folder = policy().save(tmp_path / "policy")
    assert main(["export", str(folder), "--format", "torchscript", "--out", str(tmp_path / "x/p.pt"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    card = (tmp_path / "x/MODEL_CARD.md").read_text()
    assert found["card"] == str(tmp_path / "x/MODEL_CARD.md") and (tmp_path / "x/p.pt").is_file()
    assert "Hopper-v5" in card and "observation, 11 numbers" in card and "not measured: gail-suite eval RUN" in card
    assert demos.MlpPolicy.load(folder).meta["discrete"] is False
