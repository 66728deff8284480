"""The one interface of every generative model: fit, sample, log_prob, typicality, save.

A model is its ``config`` (the constructor's keyword arguments), its ``spec`` (what fit inferred from the data: event
shape, value type, levels, classes), its tensors, and the scale of its typicality. All four live in one file
(``files``).
"""

from __future__ import annotations

import contextlib
import copy
import inspect
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from gail_suite.generative.core.backend import own_draws, resolve_device
from gail_suite.generative.core.checks import as_seed
from gail_suite.generative.core.tensors import locked
from gail_suite.generative.core.types import ArrayLike, Held, Settings
from gail_suite.generative.data.rows import Rows, in_memory
from gail_suite.generative.interface import fitting
from gail_suite.generative.interface.calibration import Scale, typicality
from gail_suite.generative.interface.files import MODELS, plain, save_model
from gail_suite.generative.interface.outputs import Outputs
from gail_suite.generative.training.options import FitOptions, OnStep
from gail_suite.generative.training.ranks import Ranks


class GenerativeModel(Outputs):
    """Base of all models; a subclass writes ``_build``, ``_fit``, ``_sample`` and ``_log_prob`` (or ``_error``).

    Inside these methods ``self.net`` is on ``self.device``, tensors too, and outside training it is in eval mode
    without gradients.
    """

    density: ClassVar[Literal["exact", "bound", "none"]] = "none"
    how_to_fit: ClassVar[frozenset[str]] = frozenset()
    """Settings that say how ``fit`` works and not what was fitted."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        MODELS[cls.__name__] = cls

    def __init__(self, **config: object) -> None:
        self._settings = config
        """The settings as they were given, which scikit-learn's ``clone`` compares by identity."""
        self.config: Settings = {name: plain(value) for name, value in config.items()}
        """The settings as a file can hold them: NumPy's and torch's numbers and arrays become Python's."""
        self.spec: Settings = {}
        self.calibration: Scale | None = None
        """The scale of ``typicality``; for a model with classes, of p(x | y)."""
        self.calibration_without_labels: Scale | None = None
        """For a model with classes, the scale of p(x)."""
        self.device = torch.device("cpu")

    def __repr__(self) -> str:
        defaults = {name: p.default for name, p in inspect.signature(type(self)).parameters.items()}
        changed = (f"{k}={v!r}" for k, v in self._settings.items() if k in defaults and v is not defaults[k])
        return f"{type(self).__name__}({', '.join(changed)})"

    # ---- what a subclass writes -------------------------------------------------------------------------------------
    def _build(self) -> None:
        """Create ``self.net`` from ``self.config`` and ``self.spec``."""
        raise NotImplementedError

    def _fit(self, x: Tensor, y: Tensor | None, val: tuple[Tensor, Tensor | None], options: FitOptions) -> None:
        """Train the freshly built model; noise comes from ``own_generator``."""
        raise NotImplementedError

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator) -> Tensor:
        """``n`` samples of the event shape, drawn from ``generator`` alone."""
        raise NotImplementedError

    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Nats per sample of one batch, shape (B,)."""
        raise NotImplementedError

    def _error(self, x: Tensor, y: Tensor | None) -> Tensor:
        """What ``typicality`` puts on a scale, shape (B,), low for typical data; the negative log-likelihood unless
        overridden.
        """
        return -self._log_prob(x, y)

    def _draws(self) -> int:
        """Samples that ``error`` decodes for every one that it is given."""
        return 1

    def _to_device(self) -> None:
        self.net.to(self.device)

    def _tensors(self) -> dict[str, Tensor]:
        return self.net.state_dict()

    def _set_tensors(self, tensors: dict[str, Tensor]) -> None:
        self._build()
        self.net.load_state_dict(tensors)
        self.net.eval()

    @classmethod
    def _config_of_file(cls, config: Settings) -> Settings:
        """The constructor's settings from those of a file, which an earlier version may have written."""
        return config

    # ---- the interface ----------------------------------------------------------------------------------------------
    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike | None = None,
        *,
        steps: int | None = None,
        seed: int = 0,
        device: str | torch.device = "auto",
        progress: bool = True,
        val: Held | None = None,
        on_step: OnStep | None = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        fine_tune: bool = False,
    ) -> Self:
        """Fit to ``x`` (N, C, H, W) in [0, 1] or (N, D), with optional labels ``y`` (N,) in 0..classes-1.

        A network's ``x`` may also be a torch Dataset of x or (x, label), a DataLoader over one, or a memmap: they are
        read batch by batch, in the order that the same data in memory would have. ``y`` may also be vectors (N, C) of
        real numbers, for p(x | y) given them; their columns should be of size 1.

        ``val`` is held-out data, of any of these kinds or a pair (x, y); without it a tenth of ``x`` is kept out.
        ``checkpoint`` is a folder without checkpoints; with ``resume`` the same fit continues from those in it, equal
        to an uninterrupted one, or for more ``steps``. ``fine_tune`` starts from the weights that the model has.
        Interrupted (KeyboardInterrupt, TrainingDiverged), a network keeps its last good weights; a fit that leaves
        nothing of use leaves the model as it was. Processes that torchrun started share a network's fit (see
        `training.ranks`). Returns self.
        """
        seed = as_seed(seed)
        if checkpoint and Path(checkpoint).exists() and not Path(checkpoint).is_dir():
            raise ValueError(f"checkpoint={str(checkpoint)!r} is a file: give a folder")
        previous = self.spec
        if fine_tune:
            self._need_fit()
            self._check_columns(x)
        with fitting.begun(self, steps, device):
            if fine_tune:  # a fit that fails gives back the weights that are trained on
                self.net = copy.deepcopy(self.net)
            data, labels = self._training_data(x, y)
            self.spec = self._infer(in_memory(data), data.some()[1] if isinstance(data, Rows) and labels else labels)
            self._name_columns(x)
            if isinstance(data, Rows):
                data.classes = self.spec["n_classes"] or None
            if fine_tune:
                self.spec = fitting.tuned(previous, self.spec)
            x_val, y_val = val if isinstance(val, tuple) else (val, None)
            held = None if x_val is None else self._given_val(x_val, y_val, labels)
            with own_draws(seed, self.device):
                if held is None:
                    data, labels, held = self._hold_out(data, labels)
                run = fitting.identity(self, data, labels, held, seed) if checkpoint else {}
                folder, ranks = Path(checkpoint) if checkpoint else None, Ranks.joined(self.device)
                shown, told = progress and ranks.first, on_step if ranks.first else None
                options = FitOptions(steps, seed, self.device, shown, told, folder, resume, fine_tune, run, ranks)
                with locked(folder) if folder and ranks.first else contextlib.nullcontext():
                    fitting.train(self, data, labels, held, options)
        return self

    def sample(self, n: int, *, seed: int | None = None, y: ArrayLike | int | None = None) -> Tensor:
        """``n`` samples (n, *event shape); ``y`` is one class for all or one label a sample; the same seed, the
        same samples.
        """
        return self._drawn(self._sample, n, y, seed)

    def log_prob(self, x: ArrayLike, y: ArrayLike | None = None, *, with_grad: bool = False) -> Tensor:
        """Log-likelihood (``density == "exact"``) or a lower bound on it (``"bound"``), nats per sample, shape (N,).

        ``with_grad`` keeps the graph to ``x`` and to the parameters of ``net``.
        """
        if self.density == "none":
            raise ValueError(f"{type(self).__name__} has no density: use typicality(x)")
        return self._batched(self._log_prob, x, y, with_grad)

    def typicality(self, x: ArrayLike, y: ArrayLike | None = None) -> Tensor:
        """How typical ``x`` is, in (0, 1]: 1 for the better half of held-out data, under 1/e for 5 % of them, shape
        (N,).

        exp(-relu(e - s) / (q - s)), e the ``error``, s its median and q its 95 % quantile on held-out data. A model
        fitted with labels has two such scales, of p(x | y) and, where ``y`` is left out, of p(x).
        """
        self._need_fit()
        scale = self.calibration
        if y is None and self.calibration_without_labels is not None:
            scale = self.calibration_without_labels
        if scale is None:
            raise ValueError(f"this {type(self).__name__} has no scale of typicality: fit(x) sets it")
        return typicality(self.error(x, y), scale)

    def error(self, x: ArrayLike, y: ArrayLike | None = None) -> Tensor:
        """The uncalibrated error behind ``typicality`` (negative log-likelihood, reconstruction error or critic),
        shape (N,).
        """
        return self._batched(self._error, x, y)

    def save(self, path: str | Path) -> Path:
        """Write one safetensors file (temporary file, fsync, rename) that ``load`` reads without pickle."""
        self._need_fit()
        return save_model(self, Path(path))

    def to(self, device: str | torch.device) -> Self:
        """Move the fitted model to ``device``."""
        self._need_fit()
        self.device = resolve_device(device)
        self._to_device()
        return self

    # ---- scikit-learn's tools ---------------------------------------------------------------------------------------
    def get_params(self, deep: bool = True) -> Settings:
        """The constructor's settings by name; ``deep`` changes nothing."""
        return dict(self._settings)

    def set_params(self, **settings: object) -> Self:
        """Change settings by name. A fitted model forgets its fit, unless all that changes is how the next one is
        made.
        """
        new = type(self)(**(self._settings | settings))
        changed = {name for name, value in new.config.items() if value != self.config.get(name)}
        if changed <= self.how_to_fit:
            self.config, self._settings = new.config, new._settings
        else:
            vars(self).clear()
            vars(self).update(vars(new))
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return bool(self.spec)

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags

        kind = "density_estimator" if hasattr(self, "score_samples") else None
        return Tags(kind, TargetTags(required=False), input_tags=InputTags(allow_nan=self._takes_missing()))
