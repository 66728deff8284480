"""Tasks of one's own: what a learner sees, how they are named, resumed and refused."""

import sys
import warnings
from contextlib import closing

import gymnasium as gym
import numpy as np
import pytest

from gail_suite import demos, envs
from gail_suite.demos import Demonstrations, Trajectory
from gail_suite.learning.shown.features import check_demonstrations, fit_features, state_columns
from gail_suite.learning.shown.pairs import demo_pairs

TIME_AWARE = [["gymnasium.wrappers:TimeAwareObservation", {}]]


class Uniform:
    """A policy of uniform actions."""

    def __init__(self, task, seed=0):
        self.space, self.rng = envs.make(task).action_space, np.random.default_rng(seed)

    def predict(self, obs, state=None, episode_start=None, deterministic=False):
        size = (len(obs), *self.space.shape)
        return self.rng.uniform(self.space.low, self.space.high, size).astype(np.float32), state


# --- columns ---


@pytest.mark.case("tasks", "A subclass of a MuJoCo task that appends columns", "all columns reach the policy")
def test_an_appended_goal_is_seen():
    assert state_columns("GoalCheetah-v0").tolist() == list(range(18))


@pytest.mark.case("tasks", "A MuJoCo task behind TimeAwareObservation", "the clock reaches the policy")
def test_a_clock_is_seen():
    aware = envs.named("Ant-v5", {"wrappers": TIME_AWARE})
    assert envs.spec(aware).obs_dim == 106
    assert state_columns(aware).tolist() == list(range(106))


@pytest.mark.case("tasks", "A flattened Dict observation", "all columns reach the policy")
def test_a_flattened_dict_is_seen():
    assert state_columns("FlatDict-v0").tolist() == [0, 1]


def test_a_goal_in_place_of_a_column_is_seen():
    assert state_columns("HiddenGoalAnt-v0").tolist() == list(range(105))


@pytest.mark.case(
    "tasks", "Gymnasium's own MuJoCo tasks", "positions and velocities; what follows from them is left out"
)
@pytest.mark.parametrize(
    ("task", "width"),
    [
        ("Ant-v5", 27),
        ("Ant-v5(include_cfrc_ext_in_observation=false)", 27),
        ("Ant-v5(exclude_current_positions_from_observation=false)", 29),
        ("Humanoid-v5", 45),
        ("Reacher-v5", 10),
    ],
)
def test_state_columns_of_the_tasks_themselves(task, width):
    assert state_columns(task).tolist() == list(range(width))


@pytest.mark.case("data", "A constant column (9.81 in float32)", "left out, however its deviation is rounded")
@pytest.mark.parametrize("constant", [9.81, 1e4 / 3, -273.15])
@pytest.mark.parametrize("rows", [60, 1000])
def test_constant_columns_are_left_out(constant, rows):
    varying = np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32)
    obs = np.column_stack([varying[:, :2], np.full(rows, constant, np.float32), varying[:, 2:]])
    assert fit_features(obs, np.arange(4)).columns.tolist() == [0, 1, 3]
    noisy = np.nextafter(obs[:, 2], np.inf, where=varying[:, 0] > 0, out=obs[:, 2].copy())
    assert fit_features(np.column_stack([varying, noisy]), np.arange(4)).columns.tolist() == [0, 1, 2]


