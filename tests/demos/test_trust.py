"""Nothing on a load path is unpickled, and `import demos` stays light."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import demos
import envs

ROOT = Path(__file__).parents[2]


def test_import_brings_no_heavy_library():
    heavy = ("torch", "minari", "h5py", "pyarrow", "gymnasium", "mujoco", "stable_baselines3", "imitation")
    code = f"import sys, demos; demos.expert('Ant-v5'); print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_no_load_path_unpickles(tmp_path, toy_policy, monkeypatch):
    recorded = demos.record(toy_policy, envs.TOY_ID, 2, out=tmp_path / "d")
    envs.spec("Ant-v5")
    np.savez(tmp_path / "x.npz", obs=recorded[0].obs, acts=recorded[0].acts, rews=recorded[0].rews)
    toy_policy.save(tmp_path / "p")

    def refuse(*args, **kwargs):
        raise AssertionError("something was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    demos.load(tmp_path / "d", strict=True)
    assert demos.verify(tmp_path / "d").ok
    demos.MlpPolicy.load(tmp_path / "p")
    demos.from_npz(tmp_path / "x.npz", env_id=envs.TOY_ID)
    demos.expert("Humanoid-v5")


@pytest.mark.parametrize("content", [pickle.dumps({"a": 1}), b"PK\x03\x04", b"", b"\xff" * 64, b"\0" * 7 + b"\x80"])
def test_hostile_files_in_place_of_an_episode(tmp_path, make_demos, content):
    folder = make_demos().save(tmp_path / "d")
    (folder / "episode_00000.safetensors").write_bytes(content)
    (folder / "manifest.jsonl").unlink()
    with pytest.raises(ValueError, match=r"episode_00000.safetensors is not a sound safetensors file \("):
        demos.load(folder)
