"""Generative models of the expert as priors of the policy, one use a module."""

from gail_suite.priors.prior import CONTROLS, USES, Prior, PriorConfig, fit_prior, load_prior

__all__ = ["CONTROLS", "USES", "Prior", "PriorConfig", "fit_prior", "load_prior"]
