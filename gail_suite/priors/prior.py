"""Generative models of what an expert does, as priors for the policies that imitate it.

    PRIOR/prior.json               use, model, control, environment, settings, where the demonstrations come from
    PRIOR/arrays.safetensors       the map from observations to features, and further arrays of the use
    PRIOR/model.safetensors        the generative model, as its own `save` writes it

A use is a module with `fit(demonstrations, model, seed, control, **settings) -> Prior` and a line in `USES`.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec

from gail_suite.demos.files import whole_folder, write_atomic
from gail_suite.demos.names import known
from gail_suite.demos.sealed import Json, checked, one_warning, read_json, read_tensors, tensor_bytes, write_json
from gail_suite.generative.core.backend import learning
from gail_suite.runs.config import Settings, converted

if TYPE_CHECKING:
    import numpy as np

    from gail_suite.demos.trajectory import Demonstrations
    from gail_suite.generative import GenerativeModel
    from gail_suite.learning.shown.features import Features

FORMAT = 1
Setting = float | bool | str | None
"""A constant of a model or of a use, int included."""
USES: dict[str, tuple[str, tuple[str, ...]]] = {
    "typicality": ("gail_suite.priors.typicality", ("gmm", "vae", "ae", "pixelcnn", "gan", "constant")),
    "behaviour": ("gail_suite.priors.behaviour", ("gmm", "pixelcnn")),
    "latent-action": ("gail_suite.priors.latent_actions", ("ae", "vae")),
    "bottleneck": ("gail_suite.priors.bottleneck", ("vae",)),
    "start": ("gail_suite.priors.starts", ("gmm", "vae", "gan", "pixelcnn", "demonstrated", "constant")),
}
"""Use -> its module and the models that it can be made of."""
ARRAYS_ALONE = {("typicality", "constant"), ("behaviour", "pixelcnn"), ("start", "demonstrated"), ("start", "constant")}
"""Priors that hold no generative model."""
CONTROLS = ("untrained", "shuffled")
"""What a prior has to beat: the same model without training, and fitted to demonstrations whose columns were
shuffled.
"""


class PriorRecord(msgspec.Struct):
    """prior.json."""

    use: str
    model: str
    env_id: str
    control: str | None
    settings: Json
    provenance: Json


@dataclass(frozen=True)
class UseConfig(Settings):
    """A prior and what it does to training. Without a path nothing is attached."""

    path: str | None = None
    """Folder of the prior. A run copies it into its own folder, so that resuming needs nothing else."""

    AMOUNTS: ClassVar[tuple[str, ...]] = ()
    """Settings that say how much; with all of them 0 the run is plain GAIL to the last bit."""

    @property
    def weighs(self) -> bool:
        """Whether the settings ask for more than nothing."""
        return any(getattr(self, name) for name in self.AMOUNTS)

    @property
    def active(self) -> bool:
        """Whether the prior changes anything at all."""
        return self.path is not None and self.weighs


@dataclass(frozen=True)
class Prior:
    """A fitted prior: what it is for, its model, and how observations become the model's inputs."""

    use: str
    """A key of `USES`."""
    kind: str
    """A model of that use."""
    env_id: str
    """Environment of the demonstrations."""
    features: Features
    """Map from observations to the standardised features that the model knows."""
    model: GenerativeModel | None = None
    """The generative model; None where the prior is arrays and settings alone."""
    control: str | None = None
    """None for the prior itself, else one of `CONTROLS`."""
    settings: Json = field(default_factory=dict)
    """What `fit` was told, and what it found (JSON values)."""
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    """Whatever else the use has to keep."""
    provenance: Json = field(default_factory=dict)
    """Demonstrations, seed and versions (JSON values)."""

    def save(self, path: str | Path) -> Path:
        """Writes the folder, which is there as a whole or not at all.

        Raises:
            ValueError: something is there already.
        """
        target = Path(path)
        if target.exists():
            raise ValueError(f"{target} is there already: choose another folder for the prior")
        with whole_folder(target) as folder:
            arrays = {f"features.{k}": v for k, v in self.features.state().items()} | self.arrays
            write_atomic(folder / "arrays.safetensors", tensor_bytes(arrays))
            if self.model is not None:
                self.model.save(folder / "model.safetensors")
            write_json(
                folder / "prior.json",
                {
                    "format": FORMAT,
                    "use": self.use,
                    "model": self.kind,
                    "env_id": self.env_id,
                    "control": self.control,
                    "settings": self.settings,
                    "provenance": self.provenance,
                },
            )
        return target


