"""pydantic's errors as problems: path, found, wanted, why, and a stable code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from feature_runtime.core.release import MODEL_PATTERN
from proviso.contracts.base import Problem
from proviso.contracts.documents import path_of

_UNION_BRANCHES = {
    "Scheduled",
    "OnEvent",
    "EventsSource",
    "TableSource",
    "ObservationsSource",
    "ObservedRows",
}
"""pydantic puts the tag of a union into the location: not a place in the file."""

_WHY_REQUIRED: Mapping[str, str] = {
    "source_delay": "the moment at which the source is complete; without it training leaks",
    "temporal_join_lookback": "without it an arbitrarily old value may be joined",
    "online_ttl": "without it a stale value is served as a fresh one",
    "freshness_slo": "the staleness alert needs a limit",
    "event_timestamp": "every value has the moment that it describes",
    "created_timestamp": "every value has the moment from which it can be read",
    "publication": "it says when rows appear",
    "population": "it says which entities have a row",
    "owner": "incidents and approvals need an owner",
    "description": "the catalogue shows it",
    "default": "a missing value needs an approved consequence",
    "tolerance": "a skew test needs it for its verdict",
    "lineage": "a wrong value must be traceable to its source",
    "deprecation": "consumers plan by it",
    "online_store": "it says where the value is served from",
    "key_pattern": "writer and pod must build the same key",
    "schedule": "rows appear on a schedule or on event",
    "duration": "until a run is done its rows cannot be read",
    "model": "a feature service belongs to one model version",
    "approved_by": "a default needs an approval",
    "latency_slo": "a release is judged by its latency objective",
    "error_budget": "a release is judged by its error budget",
    "fallback": "a rejected request needs an answer",
    "clock_margin": "the clocks of writer and pod differ",
    "shadow": "a candidate gets mirrored traffic before it answers any",
    "canary": "a candidate gets live traffic in steps",
    "monitoring": "monitor at least one metric, so that a rollback can be triggered",
    "rollback": "operators must know what to do when a candidate does harm",
    "triggers": "operators must know when to take the model back",
    "threshold": "only bounds with an objective in latency_slo or error_budget may leave it out",
    "action": "it says what a breach leads to",
    "runbook": "it is what the on-call engineer follows",
    "prediction_log": "a prediction that is not recorded cannot be explained",
    "stakeholders": "a release needs the sign-off of all four roles",
}
_CUT = "if it belongs to the text before it, quote that text: inside {...} a comma ends it"
_PATTERNS: Mapping[str, str] = {
    r"\S": "text that is not blank",
    r"^[a-z][a-z0-9_]{0,62}$": "a name of small letters, digits and _",
    r"^[a-z][a-z0-9-]{0,62}$": "a name of small letters, digits and -",
    rf"^{MODEL_PATTERN}$": "a model and its version such as fraud_model:2.5.0",
}


def problems_of(file: str, data: Any, error: ValidationError) -> list[Problem]:
    """One problem for each of pydantic's errors; items of a list go by their name."""
    return [_problem(file, data, detail) for detail in error.errors(include_url=False)]


def _problem(file: str, data: Any, detail: ErrorDetails) -> Problem:
    location = [step for step in detail["loc"] if step not in _UNION_BRANCHES]
    path = f"{file}: {path_of(data, location)}".removesuffix(": ")
    kind = detail["type"]
    if kind == "missing":
        why = _WHY_REQUIRED.get(str(location[-1]), "the field is required")
        return Problem(path, "nothing", "a value", why, "key_missing")
    if kind == "extra_forbidden":
        wanted = "only keys that the format knows"
        why = _CUT if detail["input"] is None or " " in str(location[-1]) else ""
        return Problem(path, "an unknown key", wanted, why, "key_unknown")
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        return _kind_unknown(path, detail["input"])
    context = detail.get("ctx", {})
    if {"found", "wanted"} <= context.keys():  # raised by `base.invalid`, with its code
        return Problem(path, str(context["found"]), str(context["wanted"]), code=kind)
    halves = _found_and_wanted(detail["msg"]) if kind == "value_error" else None
    found, wanted = halves or (repr(detail["input"])[:120], _wanted(detail))
    return Problem(path, found, wanted, code="invalid_value")


def _kind_unknown(path: str, item: Any) -> Problem:
    """A source without a kind, or of another."""
    kind = item.get("kind") if isinstance(item, dict) else item
    found = "nothing" if kind is None else repr(kind)[:120]
    wanted, why = "events, table or observations", "it says what its rows are"
    return Problem(f"{path}.kind", found, wanted, why, "source_kind_unknown")


def _found_and_wanted(message: str) -> tuple[str, str] | None:
    """The two halves of a message `found X, wanted Y` of a ValueError."""
    found, comma, wanted = message.removeprefix("Value error, ").partition(", wanted ")
    return (found.removeprefix("found "), wanted) if comma else None


def _wanted(detail: ErrorDetails) -> str:
    """What the file must say, from what pydantic missed in it."""
    context = detail.get("ctx", {})
    if detail["type"] == "string_pattern_mismatch":
        pattern = str(context["pattern"])
        return _PATTERNS.get(pattern, f"text that matches {pattern}")
    if detail["type"] == "too_short":
        return f"at least {context['min_length']} items"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return message[:1].lower() + message[1:]
