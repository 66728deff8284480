"""What this machine offers: versions, processor, devices, renderers, film encoder, physics, disk."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

from gail_suite.demos.sealed import Json
from gail_suite.runs.versions import versions

TASKS = ("Ant-v5", "Humanoid-v5")
MIN_FREE_GB = 2.0


def diagnose(folder: str | Path = ".") -> Json:
    """Facts by name; "problems" lists what would stop the main job, each with its remedy."""
    found: Json = {**versions(), **_torch(), **_video(), "imitation": _has("imitation")}
    found["envpool"], found["ray"] = _has("envpool"), _has("ray")
    found["disk_free_gb"] = round(shutil.disk_usage(folder).free / 1e9, 1)
    found["physics"] = _physics()
    found["experts"] = _experts()
    found["problems"] = _problems(found)
    return found


def _torch() -> Json:
    import torch

    return {
        "threads": torch.get_num_threads(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "cuda": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "bf16_matmul": bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()),
        "amx": bool(torch.cpu._is_amx_tile_supported()),
    }


def _video() -> Json:
    from gail_suite.showing.egl import egl_probe
    from gail_suite.showing.video import choose_renderer

    probe = egl_probe()
    return {
        "mujoco_gl": os.environ.get("MUJOCO_GL"),
        "egl": probe.device or f"no ({probe.problem})",
        "renderer": choose_renderer("auto"),
        "ffmpeg": _ffmpeg(),
    }


def _ffmpeg() -> str | None:
    try:
        import imageio_ffmpeg

        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-version"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (ImportError, RuntimeError, OSError, subprocess.SubprocessError):
        return None
    return answer.split()[2]


def _physics() -> dict[str, str]:
    from gail_suite import envs

    return {task: (envs.physics_fingerprint(task) or "")[:16] for task in TASKS}


def _experts() -> dict[str, str]:
    from gail_suite import demos
    from gail_suite.demos.figures import said_return

    return {
        env_id: said_return(record["evaluation"]["return_mean"], record["evaluation"]["return_sd"])
        for env_id, record in demos.experts().items()
    }


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _problems(found: Json) -> list[str]:
    problems = []
    if found["ffmpeg"] is None:
        problems.append("no ffmpeg: pip install imageio-ffmpeg, or render to .gif")
    if str(found["mujoco"]).split(".")[0] != "3":
        problems.append(f"mujoco {found['mujoco']} has other physics than the bundled experts: install mujoco 3.17")
    if found["disk_free_gb"] < MIN_FREE_GB:
        problems.append(f"only {found['disk_free_gb']} GB free: checkpoints with a replay buffer take up to a few GB")
    return problems
