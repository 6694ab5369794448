"""Version 1 of the contract, read as version 2: its one `source` becomes two of the `sources`.

The file's mapping is upgraded before it is validated (`loading.parse_contract`). `Form` gives a
problem of the upgraded contract the path that the file has.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from proviso.contracts.base import Duration, Name, Problem, Strict, Text
from proviso.contracts.meaning import with_known_label

LATER_KEYS = ("sources", "time_zone", "defaults", "functions")
"""Keys of a contract that version 1 does not have."""


class _Column(Strict):
    """A numeric column of the source."""

    dtype: Literal["money", "int64", "float64", "bool"]
    scale: Annotated[int, Field(ge=0, le=6)] = 0
    description: Text


class _Label(Strict):
    """What is predicted: known from `known_at`, else `delay` after the event."""

    column: Name
    known_at: Name | None = None
    delay: Duration
    description: Text


class _Source(Strict):
    """The table of events that every feature is computed from."""

    name: Name
    description: Text
    id: Name
    event_timestamp: Name
    arrival_timestamp: Name | None = None
    label: _Label
    columns: dict[Name, _Column]


class Version1(Strict):
    """What only version 1 has."""

    source: _Source


@dataclass(frozen=True)
class Form:
    """How a contract's file states what the contract says.

    source: version 1's, None in a file of version 2. stated: of values that were filled in, the
    path at which the file states them.
    """

    source: _Source | None = None
    stated: Mapping[str, str] = field(default_factory=dict)

    def told(self, problems: Iterable[Problem]) -> list[Problem]:
        """Problems of the contract, with paths and in words that the file has, each once."""
        return [*dict.fromkeys(map(self._told, problems))]

    def _told(self, problem: Problem) -> Problem:
        file, _, path = problem.path.partition(": ")
        if self.source is None:
            return replace(problem, path=f"{file}: {self._place(path)}") if path else problem
        wanted = problem.wanted.replace("dated: known", "dated: label")
        place = _in_version_1(path, self.source) if path.startswith("sources") else path
        return replace(problem, wanted=wanted, path=f"{file}: {place}" if place else file)

    def _place(self, path: str) -> str:
        """Where the file states a value: for a filled one, where it was filled from."""
        end = len(path)
        while end > 0 and path[:end] not in self.stated:
            end = max(path.rfind(".", 0, end), path.rfind("[", 0, end), 0)
        return self._place(self.stated[path[:end]] + path[end:]) if end > 0 else path


def _in_version_1(path: str, source: _Source) -> str:
    name, label = re.escape(source.name), re.escape(source.label.column)
    place = re.sub(rf"^sources(\[{name}(_observed)?\])?", "source", path)
    place = re.sub(rf"^source\.columns\.{label}$", "source.label.column", place)
    return re.sub(r"^source\.(entities|keys|label)\b.*", "source", place)


def is_version_1(data: Any) -> bool:
    """Whether plain data of a contract is version 1: it says so, or looks so and says nothing."""
    if not isinstance(data, dict):
        return False
    version = data.get("version")
    return version == 1 or (version != 2 and "source" in data and "sources" not in data)


def upgraded(data: Mapping[str, Any], source: _Source | None) -> dict[str, Any]:
    """The contract in version 2. source: None where the file's cannot be used; any then does."""
    rest = {k: v for k, v in data.items() if k not in ("source", *LATER_KEYS)}
    version = {"version": 2} if data.get("version") == 1 else {}
    usable = source or Version1.model_validate({"source": _ANY}).source
    views = _views(data.get("feature_views"), usable)
    stated = {"feature_views": views} if "feature_views" in data else {}
    if "feature_services" in data:
        stated["feature_services"] = _services(data["feature_services"], usable)
    entities = _names(data.get("entities")) or ["none"]
    return {**rest, **version, **stated, "sources": _sources(usable, entities)}


