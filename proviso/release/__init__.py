"""A release: its directory, its one parser, its model and its Triton configuration."""
