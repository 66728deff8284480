"""Where the episodes begin that judge a policy. Episode j of any of them begins from a seed plus j.

For runs of seeds up to 1000 and some hundreds of episodes their ranges do not meet. Training begins from a run's own
seed.
"""

EVAL = 1000
"""Every final evaluation."""
WAY = 50_000
"""Evaluations on the way, plus the run's seed; GAIL with `choose` also finds by them which policies are the nearest."""
DISTANCE = 70_000
"""The distance by which a search compares settings: no policy was chosen by these episodes."""
KEEP = 80_000
"""The best policy of a run by `keep.best`, plus the run's seed. GAIL with `choose` has the distances of `WAY` already
and takes those.
"""
FINAL = 90_000
"""What GAIL with `choose` leaves, and whether it has arrived, plus the run's seed."""
ROUND = 110_000
"""The learner's episodes in DAgger's rounds, plus a thousand times the run's seed. From a seed of 90 on they
reach those of `RANDOM`, which judge no learner.
"""
RANDOM = 200_000
"""Random actions, which are the zero of a score against the demonstrations."""
