"""What a version 2 contract may leave out, filled in before it is validated.

`expanded` gives every view, feature and service what `defaults` or its own form implies, so that
everything after it sees a whole contract. A problem of a filled value is told where the file states
it (`upgrade.Form`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from feature_runtime.core.functions import CLOCK_FUNCTIONS
from feature_runtime.core.keys import entity_key, timeline_key

UNKNOWN_DTYPE = "float64"
"""Stands for a dtype that is left out until `inference.inferred` knows it."""

EXACT = {"absolute": 0, "relative": 0}
"""The tolerance of what is not a double, where only a shared one is stated."""

_JOBS = {True: "proviso materialize --follow", False: "proviso features"}
_FILLED = ("default", "tolerance")


@dataclass(frozen=True)
class Expanded:
    """A contract's data with everything that it implies.

    stated: where the file states a filled value, by the value's path. untyped: features by view
    and name whose dtype is left out, and whether their tolerance is a shared one.
    """

    data: Any
    stated: dict[str, str] = field(default_factory=dict)
    untyped: dict[tuple[str, str], bool] = field(default_factory=dict)


def expanded(data: Any) -> Expanded:
    """The whole contract of a version 2 file; what has another form than a contract stays."""
    if not isinstance(data, dict):
        return Expanded(data)
    found = Expanded(dict(data))
    for name in ("entities", "feature_views", "feature_services", "quality_gates"):
        if isinstance(data.get(name), list):
            found.data[name] = [_item(found, name, item) for item in data[name]]
    return found


def _item(found: Expanded, kind: str, item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    place = f"{kind}[{item.get('name')}]"
    whole = dict(item)
    owner = _mapping(found.data.get("defaults")).get("owner")
    if owner is not None and "owner" not in item:
        whole["owner"] = owner
        found.stated[f"{place}.owner"] = "defaults.owner"
    if kind == "feature_views":
        return _view(found, place, whole)
    return _service(whole) if kind == "feature_services" else whole


def _view(found: Expanded, place: str, view: dict[str, Any]) -> dict[str, Any]:
    """A view with its clocks' names, its key, lineage, aggregates and features."""
    implied = {
        "event_timestamp": "event_ts",
        "created_timestamp": "created_ts",
        "deprecation": {"status": "active"},
        "lineage": _lineage(found.data, view),
    }
    whole = {**implied, **view}
    whole["online_store"] = _online_store(found.data, view)
    if isinstance(view.get("aggregates"), list):
        whole["aggregates"] = [*_aggregates(found, place, view["aggregates"])]
    listed = view.get("features", [*_names(found.data, whole)])
    if isinstance(listed, list):
        whole["features"] = [*_features(found, place, whole, listed)]
    return whole


def _lineage(contract: Mapping[str, Any], view: Mapping[str, Any]) -> dict[str, Any]:
    on_event = "on" in _mapping(view.get("publication"))
    return {"sources": [str(_source(contract, view).get("name"))], "job": _JOBS[on_event]}


def _source(contract: Mapping[str, Any], view: Mapping[str, Any]) -> Mapping[str, Any]:
    """The view's source, empty where it is not decided."""
    sources, name = _mappings(contract.get("sources")), view.get("source")
    events = [s for s in sources if s.get("kind") == "events"]
    named = [s for s in sources if s.get("name") == name] if name is not None else events
    return named[0] if len(named) == 1 else {}


def _online_store(contract: Mapping[str, Any], view: Mapping[str, Any]) -> Any:
    stated = view.get("online_store", {})
    if not isinstance(stated, dict):
        return stated
    keys = {e.get("name"): e.get("join_key") for e in _mappings(contract.get("entities"))}
    names = view.get("entities")
    entities = [str(name) for name in names] if isinstance(names, list) else []
    ids = [f"<{keys.get(name)}>" for name in entities]
    pattern = timeline_key(entity_key(entities, ids), str(view.get("name")), "<schema>")
    return {"type": "valkey", "key_pattern": pattern.decode(), **stated}


def _aggregates(found: Expanded, place: str, aggregates: list[Any]) -> Iterator[Any]:
    """One aggregate for each of `windows`, called `<name>_<window>`."""
    for aggregate in aggregates:
        windows = aggregate.get("windows") if isinstance(aggregate, dict) else None
        if not isinstance(windows, list) or "window" in aggregate:
            yield aggregate
            continue
        rest = {key: value for key, value in aggregate.items() if key != "windows"}
        for window in windows:
            name = f"{aggregate.get('name')}_{suffix(window)}"
            found.stated[f"{place}.aggregates[{name}]"] = (
                f"{place}.aggregates[{aggregate.get('name')}]"
            )
            yield {**rest, "name": name, "window": window}


