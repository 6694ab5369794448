"""Checks: one module a check; each measures a release and leaves evidence."""
