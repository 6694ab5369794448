"""`make demo`: the whole path on one machine, and its report."""
