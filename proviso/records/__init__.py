"""Prediction records as typed values, and the one reader of their files."""
