"""What the expert showed: recording, storing, checking and exchanging demonstrations."""

from demos.arrays import from_d4rl, from_npz
from demos.experts import expert, experts
from demos.imitation_format import from_imitation, to_imitation
from demos.interchange import from_minari, to_minari
from demos.policy import MlpPolicy
from demos.record import record
from demos.sets import merge
from demos.store import load
from demos.trajectory import Demonstrations, Trajectory
from demos.verify import Report, verify

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
    "load",
    "merge",
    "record",
    "to_imitation",
    "to_minari",
    "verify",
]
