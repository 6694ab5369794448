"""Clients of a model endpoint: REST V2 and V2 gRPC."""
