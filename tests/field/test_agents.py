"""Agents of other people: stable-baselines3's zips as what they are, with the statistics they were trained behind."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch

from gail_suite import demos
from gail_suite.commands.cli import main
from gail_suite.demos.provenance import identity
from gail_suite.learning.policies.agents import Normalised, beside, from_sb3

sb3 = pytest.importorskip("stable_baselines3")
contrib = pytest.importorskip("sb3_contrib")
VecNormalize = sb3.common.vec_env.VecNormalize
DummyVecEnv = sb3.common.vec_env.DummyVecEnv


class OwnPolicy(sb3.sac.policies.SACPolicy):
    """A policy class of one's own."""


ALGORITHMS = {
    "PPO": (sb3.PPO, {"n_steps": 8, "batch_size": 8}),
    "A2C": (sb3.A2C, {}),
    "SAC": (sb3.SAC, {"buffer_size": 10}),
    "TD3": (sb3.TD3, {"buffer_size": 10}),
    "TQC": (contrib.TQC, {"buffer_size": 10}),
    "CrossQ": (contrib.CrossQ, {"buffer_size": 10}),
    "TRPO": (contrib.TRPO, {"n_steps": 8, "batch_size": 8}),
    "ARS": (contrib.ARS, {}),
    "RecurrentPPO": (contrib.RecurrentPPO, {"n_steps": 8, "batch_size": 8}),
    "DQN": (sb3.DQN, {"buffer_size": 10}),
    "QRDQN": (contrib.QRDQN, {"buffer_size": 10}),
}


@pytest.mark.case(
    "agents",
    "PPO, A2C, SAC, TD3, TQC, CrossQ, TRPO, ARS, RecurrentPPO, DQN, QRDQN zips (--trust)",
    "loaded as what they are",
)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_is_loaded_as_what_it_is(tmp_path, name):
    kind, options = ALGORITHMS[name]
    policy = "MlpLstmPolicy" if name == "RecurrentPPO" else "MlpPolicy"
    task, row = ("CartPole-v1", [0.5, 0.5, 0.1, 0.1]) if "DQN" in name else ("Pendulum-v1", [0.5, 0.5, 0.1])
    model = kind(policy, task, device="cpu", seed=0, **options)
    model.save(tmp_path / "agent.zip")
    loaded = from_sb3(tmp_path / "agent.zip", trust=True)
    assert type(loaded) is kind
    obs = np.array([row], np.float32)
    np.testing.assert_array_equal(loaded.predict(obs, deterministic=True)[0], model.predict(obs, deterministic=True)[0])


@pytest.mark.case(
    "agents", "A zip with a policy class of one's own", "loaded by its algorithm, whatever the class is called"
)
def test_an_own_policy_class(tmp_path):
    model = sb3.SAC(OwnPolicy, "Pendulum-v1", buffer_size=10, device="cpu", seed=0)
    model.save(tmp_path / "own.zip")
    loaded = from_sb3(tmp_path / "own.zip", trust=True)
    assert type(loaded) is sb3.SAC and type(loaded.policy).__name__ == "OwnPolicy"


class Reaching(gym.Env):
    """A point that is told, in parts, where it is and where to go."""

    def __init__(self):
        box = gym.spaces.Box(-np.inf, np.inf, (2,), np.float64)
        self.observation_space = gym.spaces.Dict(observation=box, achieved_goal=box, desired_goal=box)
        self.action_space = gym.spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.goal = self.np_random.uniform(-1, 1, (2, 2))
        return self._look(), {}

    def step(self, action):
        self.x = self.x + 0.1 * action
        return self._look(), float(self.compute_reward(self.x, self.goal, {})), False, False, {}

    def compute_reward(self, achieved, desired, info):
        return -np.linalg.norm(achieved - desired, axis=-1)

    def _look(self):
        return {"observation": 2 * self.x, "achieved_goal": self.x.copy(), "desired_goal": self.goal.copy()}


gym.register("Reaching-v0", entry_point=Reaching, max_episode_steps=10)


