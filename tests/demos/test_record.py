import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Box

import demos
import envs

ROOT = Path(__file__).parents[2]
SLOW_RECORDING = """
import sys, time, demos
def slowly(episode, trajectory):
    print(episode, flush=True)
    time.sleep(0.3)
policy = demos.MlpPolicy.load(sys.argv[1])
demos.record(policy, policy.env_id, 12, seed=5, n_envs=5, deterministic=False, out=sys.argv[2], progress=slowly)
"""


def by_hand(policy, seed):
    """One episode in plain Gymnasium."""
    env = envs.make(envs.TOY_ID)
    obs = [env.reset(seed=seed)[0]]
    acts, rews, terminated, truncated = [], [], False, False
    while not (terminated or truncated):
        acts.append(policy.predict(obs[-1], deterministic=True)[0])
        o, r, terminated, truncated, _ = env.step(acts[-1])
        obs.append(o)
        rews.append(r)
    env.close()
    return demos.Trajectory(obs, acts, rews, terminated, truncated, seed=seed)


def test_episodes_equal_plain_gymnasium(toy_policy, same):
    shown = demos.record(toy_policy, envs.TOY_ID, n_episodes=6, seed=20, n_envs=4)
    same(shown, [by_hand(toy_policy, 20 + j) for j in range(6)])  # the true final observation included
    assert {t.terminated for t in shown} == {True, False}  # both endings occur, and stay apart
    for t in shown:
        assert t.truncated == (len(t) == 100) and t.terminated != t.truncated
        assert t.terminated == (abs(t.obs[-1, 0]) > 1)  # it left the lane: the final observation shows it


@pytest.mark.parametrize("deterministic", [True, False])
def test_result_does_not_depend_on_n_envs(toy_policy, same, deterministic):
    runs = [demos.record(toy_policy, envs.TOY_ID, 7, seed=3, n_envs=n, deterministic=deterministic) for n in (1, 3, 8)]
    same(runs[0], runs[1])
    same(runs[0], runs[2])
    assert len(set(runs[0].lengths.tolist())) > 2  # short and long episodes side by side


def test_stochastic_actions_are_noisy_and_seeded(toy_policy, same):
    noisy, again = (demos.record(toy_policy, envs.TOY_ID, 2, seed=3, deterministic=False) for _ in range(2))
    same(noisy, again)
    assert not np.array_equal(noisy[0].acts[0], demos.record(toy_policy, envs.TOY_ID, 1, seed=3)[0].acts[0])


def test_meta_tells_where_it_comes_from(toy_policy):
    meta = demos.record(toy_policy, envs.TOY_ID, 1, seed=4, deterministic=False).meta
    assert meta["env_id"] == envs.TOY_ID and (meta["obs_dim"], meta["act_dim"]) == (3, 2)
    assert meta["seed"] == 4 and meta["deterministic"] is False
    assert meta["physics_fingerprint"] == envs.physics_fingerprint(envs.TOY_ID)
    assert set(meta["versions"]) == {"python", "machine", "mujoco", "gymnasium", "numpy"}
    other = demos.MlpPolicy({**toy_policy.tensors, "mean.bias": np.ones(2)}, toy_policy.meta)
    assert meta["expert"]["sha256"] != demos.record(other, envs.TOY_ID, 1).meta["expert"]["sha256"]


def test_env_kwargs_reach_the_environment():
    meta = demos.record(envs.toy_expert, envs.TOY_ID, 1).meta
    assert meta["env_kwargs"] == {} and meta["expert"] == {"class": "envs.toy.ToyExpert", "sha256": None}
    narrow = {"include_cfrc_ext_in_observation": False}
    policy = demos.expert("Ant-v5")
    with pytest.raises(ValueError, match=r"observations of shape \(1, 27\) given to a policy for Ant-v5 that reads"):
        demos.record(policy, "Ant-v5", 1, env_kwargs=narrow)


def test_into_a_folder_and_further(tmp_path, toy_policy, same):
    path, seen = tmp_path / "with space é", []
    whole = demos.record(toy_policy, envs.TOY_ID, 9, seed=1, n_envs=4)
    first = demos.record(toy_policy, envs.TOY_ID, 5, seed=1, n_envs=4, out=path, progress=lambda e, t: seen.append(e))
    same(first, whole[:5])
    more = demos.record(toy_policy, envs.TOY_ID, 9, seed=1, n_envs=2, out=path, progress=lambda e, t: seen.append(e))
    same(more, whole)
    assert sorted(seen) == list(range(9))  # finished episodes were kept, not recorded again
    same(demos.load(path), whole)
    assert demos.verify(path).ok
    (path / "episode_00003.safetensors").unlink()
    same(demos.record(toy_policy, envs.TOY_ID, 9, seed=1, n_envs=4, out=path), whole)
    with pytest.raises(ValueError, match="holds demonstrations with seed 1, not 2: choose another folder"):
        demos.record(toy_policy, envs.TOY_ID, 9, seed=2, out=path)
    with pytest.raises(ValueError, match="holds demonstrations with deterministic True, not False"):
        demos.record(toy_policy, envs.TOY_ID, 9, seed=1, deterministic=False, out=path)


def test_an_expert_without_weights_is_not_told_from_another(tmp_path):
    class Steady:
        def __init__(self, action):
            self.action = action

        def predict(self, obs, state=None, episode_start=None, deterministic=False):
            return np.full((len(obs), 2), self.action), state

    demos.record(Steady(0.1), envs.TOY_ID, 2, out=tmp_path / "shown")
    with pytest.warns(UserWarning, match=r"shown holds 2 episodes of .*Steady, which has no weights to compare"):
        shown = demos.record(Steady(0.2), envs.TOY_ID, 3, out=tmp_path / "shown")
    assert [float(t.acts[0, 0]) for t in shown] == pytest.approx([0.1, 0.1, 0.2])


