"""What the expert showed: recording, storing, checking and exchanging demonstrations."""

from gail_suite.demos.exchange.arrays import from_d4rl, from_npz, to_npz
from gail_suite.demos.exchange.foreign import import_any
from gail_suite.demos.exchange.imitation_format import from_imitation, to_imitation
from gail_suite.demos.exchange.interchange import from_minari, to_minari
from gail_suite.demos.experts import expert, experts
from gail_suite.demos.policy import MlpPolicy
from gail_suite.demos.record import record
from gail_suite.demos.sets import merge
from gail_suite.demos.store import load
from gail_suite.demos.trajectory import Demonstrations, Trajectory
from gail_suite.demos.verify import Report, verify

if __name__ == "demos":  # the short name: the modules are those of gail_suite.demos
    import gail_suite

    gail_suite.short_name(__name__)

__all__ = [
    "Demonstrations",
    "MlpPolicy",
    "Report",
    "Trajectory",
    "expert",
    "experts",
    "from_d4rl",
    "from_imitation",
    "from_minari",
    "from_npz",
    "import_any",
    "load",
    "merge",
    "record",
    "to_imitation",
    "to_minari",
    "to_npz",
    "verify",
]