@pytest.mark.case(
    "agents", "A zip that reads a Dict of observations, trained by hindsight too", "acts as it was trained"
)
def test_an_agent_that_reads_parts(tmp_path):
    replay = {"replay_buffer_class": sb3.HerReplayBuffer, "replay_buffer_kwargs": {"n_sampled_goal": 2}}
    options = {"buffer_size": 100, "policy_kwargs": {"net_arch": [8]}, **replay}
    model = sb3.SAC("MultiInputPolicy", gym.make("Reaching-v0"), device="cpu", seed=0, **options)
    model.save(tmp_path / "her.zip")
    policy = from_sb3(tmp_path / "her.zip", trust=True)
    (shown,) = demos.record(policy, "Reaching-v0", 1)
    env = gym.make("Reaching-v0")
    obs, _ = env.reset(seed=0)
    for action in shown.acts:
        np.testing.assert_allclose(action, model.predict(obs, deterministic=True)[0], atol=1e-6)
        obs, *_ = env.step(action)
    assert identity(policy)["sha256"]
    with pytest.raises(ValueError, match="reads observation, achieved_goal, desired_goal as 6 numbers"):
        demos.record(policy, "Pendulum-v1", 1)


class Fields(gym.Env):
    """Fields in a row, told as a number or as two digits; every step leads on."""

    def __init__(self, digits=False):
        self.digits = digits
        self.observation_space = gym.spaces.MultiDiscrete([2, 3]) if digits else gym.spaces.Discrete(6)
        self.action_space = gym.spaces.Discrete(6)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.field = int(self.np_random.integers(6))
        return self._look(), {}

    def step(self, action):
        self.field = (self.field + 1) % 6
        return self._look(), 0.0, False, False, {}

    def _look(self):
        return np.array(divmod(self.field, 3)) if self.digits else self.field


gym.register("Fields-v0", entry_point=Fields, max_episode_steps=9)


@pytest.mark.case("agents", "A DQN zip that reads a number (FrozenLake, Taxi) or several", "acts as it was trained")
@pytest.mark.parametrize("digits", [False, True])
def test_an_agent_that_reads_numbers(tmp_path, digits):
    model = sb3.DQN("MlpPolicy", gym.make("Fields-v0", digits=digits), buffer_size=10, device="cpu", seed=0)
    with torch.no_grad():
        model.q_net.q_net[-1].weight.mul_(100)  # so that the choice depends on the field
    model.save(tmp_path / "dqn.zip")
    (shown,) = demos.record(from_sb3(tmp_path / "dqn.zip", trust=True), "Fields-v0", 1, env_kwargs={"digits": digits})
    env = gym.make("Fields-v0", digits=digits)
    obs, _ = env.reset(seed=0)
    wanted = []
    for _ in shown.acts:
        wanted.append(int(model.predict(obs, deterministic=True)[0]))
        obs, *_ = env.step(wanted[-1])
    assert shown.acts.argmax(1).tolist() == wanted and len(set(wanted)) > 1
    with pytest.raises(ValueError, match="use the environment it was trained in"):
        demos.record(from_sb3(tmp_path / "dqn.zip", trust=True), "Pendulum-v1", 1)


def test_statistics_of_parts_are_refused(tmp_path):
    env = VecNormalize(DummyVecEnv([lambda: gym.make("Reaching-v0")]))
    sb3.PPO("MultiInputPolicy", env, n_steps=8, batch_size=8, device="cpu").save(tmp_path / "a.zip")
    env.save(tmp_path / "stats.pkl")
    with pytest.raises(ValueError, match=r"stats\.pkl normalises the parts of a Dict one by one"):
        from_sb3(tmp_path / "a.zip", trust=True, vecnormalize=tmp_path / "stats.pkl")


@pytest.fixture
def normalised(tmp_path):
    """An agent that reads normalised observations: it balances InvertedPendulum-v5 with its statistics, and not
    without.
    """
    env = VecNormalize(DummyVecEnv([lambda: gym.make("InvertedPendulum-v5")]), norm_reward=False)
    model = sb3.PPO("MlpPolicy", env, n_steps=8, batch_size=8, device="cpu", policy_kwargs={"net_arch": []}, seed=0)
    model.learn(8)
    # deviations of a thousandth of the real ones' scale: what the linear law reads is a thousand times larger than the
    # raw angle
    env.obs_rms.mean, env.obs_rms.var = np.zeros(4), np.array([1.0, 1e-2, 1.0, 1.0])
    env.clip_obs = 1e6
    with torch.no_grad():
        model.policy.action_net.weight.copy_(torch.tensor([[0.1, 2.0, 0.2, 2.0]]))
        model.policy.action_net.bias.zero_()
    return model, env, tmp_path


def returns(policy):
    return demos.record(policy, "InvertedPendulum-v5", n_episodes=2, seed=0).returns


