"""What a run ran on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from gail_suite.demos.sealed import Json


def versions() -> Json:
    """Versions of Python and the packages that decide the numbers, the git commit if any, and the machine."""
    packages = ("torch", "mujoco", "gymnasium", "stable-baselines3", "numpy", "safetensors", "gail-suite")
    machine = {"system": platform.platform(), "processor": _processor(), "cpus": os.cpu_count()}
    return {"python": platform.python_version(), **{p: _version(p) for p in packages}, "commit": _commit(), **machine}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str | None:
    root = Path(__file__).resolve().parent.parent.parent
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
