"""Online payload examples: `online_feature_payloads.jsonl`, one JSON object a line.

Rows of the online store as a reviewer reads them: which value a model would receive, and how fresh
it is. One line by itself is checked here, against the contract in `contracts.validation.payloads`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from feature_runtime.core.moments import parse_moment
from proviso.contracts.base import ContractError, Name, Problem, Strict, invalid
from proviso.contracts.json_text import keys_once
from proviso.contracts.loading import PAYLOADS_FILE, parse_model

MAX_LINES = 1_000
MAX_LINE = 64 * 1024


def _moment(value: Any) -> int:
    if not isinstance(value, str):
        raise invalid("moment_invalid", repr(value), "an RFC 3339 moment (2018-06-20T12:00:00Z)")
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
    """A payload and its place, `online_feature_payloads.jsonl: line 3`."""

    place: str
    payload: Payload


def parse_payloads(text: str) -> tuple[list[Line], list[Problem]]:
    """All lines that can be read, and every problem of those that cannot."""
    lines, problems = list[Line](), list[Problem]()
    numbered = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(numbered) > MAX_LINES:
        found, wanted = f"{len(numbered)} lines", f"at most {MAX_LINES}"
        return [], [Problem(PAYLOADS_FILE, found, wanted, code="file_too_large")]
    for number, line in numbered:
        place = f"{PAYLOADS_FILE}: line {number}"
        try:
            lines.append(Line(place, parse_model(place, _object(place, line), Payload)))
        except ContractError as error:
            problems += error.problems
    return lines, problems


def _object(place: str, line: str) -> dict[str, Any]:
    if len(line) > MAX_LINE:
        raise _not_json(place, f"{len(line)} characters", f"at most {MAX_LINE}")
    try:
        parsed = json.loads(line, object_pairs_hook=keys_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise _not_json(place, f"no JSON from column {error.colno} on") from None
    except RecursionError:
        raise _not_json(place, "too many levels of nesting") from None
    except ValueError as error:
        raise _not_json(place, str(error), "one plain JSON object") from None
    if not isinstance(parsed, dict):
        raise _not_json(place, f"a {type(parsed).__name__}")
    return parsed


def _not_json(place: str, found: str, wanted: str = "one JSON object") -> ContractError:
    return ContractError([Problem(place, found, wanted, code="json_invalid")])


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name}, which is not a JSON number")