@pytest.mark.case(
    "agents",
    "A PPO zip of rl-zoo3 with vecnormalize.pkl, in both layouts, or by --vecnormalize",
    "normalised: 1000 on InvertedPendulum-v5",
)
@pytest.mark.parametrize(
    ("agent", "statistics"),
    [
        ("InvertedPendulum-v5.zip", "InvertedPendulum-v5/vecnormalize.pkl"),
        ("InvertedPendulum-v5_1/best_model.zip", "InvertedPendulum-v5_1/InvertedPendulum-v5/vecnormalize.pkl"),
        ("ppo.zip", "vecnormalize.pkl"),
        ("ppo-hub.zip", "vec_normalize.pkl"),
        ("rl_model_800_steps.zip", "rl_model_vecnormalize_800_steps.pkl"),
    ],
)
def test_statistics_beside_a_zip_are_used(normalised, agent, statistics):
    model, env, folder = normalised
    (folder / statistics).parent.mkdir(exist_ok=True, parents=True)
    model.save(folder / agent)
    env.save(str(folder / statistics))
    assert beside(folder / agent) == folder / statistics
    policy = from_sb3(folder / agent, trust=True)
    assert isinstance(policy, Normalised)
    assert returns(policy).tolist() == [1000.0, 1000.0]


@pytest.mark.case(
    "agents",
    "A zip of PPO, A2C or TRPO that was trained behind VecNormalize, without its statistics",
    "warned about; --vecnormalize FILE gives them",
)
def test_missing_statistics_are_warned_about(normalised):
    model, env, folder = normalised
    model.save(folder / "alone.zip")
    with pytest.warns(UserWarning, match="was trained behind a VecNormalize, and its statistics are not beside it"):
        bare = from_sb3(folder / "alone.zip", trust=True)
    assert returns(bare).max() < 1000
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere/inner").mkdir()
    env.save(str(folder / "elsewhere/inner/stats.pkl"))
    policy = from_sb3(folder / "alone.zip", trust=True, vecnormalize=folder / "elsewhere/inner/stats.pkl")
    assert returns(policy).tolist() == [1000.0, 1000.0]


def test_an_agent_without_a_vecnormalize_is_not_warned_about(tmp_path):
    sb3.PPO("MlpPolicy", "Pendulum-v1", n_steps=8, batch_size=8, device="cpu").learn(8).save(tmp_path / "plain.zip")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_sb3(tmp_path / "plain.zip", trust=True)


def test_statistics_of_other_observations_are_refused(normalised, tmp_path):
    _, env, folder = normalised
    sb3.PPO("MlpPolicy", "Pendulum-v1", n_steps=8, batch_size=8, device="cpu").save(folder / "p.zip")
    env.save(str(folder / "vecnormalize.pkl"))
    with pytest.raises(ValueError, match=r"normalises observations of shape \(4,\), .* reads \(3,\)"):
        from_sb3(folder / "p.zip", trust=True, vecnormalize=folder / "vecnormalize.pkl")
    (folder / "vecnormalize.pkl").write_bytes(b"no pickle")
    with pytest.raises(ValueError, match="holds no statistics of a VecNormalize"):
        from_sb3(folder / "p.zip", trust=True, vecnormalize=folder / "vecnormalize.pkl")
    with pytest.raises(ValueError, match="pass --trust"):
        from_sb3(folder / "p.zip")


