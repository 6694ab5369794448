"""The embedded stack: store, predictor and transformer as processes of this machine."""
