"""NaN in every place where a number comes in: one line says where, and nothing is learned or saved from it."""

from __future__ import annotations

import dataclasses
import typing
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import demos
import envs
import gail_suite as gs
import generative as g
from benchmarks.soak.fits import MODELS
from benchmarks.soak.samples import FIXTURES
from demos.policy import MlpPolicy
from demos.sealed import parse_tensors, tensor_bytes
from gail_suite.algorithms.airl import AIRLConfig
from gail_suite.algorithms.bc import BCConfig
from gail_suite.algorithms.expert import ExpertConfig
from gail_suite.algorithms.gail import GAILConfig
from gail_suite.algorithms.gail_onpolicy import OnPolicyGAILConfig
from gail_suite.learning.rewards.learned_reward import load_reward, save_reward
from gail_suite.priors.prior import fit_prior, load_prior
from generative.core.tensors import read_tensors, write_tensors

Case = tuple[str, Callable[[], object]]
CONFIGS = (BCConfig, GAILConfig, OnPolicyGAILConfig, AIRLConfig, ExpertConfig)


def poisoned(folder: Path) -> Iterator[str | None]:
    """Every place in turn: None for one line that refuses it, or what went wrong."""
    for name, use in cases(folder):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield _judged(name, use)


def _judged(name: str, use: Callable[[], object]) -> str | None:
    try:
        use()
    except (ValueError, FloatingPointError) as error:
        return f"{name}: more than a line: {error}" if "\n" in str(error) else None
    except Exception as error:  # noqa: BLE001 (what this counts)
        return f"{name}: {type(error).__name__}: {error}"
    return f"{name}: taken"


def cases(folder: Path) -> Iterator[Case]:
    """Name of the place, and what puts NaN there and uses it."""
    yield from _demonstrations(folder)
    yield from _settings()
    yield from _files(folder)
    yield from _fits()
    yield from _simulators()


def _with_nan(array: np.ndarray, at: int) -> np.ndarray:
    array = np.array(array)
    array.reshape(-1)[at] = np.nan
    return array


def _demonstrations(folder: Path) -> Iterator[Case]:
    shown = demos.record(envs.toy_expert, envs.TOY_ID, 1)[0]
    parts = {"obs": shown.obs, "acts": shown.acts, "rews": shown.rews}
    for name, array in parts.items():
        assert array is not None
        for at in (0, array.size // 2, array.size - 1):
            changed = parts | {name: _with_nan(array, at)}
            yield f"{name} {at}", lambda c=changed: demos.Trajectory(**c, terminated=False, truncated=True)
            file = folder / f"{name}-{at}.npz"
            np.savez(file, **changed)  # type: ignore[arg-type]
            yield f"{name} {at} of an .npz", lambda f=file: demos.from_npz(f, envs.TOY_ID)


def _settings() -> Iterator[Case]:
    for config in CONFIGS:
        yield from _fields(config(), config.__name__)


def _fields(config: Any, prefix: str) -> Iterator[Case]:
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), f"{prefix}.{field.name}"
        if dataclasses.is_dataclass(value):
            yield from _fields(value, name)
        elif isinstance(value, int | float) or hints[field.name] in (float | None,):
            yield name, lambda f=field.name: dataclasses.replace(config, **{f: float("nan")})


def _files(folder: Path) -> Iterator[Case]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # files of a17ba61 carry no digests
        policy = MlpPolicy.load(FIXTURES / "run-bc/policy")
        save_reward(load_reward(FIXTURES / "run-gail-ppo/reward"), folder / "reward")
        models = {p.stem: g.load(p).save(folder / p.name) for p in sorted((FIXTURES / "models").glob("*.safetensors"))}
    fit_prior(demos.record(envs.toy_expert, envs.TOY_ID, 2), "gmm", "typicality", n_components=1).save(folder / "prior")
    for name, array in policy.tensors.items():
        yield f"policy {name}", lambda n=name, a=array: MlpPolicy(policy.tensors | {n: _with_nan(a, 0)}, policy.meta)
    for kind, read in (("reward/reward", load_reward), ("prior/arrays", load_prior)):
        file = folder / f"{kind}.safetensors"
        sound = parse_tensors(file.read_bytes(), file)
        for name, array in sound.items():
            if array.dtype.kind == "f" and array.size:
                yield f"{kind} {name}", lambda s=sound, n=name, f=file, r=read: _read_poisoned(s, n, f, r)
    models["prior"] = folder / "prior/model.safetensors"
    for kind, file in models.items():
        header, tensors = read_tensors(file)
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and tensor.numel():
                bad = tensors | {name: torch.from_numpy(_with_nan(tensor.numpy(), 0))}
                yield f"model {kind} {name}", lambda b=bad, h=header: g.load(write_tensors(folder / "bad", b, _open(h)))


def _open(header: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in header.items() if name != "sha256"}


def _read_poisoned(sound: dict[str, np.ndarray], name: str, file: Path, read: Callable[[Path], object]) -> None:
    kept = file.read_bytes()
    file.write_bytes(tensor_bytes(sound | {name: _with_nan(sound[name], 0)}))
    try:
        read(file.parent)
    finally:
        file.write_bytes(kept)


def _fits() -> Iterator[Case]:
    images = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0)).round()
    vectors = images.flatten(1)[:, :4] + torch.arange(4)
    makes: dict[str, tuple[Callable[[], Any], torch.Tensor]] = {name: (make, images) for name, make in MODELS.items()}
    makes["GaussianMixture"] = lambda: g.GaussianMixture(2), vectors
    makes["BayesianGaussianMixture"] = lambda: g.BayesianGaussianMixture(2), vectors
    options = {"steps": 1, "progress": False}
    for name, (make, x) in makes.items():
        bad = torch.from_numpy(_with_nan(x.numpy(), x.numel() // 2))
        if "Mixture" not in name:  # which take NaN for a missing entry
            yield f"{name} x", lambda m=make, b=bad: m().fit(b, **options)
            yield f"{name} val", lambda m=make, b=bad, x=x: m().fit(x, val=b, **options)
        inf = torch.where(torch.isnan(bad), torch.inf, bad)
        yield f"{name} infinite x", lambda m=make, b=inf: m().fit(b, **options)
        if make().density != "none" and "Mixture" not in name:
            yield f"{name} log_prob", lambda m=make, b=bad, x=x: m().fit(x, **options).log_prob(b)
    yield "labels", lambda: g.VAE(latent=1, hidden=4).fit(images, torch.full((40,), torch.nan), **options)
    yield "GAN lr", lambda: g.GAN(lr=float("nan"))
    yield "images", lambda: g.data.load(np.full((20, 1, 4, 4), np.nan, np.float32))


class _Sick:
    """A policy whose actions become NaN."""

    def predict(
        self, obs: np.ndarray, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> Any:
        return np.full((len(obs), 2), np.nan, np.float32), state


def _simulators() -> Iterator[Case]:
    yield "actions while recording", lambda: demos.record(_Sick(), envs.TOY_ID, 1)
    yield "actions while evaluating", lambda: gs.evaluate(_Sick(), envs.TOY_ID, n_episodes=1)
    yield "reference returns", lambda: envs.register_reference(envs.TOY_ID, float("nan"), 1.0)
    yield "clip", lambda: g.VAE(clip=float("nan"))
    yield "budget", lambda: gs.GAILConfig(starts=float("nan"))  # type: ignore[arg-type]
