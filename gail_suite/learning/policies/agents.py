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
from typing import TYPE_CHECKING, Any

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
    ("n_quantiles", "QRDQN"),
    ("exploration_fraction", "DQN"),
    ("clip_range", "PPO"),
    ("gae_lambda", "A2C"),
)
"""What only one algorithm keeps in its zip, the special before the general: a policy class may be anybody's."""


PLAIN_REPLAY: dict[str, object] = {"replay_buffer_class": None, "replay_buffer_kwargs": {}}
"""In the place of a replay that cannot be made without the environment, as hindsight's; nothing is trained here."""
ALIKE = 0.1
"""Standard deviations by which what statistics make of an observation may differ from what a model saw: those of
another model differ by several, its own by nothing; those of much later in its training may differ by one, and then
have to be given by hand."""


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
    """An SB3 model that reads a Dict of observations or a number, shown the rows into which tasks lay them here."""

    def __init__(self, model: BaseAlgorithm, source: Path) -> None:
        self.policy, self.source = model, source

    def predict(
        self, obs: np.ndarray, state: State = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, State]:
        """As the model's own, on observations (B, O) as Gymnasium flattens those of its space.

        Raises:
            ValueError: rows of another width.
        """
        space = self.policy.observation_space
        rows, width = np.asarray(obs), gym.spaces.flatdim(space)
        if rows.shape[1:] != (width,):
            what = ", ".join(space) if isinstance(space, gym.spaces.Dict) else space
            raise ValueError(
                f"observations of shape {rows.shape} given to {self.source}, which reads {what} as {width} numbers: "
                "use the environment it was trained in"
            )
        parts: list[Any] = [gym.spaces.unflatten(space, row) for row in rows]
        together: Any = np.array(parts)
        if isinstance(space, gym.spaces.Dict):
            together = {name: np.stack([part[name] for part in parts]) for name in space}
        return self.policy.predict(together, state, episode_start, deterministic)


def from_sb3(
    path: str | Path, trust: bool = False, vecnormalize: str | Path | None = None
) -> BaseAlgorithm | Normalised | Parted:
    """The model in an SB3 (or sb3-contrib) zip, a Policy by its `predict`.

    The statistics of a VecNormalize are `vecnormalize`, or those that lie beside the zip as rl-zoo3 and SB3's own
    callbacks leave them, where they are the model's. Warns where they are not, and where an on-policy model was trained
    behind a VecNormalize and there are none; the zips of the others (SAC, TD3, DQN) do not tell.

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
    found = beside(path)
    if found is not None:
        reason = _foreign(model, found)
        if reason is None:
            return _normalised(model, found, path)
        warnings.warn(
            f"{found} lies beside {path}, which {reason}: it is not used; where it is the model's, give it with "
            "--vecnormalize FILE",
            stacklevel=2,
        )
    elif _was_behind(model) and not _is_off_policy(model):
        warnings.warn(
            f"{path} was trained behind a VecNormalize, and its statistics are not beside it: unless it normalised "
            "rewards alone, the policy sees other observations than it knows; give them with --vecnormalize FILE",
            stacklevel=2,
        )
    return _parted(model, path)


def _was_behind(model: BaseAlgorithm) -> bool:
    """Whether a model may have been trained behind a VecNormalize; of an on-policy one it is certain."""
    return getattr(model, "_last_original_obs", None) is not None


def _is_off_policy(model: BaseAlgorithm) -> bool:
    """Whether the zip holds a raw observation anyway: without a VecNormalize it is that of the step before."""
    from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

    return isinstance(model, OffPolicyAlgorithm)


def _foreign(model: BaseAlgorithm, source: Path) -> str | None:
    """What tells that statistics near a zip are not its model's; None where nothing does."""
    if not _was_behind(model):
        return "was not trained behind a VecNormalize"
    if _is_off_policy(model) and not (gap := _gap(model, _statistics(source))) <= ALIKE:
        return f"saw other observations than these statistics make, by {gap:.2g} standard deviations"
    return None


def _gap(model: BaseAlgorithm, statistics: VecNormalize) -> float:
    """The largest difference between what an off-policy model saw last and what `statistics` make of it; infinite for
    statistics of observations of another form.
    """
    seen: Any = model._last_obs
    try:
        made: Any = statistics.normalize_obs(model._last_original_obs)  # type: ignore[arg-type]
        pairs = [(made[name], seen[name]) for name in seen] if isinstance(seen, dict) else [(made, seen)]
        return max(float(np.abs(one - other).max()) if one.shape == other.shape else np.inf for one, other in pairs)
    except (AttributeError, LookupError, TypeError, ValueError):
        return np.inf


def _parted(model: BaseAlgorithm, path: Path) -> BaseAlgorithm | Parted:
    """The model as tasks are laid out here; a Box of pictures stays, since SB3 may have moved their colours."""
    return model if isinstance(model.observation_space, gym.spaces.Box) else Parted(model, path)


def beside(path: Path) -> Path | None:
    """The statistics that lie where those of a zip do: beside it, in the folder that rl-zoo3 names after the
    environment (`Ant-v4_1/Ant-v4` for `Ant-v4_1/best_model.zip`), or of its checkpoint.
    """
    step = re.fullmatch(r"(.*)_(\d+)_steps", path.stem)
    names = [f"{step[1]}_vecnormalize_{step[2]}_steps.pkl"] if step else []
    task = re.sub(r"_\d+$", "", path.absolute().parent.name)
    inner = [f"{folder}/vecnormalize.pkl" for folder in (path.stem, task) if folder]
    places = [path.parent / name for name in (*names, "vecnormalize.pkl", "vec_normalize.pkl", *inner)]
    return next((place for place in places if place.is_file()), None)


def _statistics(source: Path) -> VecNormalize:
    """What a file holds; ValueError where it is no VecNormalize."""
    from stable_baselines3.common.save_util import load_from_pkl

    try:
        with source.open("rb") as file:
            statistics: VecNormalize = load_from_pkl(file)  # trusted as the zip is
        if statistics.norm_obs and not isinstance(statistics.obs_rms, dict):
            _ = statistics.obs_rms.mean.shape
    except Exception as error:  # whatever a file that is none raises
        raise ValueError(
            f"{source} holds no statistics of a VecNormalize ({error}): save them with venv.save"
        ) from error
    return statistics


def _normalised(model: BaseAlgorithm, source: Path, path: Path) -> BaseAlgorithm | Normalised | Parted:
    statistics = _statistics(source)
    if not statistics.norm_obs:
        return _parted(model, path)
    if isinstance(statistics.obs_rms, dict):
        raise ValueError(  # noqa: TRY004 (of a file, not of a type)
            f"{source} normalises the parts of a Dict one by one, which is not done here: train behind "
            "gymnasium.wrappers.FlattenObservation, or record in Python a policy that does it"
        )
    if (shape := statistics.obs_rms.mean.shape) != model.observation_space.shape:
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
    if name == "PPO" and ("recurrent" in policy_class or any("lstm" in option for option in options)):
        return "RecurrentPPO"
    return "MaskablePPO" if name == "PPO" and "maskable" in policy_class else name
