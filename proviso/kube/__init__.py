"""The only room that talks to a Kubernetes API server, and the programs beside it."""
