"""The bundled expert policies."""

from __future__ import annotations

from pathlib import Path

from gail_suite.demos.names import hint
from gail_suite.demos.policy import MlpPolicy
from gail_suite.demos.sealed import Json, read_json

FOLDER = Path(__file__).parent / "experts"


def experts() -> dict[str, Json]:
    """The bundled experts: environment id -> record (architecture, training, measured returns)."""
    return {file.parent.name: read_json(file) for file in sorted(FOLDER.glob("*/policy.json"))}


def expert_folder(env_id: str) -> Path:
    """Where the bundled expert of `env_id` lies.

    Raises:
        ValueError: no expert is bundled for it.
    """
    known = [file.parent.name for file in sorted(FOLDER.glob("*/policy.json"))]
    if env_id not in known:
        near = hint(env_id, known, f"bundled are {', '.join(known)}.", 0.7)
        raise ValueError(
            f"no expert is bundled for {env_id!r}: {near} Train one: gail-suite expert train --env {env_id}"
        )
    return FOLDER / env_id


def expert(env_id: str) -> MlpPolicy:
    """The bundled expert policy of `env_id`; ValueError as for `expert_folder`."""
    return MlpPolicy.load(expert_folder(env_id))
