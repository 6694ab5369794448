"""Sixth station: one verdict on whether a release may go on, with every reason."""
