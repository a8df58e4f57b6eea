"""Losses, the objective, solvers, and what fits and validates a model with them."""
