"""Generative models of the expert as priors of the policy, one use a module."""

from gail_suite.priors.attach import Attachments, PriorsConfig, attach
from gail_suite.priors.behaviour import BehaviourConfig
from gail_suite.priors.bottleneck import BottleneckConfig
from gail_suite.priors.latent_actions import LatentConfig
from gail_suite.priors.prior import CONTROLS, USES, Prior, fit_prior, load_prior
from gail_suite.priors.shaping import TypicalityConfig
from gail_suite.priors.starts import StartsConfig

__all__ = [
    "CONTROLS",
    "USES",
    "Attachments",
    "BehaviourConfig",
    "BottleneckConfig",
    "LatentConfig",
    "Prior",
    "PriorsConfig",
    "StartsConfig",
    "TypicalityConfig",
    "attach",
    "fit_prior",
    "load_prior",
]