def test_killed_while_recording(tmp_path, toy_policy, same):
    policy, path = toy_policy.save(tmp_path / "policy"), tmp_path / "killed"
    command = [sys.executable, "-c", SLOW_RECORDING, str(policy), str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        finished = [int(process.stdout.readline()) for _ in range(4)]
        time.sleep(0.4)
        os.kill(process.pid, signal.SIGKILL)
        finished += [int(line) for line in process.stdout]
    undisturbed = demos.record(toy_policy, envs.TOY_ID, 12, seed=5, n_envs=5, deterministic=False)
    found = demos.verify(path)
    assert found.ok and set(finished) <= set(found.trajectories) and len(found.trajectories) < 12
    same(demos.load(path), [undisturbed[episode] for episode in found.trajectories])
    resumed = demos.record(toy_policy, envs.TOY_ID, 12, seed=5, n_envs=5, deterministic=False, out=path)
    same(resumed, undisturbed)
    same(demos.load(path, strict=True), undisturbed)


@pytest.mark.parametrize("engine_task", ["Ant-v5", "Humanoid-v5"])
def test_bundled_expert_on_the_batch_engine(engine_task, same):
    policy = demos.expert(engine_task)
    alone = demos.record(policy, engine_task, 1, seed=101)
    same(demos.record(policy, engine_task, 2, seed=100, n_envs=2)[1:], alone)
    assert alone[0].obs.shape[1] == envs.spec(engine_task).obs_dim
    assert alone.returns[0] > 500  # a random policy has -85 (Ant) and 105 (Humanoid)


def test_sb3_policies_record_and_have_an_identity(same):
    from stable_baselines3 import PPO

    model = PPO("MlpPolicy", envs.make_vec(envs.TOY_ID, 1), n_steps=8, batch_size=8, seed=0, device="cpu")
    first, again = (demos.record(model, envs.TOY_ID, 3, n_envs=2, deterministic=False) for _ in range(2))
    same(first, again)
    identity = first.meta["expert"]
    assert identity["class"] == "stable_baselines3.ppo.ppo.PPO" and len(identity["sha256"]) == 64


def test_recording_observations_only(tmp_path, toy_policy):
    seen = demos.record(toy_policy, envs.TOY_ID, 2, out=tmp_path / "seen", actions=False)
    whole = demos.record(toy_policy, envs.TOY_ID, 2)
    assert not seen.has_actions and seen.meta["observations_only"]
    for a, b in zip(seen, whole, strict=True):
        np.testing.assert_array_equal(a.obs, b.obs)
    with pytest.raises(ValueError, match="holds demonstrations with observations_only True, not None"):
        demos.record(toy_policy, envs.TOY_ID, 3, out=tmp_path / "seen")


def test_bad_requests(toy_policy):
    with pytest.raises(ValueError, match="cannot record 0 episodes in 8 environments: ask for at least 1"):
        demos.record(toy_policy, envs.TOY_ID, 0)
    with pytest.raises(ValueError, match="in 0 environments"):
        demos.record(toy_policy, envs.TOY_ID, 1, n_envs=0)
    with pytest.raises(ValueError, match="unknown environment 'Ant-v55': did you mean 'Ant-v5'"):
        demos.record(toy_policy, "Ant-v55", 1)
    with pytest.raises(ValueError, match=r"shape \(1, 105\) given to a policy for gail_suite/PointToy-v0 that reads 3"):
        demos.record(toy_policy, "Ant-v5", 1)


@pytest.mark.parametrize("policy", [lambda obs: np.zeros((len(obs), 2)), None, "ant.zip"])
def test_what_has_no_predict_is_told_what_a_policy_is(policy):
    with pytest.raises(
        ValueError, match=r"a policy is an object with predict\(obs, .*; got a (function|NoneType|str):"
    ):
        demos.record(policy, envs.TOY_ID, n_episodes=1)


def test_actions_alone_are_no_answer():
    class Forgetful:
        def predict(self, obs, state=None, episode_start=None, deterministic=False):
            return np.zeros((len(obs), 2), np.float32)

    # of two environments its two rows would be taken for the actions and the state
    with pytest.raises(ValueError, match="predict of Forgetful gives ndarray: let it give two"):
        demos.record(Forgetful(), envs.TOY_ID, n_episodes=2)


def test_an_agent_of_other_bounds_is_not_recorded():
    class Scaled:
        def __init__(self, high):
            self.action_space = Box(-high, high, (2,), np.float32)

        def predict(self, obs, state=None, episode_start=None, deterministic=False):
            return np.zeros((len(obs), 2), np.float32), None

    class Behind:  # as SB3's agents behind statistics are
        def __init__(self, policy):
            self.policy, self.predict = policy, policy.predict

    assert len(demos.record(Scaled(1.0), envs.TOY_ID, n_episodes=1)) == 1
    for policy in (Scaled(0.4), Behind(Scaled(0.4))):
        with pytest.raises(ValueError, match=r"the policy's actions lie in \[-0.4, 0.4\], those of .* in \[-1, 1\]"):
            demos.record(policy, envs.TOY_ID, n_episodes=1)
    endless = Scaled(1.0)
    endless.action_space = Box(-np.inf, np.inf, (2,), np.float32)  # no bounds say nothing of a scale
    assert len(demos.record(endless, envs.TOY_ID, n_episodes=1)) == 1
