"""Agents of stable-baselines3 and sb3-contrib as policies: their algorithm, and the statistics of a VecNormalize
around them.
"""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import gymnasium as gym
import numpy as np

from gail_suite.demos.policy import State

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.vec_env import VecNormalize

MARKS = (
    ("cg_max_steps", "TRPO"),
    ("n_delta", "ARS"),
    ("top_quantiles_to_drop_per_net", "TQC"),
    ("target_entropy", "SAC"),
    ("target_policy_noise", "TD3"),
    ("exploration_fraction", "DQN"),
    ("clip_range", "PPO"),
    ("gae_lambda", "A2C"),
)
"""What only one algorithm keeps in its zip, the special before the general: a policy class may be anybody's."""


PLAIN_REPLAY: dict[str, object] = {"replay_buffer_class": None, "replay_buffer_kwargs": {}}
"""In the place of a replay that cannot be made without the environment, as hindsight's; nothing is trained here."""


class Normalised:
    """An SB3 model that is shown observations as the VecNormalize did that it was trained behind."""

    def __init__(self, model: BaseAlgorithm, statistics: VecNormalize, source: Path) -> None:
        self.policy, self.source = model, source
        self._statistics = statistics

    @property
    def statistics(self) -> dict[str, np.ndarray]:
        """What decides how observations are normalised, by name."""
        known = self._statistics
        moments = {name: np.asarray(getattr(known.obs_rms, name)) for name in ("mean", "var")}
        return moments | {"clip": np.array(known.clip_obs), "epsilon": np.array(known.epsilon)}

    def predict(
        self, obs: np.ndarray, state: State = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, State]:
        """As the model's own, on observations as the environment gives them."""
        return self.policy.predict(self._statistics.normalize_obs(np.asarray(obs)), state, episode_start, deterministic)


class Parted:
    """An SB3 model that reads a Dict of observations, shown the rows into which tasks lay them here."""

    def __init__(self, model: BaseAlgorithm, source: Path) -> None:
        self.policy, self.source = model, source

    def predict(
        self, obs: np.ndarray, state: State = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, State]:
        """As the model's own, on observations (B, O) with the parts of its space end to end.

        Raises:
            ValueError: rows of another width.
        """
        space = self.policy.observation_space
        assert isinstance(space, gym.spaces.Dict)
        rows, width = np.asarray(obs), gym.spaces.flatdim(space)
        if rows.shape[1:] != (width,):
            raise ValueError(
                f"observations of shape {rows.shape} given to {self.source}, whose parts {', '.join(space)} are "
                f"{width} numbers: use the environment it was trained in"
            )
        parts: list[dict[str, np.ndarray]] = [gym.spaces.unflatten(space, row) for row in rows]  # type: ignore[arg-type]
        together = {name: np.stack([part[name] for part in parts]) for name in space}
        return self.policy.predict(together, state, episode_start, deterministic)


def from_sb3(
    path: str | Path, trust: bool = False, vecnormalize: str | Path | None = None
) -> BaseAlgorithm | Normalised | Parted:
    """The model in an SB3 (or sb3-contrib) zip, a Policy by its `predict`.

    The statistics of a VecNormalize are `vecnormalize`, or those that lie beside the zip as rl-zoo3 and SB3's own
    callbacks leave them. Warns where the model was trained behind one and there are none.

    Raises:
        ValueError: not trusted (an SB3 zip holds pickled data that runs code when loaded), unreadable, of an unknown
            algorithm, or statistics of other observations.
    """
    path = Path(path)
    if not trust:
        raise ValueError(
            f"{path} is an SB3 zip and holds pickled data, which can run code when loaded: "
            "pass --trust (trust=True) if you know where it comes from"
        )
    try:
        model = _algorithm(path).load(path, device="cpu", custom_objects=PLAIN_REPLAY)
    except (ImportError, AttributeError, TypeError, KeyError, RuntimeError) as error:
        raise ValueError(
            f"{path} cannot be loaded ({type(error).__name__}: {' '.join(str(error).split())}): where its policy class "
            "is your own, name the module with --import"
        ) from error
    if vecnormalize is not None:
        return _normalised(model, Path(vecnormalize), path)
    found, was_behind = beside(path), getattr(model, "_last_original_obs", None) is not None
    if found is not None and was_behind:
        return _normalised(model, found, path)
    if found is not None:
        warnings.warn(
            f"{found} lies beside {path}, which was not trained behind a VecNormalize: it is not used; where it is "
            "the model's, give it with --vecnormalize FILE",
            stacklevel=2,
        )
    if was_behind:
        warnings.warn(
            f"{path} was trained behind a VecNormalize, and its statistics are not beside it: unless it normalised "
            "rewards alone, the policy sees other observations than it knows; give them with --vecnormalize FILE",
            stacklevel=2,
        )
    return _parted(model, path)


