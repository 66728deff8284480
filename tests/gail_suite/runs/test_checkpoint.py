"""Checkpoints: what is saved is what is loaded, and no accident leaves less than one whole checkpoint."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from gail_suite.runs import checkpoint
from gail_suite.runs.checkpoint import CheckpointError, load_checkpoint, save_checkpoint


def tensors(value: float = 1.0) -> dict[str, np.ndarray]:
    return {"w": np.full((4, 3), value, np.float32), "n": np.array(7, np.int64), "rng": np.arange(4, dtype=np.uint64)}


def names(directory: Path) -> list[str]:
    return sorted(p.name for p in directory.iterdir())


def test_round_trip_keeps_types_shapes_values_and_json(tmp_path: Path) -> None:
    state = {"rng": {"state": 2**127 + 1}, "name": "é", "loss": 0.1, "list": [1, None, True]}
    save_checkpoint(tmp_path, 12345, {**tensors(), "done": np.array([True, False])}, state)
    step, arrays, back = load_checkpoint(tmp_path)
    assert (step, back) == (12345, state)
    assert names(tmp_path) == ["step_000012345"]
    assert arrays["n"].shape == () and arrays["n"].dtype == np.int64 and arrays["done"].dtype == bool
    np.testing.assert_array_equal(arrays["w"], tensors()["w"])
    arrays["w"][0] = 5.0  # a resumed run trains in place


def test_strided_and_transposed_arrays_are_saved_as_they_read(tmp_path: Path) -> None:
    a = np.arange(12.0).reshape(3, 4)
    save_checkpoint(tmp_path, 1, {"t": a.T, "s": a[:, ::2]}, {})
    arrays = load_checkpoint(tmp_path)[1]
    np.testing.assert_array_equal(arrays["t"], a.T)
    np.testing.assert_array_equal(arrays["s"], a[:, ::2])


def test_keeps_the_newest_two_and_drops_an_abandoned_future(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        save_checkpoint(tmp_path, step, tensors(step), {})
    assert names(tmp_path) == ["step_000000020", "step_000000030"]
    save_checkpoint(tmp_path, 25, tensors(25), {})  # the run went back to 20 and saves at 25
    assert names(tmp_path) == ["step_000000020", "step_000000025"]


def test_saving_the_same_step_again_wins(tmp_path: Path) -> None:
    for value in (1.0, 2.0, 3.0):
        save_checkpoint(tmp_path, 10, tensors(value), {"v": value})
    assert load_checkpoint(tmp_path)[2] == {"v": 3.0}
    assert len(names(tmp_path)) == 2


def test_strays_of_a_killed_saver_are_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "step_000000001.tmp-dead").mkdir()
    save_checkpoint(tmp_path, 2, tensors(), {})
    assert names(tmp_path) == ["step_000000002"]


def test_every_flipped_bit_and_every_truncation_is_detected(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path, 5, tensors(), {"x": 1e30, "text": "abc"})
    rng = random.Random(0)
    for name in ("tensors.safetensors", "state.json"):
        good = (folder / name).read_bytes()
        for _ in range(200):
            bad = bytearray(good)
            bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
            (folder / name).write_bytes(bytes(bad))
            with pytest.raises(CheckpointError, match=r"no readable checkpoint in .*step_000000005"):
                load_checkpoint(tmp_path)
        for _ in range(50):
            (folder / name).write_bytes(good[: rng.randrange(len(good))])
            with pytest.raises(CheckpointError, match=name.split(".")[0]):
                load_checkpoint(tmp_path)
        (folder / name).write_bytes(good)
    assert load_checkpoint(tmp_path)[0] == 5


def test_a_damaged_newest_falls_back_to_the_older_with_a_warning(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, tensors(1), {"v": 1})
    newest = save_checkpoint(tmp_path, 2, tensors(2), {"v": 2})
    (newest / "tensors.safetensors").unlink()
    with pytest.warns(UserWarning, match=r"went back to step_000000001: .*step_000000002.*No such file"):
        assert load_checkpoint(tmp_path)[2] == {"v": 1}


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b"1" * 5_000])
def test_garbage_state_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    folder = save_checkpoint(tmp_path, 1, tensors(), {})
    (folder / "state.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"state\.json is damaged") as caught:
        load_checkpoint(tmp_path)
    assert "\n" not in str(caught.value)


def test_nothing_saved_yet(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint in .*nowhere: nothing was saved there yet"):
        load_checkpoint(tmp_path / "nowhere")


def crash(*_: object, **__: object) -> None:
    raise KeyboardInterrupt  # stands for a kill: nothing after this point of the saver runs, clean-up included


SAVER_STEPS = ["Path.mkdir", "_write_tensors", "_write_bytes", "sync_folder", "os.rename", "_prune", "shutil.rmtree"]


@pytest.mark.parametrize("place", SAVER_STEPS)
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_each_step_of_the_saver_leaves_old_or_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, after: bool
) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, step, tensors(step), {"v": step})
    owner = {"Path": Path, "os": os, "shutil": shutil}.get(place.split(".")[0], checkpoint)
    original = getattr(owner, place.split(".")[-1])

    def replaced(*args: object, **kwargs: object) -> None:
        if after:
            original(*args, **kwargs)
        crash()

    with monkeypatch.context() as patch:
        patch.setattr(owner, place.split(".")[-1], replaced)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, 3, tensors(3), {"v": 3})
    step, arrays, state = load_checkpoint(tmp_path)
    assert step in (2, 3) and state == {"v": step}
    np.testing.assert_array_equal(arrays["w"], tensors(step)["w"])
    save_checkpoint(tmp_path, 4, tensors(4), {"v": 4})
    assert load_checkpoint(tmp_path)[0] == 4
    assert not list(tmp_path.glob("*.tmp-*"))


@pytest.mark.parametrize("place", ["_write_tensors", "_write_bytes", "sync_folder"])
def test_a_full_disk_is_one_clear_line_and_the_old_checkpoint_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    save_checkpoint(tmp_path, 1, tensors(), {"v": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, place, full)
        with pytest.raises(CheckpointError, match=r"No space left on device; free some space .* --resume") as caught:
            save_checkpoint(tmp_path, 2, tensors(), {"v": 2})
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["step_000000001"] and load_checkpoint(tmp_path)[2] == {"v": 1}


def test_a_real_file_size_limit_is_survived(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, tensors(), {"v": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(CheckpointError, match=r"cannot save checkpoint .*step_000000002 \(0\.8 MB\)"):
            save_checkpoint(tmp_path, 2, {"big": np.zeros(100_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == ["step_000000001"] and load_checkpoint(tmp_path)[2] == {"v": 1}


def test_an_unwritable_place_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CheckpointError, match="make the folder writable"):
        save_checkpoint(tmp_path / "file", 1, tensors(), {})


LOOP = """
import sys, numpy as np
from gail_suite.runs.checkpoint import save_checkpoint
step = 0
while True:
    step += 1
    save_checkpoint(sys.argv[1], step, {"w": np.full(20_000, step, np.float64)}, {"v": step})
    print(step, flush=True)
"""


def test_kill_minus_nine_at_random_instants_never_loses_the_last_finished_checkpoint(tmp_path: Path) -> None:
    rng = random.Random(1)
    for trial in range(12):
        directory = tmp_path / str(trial)
        process = subprocess.Popen([sys.executable, "-c", LOOP, str(directory)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.random() * 0.1)
        process.send_signal(signal.SIGKILL)
        finished = [1, *map(int, process.stdout.read().split())][-1]
        process.wait()
        process.stdout.close()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # the newest one itself has to be readable
            step, arrays, state = load_checkpoint(directory)
        assert step >= finished and state == {"v": step} and (arrays["w"] == step).all()
        assert len(list(directory.glob("*.tmp-*"))) <= 1
