"""Policies that were learned, here or elsewhere: files, exchange, and the best of a run."""
