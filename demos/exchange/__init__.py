"""Demonstrations in the formats of other programs: Minari, imitation, D4RL, d3rlpy, plain arrays."""