@pytest.mark.case("data", "A column in units in which it hardly varies", "warned about, with its number and deviation")
def test_columns_that_no_network_sees_are_told():
    rng = np.random.default_rng(0)
    obs, acts = rng.normal(size=(61, 3)).astype(np.float32), rng.uniform(-1, 1, (60, 2)).astype(np.float32)

    def pairs(scales):
        shown = Trajectory(obs * scales, acts, None, terminated=False, truncated=True)
        return demo_pairs(envs.TOY_ID, Demonstrations((shown,), {"env_id": envs.TOY_ID}))

    with pytest.warns(UserWarning, match=r"^1 of 3 observation columns vary, but with .* at most 8.2e-05 .*: 1\. "):
        pairs(np.float32([1, 1e-4, 1]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pairs(np.float32([1, 0.01, 0]))  # as recorded experts have them, and one that does not vary at all


# --- begin_at and resume ---


@pytest.mark.case("tasks", "Episodes that begin in given states, behind wrappers that change observations", "refused")
@pytest.mark.parametrize("task", ["GoalCheetah-v0", envs.named("HalfCheetah-v5", {"wrappers": TIME_AWARE})])
def test_begin_at_is_refused_where_the_state_is_not_shown(task):
    with closing(envs.make_vec(task, n_envs=1)) as venv:
        obs = venv.reset()
        with pytest.raises(
            ValueError, match=r"does not say what of an observation is its state.*leave out priors for start"
        ):
            venv.begin_at(0, obs[0])


def test_begin_at_is_refused_where_the_task_shows_something_else():
    with closing(envs.make_vec("Mirrored-v0", n_envs=1)) as venv:
        obs = venv.reset()
        with pytest.raises(ValueError, match="Mirrored shows another state than the one it was put into"):
            venv.begin_at(0, obs[0])


@pytest.mark.parametrize("task", ["Ant-v5", "Hopper-v5", "InvertedPendulum-v5", "HalfCheetah-v5"])
def test_begin_at_shows_the_state_that_was_asked_for(task):
    with closing(envs.make_vec(task, n_envs=1, engine="gymnasium")) as venv:
        venv.reset()
        for _ in range(5):
            obs, *_ = venv.step(np.zeros((1, *venv.action_space.shape)))
        venv.reset()
        wanted = obs[0][state_columns(task)]
        np.testing.assert_allclose(venv.begin_at(0, obs[0])[state_columns(task)], wanted, atol=1e-6)


def continued(task, steps=10):
    """Observations of a run in one go, and of one that was saved after `steps` and continued elsewhere."""
    rng = np.random.default_rng(0)
    with closing(envs.make_vec(task, n_envs=2, seed=3, engine="gymnasium")) as one:
        one.reset()
        space = one.action_space
        actions = rng.uniform(space.low, space.high, (2 * steps, 2, *space.shape)).astype(np.float32)
        for a in actions[:steps]:
            one.step(a)
        state = one.get_state()
        with closing(envs.make_vec(task, n_envs=2, seed=9, engine="gymnasium")) as other:
            other.reset()
            other.set_state(state)
            return [(one.step(a)[0], other.step(a)[0]) for a in actions[steps:]]


@pytest.mark.case("tasks", "Resume behind stateless wrappers", "exact")
@pytest.mark.parametrize(
    "wrappers",
    [
        [],
        [["gymnasium.wrappers:RescaleAction", {"min_action": -2.0, "max_action": 2.0}]],
        [["gymnasium.wrappers:FlattenObservation", {}]],
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:.*precision lowered by casting to float32")
def test_exact_behind_stateless_wrappers(wrappers):
    task = envs.named("HalfCheetah-v5", {"wrappers": wrappers})
    for one, other in continued(task):
        np.testing.assert_array_equal(one, other)


@pytest.mark.case("tasks", "Resume behind wrappers or tasks with a memory in Python", "new episodes, and said so")
@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("GoalCheetah-v0", "GoalCheetah may keep state that cannot be read"),
        (envs.named("HalfCheetah-v5", {"wrappers": TIME_AWARE}), "the wrapper TimeAwareObservation may remember"),
        (
            envs.named("HalfCheetah-v5", {"wrappers": [["gymnasium.wrappers:NormalizeObservation", {}]]}),
            "the wrapper NormalizeObservation may remember",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*counts anew in every environment")
def test_what_has_a_memory_begins_new_episodes_and_says_so(task, reason):
    with pytest.warns(UserWarning, match=f"new episodes begin, since {reason}"):
        pairs = continued(task)
    assert any((one != other).any() for one, other in pairs)


def test_a_clock_begins_at_the_start_of_the_new_episode():
    task = envs.named("HalfCheetah-v5", {"wrappers": TIME_AWARE})
    with pytest.warns(UserWarning, match="new episodes begin"):
        one, other = continued(task, steps=31)[0]
    assert (one[:, -1].tolist(), other[:, -1].tolist()) == ([32.0] * 2, [1.0] * 2)


# --- fingerprint ---


@pytest.mark.case(
    "tasks",
    "Strict tasks: asserted action bounds, no step past the end, Dict flattened",
    "recorded, with a fingerprint",
)
@pytest.mark.parametrize(
    "task",
    ["Plain-v0(high=20.0, low=10.0)", "Plain-v0(high=-10.0, low=-20.0)", "Plain-v0(high=0.5, low=0.25)", "FlatDict-v0"],
)
def test_fingerprint_keeps_the_rules_of_strict_tasks(task):
    assert envs.physics_fingerprint(task) == envs.physics_fingerprint(task)
    assert len(demos.record(Uniform(task), task, n_episodes=2, n_envs=2)) == 2


def test_fingerprints_of_variants_differ():
    assert envs.physics_fingerprint("Hopper-v5") != envs.physics_fingerprint("Hopper-v5", frame_skip=2)


# --- bounds and limits ---


@pytest.mark.case("refused", "Actions without finite bounds, or without room between them", "at once, with the numbers")
@pytest.mark.parametrize(
    ("kwargs", "reason"),
    [
        ({"low": -np.inf, "high": np.inf}, "action 0 of .* it has no bounds to be scaled by"),
        ({"low": -3.4e38, "high": 3.4e38}, r"lies between -3.4e\+38 and 3.4e\+38, .*no bounds to be scaled by"),
        ({"low": 0.5, "high": 0.5}, "lies between 0.5 and 0.5, .*no room between its bounds"),
    ],
)
def test_bounds_that_cannot_be_scaled_are_refused_at_once(kwargs, reason):
    task = envs.named("Plain-v0", kwargs)
    for build in (envs.make, envs.make_vec, envs.spec, envs.physics_fingerprint):
        with pytest.raises(ValueError, match=reason):
            build(task)


@pytest.mark.case("refused", "A task without a time limit", "at once; --max-episode-steps N sets one")
def test_no_time_limit_is_refused_and_one_can_be_given():
    with pytest.raises(ValueError, match=r"Endless-v0 has no time limit.*--max-episode-steps"):
        demos.record(Uniform("Endless-v0"), "Endless-v0", n_episodes=1)
    shown = demos.record(Uniform("Endless-v0"), "Endless-v0", n_episodes=2, env_kwargs={"max_episode_steps": 7})
    assert shown.lengths.tolist() == [7, 7] and all(t.truncated for t in shown)
    assert shown.task == "own_tasks:Endless-v0(max_episode_steps=7)"
    with pytest.raises(ValueError, match="no time limit"):
        check_demonstrations(shown, "Endless-v0")


@pytest.mark.case("tasks", "Bounds in float64 that float32 rounds outwards", "the recording is sound")
def test_float64_bounds_are_compared_as_stored(tmp_path):
    class Full:
        def predict(self, obs, state=None, episode_start=None, deterministic=False):
            return np.full((len(obs), 1), 0.1, np.float32), state

    task = envs.named("Plain-v0", {"low": -0.1, "high": 0.1, "dtype": "float64"})
    demos.record(Full(), task, n_episodes=2, out=tmp_path / "d")
    assert demos.verify(tmp_path / "d").problems == []


@pytest.mark.case("data", "Actions outside the bounds", "counted; `clipped` brings them inside")
def test_actions_out_of_bounds_are_counted_and_clipped():
    acts = np.array([[0.5], [1.5], [-3.0], [1.0]])
    shown = Demonstrations(
        (Trajectory(np.random.default_rng(0).normal(size=(5, 2)), acts, np.zeros(4), False, True),),
        {"env_id": "Plain-v0"},
    )
    assert shown.outside(np.array([-1.0]), np.array([1.0])) == 2
    with pytest.warns(UserWarning, match=r"2 of 4 demonstrated action entries are outside the bounds.*--clip"):
        check_demonstrations(shown, "Plain-v0")
    clipped = shown.clipped(np.array([-1.0]), np.array([1.0]))
    assert clipped[0].acts.ravel().tolist() == [0.5, 1.0, -1.0, 1.0] and clipped.meta["clipped_entries"] == 2
    check_demonstrations(clipped, "Plain-v0")


@pytest.mark.case("refused", "Actions of whole numbers in a Box", "at once; a Discrete choice or a Box of floats")
@pytest.mark.parametrize("dtype", ["int64", "uint8"])
def test_a_box_of_whole_numbers_is_refused(dtype):
    with pytest.raises(
        ValueError, match=r"the actions of own_tasks:Plain-v0.* are whole numbers, Box\(0, 4, .*Discret"
    ):
        envs.make(envs.named("Plain-v0", {"low": 0, "high": 4, "dtype": dtype}))


# --- observations ---


@pytest.mark.case("tasks", "A task that shows one array and overwrites it", "copied, so an episode ends where it ended")
@pytest.mark.filterwarnings("ignore:.*share an object")  # Gymnasium's own, where its checks are on
@pytest.mark.parametrize("limit", [40, 7], ids=["ended", "cut off"])
def test_an_array_that_is_overwritten(limit):
    task = envs.named("Reusing-v0", {"max_episode_steps": limit})
    shown = demos.record(Uniform(task), task, n_episodes=2, n_envs=2)
    for t in shown:
        np.testing.assert_allclose(t.obs[-1, 0], t.obs[0, 0] + 0.1 * t.acts.sum(), atol=1e-5)
    with closing(envs.make_vec(task, n_envs=1)) as venv:
        place, done = venv.reset()[0, 0], [False]
        while not done[0]:
            place += 0.1
            *_, done, infos = venv.step(np.ones((1, 1), np.float32))
    assert infos[0]["terminal_observation"][0] == pytest.approx(place)
    assert envs.named(envs.make(task)) == task


@pytest.mark.case("tasks", "An observation that is one number, Box(shape=())", "taken as a vector of one")
def test_an_observation_that_is_no_vector():
    assert envs.spec("Single-v0").obs_dim == 1
    assert demos.record(Uniform("Single-v0"), "Single-v0", n_episodes=1)[0].obs.shape == (31, 1)


@pytest.mark.case(
    "tasks", "A task behind NormalizeObservation or NormalizeReward", "warned about once, where its statistics change"
)
@pytest.mark.parametrize(
    ("wrapper", "harm"),
    [
        ("NormalizeObservation", "one state is shown as other numbers .*leave it out, since observations are stand"),
        ("NormalizeReward", "returns are not those of the task; leave it out"),
    ],
)
def test_statistics_that_every_environment_counts_anew(wrapper, harm):
    task = envs.named("Plain-v0", {"wrappers": [[f"gymnasium.wrappers:{wrapper}", {"epsilon": 1e-7}]]})
    with pytest.warns(
        UserWarning, match=f"is behind {wrapper}, which counts anew in every environment: {harm}"
    ) as told:
        envs.make_vec(task, n_envs=2)
    assert len(told) == 1
    frozen = envs.named("Plain-v0", {"wrappers": [[f"own_tasks:Frozen{wrapper}", {}]]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs.make(frozen)


# --- names ---


@pytest.mark.case(
    "tasks", "Task given as id, module:Id, Gymnasium spec, or environment", "one name with its arguments and wrappers"
)
def test_names_of_tasks():
    assert envs.named("Ant-v5") == "Ant-v5"
    assert envs.named("Ant-v5", {"healthy_z_range": (0.3, 1.0)}) == "Ant-v5(healthy_z_range=[0.3, 1.0])"
    assert envs.named("Ant-v5(a=1)", {"b": np.float64(2)}) == "Ant-v5(a=1, b=2.0)"
    assert envs.parts('Ant-v5(a=[1, 2], b={"c": "d, e=(f)"})') == ("Ant-v5", {"a": [1, 2], "b": {"c": "d, e=(f)"}})
    assert envs.named("GoalCheetah-v0") == "own_tasks:GoalCheetah-v0"
    made = gym.make("Ant-v5", include_cfrc_ext_in_observation=False, max_episode_steps=77)
    for given in (made, made.spec):
        assert envs.named(given) == "Ant-v5(include_cfrc_ext_in_observation=false, max_episode_steps=77)"
        assert (envs.spec(given).obs_dim, envs.spec(given).horizon) == (27, 77)
    aware = gym.wrappers.TimeAwareObservation(gym.make("Hopper-v5"))
    assert envs.spec(aware).obs_dim == 12


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "a task is named by its id.*got int"),
        (
            lambda: gym.wrappers.TransformObservation(gym.make("Hopper-v5"), lambda o: o, None),
            "argument wrappers is <function .*only numbers, texts and lists of them can be kept in files",
        ),
        ("Ant-v5(a=)", "is no name of a task"),
        ("Ant-v5(healthy=3)", "cannot make Ant-v5.*unexpected keyword argument 'healthy'"),
        ("no_such_module:Ant-v5", "cannot import no_such_module.*stand in the folder of its file, or give --import"),
        ("own_tasks:Gaol-v0", "unknown environment 'own_tasks:Gaol-v0'"),
    ],
)
def test_what_is_no_task_is_said_in_one_line(given, message):
    with pytest.raises(ValueError, match=message):
        envs.make(given() if callable(given) else given)


def test_infinite_arguments_reach_the_task():
    task = envs.named("Hopper-v5", {"healthy_z_range": (0.7, np.inf)})
    assert envs.parts(envs.named(task)) == envs.parts(task)
    with closing(envs.make(task)) as env:
        env.reset(seed=0)
        assert env.unwrapped.is_healthy


# --- files that register tasks ---

REGISTERS = """
import gymnasium as gym
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
if "Mine-v0" not in gym.registry:
    gym.register("Mine-v0", HalfCheetahEnv, max_episode_steps=20)
"""


@pytest.mark.case("tasks", "--import carts/carts.py, seen from the folder above", "the file, not the folder")
def test_a_file_in_a_folder_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "mytasks").mkdir()
    (tmp_path / "mytasks/mytasks.py").write_text(REGISTERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__("mytasks")  # the folder, as a namespace package
    try:
        assert envs.import_tasks("mytasks/mytasks.py") == "mytasks" == envs.import_tasks("mytasks/mytasks.py")
        assert envs.spec("mytasks:Mine-v0").horizon == 20
    finally:
        gym.registry.pop("Mine-v0", None)


def test_a_file_with_a_dot_in_its_name(tmp_path):
    (tmp_path / "my.task.py").write_text(REGISTERS)
    try:
        assert envs.import_tasks(tmp_path / "my.task.py") == "my.task"
        assert "Mine-v0" in gym.registry
    finally:
        gym.registry.pop("Mine-v0", None)
        sys.modules.pop("my.task", None)


@pytest.mark.case("tasks", "--import FILE.py of the name of a library", "refused, with the name to change")
@pytest.mark.parametrize("name", ["envs.py", "platform.py", "graphlib.py", "pip.py"])
def test_a_file_of_another_modules_name_is_refused(tmp_path, name):
    (tmp_path / name).write_text(REGISTERS)
    with pytest.raises(ValueError, match=f"{name} has the name of another module, .*: rename the file"):
        envs.import_tasks(tmp_path / name)