def _parted(model: BaseAlgorithm, path: Path) -> BaseAlgorithm | Parted:
    return Parted(model, path) if isinstance(model.observation_space, gym.spaces.Dict) else model


def beside(path: Path) -> Path | None:
    """The statistics that belong to a zip: beside it, in the folder of its environment as rl-zoo3 has it, or of its
    checkpoint.
    """
    step = re.fullmatch(r"(.*)_(\d+)_steps", path.stem)
    names = [f"{step[1]}_vecnormalize_{step[2]}_steps.pkl"] if step else []
    places = [path.parent / name for name in (*names, "vecnormalize.pkl", "vec_normalize.pkl")]
    folders = list(path.parent.glob("*/vecnormalize.pkl"))  # of several, nobody knows which
    inner = [path.parent / path.stem / "vecnormalize.pkl", *(folders if len(folders) == 1 else [])]
    return next((place for place in (*places, *inner) if place.is_file()), None)


def _normalised(model: BaseAlgorithm, source: Path, path: Path) -> BaseAlgorithm | Normalised | Parted:
    from stable_baselines3.common.save_util import load_from_pkl

    try:
        with source.open("rb") as file:
            statistics = load_from_pkl(file)  # trusted as the zip is
        norm_obs, of_parts = bool(statistics.norm_obs), isinstance(statistics.obs_rms, dict)
        shape = None if of_parts or not norm_obs else statistics.obs_rms.mean.shape
    except Exception as error:  # whatever a file that is none raises
        raise ValueError(
            f"{source} holds no statistics of a VecNormalize ({error}): save them with venv.save"
        ) from error
    if not norm_obs:
        return _parted(model, path)
    if of_parts:
        raise ValueError(
            f"{source} normalises the parts of a Dict one by one, which is not done here: train behind "
            "gymnasium.wrappers.FlattenObservation, or record in Python a policy that does it"
        )
    if shape != model.observation_space.shape:
        raise ValueError(
            f"{source} normalises observations of shape {shape}, {path} reads {model.observation_space.shape}: give "
            "its own statistics with --vecnormalize FILE"
        )
    return Normalised(model, statistics, source)


def _algorithm(path: Path) -> type[BaseAlgorithm]:
    """The class of algorithm in a zip, from what it keeps."""
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("data"))
            keys, options = set(data), data.get("policy_kwargs") or {}
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ValueError(f"{path} is not a readable SB3 zip ({error}): export it again with model.save(...)") from error
    name = _name(keys, str(data.get("policy_class", "")), options)
    import sb3_contrib
    import stable_baselines3

    return getattr(stable_baselines3, name, None) or getattr(sb3_contrib, name)


def _name(keys: Collection[str], policy_class: str, options: Collection[str]) -> str:
    name = next((name for mark, name in MARKS if mark in keys), None)
    if name is None:
        raise ValueError(f"the zip is of no algorithm that is known here: it keeps {', '.join(sorted(keys))}")
    if name == "SAC" and "policy_delay" in keys:
        return "CrossQ"
    if name == "DQN" and "qr_dqn" in policy_class:
        return "QRDQN"
    if name == "PPO" and ("recurrent" in policy_class or any("lstm" in option for option in options)):
        return "RecurrentPPO"
    return "MaskablePPO" if name == "PPO" and "maskable" in policy_class else name
