"""Edits that break the files of `proviso init` in one place, and what the validator then says."""

from __future__ import annotations

import copy
import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from proviso.checks.lab import Lab, judge
from proviso.contracts.loading import CONTRACT_FILE, PAYLOADS_FILE, PLAN_FILE, SKEW_FILE, parse_yaml
from proviso.contracts.paths import in_contract
from tests.parcel_project import project_text

TODAY = date(2026, 11, 24)

Edit = Callable[[Lab], Lab]


@cache
def good() -> Lab:
    """The files of `proviso init`, completed by their owners, which pass."""
    contract, plan = (parse_yaml(name, project_text(name)) for name in (CONTRACT_FILE, PLAN_FILE))
    return Lab(contract, plan, project_text(PAYLOADS_FILE), project_text(SKEW_FILE))


def item(here: Any, step: str) -> Any:
    """A key of a mapping, or an item of a list by its name or position."""
    if isinstance(here, dict):
        return step
    names = [
        next((i[k] for k in ("name", "metric", "role") if k in i), None)
        if isinstance(i, dict)
        else i
        for i in here
    ]
    return names.index(step) if step in names else int(step)


def edited(data: Any, path: str, change: Callable[[Any, Any], None]) -> Any:
    found = copy.deepcopy(data)
    *steps, last = path.split("/")
    here = found
    for step in steps:
        here = here[item(here, step)]
    change(here, item(here, last))
    return found


def contract(path: str, value: Any) -> Edit:
    return lambda lab: Lab(
        edited(lab.contract, path, lambda here, at: here.__setitem__(at, value)),
        lab.plan,
        lab.payloads,
        lab.skew_cases,
    )


def plan(path: str, value: Any) -> Edit:
    return lambda lab: Lab(
        lab.contract,
        edited(lab.plan, path, lambda here, at: here.__setitem__(at, value)),
        lab.payloads,
        lab.skew_cases,
    )


def without(path: str) -> Edit:
    """A key or item of the contract, or of the plan (path starts with `plan:`), removed."""
    of_plan = path.startswith("plan:")

    def edit(lab: Lab) -> Lab:
        data = lab.plan if of_plan else lab.contract
        less = edited(data, path.removeprefix("plan:"), lambda here, at: here.__delitem__(at))
        changed = (lab.contract, less) if of_plan else (less, lab.plan)
        return Lab(*changed, lab.payloads, lab.skew_cases)

    return edit


def again(path: str, **changes: Any) -> Edit:
    """An item of a list of the contract, or of the plan (`plan:`), once more and changed."""
    of_plan = path.startswith("plan:")

    def append(here: Any, at: Any) -> None:
        here.append({**here[at], **changes} if isinstance(here[at], dict) else here[at])

    def edit(lab: Lab) -> Lab:
        more = edited(lab.plan if of_plan else lab.contract, path.removeprefix("plan:"), append)
        changed = (lab.contract, more) if of_plan else (more, lab.plan)
        return Lab(*changed, lab.payloads, lab.skew_cases)

    return edit


def both(first: Edit, second: Edit) -> Edit:
    """One defect that takes two edits."""
    return lambda lab: second(first(lab))


def payload(line: int, path: str, value: Any) -> Edit:
    """A value of a payload line; None with a path that starts with `-` removes the key."""

    def edit(lab: Lab) -> Lab:
        lines = lab.payloads.splitlines()
        change = (
            (lambda here, at: here.pop(at))
            if path.startswith("-")
            else (lambda here, at: here.__setitem__(at, value))
        )
        lines[line - 1] = json.dumps(
            edited(json.loads(lines[line - 1]), path.removeprefix("-"), change)
        )
        return Lab(lab.contract, lab.plan, "\n".join(lines), lab.skew_cases)

    return edit


def payload_text(change: Callable[[str], str]) -> Edit:
    return lambda lab: Lab(lab.contract, lab.plan, change(lab.payloads), lab.skew_cases)


def skew(row: int, **cells: str) -> Edit:
    """Cells of the row-th case, counted from 1."""

    def edit(lab: Lab) -> Lab:
        rows = list(csv.DictReader(io.StringIO(lab.skew_cases)))
        rows[row - 1].update(cells)
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return Lab(lab.contract, lab.plan, lab.payloads, out.getvalue())

    return edit


def skew_text(change: Callable[[str], str]) -> Edit:
    return lambda lab: Lab(lab.contract, lab.plan, lab.payloads, change(lab.skew_cases))


@dataclass(frozen=True)
class Wrong:
    """What a problem must say; its reason is for readers."""

    code: str
    path: str
    found: str
    wanted: str


def problems_after(edit: Edit) -> list[Wrong]:
    problems = [p for check in judge(edit(good()), TODAY) for p in check.problems]
    return [Wrong(p.code, p.path, p.found, p.wanted) for p in problems]


LOAD = "feature_views/courier_load_6h"
PAIR = "feature_views/courier_zone_daily"
SERVICE = "feature_services/late_delivery_service_v1"

IN_LOAD = in_contract("feature_views[courier_load_6h]")
IN_PAIR = in_contract("feature_views[courier_zone_daily]")
IN_SERVICE = in_contract("feature_services[late_delivery_service_v1]")
"""The paths by which problems name these places."""
