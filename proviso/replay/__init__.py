"""Replay: held-out transactions against an endpoint, compared with their offline rows."""
