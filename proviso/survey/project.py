"""The files of a drafted project: contract, plan, training settings and a README, as text."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from feature_runtime.core.moments import DAY, format_duration, format_moment
from proviso.contracts.loading import CONTRACT_FILE, PLAN_FILE
from proviso.survey.drafted import Draft, DraftColumn, DraftKey, DraftSource
from proviso.survey.facts import Value
from proviso.survey.names import plain_name

FILES = (CONTRACT_FILE, PLAN_FILE, "training.yml", "README.md")


def project_files(draft: Draft, directory: Path) -> dict[str, str]:
    """The text of each file of a project in `directory`, by name."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=False, keep_trailing_newline=True, autoescape=False
    )
    filters: dict[str, Callable[..., object]] = {
        "q": _quoted,
        "plain": _plain,
        "day": lambda at: format_moment(at)[:10],
        "moment": format_moment,
        "duration": format_duration,
        "number": lambda number: f"{number:.6f}".rstrip("0").rstrip(".") or "0",
        "location": lambda source: _location(source, directory.resolve().parent),
        "renamed_keys": _renamed_keys,
    }
    environment.filters |= filters
    environment.tests |= {
        "is_label": lambda column: column is draft.label,
        "startingwith": str.startswith,
    }
    words = _words(draft, directory)
    folder = resources.files("proviso.survey") / "templates"
    return {
        name: environment.from_string((folder / f"{name}.j2").read_text("utf-8")).render(words)
        for name in FILES
    }


def _words(draft: Draft, directory: Path) -> Mapping[str, Any]:
    """What the templates are filled with."""
    name = draft.name
    columns = {column.name for column in draft.fields} | {e.join_key for e in draft.entities}
    return {
        "draft": draft,
        "table": draft.asked.roles.table,
        "label": draft.label,
        "directory": str(directory),
        "project": plain_name(directory.resolve().name).replace("_", "-") or name,
        "service": f"{name[:50]}_service_v1",
        "model": f"{name[:50]}_xgboost",
        "model_name": name.replace("_", "-"),
        "hour": _free("hour_of_day", columns),
        "weekday": _free("day_of_week", columns),
        "day_us": DAY,
        "retention": max(30 * DAY, draft.label_delay + 7 * DAY),
        "request": _plain(json.dumps({"instances": [_request(draft)]}, ensure_ascii=False)),
    }


def _location(source: DraftSource, project: Path) -> str:
    """Where a source's rows lie, as the contract states it: relative to the project's folder."""
    location = source.roles.table.location
    path = str(location.path)
    place = path if "://" in path else os.path.relpath(path, project)
    stated = [f"path: {_quoted(place)}"]
    if location.format is not None:
        stated.append(f"format: {location.format}")
    csv = [f"delimiter: {_quoted(location.csv.delimiter)}"] if location.csv.delimiter != "," else []
    if location.csv.nulls:
        csv.append(f"nulls: [{', '.join(map(_quoted, location.csv.nulls))}]")
    if csv:
        stated.append(f"csv: {{{', '.join(csv)}}}")
    return f"{{{', '.join(stated)}}}"


def _renamed_keys(source: DraftSource) -> list[DraftKey]:
    """The keys whose column is not called like the entity's join key."""
    return [key for key in source.keys if key.physical != key.entity.join_key]


def _request(draft: Draft) -> dict[str, Value]:
    """The request of the last sampled row, as a client would have sent it."""
    asked = draft.asked
    events = asked.roles.table.column(asked.moment).sample
    last = max(range(len(events)), key=lambda i: (events[i] is not None, events[i]))
    physical = {key.entity.join_key: key.physical for key in asked.keys}
    values = {name: _value(asked, column, last) for name, column in physical.items()}
    values |= {column.name: _field(asked, column, last) for column in draft.fields}
    return {**values, "event_ts": format_moment(int(events[last] or 0))}


def _value(source: DraftSource, column: str, row: int) -> Value:
    return source.roles.table.column(column).sample[row]


def _field(source: DraftSource, column: DraftColumn, row: int) -> Value:
    return _value(source, column.physical, row)


def _free(name: str, taken: set[str]) -> str:
    return f"asked_{name}" if name in taken else name


def _quoted(text: object) -> str:
    """A text as a YAML scalar in double quotes."""
    return json.dumps(str(text), ensure_ascii=True)


def _plain(text: object) -> str:
    """A text on one line, for a comment."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))
