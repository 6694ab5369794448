"""Shared by training, the control plane and the pod: time, features, encoder, identity."""
