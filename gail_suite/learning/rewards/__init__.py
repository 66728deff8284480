"""Discriminators and the rewards that they give, in place of the task's."""
