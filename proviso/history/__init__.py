"""Feature history from transactions, and datasets from history, through the port in `ports.py`.

Callers use `engines.history_engine()`; values, files and the oracle depend on no engine.
"""