def suffix(window: Any) -> str:
    """A window in a name: `7d` of P7D, `1d12h` of P1DT12H."""
    return str(window).lower().replace("p", "").replace("t", "")


def _names(contract: Mapping[str, Any], view: Mapping[str, Any]) -> Iterator[str]:
    """The features of a view that lists none: its aggregates, or its source's columns."""
    if "aggregates" in view:
        yield from (str(a.get("name")) for a in _mappings(view["aggregates"]))
    else:
        yield from map(str, _mapping(_source(contract, view).get("columns")))


def _features(
    found: Expanded, place: str, view: Mapping[str, Any], listed: list[Any]
) -> Iterator[Any]:
    aggregates = {str(a.get("name")): a for a in _mappings(view.get("aggregates"))}
    own = {item.get("name") for item in listed if isinstance(item, dict)}
    for item in listed:
        if isinstance(item, dict):
            yield _feature(found, place, view, item, aggregates)
            continue
        if not isinstance(item, str):
            yield item
            continue
        for name in _of_windows(found, place, item, aggregates):
            if name in own:
                continue
            if name != item:
                found.stated[f"{place}.features[{name}]"] = f"{place}.features[{item}]"
            yield _feature(found, place, view, {"name": name}, aggregates)


def _of_windows(found: Expanded, place: str, name: str, aggregates: Mapping[str, Any]) -> list[str]:
    """The aggregates that one name stands for: its own, or one for each of its windows."""
    stated = f"{place}.aggregates[{name}]"
    made = [one for one in aggregates if found.stated.get(f"{place}.aggregates[{one}]") == stated]
    return made or [name]


def _feature(
    found: Expanded,
    place: str,
    view: Mapping[str, Any],
    feature: Mapping[str, Any],
    aggregates: Mapping[str, Any],
) -> dict[str, Any]:
    """A feature with the default and tolerance of its view or contract, described, and a dtype."""
    name, whole = feature.get("name"), dict(feature)
    for key in _FILLED:
        for at, level in ((f"{place}.defaults", view), ("defaults", found.data)):
            common = _mapping(level.get("defaults")).get(key)
            if key not in whole and common is not None:
                whole[key] = common
                found.stated[f"{place}.features[{name}].{key}"] = f"{at}.{key}"
    shared = "tolerance" not in feature
    if "dtype" not in whole:
        whole["dtype"] = UNKNOWN_DTYPE
        found.untyped[str(view.get("name")), str(name)] = shared
    elif shared and "tolerance" in whole and whole["dtype"] != UNKNOWN_DTYPE:
        whole["tolerance"] = dict(EXACT)
    if "description" not in whole and "sql" not in whole:
        whole["description"] = _described(str(name), aggregates.get(str(name)))
    return whole


def _described(name: str, aggregate: Mapping[str, Any] | None) -> str:
    if aggregate is None:
        return f"Column {name} of the source."
    of = f" of {aggregate['of']}" if aggregate.get("of") else ""
    where = f", where {aggregate['where']}" if aggregate.get("where") else ""
    return f"{aggregate.get('function')}{of} over {aggregate.get('window')}{where}."


def _service(service: dict[str, Any]) -> dict[str, Any]:
    """A service whose features are references, and whose fields are those that it uses."""
    whole = dict(service)
    if isinstance(service.get("features"), list):
        whole["features"] = [name for item in service["features"] for name in _references(item)]
    if isinstance(service.get("request_features"), list):
        whole["request_features"] = [*map(_request_feature, service["request_features"])]
        fields = [f.get("field") for f in _mappings(whole["request_features"])]
        used = [*dict.fromkeys(name for name in fields if isinstance(name, str))]
        whole |= {"fields": used} if "fields" not in service and used else {}
    return whole


def _references(item: Any) -> list[Any]:
    """`view:feature` of each feature in `view: [feature, ...]`."""
    if not isinstance(item, dict):
        return [item]
    lists = {view: names for view, names in item.items() if isinstance(names, list)}
    if lists.keys() != item.keys():
        return [item]
    return [f"{view}:{name}" for view, names in lists.items() for name in names]


def _request_feature(item: Any) -> Any:
    """A feature of the moment by its function's name, or of the field of its name."""
    if not isinstance(item, str):
        return item
    if item in CLOCK_FUNCTIONS:
        said = f"{item} of the scoring moment."
        return {"name": item, "function": item, "description": said}
    said = f"{item} of the request."
    return {"name": item, "function": "field", "field": item, "description": said}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
