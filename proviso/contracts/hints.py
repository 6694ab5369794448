"""How a refused key or value reads to a reviewer: what it must say, and why it matters."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic_core import ErrorDetails

_WHY_REQUIRED: Mapping[str, str] = {
    "source_delay": "without it nobody knows when the source is complete, and training leaks",
    "temporal_join_lookback": "without it an arbitrarily old value may be joined",
    "online_ttl": "without it a stale value is served as a fresh one",
    "freshness_slo": "without it nobody is late, however late a run is",
    "event_timestamp": "without it no value has a moment",
    "created_timestamp": "without it nobody knows from when a value could be read",
    "publication": "without it nobody knows when rows appear",
    "population": "without it nobody knows which entities have a row",
    "owner": "an incident must find somebody",
    "description": "a reader must not have to guess",
    "default": "a missing value must lead to something that somebody decided",
    "tolerance": "without it a skew test has no verdict",
    "lineage": "a wrong value must be traced to its source",
    "deprecation": "a consumer must know how long it may rely on it",
    "online_store": "a reader must know where the value is served from",
    "key_pattern": "writer and pod must build the same key",
    "schedule": "rows appear on a schedule or on event",
    "duration": "until a run is done its rows cannot be read",
    "model": "a feature service belongs to one model version",
    "approved_by": "a default is a decision with a name on it",
    "latency_slo": "without it no release is too slow",
    "error_budget": "without it no release fails too often",
    "fallback": "a rejected request must get something that somebody decided",
    "clock_margin": "clocks of writer and pod are never equal",
    "shadow": "a candidate must see real traffic before it answers any",
    "canary": "a candidate must not meet everybody at once",
    "monitoring": "what nobody watches nobody takes back",
    "rollback": "operators must know what to do when a candidate does harm",
    "triggers": "operators must know when to take the model back",
    "threshold": "a metric without a bound never tells anything",
    "action": "a breach must lead to something",
    "runbook": "whoever is called at night must know what to do",
    "prediction_log": "a prediction that is not on record cannot be explained",
    "stakeholders": "no release without all four",
}
_PATTERNS: Mapping[str, str] = {
    r"\S": "words, not blanks",
    r"^[a-z][a-z0-9_]{0,62}$": "a name of small letters, digits and _",
    r"^[a-z][a-z0-9-]{0,62}$": "a name of small letters, digits and -",
    r"^[a-z][a-z0-9_]*:\d+\.\d+\.\d+$": "a model and its version such as fraud_model:2.5.0",
    r"^(<=|>=|<|>) ?\d+(\.\d+)?$": "a bound such as <= 150",
}


def why_required(key: str) -> str:
    """Why a format asks for a key."""
    return _WHY_REQUIRED.get(key, "the field is required")


def wanted(detail: ErrorDetails) -> str:
    """What the file must say, from what pydantic missed in it."""
    context = detail.get("ctx", {})
    if detail["type"] == "string_pattern_mismatch":
        pattern = str(context["pattern"])
        return _PATTERNS.get(pattern, f"text that matches {pattern}")
    if detail["type"] == "too_short":
        return f"at least {context['min_length']} items"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return message[:1].lower() + message[1:]
