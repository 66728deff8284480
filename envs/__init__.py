"""What the agent lives in: environments one by one or in batches, their sizes, reference returns and physics fingerprint."""

from envs.batch_vec_env import BatchVecEnv
from envs.gym_vec_env import GymVecEnv
from envs.make import make, make_vec
from envs.specs import EnvSpec, ReferenceReturn, normalized_score, physics_fingerprint, spec
from envs.toy import TOY_ID, register_toy, toy_expert

register_toy()

__all__ = [
    "TOY_ID",
    "BatchVecEnv",
    "EnvSpec",
    "GymVecEnv",
    "ReferenceReturn",
    "make",
    "make_vec",
    "normalized_score",
    "physics_fingerprint",
    "spec",
    "toy_expert",
]
