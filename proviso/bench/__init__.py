"""Benches: what is measured by command, so that a figure in the docs can be repeated."""
