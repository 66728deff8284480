"""Start states from a prior: a share of the environments begins its episodes where the expert could be.

What a learner does not reach it cannot learn about; DeepMimic (Peng et al., 2018) therefore starts episodes in states
of the reference motion, SMP (Mu et al., 2025) in samples of a generative model of it. Here a model of the expert's
states is sampled: the first round(share * n_envs) environments begin there, for `rollout` steps, and the others begin
as the task does. An episode that is cut is truncated, not terminated, so values are bootstrapped through it. Evaluation
begins as the task does, always.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from stable_baselines3.common.vec_env import VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn
from typing_extensions import override

from gail_suite.demos.trajectory import Demonstrations, Transitions
from gail_suite.envs.common import pack_host, unpack_host
from gail_suite.envs.savable import SavableVecEnv
from gail_suite.envs.starts import clipped
from gail_suite.learning.shown.features import fit_features, state_columns, state_entries
from gail_suite.priors.fitting import checked_settings, fitted_model, inputs, picture_values, split
from gail_suite.priors.prior import Prior, Setting, UseConfig, facts
from gail_suite.runs.config import Positive, shares


@dataclass(frozen=True)
class StartsConfig(UseConfig):
    """Episodes that begin where the expert could be."""

    share: float = 0.5
    """Share of the environments whose episodes begin there."""
    rollout: Positive = 50
    """Steps after which such an episode is cut."""

    AMOUNTS: ClassVar[tuple[str, ...]] = ("share",)

    def __post_init__(self) -> None:
        super().__post_init__()
        shares(self, "share")


BANK = 4096
"""States that are drawn when a run begins, for its episodes to begin in."""
TRIES = 20
"""Draws for one episode before it begins as the task does, where all of them would end at once."""


def fit(
    demonstrations: Demonstrations, model: str = "gmm", seed: int = 0, control: str | None = None, **settings: Setting
) -> Prior:
    """A model of the expert's states (positions and velocities), to be sampled.

    Args:
        model: gmm, vae, gan or pixelcnn. `demonstrated`, the demonstrated states themselves, and `constant`, the
            task's own start, are what a model has to beat.
        control: "untrained" or "shuffled", as for typicality.
        settings: of the model's constructor.

    Raises:
        ValueError: unknown setting, a setting or control of what has no model, or too little data.
    """
    shown = demonstrations.transitions()
    features = fit_features(shown.obs, state_columns(demonstrations.task))
    made = facts("start", model, demonstrations, features, control, seed)
    mean, entries = shown.obs.mean(0).astype(np.float32), state_entries(demonstrations.task)
    if model in ("constant", "demonstrated"):
        if control is not None or settings:
            raise ValueError(f"{model} starts have no model, so neither a control nor settings: leave them out")
        columns = state_columns(demonstrations.task)
        states = whole(shown.obs, entries)[:, columns] if model == "demonstrated" else np.zeros((0, 0))
        return Prior(**made, arrays={"obs_mean": mean, "states": states.astype(np.float32)})
    sizes = checked_settings(model, settings)
    prior = Prior(**made, settings={"states": True} | settings, arrays={"obs_mean": mean})
    train, held = (inputs(prior, arrivals(whole(t.obs, entries))) for t in split(demonstrations))
    fitted = fitted_model(model, train, held, seed, control, sizes)
    return Prior(
        **made,
        model=fitted,
        settings=prior.settings | sizes | {k: v for k, v in fitted.config.items() if v is not None},
        arrays=prior.arrays,
    )


def whole(obs: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The observations (N, O) whose state, in `columns`, was not clipped when it was observed; all if none is left."""
    known = ~clipped(obs[:, columns])
    return obs[known] if known.any() else obs


def arrivals(obs: np.ndarray) -> Transitions:
    """Observations (N, O) as what transitions lead to, which is what `inputs` looks at."""
    return Transitions(obs, None, obs, np.zeros(len(obs), bool))