@learning()
def fit_prior(
    demonstrations: Demonstrations,
    model: str = "gmm",
    use: str = "typicality",
    seed: int = 0,
    control: str | None = None,
    **settings: Setting,
) -> Prior:
    """A prior of `demonstrations` for a use; `settings` are the model's own constants.

    Raises:
        ValueError: unknown use, model, control or setting, a setting of another type, or a model that the use cannot be
            made of; names the valid ones.

    >>> from gail_suite import demos, envs
    >>> shown = demos.record(envs.toy_expert, envs.TOY_ID, n_episodes=4, seed=0)
    >>> prior = fit_prior(shown, "gmm", use="typicality")
    >>> prior.use, type(prior.model).__name__
    ('typicality', 'GaussianMixture')
    """
    from gail_suite.learning.shown.features import check_demonstrations

    check(use, model, control)
    check_demonstrations(demonstrations, demonstrations.task)
    module = importlib.import_module(USES[use][0])
    options = settings_of(module.fit)
    for name in options.keys() & settings.keys():
        settings[name] = converted(settings[name], options[name], name)
    if not any(p.kind is p.VAR_KEYWORD for p in inspect.signature(module.fit).parameters.values()):
        for name in settings:
            known("setting", name, [n for n in options if n not in module.NOT_OF.get(model, ())])
    return module.fit(demonstrations, model=model, seed=seed, control=control, **settings)


def settings_of(function: Callable[..., Prior]) -> dict[str, object]:
    """The keyword-only parameters of a function and the types that they are annotated with."""
    hints = typing.get_type_hints(function)
    return {name: hints[name] for name, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY}


def check(use: str, model: str, control: str | None) -> None:
    """ValueError, naming the valid ones, for an unknown use or control and for a model that the use cannot be made
    of.
    """
    models = USES[known("use", use, USES)][1]
    if model not in models:
        raise ValueError(f"a prior for {use} cannot be made of {model!r}: choose one of {', '.join(models)}")
    if control is not None:
        known("control", control, CONTROLS)


@one_warning()
@learning()
def load_prior(path: str | Path) -> Prior:
    """The prior that `Prior.save` wrote; nothing is unpickled.

    Raises:
        ValueError: no prior is there, or one of another format.
    """
    from gail_suite import generative
    from gail_suite.learning.shown.features import Features

    folder = Path(path)
    about = read_about(folder)
    check(about["use"], about["model"], about["control"])
    arrays = read_tensors(folder / "arrays.safetensors")
    try:
        features = Features(*(arrays.pop(f"features.{n}") for n in ("columns", "mean", "std")))
    except KeyError as error:
        raise ValueError(f"{folder / 'arrays.safetensors'} lacks {error}: fit the prior again") from None
    model = None if (about["use"], about["model"]) in ARRAYS_ALONE else generative.load(folder / "model.safetensors")
    return Prior(
        about["use"],
        about["model"],
        about["env_id"],
        features,
        model,
        about["control"],
        about["settings"],
        arrays,
        about["provenance"],
    )


def read_about(folder: str | Path) -> Json:
    """prior.json of a prior's folder; ValueError where there is none."""
    file = Path(folder) / "prior.json"
    if not file.exists():
        raise ValueError(f"{folder} holds no prior: fit one with gail-suite prior fit --demos DIR --out {folder}")
    about = read_json(file)
    if about.get("format") != FORMAT:
        raise ValueError(
            f"{folder} has format {about.get('format')}, this version reads format {FORMAT}: fit the prior again"
        )
    checked(about, PriorRecord, file)
    return about


def facts(
    use: str, model: str, demonstrations: Demonstrations, features: Features, control: str | None, seed: int
) -> Json:
    """What every prior says of itself, as arguments of `Prior`."""
    made = {"use": use, "kind": model, "env_id": demonstrations.task, "features": features, "control": control}
    return {**made, "provenance": provenance(demonstrations, seed)}


def provenance(demonstrations: Demonstrations, seed: int) -> Json:
    """What a prior remembers of its making."""
    from gail_suite.runs.versions import versions

    meta = {k: demonstrations.meta[k] for k in ("expert", "seed", "take", "subsample") if k in demonstrations.meta}
    shown, digest = demonstrations.transitions(), hashlib.sha256()
    for array in (shown.obs, shown.acts, shown.next_obs):
        if array is not None:
            digest.update(array.tobytes())
    return {
        "demos": {
            **meta,
            "n_trajectories": len(demonstrations),
            "n_pairs": demonstrations.n_pairs,
            "sha256": digest.hexdigest(),
        },
        "seed": seed,
        "versions": versions(),
    }
