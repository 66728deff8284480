"""One small file of every kind that the suite writes or reads, and what reads it."""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import demos
import envs
import generative
from demos.policy import MlpPolicy
from demos.sealed import read_json, write_json, write_results
from gail_suite.learning.rewards.learned_reward import load_reward, save_reward
from gail_suite.priors.prior import fit_prior, load_prior
from gail_suite.runs.checkpoint import load_checkpoint, save_checkpoint
from gail_suite.runs.config import build
from gail_suite.runs.records import BeginningRecord, config_of, evaluation_of, versions_of
from gail_suite.runs.runlog import RunLog, read_metrics, write_run_files

FIXTURES = Path(__file__).parents[2] / "tests/fixtures/a17ba61"


@dataclass(frozen=True)
class Sample:
    """A file of one kind."""

    kind: str
    file: Path
    read: Callable[[], Any]
    """Reads what the file belongs to, as a user would."""
    sealed: bool = True
    """Whether any change of its bytes has to be noticed; else a change may only never end in anything but a
    ValueError.
    """


def samples(folder: Path) -> list[Sample]:
    """Writes one file of every kind below `folder`."""
    return [*_demonstrations(folder), *_policies(folder), *_models(folder), *_run(folder), *_foreign(folder)]


def _recorded() -> demos.Demonstrations:
    return demos.record(envs.toy_expert, envs.TOY_ID, 2, n_envs=2)


def _demonstrations(folder: Path) -> list[Sample]:
    path = folder / "demos"
    _recorded().subsample(4).save(path)

    def read() -> Any:
        return demos.load(path)

    names = {"meta.json": True, "manifest.jsonl": False, "episode_00001.safetensors": True}
    return [Sample(f"demonstrations {name}", path / name, read, sealed) for name, sealed in names.items()]


def _policies(folder: Path) -> list[Sample]:
    path = folder / "policy"
    policy = _quietly(lambda: MlpPolicy.load(FIXTURES / "run-bc/policy"))
    policy.save(path)

    def read() -> Any:
        return MlpPolicy.load(path)

    return [Sample(f"policy {name}", path / name, read) for name in ("policy.json", "policy.safetensors")]


def _models(folder: Path) -> list[Sample]:
    prior, reward, model = folder / "prior", folder / "reward", folder / "model.safetensors"
    fit_prior(_recorded(), "gmm", "typicality", n_components=1).save(prior)
    save_reward(_quietly(lambda: load_reward(FIXTURES / "run-gail-ppo/reward")), reward)
    _quietly(lambda: generative.load(FIXTURES / "models/vae.safetensors")).save(model)
    fits = folder / "fits"
    torch.manual_seed(0)
    data = torch.rand(32, 3)

    def fit(resume: bool, steps: int = 2) -> Any:
        net = generative.AutoEncoder(latent=2, hidden=4, layers=1, batch_size=8)
        return net.fit(data, steps=steps, progress=False, device="cpu", checkpoint=fits, resume=resume)

    fit(resume=False)
    names = ("prior.json", "arrays.safetensors", "model.safetensors")
    return [
        *(Sample(f"prior {name}", prior / name, lambda: load_prior(prior)) for name in names),
        *(
            Sample(f"reward {n}", reward / n, lambda: load_reward(reward))
            for n in ("reward.json", "reward.safetensors")
        ),
        Sample("model", model, lambda: generative.load(model)),
        Sample("model checkpoint", next(fits.glob("*.safetensors")), lambda: fit(resume=True)),
    ]


def _run(folder: Path) -> list[Sample]:
    path = folder / "run"
    facts = {"algo": "bc", "env_id": envs.TOY_ID, "seed": 0, "total_steps": 5, "demos": {}, "config": {"lr": 0.001}}
    write_run_files(path, facts)
    with RunLog(path, quiet=True) as log:
        for step in range(1, 4):
            log.log(step, score=0.1 * step)
    write_results(path / "eval.json", {"env_id": envs.TOY_ID, "score": 0.5, "returns": [1.0, 2.0]})
    write_json(path / "sweep.json", {"words": ["train", "bc"]})
    arrays = {"w": np.arange(12.0).reshape(3, 4), "n": np.array(7)}
    checkpoint = save_checkpoint(path / "checkpoints", 5, arrays, {"owed": 0.5, "text": "abc"})
    settings = folder / "settings.yaml"
    settings.write_text("lr: 0.002\nhidden: [8, 8]\n")
    return [
        Sample("config.json", path / "config.json", lambda: config_of(path)),
        Sample("versions.json", path / "versions.json", lambda: versions_of(path)),
        Sample("eval.json", path / "eval.json", lambda: evaluation_of(path), sealed=False),
        Sample("sweep.json", path / "sweep.json", lambda: read_json(path / "sweep.json", BeginningRecord)),
        Sample("metrics.jsonl", path / "metrics.jsonl", lambda: read_metrics(path), sealed=False),
        Sample("checkpoint state.json", checkpoint / "state.json", lambda: load_checkpoint(checkpoint.parent)),
        Sample("checkpoint tensors", checkpoint / "tensors.safetensors", lambda: load_checkpoint(checkpoint.parent)),
        Sample("settings.yaml", settings, lambda: _settings(settings), sealed=False),
    ]


def _settings(file: Path) -> Any:
    from gail_suite.algorithms.bc import BCConfig

    return build(BCConfig(), file)


def _foreign(folder: Path) -> list[Sample]:
    npz, d4rl, images, idx = (folder / n for n in ("demos.npz", "hopper.hdf5", "images.npy", "idx3-ubyte.gz"))
    import h5py

    shown = _recorded()[0]
    np.savez_compressed(npz, obs=shown.obs, acts=shown.acts, rews=shown.rews)
    with h5py.File(d4rl, "w") as file:
        for name, array in (("observations", shown.obs[:-1]), ("actions", shown.acts), ("rewards", shown.rews)):
            file[name] = array
        file["terminals"] = np.zeros(len(shown), bool)
        file["timeouts"] = np.arange(len(shown)) == len(shown) - 1
    np.save(images, np.zeros((3, 1, 4, 4), np.float32))
    idx.write_bytes(gzip.compress(b"\0\0\x08\x03" + b"\0\0\0\2" * 3 + bytes(8), mtime=0))
    pictures = folder / "pictures"
    pictures.mkdir()
    for k in range(12):
        Image.new("L", (4, 4), 20 * k).save(pictures / f"{k:02}.png")
    imitation = folder / "imitation"
    demos.to_imitation(_recorded(), imitation)
    arrow = imitation / "data-00000-of-00001.arrow"
    return [
        Sample("demonstrations .npz", npz, lambda: demos.from_npz(npz, envs.TOY_ID), sealed=False),
        Sample("D4RL .hdf5", d4rl, lambda: demos.from_d4rl(d4rl, envs.TOY_ID), sealed=False),
        Sample("imitation .arrow", arrow, lambda: demos.from_imitation(imitation), sealed=False),
        Sample("images .npy", images, lambda: generative.data.load(images), sealed=False),
        Sample("images .png", pictures / "00.png", lambda: generative.data.load(pictures), sealed=False),
        Sample("images IDX", idx, lambda: generative.data.read_idx(idx), sealed=False),
    ]


def _quietly(read: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # files of a17ba61 carry no digests
        return read()