def sample(prior: Prior, n: int, seed: int = 0) -> np.ndarray:
    """(n, O) observations whose positions and velocities are drawn from the prior; other columns are the expert's
    mean.
    """
    obs = np.tile(prior.arrays["obs_mean"], (n, 1))
    if prior.kind == "demonstrated":
        states = prior.arrays["states"]
        obs[:, : states.shape[1]] = states[np.random.default_rng(seed).integers(len(states), size=n)]
        return obs
    assert prior.model is not None
    drawn = prior.model.sample(n, seed=seed).detach().double().numpy()
    drawn = picture_values(drawn) if prior.kind == "pixelcnn" else drawn
    obs[:, prior.features.columns] = drawn * prior.features.std + prior.features.mean
    return obs


class Starts(VecEnvWrapper, SavableVecEnv):
    """The first `n_cut` environments begin in one of `states` (N, O), for at most `length` steps; N = 0: as the
    task does.
    """

    def __init__(
        self,
        venv: SavableVecEnv,
        states: np.ndarray,
        n_cut: int,
        length: int,
        seed: int,
        times: np.ndarray | None = None,
    ) -> None:
        """`times` (N,): the steps of a demonstration at which the states were shown, not known (NaN) where not
        given.
        """
        super().__init__(venv)
        self.inner = venv
        self.times = np.full(len(states), np.nan) if times is None else times
        self.first_times = np.zeros(venv.num_envs)
        self.states, self.n_cut, self.length = states, n_cut, length
        self.generator = np.random.Generator(np.random.PCG64(seed))
        self.elapsed = np.zeros(venv.num_envs, np.int64)

    @override
    def reset(self) -> np.ndarray:
        obs = np.asarray(self.venv.reset())
        self.elapsed[:] = 0
        for i in range(self.n_cut):
            self._begin(i, obs)
        return obs

    @override
    def step_wait(self) -> VecEnvStepReturn:
        obs, rewards, dones, infos = self.venv.step_wait()
        obs, dones = np.array(obs), np.array(dones)
        self.elapsed += 1
        for i in range(self.n_cut):
            if not dones[i] and self.elapsed[i] >= self.length:
                dones[i], infos[i]["TimeLimit.truncated"] = True, True
                infos[i]["terminal_observation"] = obs[i].copy()
                obs[i] = self.reset_one(i)
            if dones[i]:
                self._begin(i, obs)
        self.elapsed[dones] = 0
        return obs, rewards, dones, infos

    def _begin(self, i: int, obs: np.ndarray) -> None:
        for _ in range(TRIES * bool(len(self.states))):
            row = self.generator.integers(len(self.states))
            found = self.begin_at(i, self.states[row])
            if found is not None:
                self.first_times[i] = self.times[row]
                obs[i] = found
                return
        self.first_times[i] = 0
        if len(self.states):
            obs[i] = self.reset_one(i)

    def begin_at(self, i: int, obs: np.ndarray) -> np.ndarray | None:
        """As the environments do it."""
        return self.inner.begin_at(i, obs)

    def reset_one(self, i: int) -> np.ndarray:
        """As the environments do it."""
        return self.inner.reset_one(i)

    def get_state(self) -> dict[str, np.ndarray]:
        """That of the environments, and what draws the next start."""
        own = {
            "starts.elapsed": self.elapsed.copy(),
            "starts.first_times": self.first_times.copy(),
            "starts.host": pack_host([self.generator], []),
        }
        return self.inner.get_state() | own

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Inverse of `get_state`."""
        self.inner.set_state(state)
        self.elapsed = np.array(state["starts.elapsed"])
        self.first_times = np.array(state.get("starts.first_times", self.first_times))  # older checkpoints lack them
        (generator,), _ = unpack_host(state["starts.host"])
        assert generator is not None
        self.generator = generator


def starts_of(prior: Prior, config: StartsConfig, seed: int, venv: SavableVecEnv) -> SavableVecEnv:
    """The environments of a run with its prior's starts.

    Raises:
        ValueError: a share that gives the prior no environment.
    """
    count = round(config.share * venv.num_envs)
    if count == 0:
        raise ValueError(
            f"priors.start.share={config.share} has none of {venv.num_envs} environments: give it at least "
            f"{1 / venv.num_envs}"
        )
    states = np.zeros((0, 0)) if prior.kind == "constant" else sample(prior, BANK, seed)
    return Starts(venv, states, count, config.rollout, seed)
