"""Two processes fit one model: as one process would, and neither outlives the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from gail_suite import generative as g
from gail_suite.generative.core.backend import normal_like, own_draws, uniform_like
from gail_suite.generative.training.ranks import Ranks

FIT = """
import atexit, sys, torch, torch.distributed as dist
atexit.register(lambda: print("still in a group" if dist.is_initialized() else "left"))  # the last to be called
from gail_suite import generative as g
rank, folder, name, steps = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
x = torch.rand(96, 1, 4, 4, generator=torch.Generator().manual_seed(0))
settings = {"batch_size": 25, "eval_every": 4, "checkpoint_every": 4, "precision": "float32"}
more = {"PixelCNN": {"levels": 4}, "VAE": {"k_eval": 2, "binarize": True}}
model = getattr(g, name)(**settings, **more.get(name, {}))
losses = []
keep = lambda step, scalars: losses.append(scalars["loss"])
model.fit(x, steps=steps, progress=False, checkpoint=f"{folder}/checkpoints", on_step=keep)
if rank == 0:
    torch.save({"losses": losses, "net": model.net.state_dict()}, f"{folder}/two.pt")
"""


def start(rank: int, folder: Path, name: str, steps: int) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(
        [sys.executable, "-c", FIT, str(rank), str(folder), name, str(steps)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


MORE = {"PixelCNN": {"levels": 4}, "VAE": {"k_eval": 2, "binarize": True}}


@pytest.mark.parametrize("name", MORE)
def test_two_processes_fit_as_one_does(name: str, tmp_path: Path) -> None:
    """Also where the loss draws noise: a row has the noise that it would have in one process."""
    processes = [start(rank, tmp_path, name, 8) for rank in (0, 1)]
    for process in processes:
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        assert out.split("\n")[-2] == "left"  # threads of a group that outlive the interpreter abort it now and then
    two = torch.load(tmp_path / "two.pt")
    x = torch.rand(96, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    settings = {"batch_size": 25, "eval_every": 4, "checkpoint_every": 4, "precision": "float32"}
    one, losses = getattr(g, name)(**settings, **MORE[name]), []
    one.fit(x, steps=8, progress=False, on_step=lambda step, scalars: losses.append(scalars["loss"]))
    assert two["losses"] == pytest.approx(losses, rel=1e-5)
    for key, value in one.net.state_dict().items():
        torch.testing.assert_close(two["net"][key], value, rtol=1e-4, atol=1e-5)
    assert len(list((tmp_path / "checkpoints").glob("*.safetensors"))) == 2  # of the first process alone


def test_a_killed_process_ends_the_other(tmp_path: Path) -> None:
    staying, killed = (start(rank, tmp_path, "AutoEncoder", 10**6) for rank in (0, 1))
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("checkpoints/*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.1)
    killed.send_signal(signal.SIGKILL)
    began = time.monotonic()
    errors = staying.communicate(timeout=30)[1]
    assert staying.returncode != 0 and "Connection" in errors and time.monotonic() - began < 30
    killed.communicate()


def test_torchrun_starts_them_and_one_saves(tmp_path: Path) -> None:
    start_two = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "gail_suite"]
    model = tmp_path / "m.safetensors"
    ran = subprocess.run(
        [*start_two, "gen", "fit", "AutoEncoder", "digits", "--steps", "3", "--out", str(model), "--device", "cpu"],
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("AutoEncoder fitted to") == 1 and g.load(model).spec


def test_a_minibatch_has_a_row_for_each() -> None:
    assert Ranks(1, 3).part(torch.arange(7)).tolist() == [1, 4]
    with pytest.raises(ValueError, match="a minibatch of 2 cannot be shared by 3 processes"):
        Ranks(0, 3).part(torch.arange(2))


@pytest.mark.parametrize("rows", [0, 1])
def test_a_rows_noise_does_not_depend_on_who_has_it(rows: int) -> None:
    shape, cpu = [7, 7, 3], torch.device("cpu")
    with own_draws(4, cpu):
        whole = normal_like(torch.empty(shape), rows), uniform_like(torch.empty(shape))
    for rank in (0, 1, 2):
        part = Ranks(rank, 3).part(torch.arange(7))
        shape[rows] = len(part)
        with own_draws(4, cpu, rank, 3, 7):
            assert torch.equal(normal_like(torch.empty(shape), rows), whole[0].index_select(rows, part))
            with own_draws(4, cpu):  # held-out data are not shared
                assert torch.equal(normal_like(torch.empty(7, 7, 3), rows), whole[0])
            if rows == 0:
                assert torch.equal(uniform_like(torch.empty(shape)), whole[1][part])
