"""From demonstrations to behaviour: imitation learning on MuJoCo's Ant and Humanoid. Names are imported when first
used.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "AIRL": "algorithms.airl",
    "AIRLConfig": "algorithms.airl",
    "BC": "algorithms.bc",
    "BCConfig": "algorithms.bc",
    "SQIL": "algorithms.sqil",
    "SQILConfig": "algorithms.sqil",
    "DAgger": "algorithms.dagger",
    "DAggerConfig": "algorithms.dagger",
    "KeepConfig": "learning.policies.keeping",
    "Run": "algorithms.trainer",
    "resume": "algorithms.trainer",
    "GAIL": "algorithms.gail",
    "GAILConfig": "algorithms.gail",
    "few_steps": "algorithms.gail",
    "AdversaryConfig": "algorithms.gail_objective",
    "OnPolicyGAIL": "algorithms.gail_onpolicy",
    "onpolicy_config": "algorithms.gail_onpolicy",
    "ExpertTrainer": "algorithms.expert",
    "ExpertConfig": "algorithms.expert",
    "SACConfig": "learning.sac",
    "LoopConfig": "learning.offpolicy",
    "LearnedPolicy": "learning.policies.policy",
    "load_policy": "learning.policies.policy",
    "from_sb3": "learning.policies.policy",
    "evaluate": "showing.evaluation",
    "Evaluation": "showing.evaluation",
    "render": "showing.video",
    "save_reward": "learning.rewards.learned_reward",
    "load_reward": "learning.rewards.learned_reward",
    "RewardVecEnv": "learning.rewards.reward_env",
}

_PACKAGES = ("demos", "envs", "generative", "priors")
__all__ = sorted((*_HOMES, *_PACKAGES))  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"gail_suite.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'gail_suite' has no attribute {name!r}")
    return getattr(importlib.import_module(f"gail_suite.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


class _Same(Loader):
    """Loads a module under a second name: the same object, which keeps its own spec."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(f"gail_suite.{spec.name}")
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


class _ShortNames(MetaPathFinder):
    """Finds `envs.toy` as gail_suite.envs.toy wherever `envs` is the suite's, and leaves a user's own `envs` alone."""

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        top = name.partition(".")[0]
        real = f"gail_suite.{name}"
        ours = top != name and top in _PACKAGES and sys.modules.get(top) is sys.modules.get(f"gail_suite.{top}")
        return ModuleSpec(name, _Same()) if ours and importlib.util.find_spec(real) else None


def short_name(package: str) -> None:
    """Makes `package` and the modules in it second names of gail_suite.PACKAGE; that package calls it when imported
    as `package`.
    """
    importlib.import_module(f"gail_suite.{package}")
    # with what it has loaded: to load `demos.record` again would put the module in the place of the function of that
    # name
    for name in [n for n in sys.modules if f"{n}.".startswith(f"gail_suite.{package}.")]:
        sys.modules[name.removeprefix("gail_suite.")] = sys.modules[name]
    if not any(isinstance(finder, _ShortNames) for finder in sys.meta_path):
        sys.meta_path.insert(0, _ShortNames())
