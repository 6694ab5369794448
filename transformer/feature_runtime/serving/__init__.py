"""What only the pod runs: protocols, scoring, store and predictor clients, records, metrics."""
