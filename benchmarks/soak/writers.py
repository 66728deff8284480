"""Every writer of the suite, broken off at each of its system calls: what is read afterwards is the old or the new.

Then the writer is called again, and must leave what it leaves undisturbed, byte for byte, and nothing beside it.
"""

from __future__ import annotations

import json
import random
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import demos
import envs
import generative
from benchmarks.soak import tracing
from benchmarks.soak.samples import FIXTURES
from demos.policy import MlpPolicy
from demos.sealed import read_json, write_json, write_results
from gail_suite.commands.gen import shared
from gail_suite.learning.policies.export import save_torchscript
from gail_suite.learning.policies.policy import LearnedPolicy
from gail_suite.learning.rewards.learned_reward import load_reward, save_reward
from gail_suite.priors.prior import fit_prior, load_prior
from gail_suite.runs.checkpoint import load_checkpoint, save_checkpoint
from gail_suite.runs.runlog import RunLog, read_metrics, read_run, write_run_files
from gail_suite.showing.video import write_film


@dataclass(frozen=True)
class Writer:
    """Something that writes into a folder of its own."""

    name: str
    write: Callable[[Path], object]
    read: Callable[[Path], Any]
    """Reads what is there, as a user would; ValueError where there is nothing or not all of it."""
    before: Callable[[Path], object] | None = None
    """Writes the older content that `write` replaces or adds to."""
    refuses: bool = False
    """Whether it does not write over what is there, so that a broken one is removed by hand and written anew."""
    goes_on: Callable[[Path], object] | None = None
    """What is written after it, in a run that goes on."""


