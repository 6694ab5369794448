"""Station on a cluster: images, secrets and volumes come into being, in order, and are read back."""
