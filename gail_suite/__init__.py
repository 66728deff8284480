"""From demonstrations to behaviour: imitation learning on MuJoCo's Ant and Humanoid. Names are imported when first used."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "AIRL": "algorithms.airl",
    "AIRLConfig": "algorithms.airl",
    "BC": "algorithms.bc",
    "BCConfig": "algorithms.bc",
    "Run": "algorithms.trainer",
    "resume": "algorithms.trainer",
    "GAIL": "algorithms.gail",
    "GAILConfig": "algorithms.gail",
    "AdversaryConfig": "algorithms.gail_objective",
    "OnPolicyGAIL": "algorithms.gail_onpolicy",
    "onpolicy_config": "algorithms.gail_onpolicy",
    "ExpertTrainer": "algorithms.expert",
    "ExpertConfig": "algorithms.expert",
    "SACConfig": "learning.sac",
    "LoopConfig": "learning.offpolicy",
    "LearnedPolicy": "learning.policy",
    "load_policy": "learning.policy",
    "from_sb3": "learning.policy",
    "evaluate": "showing.evaluation",
    "Evaluation": "showing.evaluation",
    "render": "showing.video",
    "save_reward": "learning.learned_reward",
    "load_reward": "learning.learned_reward",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name == "priors":
        return importlib.import_module("gail_suite.priors")
    if name not in _HOMES:
        raise AttributeError(f"module 'gail_suite' has no attribute {name!r}")
    return getattr(importlib.import_module(f"gail_suite.{_HOMES[name]}"), name)
