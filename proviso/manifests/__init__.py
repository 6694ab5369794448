"""Renders contract, plan and release to every file under k8s/releases/<version>/."""
