"""Where demonstrations come from: software, physics and expert, as plain JSON values."""

from __future__ import annotations

import hashlib
import platform
from contextlib import closing
from importlib.metadata import version
from typing import Any

import numpy as np

from demos.policy import MlpPolicy

PACKAGES = ("mujoco", "gymnasium", "numpy")


def versions() -> dict[str, str]:
    """Versions of what decides the physics, and the machine's architecture."""
    packages = {name: version(name) for name in PACKAGES}
    return {"python": platform.python_version(), "machine": platform.machine(), **packages}


def environment(env_id: str, env_kwargs: dict[str, Any] | None = None) -> dict[str, Any]:
    """Environment, its widths, versions and physics fingerprint on this machine."""
    import envs  # brings torch with it, so not before it is needed

    with closing(envs.make(env_id, **(env_kwargs or {}))) as env:
        (obs_dim,), (act_dim,) = env.observation_space.shape or (), env.action_space.shape or ()
    return {
        "env_id": env_id,
        "env_kwargs": env_kwargs or {},
        "obs_dim": obs_dim,
        "act_dim": act_dim,
        "versions": versions(),
        "physics_fingerprint": envs.physics_fingerprint(env_id),
    }


def identity(policy: Any) -> dict[str, Any]:
    """Class of a policy and SHA-256 of its weights (None where it has none): equal for equal experts."""
    if isinstance(policy, MlpPolicy):
        return {"class": "MlpPolicy", "env_id": policy.meta.get("env_id"), "sha256": _digest(policy.tensors)}
    inner = getattr(policy, "policy", policy)  # an SB3 algorithm holds its policy
    weights = inner.state_dict() if hasattr(inner, "state_dict") else {}
    arrays = {name: np.asarray(value.cpu()) for name, value in weights.items()}
    kind = type(policy)
    return {"class": f"{kind.__module__}.{kind.__qualname__}", "sha256": _digest(arrays) if arrays else None}


def _digest(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def physics_mismatch(meta: dict[str, Any]) -> str | None:
    """One line if this machine's physics of meta["env_id"] differs from the recorded one, naming both versions."""
    recorded = meta.get("physics_fingerprint")
    if recorded is None:
        return None
    import envs

    try:
        here = envs.physics_fingerprint(meta["env_id"])
    except ValueError as error:
        return f"the physics of the demonstrations cannot be checked here: {error}"
    if here == recorded:
        return None
    there, now = (_named(v) for v in (meta.get("versions", {}), versions()))
    return (
        f"the demonstrations were recorded with other physics of {meta['env_id']} ({there}) than this machine's "
        f"({now}): expert actions may not lead where they led; install those versions or record again"
    )


def _named(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {found.get(name, 'unknown')}" for name in ("mujoco", "gymnasium", "machine"))
