"""Prediction records read back: the one reader of their files (reader.py).

Their type and schema version are feature_runtime's, which the pod writes (core/record.py).
"""
