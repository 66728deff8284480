"""The suite's one learned policy: a Gaussian MLP over safetensors, run by numpy alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Literal, Protocol, Self

import msgspec
import numpy as np

from gail_suite.demos.files import refuse_links, write_atomic
from gail_suite.demos.layers import ActionDecoder, decoder_depth, layer, linear
from gail_suite.demos.sealed import Json, one_warning, read_json, read_tensors, tensor_bytes, write_json

LOG_STD_RANGE = (-20.0, 2.0)


State = tuple[np.ndarray, ...] | None
"""What a recurrent policy carries from step to step."""


class Policy(Protocol):
    """What acts: anything with stable-baselines3's `predict`."""

    def predict(
        self,
        obs: np.ndarray,
        /,
        state: State = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, State]:
        """Actions (B, A) for observations (B, O), and the state after them."""


def check_policy(policy: object) -> None:
    """ValueError for what cannot be asked for actions, such as a function or a network alone."""
    if not callable(getattr(policy, "predict", None)):
        raise ValueError(  # noqa: TRY004 (every error of ours is a ValueError)
            "a policy is an object with predict(obs, state=None, episode_start=None, deterministic=False), which gives "
            "(actions, state) for rows of observations, as those of stable-baselines3; got a "
            f"{type(policy).__name__}: write a class around it (docs/your-own-environment.md has one)"
        )


def check_bounds(policy: object, space: object, task: str) -> None:
    """ValueError for an agent whose actions have other bounds than the given space of `task` has, as those of one that
    was trained behind RescaleAction.
    """
    own = getattr(getattr(policy, "policy", policy), "action_space", None)  # of an SB3 agent, also behind statistics
    if own is None:
        return
    from gymnasium.spaces import Box  # late, since reading demonstrations needs no gymnasium

    if not (isinstance(own, Box) and isinstance(space, Box) and own.shape == space.shape):
        return
    if not all(
        np.allclose(mine, given)
        for mine, given in ((own.low, space.low), (own.high, space.high))
        if np.isfinite(mine).all()  # without bounds it says nothing of a scale
    ):
        said, here = (f"[{bounds.low.min():g}, {bounds.high.max():g}]" for bounds in (own, space))
        raise ValueError(
            f"the policy's actions lie in {said}, those of {task} in {here}: use the environment that it was trained "
            "in, wrappers that scale actions included (register one that has them)"
        )


class PolicyRecord(msgspec.Struct):
    """What policy.json has to say; anything else in it is provenance."""

    kind: Literal["mlp_policy"]
    env_id: str | None = None
    activation: Literal["relu", "tanh"] = "relu"
    squash: bool = True


