"""The checks that a GPU will be put to, on a pretend one; and the answer where there is none."""

import pytest
import torch

from benchmarks import gpu
from tests.pretend import NAME, pretend_device


@pytest.fixture
def pretend():
    with pretend_device() as mode:
        yield mode


def test_without_a_gpu_one_line_and_exit_code_2(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["gpu", "--csv", str(tmp_path / "gpu.csv")])
    assert gpu.main() == 2 and capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "gpu.csv").exists()


def test_a_model_is_compared_and_timed(pretend, monkeypatch):
    monkeypatch.setitem(gpu.MODELS, "VAE", lambda: gpu.g.VAE(latent=2, hidden=4, k_eval=2))
    x = torch.rand(30, 1, 8, 8, generator=torch.Generator().manual_seed(0)).round()
    error, speeds = gpu.check_model("VAE", x, NAME, steps=2)
    assert error < gpu.TOLERANCE and set(speeds) == {NAME, "cpu"} and min(speeds.values()) > 0


def test_the_learners_are_compared_and_timed(pretend):
    for error, speeds in (gpu.check_critic(NAME, updates=2), gpu.check_cloning(NAME, steps=2)):
        assert error < gpu.TOLERANCE and min(speeds.values()) > 0
