"""Station on a cluster: images, secrets, volumes, releases come into being, and are read back."""