@pytest.mark.case(
    "refused", "A zip as the policy that `expert train` goes on from", "with the way round, by cloning it"
)
def test_an_expert_does_not_go_on_from_a_zip(tmp_path, capsys):
    (tmp_path / "agent.zip").write_bytes(b"PK")
    words = ["expert", "train", "--env", "Pendulum-v1", "--warm-start", str(tmp_path / "agent.zip"), "--steps", "10"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 1
    assert "goes on from the folder of a policy: record it with gail-suite record, clone it" in capsys.readouterr().err


def test_the_next_command_trusts_what_this_one_did(normalised, capsys):
    model, env, folder = normalised
    model.save(folder / "agent.zip")
    env.save(str(folder / "statistics.pkl"))
    words = [str(folder / "agent.zip"), "--env", "InvertedPendulum-v5", "--trust"]
    assert main(["eval", *words, "--vecnormalize", str(folder / "statistics.pkl"), "-n", "1"]) == 0
    told = capsys.readouterr().out
    assert "return 1000" in told and f"--trust --vecnormalize {folder / 'statistics.pkl'} --out video.mp4" in told


@pytest.mark.case(
    "agents", "A zip that was trained without VecNormalize, and another's statistics near it", "left alone, and warned"
)
def test_statistics_of_another_model_are_left_alone(normalised):
    _, env, folder = normalised
    model = sb3.PPO("MlpPolicy", "InvertedPendulum-v5", n_steps=8, batch_size=8, device="cpu").learn(8)
    model.save(folder / "plain.zip")
    env.save(str(folder / "vecnormalize.pkl"))
    with pytest.warns(UserWarning, match="was not trained behind a VecNormalize: it is not used"):
        assert not isinstance(from_sb3(folder / "plain.zip", trust=True), Normalised)


OFF_POLICY = {
    "SAC": (sb3.SAC, "Pendulum-v1"),
    "TD3": (sb3.TD3, "Pendulum-v1"),
    "DDPG": (sb3.DDPG, "Pendulum-v1"),
    "TQC": (contrib.TQC, "Pendulum-v1"),
    "DQN": (sb3.DQN, "CartPole-v1"),
    "HER": (sb3.SAC, "Reaching-v0"),
}


def trained(name, behind, folder):
    """A zip of an off-policy agent after some steps, and its VecNormalize where it is `behind` one."""
    kind, task = OFF_POLICY[name]
    env = DummyVecEnv([lambda: gym.make(task)])
    env = VecNormalize(env, gamma=0.9) if behind else env
    policy = "MultiInputPolicy" if name == "HER" else "MlpPolicy"
    kind(policy, env, buffer_size=100, learning_starts=100, device="cpu", seed=0).learn(60).save(folder / "agent.zip")
    return env


@pytest.mark.case(
    "agents", "A zip of SAC, TD3, DDPG, TQC or DQN near the statistics of another model", "left alone, and warned"
)
@pytest.mark.parametrize("name", OFF_POLICY)
def test_statistics_near_a_plain_off_policy_zip_are_left_alone(tmp_path, name):
    trained(name, False, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_sb3(tmp_path / "agent.zip", trust=True)  # without any near it, nothing is claimed
    other = VecNormalize(DummyVecEnv([lambda: gym.make(OFF_POLICY[name][1])]))
    for rms in other.obs_rms.values() if isinstance(other.obs_rms, dict) else [other.obs_rms]:
        rms.mean, rms.var = rms.mean + 3, rms.var * 0.01
    other.save(str(tmp_path / "vecnormalize.pkl"))
    with pytest.warns(UserWarning, match=r"saw other observations than these statistics make, by \S+ standard dev"):
        assert not isinstance(from_sb3(tmp_path / "agent.zip", trust=True), Normalised)
    narrow = VecNormalize(DummyVecEnv([lambda: gym.make("InvertedPendulum-v5")]))
    narrow.obs_rms.mean = np.zeros(7)
    narrow.save(str(tmp_path / "vecnormalize.pkl"))
    with pytest.warns(UserWarning, match="saw other observations than these statistics make, by inf"):
        from_sb3(tmp_path / "agent.zip", trust=True)


@pytest.mark.case("agents", "A zip of SAC, TD3, DDPG, TQC or DQN beside its own statistics", "normalised")
@pytest.mark.parametrize("name", [name for name in OFF_POLICY if name != "HER"])
def test_an_off_policy_zip_beside_its_own_statistics(tmp_path, name):
    trained(name, True, tmp_path).save(str(tmp_path / "vecnormalize.pkl"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(from_sb3(tmp_path / "agent.zip", trust=True), Normalised)


def test_the_folder_of_another_model_is_left_alone(normalised):
    model, env, folder = normalised
    model.save(folder / "agent.zip")
    (folder / "zoo").mkdir()
    env.save(str(folder / "zoo/vecnormalize.pkl"))
    assert beside(folder / "agent.zip") is None


def test_experts_behind_statistics_are_told_apart(normalised):
    model, env, folder = normalised
    env.save(str(folder / "vecnormalize.pkl"))
    found = []
    for weight in (0.0, 0.0, 1.0):
        with torch.no_grad():
            model.policy.action_net.bias.fill_(weight)
        model.save(folder / "agent.zip")
        found.append(identity(from_sb3(folder / "agent.zip", trust=True))["sha256"])
    env.obs_rms.mean = env.obs_rms.mean + 1
    env.save(str(folder / "vecnormalize.pkl"))
    found.append(identity(from_sb3(folder / "agent.zip", trust=True))["sha256"])
    assert found[0] is not None and found[0] == found[1] and len(set(found)) == 3
