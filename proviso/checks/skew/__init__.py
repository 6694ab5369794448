"""Skew: what the store serves at a moment against the offline row of the same moment."""
