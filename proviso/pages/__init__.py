"""What every page of the product shares: one look, one way to write a file, axes and scales."""
