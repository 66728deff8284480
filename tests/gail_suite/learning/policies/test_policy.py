import numpy as np
import pytest
import torch

import demos
import envs
import gail_suite as gs
from gail_suite.learning.networks import Actor, policy_tensors
from gail_suite.learning.policies.policy import LearnedPolicy, from_sb3, load_policy
from gail_suite.learning.shown.features import Features


def squashed() -> LearnedPolicy:
    torch.manual_seed(0)
    features = Features(np.array([0, 2]), np.array([0.1, -0.2], np.float32), np.array([0.5, 2.0], np.float32))
    mean, scale = features.policy_inputs(3)
    low, high = -np.ones(2), np.ones(2)
    tensors = policy_tensors(Actor(2, 2, (16, 16)), mean, scale, features.columns, low, high)
    return LearnedPolicy(tensors, {"env_id": envs.TOY_ID, "activation": "relu", "squash": True})


def clipped() -> LearnedPolicy:
    tensors = {k: v for k, v in squashed().tensors.items() if not k.startswith("log_std")}
    return LearnedPolicy(
        tensors | {"log_std": np.zeros(2)}, {"env_id": envs.TOY_ID, "activation": "tanh", "squash": False}
    )


@pytest.mark.parametrize("policy, algorithm", [(squashed(), "SAC"), (clipped(), "PPO")])
def test_plain_sb3_loads_the_export_and_acts_alike(policy, algorithm, tmp_path):
    import stable_baselines3

    path = policy.save_sb3(tmp_path / "policy")
    model = getattr(stable_baselines3, algorithm).load(path)
    obs = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    expected = policy.predict(obs, deterministic=True)[0]
    np.testing.assert_allclose(model.predict(obs, deterministic=True)[0], expected, atol=1e-5)
    trusted = from_sb3(path, trust=True)
    np.testing.assert_allclose(trusted.predict(obs, deterministic=True)[0], expected, atol=1e-5)


def test_an_sb3_zip_needs_trust(tmp_path):
    path = squashed().save_sb3(tmp_path / "policy")
    with pytest.raises(ValueError, match="holds pickled data, which can run code when loaded: pass --trust"):
        load_policy(path)


def test_what_is_no_sb3_zip_is_one_clear_line(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"not a zip")
    with pytest.raises(ValueError, match="is not a readable SB3 zip"):
        from_sb3(tmp_path / "x.zip", trust=True)


def test_an_empty_folder_holds_no_policy(tmp_path):
    with pytest.raises(ValueError, match="holds no policy: expected a run directory"):
        load_policy(tmp_path)


@pytest.mark.parametrize("env_id", ["Ant-v5", "Humanoid-v5"])
def test_bundled_experts_export(env_id, tmp_path):
    import stable_baselines3

    expert = demos.expert(env_id)
    model = stable_baselines3.SAC.load(LearnedPolicy(expert.tensors, expert.meta).save_sb3(tmp_path / "e"))
    env = envs.make(env_id)
    obs = np.stack([env.reset(seed=i)[0] for i in range(5)])
    env.close()
    np.testing.assert_allclose(
        model.predict(obs, deterministic=True)[0], expert.predict(obs, deterministic=True)[0], atol=1e-3
    )


def test_a_name_with_a_version_is_kept(toy_demos, tmp_path):
    policy = gs.BC(envs.TOY_ID, toy_demos, gs.BCConfig(steps=2, hidden=(8,))).train(eval_episodes=0).policy
    for name, written in (("ant-v1.0", "ant-v1.0.zip"), ("ant-v1.5", "ant-v1.5.zip"), ("ant.zip", "ant.zip")):
        assert policy.save_sb3(tmp_path / name) == tmp_path / written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ant-v1.0.zip", "ant-v1.5.zip", "ant.zip"]
