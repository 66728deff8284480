"""Tasks of one's own that do not keep to Gymnasium's interface."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import envs


class Task(gym.Env[Any, Any]):
    """A point that stands still."""

    observation_space = gym.spaces.Box(-1, 1, (3,), np.float64)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(3), {}

    def step(self, action: np.ndarray) -> Any:
        return np.zeros(3), 0.0, False, False, {}


class OldReset(Task):
    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return np.zeros(3)


class OldStep(Task):
    def step(self, action: np.ndarray) -> Any:
        return np.zeros(3), 0.0, False, {}


class NoSeed(Task):
    def reset(self) -> Any:  # type: ignore[override]
        return np.zeros(3), {}


class TwoRewards(Task):
    def step(self, action: np.ndarray) -> Any:
        return np.zeros(3), np.zeros(2), False, False, {}


class Wider(Task):
    def step(self, action: np.ndarray) -> Any:
        return np.zeros(4), 0.0, False, False, {}


class NoDict(Task):
    def step(self, action: np.ndarray) -> Any:
        return np.zeros(3), 0.0, False, False, None


class Broken(Task):
    def step(self, action: np.ndarray) -> Any:
        raise ValueError("the motor is off")


def registered(kind: type[Task]) -> str:
    name = f"{kind.__name__}Answers-v0"
    if name not in gym.registry:
        gym.register(name, entry_point=kind, max_episode_steps=9)  # type: ignore[arg-type]
    return name


@pytest.mark.filterwarnings("ignore:.*(returned by|not within|not a tuple|Casting):UserWarning")
@pytest.mark.filterwarnings("ignore:.*(old step API|passed `options`|passed a `seed`):DeprecationWarning")
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (OldReset, r"too many values to unpack \(expected 2"),
        (OldStep, r"not enough values to unpack \(expected 5, got 4\)"),
        (NoSeed, "unexpected keyword argument 'seed'"),
        (TwoRewards, "setting an array element with a sequence"),
        (Wider, r"could not broadcast input array from shape \(4,\) into shape \(3,\)"),
        (NoDict, "must be a python dictionary"),
    ],
)
def test_another_form_of_answers_is_said_with_the_class(kind: type[Task], message: str) -> None:
    venv = envs.make_vec(registered(kind), n_envs=2)
    with pytest.raises(ValueError, match=f"^{kind.__name__} does not answer as Gymnasium asks .*{message}.* as reward"):
        _first_step(venv)


def test_the_fingerprint_says_it_too() -> None:
    with pytest.raises(ValueError, match=r"^OldStep does not answer as Gymnasium asks"):
        envs.physics_fingerprint(registered(OldStep))


def test_what_a_task_says_itself_stays_as_it_is() -> None:
    venv = envs.make_vec(registered(Broken), n_envs=2)
    with pytest.raises(ValueError, match=r"^the motor is off$"):
        _first_step(venv)


def _first_step(venv: envs.GymVecEnv) -> None:
    venv.reset()
    venv.step(np.zeros((2, 1), np.float32))
