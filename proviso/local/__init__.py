"""Seventh station: the whole product on one machine, as real processes on free ports."""
