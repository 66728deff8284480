"""Where demonstrations come from: software, physics and expert, as plain JSON values."""

from __future__ import annotations

import hashlib
import platform
import re
from importlib.metadata import version
from typing import Any

import numpy as np

from gail_suite.demos.policy import MlpPolicy, Policy
from gail_suite.demos.sealed import Json

PACKAGES = ("mujoco", "gymnasium", "numpy")


def versions() -> dict[str, str]:
    """Versions of what decides the physics, and the machine's architecture."""
    packages = {name: version(name) for name in PACKAGES}
    return {"python": platform.python_version(), "machine": platform.machine(), **packages}


def environment(task: str) -> Json:
    """Environment, its widths, versions and physics fingerprint on this machine."""
    from gail_suite import envs  # brings torch with it, so not before it is needed

    spec, (env_id, env_kwargs) = envs.spec(task), envs.parts(task)
    return {
        "env_id": env_id,
        "env_kwargs": env_kwargs,
        "obs_dim": spec.obs_dim,
        "act_dim": spec.act_dim,
        "versions": versions(),
        "physics_fingerprint": envs.physics_fingerprint(task),
    }


def identity(policy: Policy) -> Json:
    """Class of a policy and SHA-256 of its weights (None where it has none): equal for equal experts."""
    if isinstance(policy, MlpPolicy):
        return {"class": "MlpPolicy", "env_id": policy.meta.get("env_id"), "sha256": _digest(policy.tensors)}
    inner: Any = policy
    while not hasattr(inner, "state_dict") and getattr(inner, "policy", None) is not None:
        inner = inner.policy  # an SB3 algorithm holds its policy, and may be held by its normalisation
    weights = inner.state_dict() if hasattr(inner, "state_dict") else {}
    arrays = {name: np.asarray(value.cpu()) for name, value in weights.items()}
    arrays |= {f"statistics.{name}": np.asarray(value) for name, value in getattr(policy, "statistics", {}).items()}
    kind = type(policy)
    module = re.sub(r"^gail_suite\.(envs|demos|generative)\b", r"\1", kind.__module__)  # one name, whatever the root
    return {"class": f"{module}.{kind.__qualname__}", "sha256": _digest(arrays) if arrays else None}


def _digest(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def physics_mismatch(meta: Json) -> str | None:
    """One line if this machine's physics of meta["env_id"] differs from the recorded one, naming both versions."""
    recorded = meta.get("physics_fingerprint")
    if recorded is None:
        return None
    from gail_suite import envs

    task = envs.named(meta["env_id"], meta.get("env_kwargs"))
    try:
        # before tasks had names with arguments, that of the id alone was noted
        here = envs.physics_fingerprint(task)
        if here is None or recorded in (here, envs.physics_fingerprint(meta["env_id"])):
            return None
    except ValueError as error:
        return f"the physics of the demonstrations cannot be checked here: {error}"
    there, now = (_named(v) for v in (meta.get("versions", {}), versions()))
    return (
        f"the demonstrations were recorded with other physics of {meta['env_id']} ({there}) than this machine's "
        f"({now}): expert actions may not lead where they led; install those versions or record again"
    )


def _named(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {found.get(name, 'unknown')}" for name in ("mujoco", "gymnasium", "machine"))
