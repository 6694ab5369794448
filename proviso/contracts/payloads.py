"""Online payload examples: `online_feature_payloads.jsonl`, one JSON object a line.

What the store holds, written so that a reviewer can read it: which value a model would receive,
and how fresh it is. Only what a line can say for itself is judged here; what must fit the
contract is judged in `contracts.checks_payloads`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from feature_runtime.core.moments import parse_moment
from proviso.contracts.base import ContractError, Name, Problem, Strict
from proviso.contracts.loading import PAYLOADS_FILE, parse_model

MAX_LINES = 1_000
MAX_LINE = 64 * 1024


def _moment(value: Any) -> int:
    if not isinstance(value, str):
        raise ValueError(f"found {value!r}, wanted an RFC 3339 moment (2018-06-20T12:00:00Z)")
    return parse_moment(value)


Moment = Annotated[int, BeforeValidator(_moment)]
"""Microseconds, written as an RFC 3339 moment."""

EntityText = Annotated[str, Field(pattern=r"^[^\s]{1,256}$")]
"""An entity's type or key; of several entities `courier|zone` and `7|12`."""


class Payload(Strict):
    """One stored row of one entity, as the endpoint for `feature_service` would read it."""

    entity_type: EntityText
    entity_key: EntityText
    feature_service: Name
    feature_view: Name
    event_timestamp: Moment
    materialization_timestamp: Moment
    values: dict[str, bool | int | float | str | None]


@dataclass(frozen=True)
class Line:
    """A payload and the place that problems name."""

    place: str
    payload: Payload


def parse_payloads(text: str) -> tuple[list[Line], list[Problem]]:
    """All lines that can be read, and every problem of those that cannot."""
    lines, problems = list[Line](), list[Problem]()
    numbered = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(numbered) > MAX_LINES:
        return [], [Problem(PAYLOADS_FILE, f"{len(numbered)} lines", f"at most {MAX_LINES}")]
    for number, line in numbered:
        place = f"{PAYLOADS_FILE}: line {number}"
        try:
            lines.append(Line(place, parse_model(place, _object(place, line), Payload)))
        except ContractError as error:
            problems += error.problems
    return lines, problems


def _object(place: str, line: str) -> dict[str, Any]:
    if len(line) > MAX_LINE:
        raise ContractError([Problem(place, f"{len(line)} characters", f"at most {MAX_LINE}")])
    try:
        parsed = json.loads(line, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        found = f"no JSON from column {error.colno} on"
        raise ContractError([Problem(place, found, "one JSON object")]) from None
    except RecursionError:
        raise ContractError([Problem(place, "nesting without end", "one JSON object")]) from None
    except ValueError as error:
        raise ContractError([Problem(place, str(error), "one plain JSON object")]) from None
    if not isinstance(parsed, dict):
        raise ContractError([Problem(place, f"a {type(parsed).__name__}", "one JSON object")])
    return parsed


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stated twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name}, which is no number of JSON")
