"""Kinds 3, 4, 8, 9 and 10: reading is bounded, writing stays inside its target, equal content has equal bytes,
nothing is left.
"""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import demos
import envs
import generative as g
from demos.exchange import archives
from demos.files import locked, whole_folder, write_atomic
from demos.sealed import read_json, write_json
from demos.shard import encode
from gail_suite.algorithms.bc import BCConfig
from gail_suite.commands.cli import main
from gail_suite.learning.offpolicy import LoopConfig
from gail_suite.learning.replay import Replay
from gail_suite.learning.shown.features import Features
from gail_suite.runs.config import build
from gail_suite.runs.runlog import RunLog
from generative.core.tensors import read_tensors, write_tensors

OLD_MODEL = Path(__file__).parents[1] / "fixtures/a17ba61/models/gmm.safetensors"


@pytest.fixture
def folder(tmp_path, toy_demos):
    return toy_demos.take(2).save(tmp_path / "demos")


@pytest.mark.parametrize("shape", [[1] * 70 + [2], [2**62], [-1, 2]])
def test_a_tensor_of_an_impossible_shape(tmp_path, shape):
    header = json.dumps({"x": {"dtype": "F32", "shape": shape, "data_offsets": [0, 8]}}).encode()
    (tmp_path / "m.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(ValueError, match=r"m\.safetensors is not a readable safetensors file"):
        read_tensors(tmp_path / "m.safetensors")


# kind 3: bounded reading


def test_an_npz_that_unpacks_to_more_than_any_recording_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "bomb.npz", obs=np.zeros((300_000, 4)), acts=np.zeros((1, 1)), rews=np.zeros(1))
    monkeypatch.setattr(archives, "LARGE", 1_000_000)
    with pytest.raises(ValueError, match=r"bomb.npz cannot be read .* unpack to .*, which no recording does"):
        demos.from_npz(tmp_path / "bomb.npz", envs.TOY_ID)


def test_what_does_not_fit_into_memory_is_refused_by_its_declared_size(tmp_path):
    np.savez_compressed(tmp_path / "x.npy", x=np.zeros(3))
    array = np.lib.format.open_memmap(tmp_path / "huge.npy", mode="w+", dtype=np.float32, shape=(1,))
    del array
    data = (tmp_path / "huge.npy").read_bytes().replace(b"(1,), ", b"(9000000000000,), "[:6].ljust(6))
    (tmp_path / "huge.npy").write_bytes(data)
    with h5py.File(tmp_path / "huge.hdf5", "w") as file:  # no chunk of it is stored
        file.create_dataset("observations", shape=(10**12, 10), dtype=np.float32, chunks=(1024, 10))
    with pytest.raises(ValueError, match=r"needs 4e\+04 GB of memory"):
        demos.from_d4rl(tmp_path / "huge.hdf5", envs.TOY_ID)
    with pytest.raises(
        ValueError, match=r"a replay buffer of 100,000,000,000,000 transitions .* needs .* GB of memory"
    ):
        Replay(10**14, 8, 27, 8)
    with pytest.raises(ValueError, match="n_envs must be at most 10000"):
        LoopConfig(n_envs=10**11)


def test_a_gzip_bomb_is_read_as_far_as_its_header_says(tmp_path):
    file = tmp_path / "bomb.gz"
    file.write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x05" + bytes(50_000_000)))
    with pytest.raises(ValueError, match="6 bytes where shape"):
        g.data.read_idx(file)
    file.write_bytes(gzip.compress(b"\0\0\x08\x03" + b"\xff\xff\xff\xff" * 3))
    with pytest.raises(ValueError, match="GB of memory"):
        g.data.read_idx(file)


@pytest.mark.parametrize("make", [lambda file: file.symlink_to("/dev/zero"), os.mkfifo])
def test_devices_and_pipes_in_place_of_a_file(folder, tmp_path, make):
    for name in ("episode_00000.safetensors", "manifest.jsonl", "meta.json"):
        kept = (folder / name).read_bytes()
        (folder / name).unlink()
        make(folder / name)
        with pytest.raises(ValueError, match=r"is a folder, a device or a pipe|has no meta.json"):
            demos.load(folder)
        (folder / name).unlink()
        (folder / name).write_bytes(kept)
    make(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="device or a pipe"):
        g.load(tmp_path / "model.safetensors")


def test_yaml_aliases_are_refused(tmp_path):
    (tmp_path / "laughs.yaml").write_text("a: &a [x, x]\nb: &b [*a, *a]\nhidden: [*b, *b]\n")
    with pytest.raises(ValueError, match="an alias, of which a few lines can unfold"):
        build(BCConfig(), tmp_path / "laughs.yaml")


# kind 4: only inside the target


@pytest.mark.parametrize("name", [".lock", "policy", "tensorboard", "metrics.jsonl"])
def test_a_run_directory_with_links_is_not_written_through(tmp_path, name):
    outside, run = tmp_path / "outside", tmp_path / "run"
    outside.mkdir()
    run.mkdir()
    (run / name).symlink_to(outside / name)
    with (
        pytest.raises(ValueError, match=f"{name} is a symbolic link, so what is written there would leave"),
        RunLog(run),
    ):
        pass
    assert not list(outside.iterdir())


