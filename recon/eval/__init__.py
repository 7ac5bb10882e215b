"""Scenes with known truth, metrics against it, and the evaluation of results."""
