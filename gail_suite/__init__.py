"""From demonstrations to behaviour: imitation learning on MuJoCo's Ant and Humanoid. Names are imported when first used."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "AIRL": "airl", "AIRLConfig": "airl", "BC": "bc", "BCConfig": "bc", "Run": "bc", "GAIL": "gail", "GAILConfig": "gail",
    "AdversaryConfig": "adversary", "OnPolicyGAIL": "adversarial", "onpolicy_config": "adversarial", "ExpertTrainer": "expert", "ExpertConfig": "expert",
    "SACConfig": "sac", "LoopConfig": "offpolicy", "LearnedPolicy": "policy", "load_policy": "policy",
    "from_sb3": "policy", "evaluate": "evaluation", "Evaluation": "evaluation", "render": "video",
    "save_reward": "airl", "load_reward": "airl",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name == "priors":
        return importlib.import_module("gail_suite.priors")
    if name not in _HOMES:
        raise AttributeError(f"module 'gail_suite' has no attribute {name!r}")
    return getattr(importlib.import_module(f"gail_suite.{_HOMES[name]}"), name)