def test_hdf5_that_points_outside_itself(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(np.arange(30, dtype=np.float32).tobytes())
    with h5py.File(tmp_path / "out.hdf5", "w") as file:
        file.create_dataset("observations", (10, 3), np.float32, external=[(str(secret), 0, 120)])
    with h5py.File(tmp_path / "link.hdf5", "w") as file:
        file["observations"] = h5py.ExternalLink(str(tmp_path / "out.hdf5"), "observations")
    for name in ("out", "link"):
        with pytest.raises(ValueError, match=r"observations (in another file|to another place)"):
            demos.from_d4rl(tmp_path / f"{name}.hdf5", envs.TOY_ID)


@pytest.mark.parametrize(
    "pairs", [(2, [-1, 0]), (0, [0, 0]), (-2, [0, 0]), (4, [5, 0]), (2.5, [0, 0]), (10**6, [10**5, 0])]
)
def test_pairs_that_do_not_fit_are_no_demonstrations(folder, pairs):
    stride, offsets = pairs
    write_json(
        folder / "meta.json", {**read_json(folder / "meta.json"), "pairs": {"stride": stride, "offsets": offsets}}
    )
    with pytest.raises(ValueError, match=r"meta.json (is damaged at|has damaged) pairs"):
        demos.load(folder)
    assert not demos.verify(folder).ok


def test_values_out_of_their_bounds_in_files_of_ours(tmp_path):
    with pytest.raises(ValueError, match="different whole numbers from 0"):
        Features(np.array([-1, 0]), np.zeros(2), np.ones(2))
    with pytest.warns(UserWarning, match="no SHA-256"):
        header, tensors = read_tensors(OLD_MODEL)
    for key, value, says in (
        ("spec", '{"event_shape": [-8], "value": "real", "levels": 0, "n_classes": 0}', "event_shape"),
        ("calibration", '["low", "high"]', "calibration is damaged"),
        ("calibration", "[NaN, 1.0]", "calibration"),
        ("config", "[" * 100_000, "config is damaged"),
    ):
        write_tensors(tmp_path / "bad.safetensors", tensors, header | {key: value})
        with pytest.raises(ValueError, match=says):
            g.load(tmp_path / "bad.safetensors")


# kind 8: equal content, equal bytes


def test_equal_content_has_equal_bytes_in_every_process():
    code = (
        "import hashlib, numpy as np, torch, tempfile, pathlib\n"
        "from demos.shard import encode; from demos import Trajectory\n"
        "from generative.core.tensors import write_tensors\n"
        "t = Trajectory(np.zeros((3, 2)), np.zeros((2, 1)), np.zeros(2), True, False, 5)\n"
        "f = pathlib.Path(tempfile.mkdtemp()) / 'x'\n"
        "write_tensors(f, {'a': torch.zeros(2)}, {str(i): str(i) for i in range(9)})\n"
        "print(hashlib.sha256(encode(t) + f.read_bytes()).hexdigest())"
    )
    root = Path(__file__).parents[2]
    found = {
        subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, check=True).stdout for _ in range(3)
    }
    assert len(found) == 1


# kinds 9 and 10: nothing is left behind, one writer at a time, errors name the file


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path, toy_demos):
    for name in ("policy.json", "we[i]rd*.json"):
        stray = tmp_path / f".{name}.99999.tmp"
        stray.write_text("half")
        write_atomic(tmp_path / name, b"{}")
        assert not stray.exists()
    stray = tmp_path / "fit" / "step_000000001.safetensors.99999.tmp"
    stray.parent.mkdir()
    stray.write_text("half")
    options = {"steps": 2, "progress": False, "device": "cpu", "checkpoint": tmp_path / "fit"}
    g.AutoEncoder(latent=1, hidden=4, layers=1, batch_size=8).fit(torch.rand(16, 3), **options)
    assert not list(stray.parent.glob("*.tmp"))


def test_two_fits_on_one_checkpoint_folder(tmp_path):
    with locked(tmp_path), pytest.raises(ValueError, match="is in use by another fit: wait for it"):
        g.AutoEncoder(latent=1, hidden=4, layers=1).fit(torch.rand(16, 3), steps=1, progress=False, checkpoint=tmp_path)


def test_a_full_disk_names_the_file(tmp_path, monkeypatch, capsys, folder):
    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*config.json"):
        write_atomic(tmp_path / "config.json", b"{}")
    assert not list(tmp_path.glob(".*.tmp"))
    assert main(["data", "filter", str(folder), "--best", "1", "--out", str(tmp_path / "new")]) in (1, 2)
    assert capsys.readouterr().err.count("\n") == 1


def test_what_cannot_be_written_is_named_as_it_was_asked_for(tmp_path):
    target = tmp_path / ("a" * 250)  # a name that may be, while that of a temporary file beside it is too long

    def folder() -> None:
        with whole_folder(target):
            pass

    model = g.GaussianMixture(1).fit(torch.randn(50, 2))
    for write in (lambda: write_atomic(target, b""), lambda: model.save(target), folder):
        with pytest.raises(OSError, match="too long") as caught:
            write()
        assert caught.value.filename == str(target)
        assert str(caught.value).endswith(f"{target}'")


def test_names_that_are_not_utf8_work(tmp_path, toy_demos):
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/d\xff"))
    toy_demos.take(1).save(odd)
    assert len(demos.load(odd)) == 1


# kind 1: the last line of defence


def test_whatever_happens_people_get_one_line_and_a_way_to_report_it(monkeypatch, capsys):
    from gail_suite.commands import doctor

    fault: dict = {}  # a line of our own file, since what others' files raise is not called our fault
    exec(compile('def broken(**_):\n    raise KeyError("x")', doctor.__file__, "exec"), fault)  # noqa: S102
    monkeypatch.setattr(doctor, "doctor", fault["broken"])
    assert main(["doctor"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "KeyError" in said and "please report it" in said and "--debug" in said
    with pytest.raises(KeyError):
        main(["doctor", "--debug"])


def test_encoded_shards_hold_their_digest_only_once():
    t = demos.Trajectory(np.zeros((3, 2)), np.zeros((2, 1)), np.zeros(2), True, False, 5)
    assert encode(t).count(b'"digest"') == 1
