"""Several steps in one: the demo, sweeps, the machine check, what ends a run."""