_ANY: Mapping[str, Any] = {
    "name": "any",
    "description": "-",
    "id": "id",
    "event_timestamp": "event_ts",
    "label": {"column": "label", "delay": "PT0S", "description": "-"},
    "columns": {},
}


def _sources(source: _Source, entities: list[str]) -> list[dict[str, Any]]:
    """The events, and the observations that are their rows."""
    stated = source.model_dump(exclude_none=True)
    label = stated.pop("label")
    known_at = {key: label[key] for key in ("known_at", "delay") if key in label}
    column = {
        "dtype": "bool",
        "nullable": True,
        "known_at": {"column" if k == "known_at" else k: v for k, v in known_at.items()},
        "description": label["description"],
    }
    columns = {**stated["columns"], label["column"]: column}
    events = {**stated, "kind": "events", "entities": entities, "columns": columns}
    observations = {
        "kind": "observations",
        "name": f"{source.name}_observed",
        "rows_of": source.name,
        "label": label["column"],
    }
    return [events, observations]


def _views(views: Any, source: _Source) -> Any:
    """The views, whose aggregates are dated in version 2's words."""
    if not isinstance(views, list):
        return views
    return [_view(view, source) if isinstance(view, dict) else view for view in views]


def _services(services: Any, source: _Source) -> Any:
    """The services, whose fields are all FP64 in a request."""
    if not isinstance(services, list):
        return services
    return [
        {**one, "numbers": "double"} if isinstance(one, dict) and has_doubles(one, source) else one
        for one in services
    ]


def has_doubles(service: Mapping[str, Any], source: _Source) -> bool:
    """Whether a service of version 1 has a field that version 2 would type otherwise."""
    fields = service.get("fields")
    names = fields if isinstance(fields, list) else []
    columns = (source.columns.get(name) for name in names if isinstance(name, str))
    return any(column.dtype in ("int64", "bool") for column in columns if column)


def _view(view: dict[str, Any], source: _Source) -> dict[str, Any]:
    aggregates, features = view.get("aggregates"), view.get("features")
    if not isinstance(aggregates, list):
        return view
    changed = {"aggregates": [dated_known(one, source.label.column) for one in aggregates]}
    if isinstance(features, list):
        sums = {*_sums_of_money(aggregates, source)}
        changed["features"] = [in_minor_units(one, sums) for one in features]
    return {**view, **changed}


def _sums_of_money(aggregates: list[Any], source: _Source) -> Iterator[str]:
    for one in aggregates:
        if isinstance(one, dict) and one.get("function") in ("sum", "sum_of_squares"):
            name, column = one.get("name"), source.columns.get(str(one.get("of")))
            if isinstance(name, str) and column and column.dtype == "money":
                yield name


def in_minor_units(feature: Any, sums: Collection[str]) -> Any:
    """A feature of version 1 that is a sum of money in minor units, as version 2 states it.

    Version 2 takes a float64 of the aggregate's name to be in major units.
    """
    if not isinstance(feature, dict) or "sql" in feature or feature.get("name") not in sums:
        return feature
    return {**feature, "sql": feature["name"]} if feature.get("dtype") == "float64" else feature


def dated_known(aggregate: Any, label: str) -> Any:
    """An aggregate of version 1, `dated: label`, in the words of version 2.

    It counts an event when the label is known, so its `where` must use the label.
    """
    if not isinstance(aggregate, dict) or aggregate.get("dated") != "label":
        return aggregate
    where = aggregate.get("where")
    text = where if isinstance(where, str) else ""
    if re.search(rf"\b{re.escape(label)}\b", text) or (where is not None and not text):
        return {**aggregate, "dated": "known"}
    return {**aggregate, "where": with_known_label(where, label), "dated": "known"}


def _names(entities: Any) -> list[str]:
    items = entities if isinstance(entities, list) else []
    names = (item.get("name") for item in items if isinstance(item, dict))
    return [*dict.fromkeys(name for name in names if isinstance(name, str))]