class MlpPolicy:
    """Gaussian MLP policy, squashed by tanh or clipped to the action bounds.

    x = (obs - obs_mean) * obs_scale,  h = relu or tanh MLP(x),  m = W h + b,  log s = clip(W' h + b', -20, 2)
    (or a state-independent `log_std`),  u = m, or m + s * eps when stochastic,
    action = low + (tanh(u) + 1) / 2 * (high - low) if `meta["squash"]` (Haarnoja et al. 2018), else clip(u, low, high).

    With logits.weight and logits.bias the policy is a mixture of K Gaussians: mean and log_std are K actions wide, u is
    the mean of the likeliest component, or, when stochastic, of one that is drawn, and the noise is added to tanh(u).
    With a decoder (`ActionDecoder`) u is wider than the action, and decode(tanh(u)) takes the place of tanh(u).
    With `meta["discrete"]` m are logits of a choice: the action is the one-hot row of the largest, or of one drawn by
    softmax. A column with obs_scale 0 is hidden from the network. Every row of a batch is computed by the same
    operations whatever the batch size, so actions do not depend, to the last bit, on how many environments step
    together.

    Args:
        tensors: float32: obs_mean (O,), obs_scale (O,), hidden.{i}.weight (out, in), hidden.{i}.bias (out,),
            mean.weight (A, H), mean.bias (A,), log_std.weight and log_std.bias (or log_std), act_low (A,),
            act_high (A,); of a mixture logits.weight (K, H) and logits.bias (K,), and K A in place of A for mean and
            log_std; where actions are decoded, those of `ActionDecoder`, and Z + A in place of A for mean and
            log_std.
        meta: kind "mlp_policy", env_id, activation "relu" or "tanh", squash; anything else is provenance.

    Raises:
        ValueError: a tensor is missing, of the wrong shape, or not finite; an unknown activation.
    """

    def __init__(self, tensors: dict[str, np.ndarray], meta: Json) -> None:
        self.tensors = {name: np.asarray(value, np.float32) for name, value in tensors.items()}
        self.meta = {"kind": "mlp_policy", "activation": "relu", "squash": True, "discrete": False, **meta}
        self._check()
        t = self.tensors
        layers = range(self._depth())
        active = np.flatnonzero(t["obs_scale"])
        inputs = [t["hidden.0.weight"][:, active], *(t[f"hidden.{i}.weight"] for i in layers[1:])]
        self._active = active
        self._center, self._scale = t["obs_mean"][active], t["obs_scale"][active]
        self._hidden = [layer(w, t[f"hidden.{i}.bias"]) for i, w in zip(layers, inputs, strict=True)]
        self._mean = layer(t["mean.weight"], t["mean.bias"])
        self._log_std = (
            None if "log_std" in t or self.meta["discrete"] else layer(t["log_std.weight"], t["log_std.bias"])
        )
        self._logits = layer(t["logits.weight"], t["logits.bias"]) if "logits.weight" in t else None
        self._decoder = ActionDecoder.of(t)
        self._noise: list[np.random.Generator] = [np.random.default_rng()]

    @property
    def env_id(self) -> str:
        """The environment the policy was made for."""
        return str(self.meta["env_id"])

    @property
    def obs_dim(self) -> int:
        """Width of an observation."""
        return len(self.tensors["obs_mean"])

    @property
    def n_components(self) -> int:
        """Gaussians that actions are drawn from; 1 but for a mixture."""
        return len(self.tensors["logits.bias"]) if "logits.bias" in self.tensors else 1

    @property
    def act_dim(self) -> int:
        """Width of an action."""
        return len(self.tensors["act_low"])

    def seed(self, seed: int | Sequence[int]) -> None:
        """Seeds the noise of stochastic actions: one stream for all, or one for each row of the batch."""
        seeds = [seed] if isinstance(seed, int | np.integer) else seed
        self._noise = [np.random.default_rng(int(s)) for s in seeds]

    @contextmanager
    def noise_from(self, seeds: Sequence[int]) -> Iterator[None]:
        """Within the block noise comes from `seeds`, one for each row of the batch; afterwards from where it came
        before.
        """
        before = self._noise
        self.seed(seeds)
        try:
            yield
        finally:
            self._noise = before

    def predict(
        self, obs: np.ndarray, state: State = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, State]:
        """Actions (B, A) or (A,) for observations (B, O) or (O,), float32; `state` is handed through.

        Raises:
            ValueError: the observations have another width than the policy was made for.
        """
        try:
            obs = np.asarray(obs, np.float32)
        except (TypeError, ValueError, RuntimeError) as error:  # ragged lists, tensors with gradients
            raise ValueError(
                f"observations cannot be read as an array of numbers: {' '.join(str(error).split())}"
            ) from None
        if obs.ndim not in (1, 2) or obs.shape[-1] != self.obs_dim:
            raise ValueError(
                f"observations of shape {obs.shape} given to a policy for {self.meta.get('env_id')} that "
                f"reads {self.obs_dim} numbers each: use the environment the policy was made for"
            )
        features = self._features(np.atleast_2d(obs))
        u = linear(features, *self._mean)
        if self.meta["discrete"]:
            # the largest of logits with Gumbel noise is a draw from their softmax
            scores = u if deterministic else u + self._draw(u.shape, "gumbel")
            actions = np.eye(self.act_dim, dtype=np.float32)[scores.argmax(-1)]
            return (actions[0] if obs.ndim == 1 else actions), state
        low, high = self.tensors["act_low"], self.tensors["act_high"]
        if self._logits is not None:
            unit = self._of_mixture(features, u, deterministic)
        else:
            if not deterministic:
                u = u + np.exp(self._log_stds(features)) * self._draw(u.shape)
            unit = self._bounded(u) if self.meta["squash"] else u
        actions = np.clip(low + (unit + 1) / 2 * (high - low) if self.meta["squash"] else unit, low, high)
        return (actions[0] if obs.ndim == 1 else actions), state

    def save(self, folder: str | Path) -> Path:
        """Writes `policy.safetensors` and `policy.json` into `folder`; the second stands only beside its first."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        refuse_links(folder)
        (folder / "policy.json").unlink(missing_ok=True)
        write_atomic(folder / "policy.safetensors", tensor_bytes(self.tensors))
        write_json(folder / "policy.json", self.meta)
        return folder

    @classmethod
    @one_warning()
    def load(cls, folder: str | Path) -> Self:
        """The policy in `folder`.

        Raises:
            ValueError: missing, damaged, or not such a policy.
        """
        folder = Path(folder)
        meta = read_json(folder / "policy.json", PolicyRecord)
        return cls(read_tensors(folder / "policy.safetensors"), meta)

    def _of_mixture(self, features: np.ndarray, means: np.ndarray, deterministic: bool) -> np.ndarray:
        """Actions (B, A) in [-1, 1] of one component each, for all means (B, K A) before the tanh."""
        assert self._logits is not None
        scores = linear(features, *self._logits)
        if not deterministic:
            scores = scores + self._draw(scores.shape, "gumbel")
        chosen = np.arange(len(means)), scores.argmax(-1)
        unit = np.tanh(means.reshape(len(means), -1, self.act_dim)[chosen])
        if deterministic:
            return unit
        deviations = np.exp(self._log_stds(features)).reshape(len(means), -1, self.act_dim)[chosen]
        return np.clip(unit + deviations * self._draw(unit.shape), -1, 1)

    def _bounded(self, u: np.ndarray) -> np.ndarray:
        """Actions (B, A) in [-1, 1]."""
        return np.tanh(u) if self._decoder is None else self._decoder(np.tanh(u))

    def _features(self, obs: np.ndarray) -> np.ndarray:
        h = (obs.take(self._active, axis=1) - self._center) * self._scale  # take keeps rows contiguous for linear
        for weight, bias in self._hidden:
            z = linear(h, weight, bias)
            h = np.maximum(z, 0) if self.meta["activation"] == "relu" else np.tanh(z)
        return h

    def _log_stds(self, features: np.ndarray) -> np.ndarray:
        log_std = self.tensors["log_std"] if self._log_std is None else linear(features, *self._log_std)
        return np.clip(log_std, *LOG_STD_RANGE)

    def _draw(self, shape: tuple[int, ...], kind: str = "standard_normal") -> np.ndarray:
        def draw(stream: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
            return stream.gumbel(size=size) if kind == "gumbel" else stream.standard_normal(size, np.float32)

        if len(self._noise) == 1:
            return draw(self._noise[0], shape)
        if len(self._noise) != shape[0]:
            raise ValueError(
                f"{shape[0]} observations but {len(self._noise)} noise streams: seed the policy with one "
                "number or with one for each observation"
            )
        return np.stack([draw(stream, shape[1]) for stream in self._noise])

    def _depth(self) -> int:
        return sum(name.startswith("hidden.") and name.endswith(".weight") for name in self.tensors)

    def _check(self) -> None:
        t = self.tensors
        depth = self._depth()
        names = {"obs_mean", "obs_scale", "mean.weight", "mean.bias", "act_low", "act_high", "hidden.0.weight"}
        names |= {f"hidden.{i}.bias" for i in range(depth)}
        names |= set() if "log_std" in t or self.meta["discrete"] else {"log_std.weight", "log_std.bias"}
        names |= {"logits.weight", "logits.bias"} if any(name.startswith("logits.") for name in t) else set()
        if missing := sorted(names - set(t)):
            raise ValueError(f"policy lacks the tensors {', '.join(missing)}: save it again from its model")
        if "logits.bias" in t and ("decoder.0.weight" in t or self.meta["discrete"] or not self.meta["squash"]):
            raise ValueError(
                "a mixture is squashed, not discrete, and has no decoder: save the policy again from its model"
            )
        shapes = self._shapes(depth) | self._decoder_shapes()
        for name, value in t.items():
            if value.shape != shapes.get(name, value.shape):
                raise ValueError(
                    f"policy tensor {name} has shape {value.shape} but its neighbours need "
                    f"{shapes[name]}: save the policy again from its model"
                )
            if not np.isfinite(value).all():
                raise ValueError(f"policy tensor {name} holds NaN or Inf: go back to an earlier checkpoint")
        if not (t["act_low"] <= t["act_high"]).all():
            raise ValueError("policy tensors act_low and act_high are no bounds: no low may be above its high")
        if self.meta["activation"] not in ("relu", "tanh"):
            raise ValueError(f"policy activation {self.meta['activation']!r} is unknown: use 'relu' or 'tanh'")

    def _latent_dim(self) -> int:
        return self.tensors["decoder.0.weight"].shape[-1] if "decoder.0.weight" in self.tensors else 0

    def _decoder_shapes(self) -> dict[str, tuple[int, ...]]:
        t, depth = self.tensors, decoder_depth(self.tensors)
        if depth == 0:
            return {}
        names = {"decoder.share", *(f"decoder.{i}.{kind}" for i in range(depth) for kind in ("weight", "bias"))}
        if missing := sorted(names - set(t)):
            raise ValueError(f"policy lacks the tensors {', '.join(missing)}: save it again from its model")
        if not self.meta["squash"]:
            raise ValueError(
                "a decoder reads actions in [-1, 1], but the policy has squash false: save it again from its model"
            )
        widths = [self._latent_dim(), *(t[f"decoder.{i}.bias"].size for i in range(depth - 1)), self.act_dim]
        shapes: dict[str, tuple[int, ...]] = {"decoder.share": (1,)}
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            shapes |= {f"decoder.{i}.weight": (outputs, inputs), f"decoder.{i}.bias": (outputs,)}
        return shapes

    def _shapes(self, depth: int) -> dict[str, tuple[int, ...]]:
        t = self.tensors
        hidden = [t["obs_mean"].size, *(t[f"hidden.{i}.bias"].size for i in range(depth))]
        layers = {f"hidden.{i}": pair for i, pair in enumerate(pairwise(hidden))}
        width = self.n_components * (self.act_dim + self._latent_dim())
        layers |= dict.fromkeys(("mean", "log_std"), (hidden[-1], width)) | {"logits": (hidden[-1], self.n_components)}
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("obs_mean", "obs_scale"), (hidden[0],))
        shapes |= dict.fromkeys(("act_low", "act_high"), (self.act_dim,))
        shapes["log_std"] = (width,)
        for name, (inputs, outputs) in layers.items():
            shapes |= {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
        return shapes
