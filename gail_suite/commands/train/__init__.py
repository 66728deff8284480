"""`gail-suite train`: learn a policy from demonstrations."""

from gail_suite.commands.train.adversarial import airl, gail
from gail_suite.commands.train.cloning import bc, dagger
from gail_suite.commands.train.sqil import sqil

__all__ = ["airl", "bc", "dagger", "gail", "sqil"]
