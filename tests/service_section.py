"""A service section of numbers, which tests of the encoder start from."""

from __future__ import annotations

from typing import Any


def section() -> dict[str, Any]:
    def policy(kind: str, value: float | None = None, expires: str | None = None) -> dict[str, Any]:
        who = None if kind == "reject" else "someone"
        return {
            "kind": kind,
            "value": value,
            "approved_by": who,
            "reason": who,
            "expires": expires,
        }

    return {
        "name": "service",
        "entities": [{"name": "thing", "join_key": "thing_id", "dtype": "string"}],
        "fields": ["amount"],
        "views": [
            {
                "name": "v",
                "entities": ["thing"],
                "schema": "0" * 16,
                "source_delay": "PT10M",
                "temporal_join_lookback": "P7D",
                "online_ttl": "PT2H",
                "features": [
                    {"name": "a", "dtype": "int64", "policy": policy("reject")},
                    {
                        "name": "b",
                        "dtype": "float64",
                        "policy": policy("default", 7.0, "2026-06-01T00:00:00Z"),
                    },
                    {"name": "unused", "dtype": "float64", "policy": None},
                    {"name": "c", "dtype": "float64", "policy": policy("nan")},
                ],
            }
        ],
        "features": ["v:c", "v:a", "v:b"],
        "request_features": [
            {"name": "amount", "function": "field", "inputs": ["amount"]},
            {"name": "hour", "function": "hour_of_day", "inputs": []},
            {"name": "weekday", "function": "day_of_week", "inputs": []},
            {"name": "weekend", "function": "is_weekend", "inputs": []},
            {"name": "night", "function": "is_night", "inputs": []},
        ],
        "derived_features": [
            {"name": "per_a", "function": "ratio", "inputs": ["amount", "v:a"]},
            {"name": "over_b", "function": "difference", "inputs": ["amount", "v:b"]},
            {"name": "z", "function": "zscore", "inputs": ["amount", "v:a", "v:b"]},
        ],
        "decision": {
            "threshold": 0.5,
            "at_or_above": "STOP",
            "below": "GO",
            "fallback": "STOP",
            "fallback_http": 200,
        },
        "limits": {
            "max_batch": 64,
            "max_body_bytes": 1048576,
            "deadline_ms": 1000,
            "clock_margin": "PT1M",
            "max_client_skew": "PT5M",
        },
        "hash_entity_keys": False,
    }
