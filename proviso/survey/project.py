"""The files of a drafted project: contract, plan, training settings and a README, as text."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from feature_runtime.core.moments import DAY, format_duration, format_moment
from proviso.contracts.loading import CONTRACT_FILE, PLAN_FILE
from proviso.survey.draft import Draft
from proviso.survey.facts import Value
from proviso.survey.names import plain_name

FILES = (CONTRACT_FILE, PLAN_FILE, "training.yml", "README.md")


def project_files(draft: Draft, directory: Path) -> dict[str, str]:
    """The text of each file of a project in `directory`, by name."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=False, keep_trailing_newline=True, autoescape=False
    )
    environment.filters |= {
        "q": _quoted,
        "plain": _plain,
        "day": lambda at: format_moment(at)[:10],
        "moment": format_moment,
        "duration": format_duration,
        "number": lambda number: f"{number:.6f}".rstrip("0").rstrip(".") or "0",
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
    columns = {column.name for column in draft.columns} | {e.join_key for e in draft.entities}
    return {
        "draft": draft,
        "roles": draft.roles,
        "table": draft.roles.table,
        "names": draft.names,
        "label": draft.label,
        "keys": [entity for entity in draft.entities if entity.physical != entity.join_key],
        "directory": str(directory),
        "project": plain_name(directory.resolve().name).replace("_", "-") or name,
        "place": os.path.relpath(draft.roles.table.place, directory.resolve().parent),
        "data": os.path.relpath(draft.roles.table.place),
        "service": f"{name[:50]}_service_v1",
        "model": f"{name[:50]}_xgboost",
        "model_name": name.replace("_", "-"),
        "hour": _free("hour_of_day", columns),
        "weekday": _free("day_of_week", columns),
        "day_us": DAY,
        "request": _plain(json.dumps({"instances": [_request(draft)]}, ensure_ascii=False)),
    }


def _request(draft: Draft) -> dict[str, Value]:
    """The request of the last sampled row, as a client would have sent it."""
    table, moment = draft.roles.table, draft.roles.moment
    assert moment is not None
    events = table.column(moment.column).sample
    last = max(range(len(events)), key=lambda i: (events[i] is not None, events[i]))
    physical = {e.join_key: e.physical for e in draft.entities}
    physical |= {column.name: column.physical for column in draft.columns}
    row = {name: table.column(column).sample[last] for name, column in physical.items()}
    return {**row, "event_ts": format_moment(int(events[last] or 0))}


def _free(name: str, taken: set[str]) -> str:
    return f"asked_{name}" if name in taken else name


def _quoted(text: object) -> str:
    """A text as a YAML scalar in double quotes."""
    return json.dumps(str(text), ensure_ascii=True)


def _plain(text: object) -> str:
    """A text on one line, for a comment."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))
