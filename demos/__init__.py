"""What the expert showed: recording, storing, checking and exchanging demonstrations."""

from demos.experts import expert, experts
from demos.policy import MlpPolicy
from demos.record import record
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
    "load",
    "record",
    "verify",
]
