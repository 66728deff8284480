"""Dict observations and discrete actions become rows of numbers, and what cannot is refused with the reason."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

import envs
from gail_suite.envs.flat import OneHotActions, as_rows, one_hot


class Strange(gym.Env):
    """A task of any spaces."""

    def __init__(self, observation: spaces.Space, action: spaces.Space) -> None:
        self.observation_space, self.action_space, self.taken = observation, action, []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        self.taken.append(action)
        return self.observation_space.sample(), 1.0, False, len(self.taken) >= 5, {}


BOX = spaces.Box(-1, 1, (2,), np.float32)


@pytest.fixture
def strange():
    """Registers a task of given spaces and returns its id."""
    made = []

    def register(observation=BOX, action=BOX):
        name = f"Strange{len(made)}-v0"
        gym.register(name, lambda **kw: Strange(observation, action), max_episode_steps=5, disable_env_checker=True)
        made.append(name)
        return name

    yield register
    for name in made:
        del gym.registry[name]
    envs.specs._spec.cache_clear()


def test_a_dict_is_laid_end_to_end_with_names(strange):
    parts = {
        "goal": BOX,
        "arm": spaces.Dict({"joint": spaces.Box(-9, 9, (1,), np.float32), "grip": spaces.Discrete(2)}),
    }
    name = strange(spaces.Dict(parts))
    spec = envs.spec(name)
    assert spec.obs_dim == 5
    env = envs.make(name)
    obs, _ = env.reset(seed=3)
    inner = env.unwrapped.observation_space
    inner.seed(3)
    raw = inner.sample()
    shown = dict(zip(spec.obs_names, obs, strict=True))
    np.testing.assert_array_equal([shown["goal[0]"], shown["goal[1]"]], raw["goal"])
    assert shown["arm.joint[0]"] == raw["arm"]["joint"][0]
    assert [shown["arm.grip[0]"], shown["arm.grip[1]"]] == np.eye(2)[raw["arm"]["grip"]].tolist()
    assert envs.spec("Ant-v5").obs_names == ()


def test_discrete_actions_are_rows(strange):
    name = strange(action=spaces.Discrete(3, start=5))
    spec, env = envs.spec(name), envs.make(name)
    assert (spec.act_dim, spec.discrete) == (3, True) and not envs.spec("Ant-v5").discrete
    assert env.action_space == spaces.Box(0.0, 1.0, (3,), np.float32)
    env.reset(seed=0)
    for action in (np.array([0, 1, 0]), np.array([0.1, 0.2, 0.9], np.float32), 5):
        env.step(action)
    assert env.unwrapped.taken == [6, 7, 5]
    assert len(envs.physics_fingerprint(name)) == 64
    venv = envs.make_vec(name, n_envs=2)
    venv.reset()
    venv.step(np.eye(3, dtype=np.float32)[[2, 0]])
    assert [layer.unwrapped.taken for layer in venv.envs] == [[7], [5]]


def test_one_hot_by_hand():
    assert one_hot(np.array([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert one_hot(np.array([6]), 3, start=5).tolist() == [[0, 1, 0]]
    with pytest.raises(ValueError, match="action 3 of 3: actions are numbered 0 to 2"):
        one_hot(np.array([3]), 3)
    rows = np.full((2, 3), 0.5)
    assert as_rows(rows, 3) is rows and as_rows(np.array([1]), 2).tolist() == [[0, 1]]
    assert isinstance(envs.make("CartPole-v1"), OneHotActions)


@pytest.mark.parametrize(
    "observation, message",
    [
        (
            spaces.Box(0, 255, (8, 8, 3), np.uint8),
            "shows an array of 8 x 8 x 3, such as a picture: learners here read vectors",
        ),
        (spaces.Dict({"eye": spaces.Box(0, 1, (4, 4))}), "shows in eye an array of 4 x 4"),
        (spaces.Text(5), "shows Text"),
        (spaces.Dict({"a": BOX, "b": spaces.Sequence(BOX)}), "shows in b Sequence"),
    ],
)
def test_what_is_no_vector_is_refused_with_the_reason(strange, observation, message):
    with pytest.raises(ValueError, match=message):
        envs.make(strange(observation))


def test_other_actions_are_refused(strange):
    with pytest.raises(
        ValueError, match=r"unsupported action space, MultiDiscrete.* or with a Discrete choice, such as CartPole"
    ):
        envs.make(strange(action=spaces.MultiDiscrete([2, 3])))


def test_the_numbers_of_a_task_that_does_not_count_from_zero(strange):
    class One:
        def predict(self, obs, state=None, episode_start=None, deterministic=False):
            return np.full(len(obs), 2), state

    import demos

    name = strange(action=spaces.Discrete(3, start=1))
    assert envs.spec(name).start == 1
    shown = demos.record(One(), name, 1, seed=0)
    assert shown[0].acts.tolist() == [[0, 1, 0]] * 5  # the second of 1, 2, 3
    assert as_rows(np.array([3]), 3, 1).tolist() == [[0, 0, 1]]


class Restless(Strange):
    """Draws from NumPy's global generator, whose seed no task can set."""

    def step(self, action):
        return np.random.uniform(-1, 1, 2).astype(np.float32), 1.0, False, False, {}


class Pairs(gym.ActionWrapper):
    """A choice of nine in place of two of three."""

    def __init__(self, env):
        super().__init__(env)
        self.action_space = spaces.Discrete(9)

    def action(self, action):
        return np.array(divmod(action, 3))


def test_a_task_that_does_not_repeat_itself_has_no_fingerprint():
    for name, make in (
        ("Restless-v0", lambda **kw: Restless(BOX, BOX)),
        ("Pairs-v0", lambda **kw: Pairs(Strange(BOX, spaces.MultiDiscrete([3, 3])))),
    ):
        gym.register(name, make, max_episode_steps=5, disable_env_checker=True)
    try:
        assert envs.physics_fingerprint("Restless-v0") is None
        assert envs.physics_fingerprint("Pairs-v0") and envs.spec("Pairs-v0").act_dim == 9
    finally:
        del gym.registry["Restless-v0"], gym.registry["Pairs-v0"]
