"""Hostile and clumsy treatment of files and runs, counted: `python -m benchmarks.soak`."""
