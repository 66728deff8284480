"""What the agent lives in: environments one by one or in batches, their sizes, reference returns and physics
fingerprint.
"""

from typing import TYPE_CHECKING

from gail_suite.envs.make import is_registered, make, make_vec
from gail_suite.envs.names import import_tasks, named, parts
from gail_suite.envs.recorded import is_runnable, register_recorded
from gail_suite.envs.sparse import SPARSE_ID, register_sparse
from gail_suite.envs.specs import (
    EnvSpec,
    ReferenceReturn,
    normalized_score,
    physics_fingerprint,
    register_reference,
    spec,
)
from gail_suite.envs.toy import TOY_ID, register_toy, toy_expert

if __name__ == "envs":  # the short name: the modules are those of gail_suite.envs
    import gail_suite

    gail_suite.short_name(__name__)

if TYPE_CHECKING:
    from gail_suite.envs.batch_vec_env import BatchVecEnv
    from gail_suite.envs.gym_vec_env import GymVecEnv

register_toy()
register_sparse()


def __getattr__(name: str) -> object:
    """Import the vector engines on first use: they need SB3, which needs torch and a second or two."""
    if name == "BatchVecEnv":
        from gail_suite.envs.batch_vec_env import BatchVecEnv

        return BatchVecEnv
    if name == "GymVecEnv":
        from gail_suite.envs.gym_vec_env import GymVecEnv

        return GymVecEnv
    raise AttributeError(f"module 'envs' has no attribute {name!r}")


__all__ = [
    "SPARSE_ID",
    "TOY_ID",
    "BatchVecEnv",
    "EnvSpec",
    "GymVecEnv",
    "ReferenceReturn",
    "import_tasks",
    "is_registered",
    "is_runnable",
    "make",
    "make_vec",
    "named",
    "normalized_score",
    "parts",
    "physics_fingerprint",
    "register_recorded",
    "register_reference",
    "spec",
    "toy_expert",
]
