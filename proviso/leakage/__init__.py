"""Leakage: what a model claims and what it gets in production when a join ignores time."""