def writers() -> list[Writer]:
    """One of every kind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # files of a17ba61 carry no digests
        policy = LearnedPolicy.load(FIXTURES / "run-bc/policy")
        reward = load_reward(FIXTURES / "run-gail-ppo/reward")
        model = generative.load(FIXTURES / "models/vae.safetensors")
    shown = demos.record(envs.toy_expert, envs.TOY_ID, 3, n_envs=3)
    prior = fit_prior(shown, "gmm", "typicality", n_components=1)
    array = np.arange(24.0).reshape(2, 1, 3, 4) / 24
    facts = {"algo": "bc", "env_id": envs.TOY_ID, "seed": 0, "config": {"lr": 0.001}}
    frames = [np.full((16, 16, 3), k, np.uint8) for k in range(3)]

    def save_policy(scale: float) -> Callable[[Path], object]:
        tensors = policy.tensors | {"mean.bias": policy.tensors["mean.bias"] * np.float32(scale)}
        return lambda folder: MlpPolicy(tensors, {**policy.meta, "seed": int(scale)}).save(folder / "policy")

    def read_policy(folder: Path) -> Any:
        found = MlpPolicy.load(folder / "policy")
        return found.meta["seed"], found.tensors["mean.bias"].tolist()

    def checkpoint(step: int) -> Callable[[Path], object]:
        return lambda folder: save_checkpoint(folder, step, {"w": np.full(9, float(step))}, {"v": step})

    def read_checkpoint(folder: Path) -> Any:
        step, tensors, state = load_checkpoint(folder)
        return step, tensors["w"].tolist(), state

    def log(steps: range, cut: int | None = None) -> Callable[[Path], object]:
        def write(folder: Path) -> None:
            with RunLog(folder, quiet=True) as run:
                if cut is not None:
                    run.truncate_to(cut)
                for step in steps:
                    run.log(step, loss=step / 2)

        return write

    def images(name: str) -> Callable[[Path], object]:
        return lambda folder: shared.write(folder / name, torch.from_numpy(array))

    def there(name: str) -> Callable[[Path], Any]:
        def read(folder: Path) -> Any:
            if not (folder / name).exists():
                raise ValueError(f"{name} is not there")
            return (folder / name).read_bytes()

        return read

    def arrays(name: str) -> Callable[[Path], Any]:
        return lambda folder: there(name)(folder) and np.asarray(generative.data.load(folder / name).x_train).tolist()

    return [
        Writer(
            "recording",
            lambda folder: demos.record(envs.toy_expert, envs.TOY_ID, 3, n_envs=1, out=folder / "d"),
            lambda folder: demos.load(folder / "d").returns.tolist(),
        ),
        Writer(
            "demonstrations",
            lambda folder: shown.save(folder / "d"),
            lambda folder: demos.load(folder / "d").returns.tolist(),
            refuses=True,
        ),
        Writer("policy", save_policy(2), read_policy, save_policy(1)),
        Writer(
            "reward",
            lambda folder: save_reward(reward, folder / "reward"),
            lambda folder: load_reward(folder / "reward").meta["env_id"],
            lambda folder: save_reward(reward, folder / "reward"),
        ),
        Writer("prior", lambda f: prior.save(f / "prior"), lambda f: load_prior(f / "prior").kind, refuses=True),
        Writer(
            "model",
            lambda folder: model.save(folder / "m.safetensors"),
            lambda folder: there("m.safetensors")(folder) and generative.load(folder / "m.safetensors").spec,
            lambda folder: model.save(folder / "m.safetensors"),
        ),
        Writer(
            "checkpoint",
            checkpoint(30),
            read_checkpoint,
            lambda f: [checkpoint(k)(f) for k in (10, 20)],
            goes_on=checkpoint(40),
        ),
        Writer(
            "run's records",
            lambda folder: write_run_files(folder, facts | {"seed": 1}),
            lambda folder: read_run(folder)["seed"],
            lambda folder: write_run_files(folder, facts),
        ),
        Writer("rows of metrics", log(range(3, 5), cut=2), _rows, log(range(1, 4))),
        Writer(
            "evaluation",
            lambda folder: write_results(folder / "eval.json", {"score": 2}),
            lambda folder: json.loads(there("eval.json")(folder)),
            lambda folder: write_results(folder / "eval.json", {"score": 1}),
        ),
        Writer(
            "sweep's beginning",
            lambda folder: write_json(folder / "sweep.json", {"words": ["b"]}),
            lambda folder: read_json(folder / "sweep.json"),
            lambda folder: write_json(folder / "sweep.json", {"words": ["a"]}),
        ),
        *(Writer(f"samples {s}", images(f"x{s}"), arrays(f"x{s}"), images(f"x{s}")) for s in (".npz", ".npy")),
        Writer("samples .png", images("x.png"), there("x.png"), images("x.png")),
        *(
            Writer(f"film {s}", lambda f, s=s: write_film(f / f"x{s}", iter(frames), 10), there(f"x{s}"))
            for s in (".gif", ".npz")
        ),
        Writer(
            "TorchScript",
            lambda folder: save_torchscript(policy, folder / "p.pt"),
            lambda folder: there("p.pt")(folder) and _script(folder / "p.pt"),
        ),
        Writer(
            "SB3 zip",
            lambda folder: policy.save_sb3(folder / "p.zip"),
            lambda folder: there("p.zip")(folder) and _entries(folder / "p.zip"),
        ),
    ]


def _script(file: Path) -> str:
    return torch.jit.load(file).code


def _entries(file: Path) -> list[str]:
    """The entries of a zip that can be read to its end."""
    with zipfile.ZipFile(file) as archive:
        if bad := archive.testzip():
            raise zipfile.BadZipFile(bad)
        return archive.namelist()


def _rows(folder: Path) -> list[int]:
    return [row["step"] for row in read_metrics(folder)]


def broken(writer: Writer, folder: Path, fault: tracing.Fault, share: float) -> Iterator[str | None]:
    """`fault` at every system call of a writer, or at a share of them: None, or what went wrong."""
    prepared, whole = _prepared(writer, folder / "before"), _prepared(writer, folder / "whole")
    old = _read(writer, prepared)
    writer.write(whole)
    new = _read(writer, whole)
    if writer.goes_on:
        writer.goes_on(whole)
    expected = tree(whole)
    calls = range(1, tracing.run(lambda: writer.write(prepared), prepared, fault=fault).calls + 1)
    rng = random.Random(f"{writer.name} {fault}")
    for at in calls if share >= 1 else sorted(rng.sample(calls, max(1, round(share * len(calls))))):
        here, what = folder / f"{fault}-{at}", f"{writer.name}, {fault} at call {at} of {len(calls)}"
        _prepared(writer, here)
        ended = tracing.run(lambda here=here: writer.write(here), here, at, fault)
        yield _judged(writer, here, what, ended, fault, (old, new, expected))


def _judged(
    writer: Writer, here: Path, what: str, ended: tracing.Ended, fault: tracing.Fault, known: tuple
) -> str | None:
    """What is wrong after a fault, and after the writer was called again."""
    old, new, expected = known
    if fault == "full" and ended.error and not _names_file(ended.error, here):
        return f"{what}: {ended.error}"
    found = _read(writer, here)
    if found not in (old, new, None) and not _begins(found, new):
        return f"{what}: neither old nor new but {str(found)[:200]}"
    try:
        _again(writer, here, found == new)
    except (ValueError, OSError) as error:
        return f"{what}: cannot be written again: {error}"
    left = tree(here)
    differing = [name for name in expected.keys() | left.keys() if expected.get(name) != left.get(name)]
    return f"{what}: {sorted(differing)} differ in the end" if differing else None


def _again(writer: Writer, here: Path, is_whole: bool) -> None:
    """Calls the writer again, as a user would: where that would be refused or a run goes on, not if all is there, and
    after removing what stands in the way.
    """
    if not is_whole or not (writer.refuses or writer.goes_on):
        try:
            writer.write(here)
        except ValueError:
            if not writer.refuses:
                raise
            shutil.rmtree(here)
            here.mkdir()
            writer.write(here)
    if writer.goes_on:
        writer.goes_on(here)


def _names_file(error: str, folder: Path) -> bool:
    """Whether an error is one line that names a file."""
    return "\n" not in error and str(folder) in error


def _begins(found: Any, new: Any) -> bool:
    """Whether what was found is the first part of the new, as of a recording or of rows."""
    return isinstance(found, list) and isinstance(new, list) and found == new[: len(found)]


def _prepared(writer: Writer, folder: Path) -> Path:
    folder.mkdir(parents=True)
    if writer.before is not None:
        writer.before(folder)
    return folder


def _read(writer: Writer, folder: Path) -> Any:
    """What can be read; None where there is nothing that the reader takes for whole."""
    try:
        return writer.read(folder)
    except ValueError:
        return None
    except (RuntimeError, zipfile.BadZipFile) as error:
        return f"damaged ({error})"


def tree(folder: Path) -> dict[str, bytes]:
    """Content of every file below `folder` by name, without what tells the time."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "tensorboard" not in path.parts and path.name != ".lock":
            data = path.read_bytes()
            if path.suffix in (".zip", ".pt"):  # archives that hold the time
                data = path.name.encode()
            if path.name == "metrics.jsonl":
                data = b"".join(line.split(b', "sps"')[0] + b"\n" for line in data.splitlines())
            found[str(path.relative_to(folder))] = data
    return found
