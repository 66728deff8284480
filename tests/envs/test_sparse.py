import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs


def walk(env, target):
    """Steps straight to a place; the reward of the last one."""
    for _ in range(40):
        obs, reward, *_ = env.step(np.clip((np.array(target) - env.unwrapped.state) / 0.05, -1, 1).astype(np.float32))
    return obs, reward


def test_room_is_a_valid_environment() -> None:
    check_env(envs.make(envs.SPARSE_ID).unwrapped)


def test_the_wall_stands_in_the_way_and_can_be_walked_around() -> None:
    env = envs.make(envs.SPARSE_ID)
    env.reset(seed=0)
    obs, reward = walk(env, (0.1, 0.9))
    assert obs[1] < 0.5 and reward == 0
    env.reset(seed=0)
    for corner in ((0.9, 0.4), (0.9, 0.8)):
        walk(env.unwrapped, corner)
    assert walk(env.unwrapped, (0.1, 0.9))[1] == 1


@pytest.mark.parametrize("seed", range(9))
def test_the_shortest_way_has_as_many_steps_as_is_said(seed: int) -> None:
    env, steps, reward = envs.make(envs.SPARSE_ID), 0, 0.0
    (x, y), _ = env.reset(seed=seed)
    while reward == 0:
        # beside the door, through it, and back above the wall: x alone takes 13 to 15 steps, 1 and 11
        target = (0.29, 0.9) if y >= 0.5 else (0.8, 0.54) if x >= 0.8 else (0.8, 0.49)
        (x, y), reward, *_ = env.step(np.clip((np.array(target) - (x, y)) / 0.05, -1, 1))
        steps += 1
    assert 25 <= steps <= 27


def test_chance_does_not_find_the_goal() -> None:
    venv = envs.make_vec(envs.SPARSE_ID, n_envs=10, seed=0)
    venv.reset()
    rng = np.random.default_rng(0)
    paid = sum(venv.step(rng.uniform(-1, 1, (10, 2)).astype(np.float32))[1].sum() for _ in range(300))
    assert paid == 0


def test_state_of_the_room_goes_back() -> None:
    venv = envs.make_vec(envs.SPARSE_ID, n_envs=2, seed=0)
    venv.reset()
    state = venv.get_state()
    first = venv.step(np.ones((2, 2), np.float32))[0]
    venv.set_state(state)
    np.testing.assert_array_equal(venv.step(np.ones((2, 2), np.float32))[0], first)
