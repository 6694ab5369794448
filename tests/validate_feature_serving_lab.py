"""The lab's validator without dependencies: structural checks of the four contract files.

    python3 tests/validate_feature_serving_lab.py [DIR]

Standard library only, so that a reviewer can run it anywhere; `proviso validate` checks the same
files more deeply. Prints one line a check; problems go to stderr, and the exit status is then 1.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

CONTRACT = "feature_store_contract.yml"
PAYLOADS = "online_feature_payloads.jsonl"
SKEW = "skew_test_cases.csv"
PLAN = "serving_release_plan.yml"
MAX_BYTES = 1024 * 1024

CONTRACT_KEYS = "version name entities feature_views feature_services quality_gates"
SOURCE_KINDS = "events table observations"
VIEW_KEYS = (
    "name description owner entities event_timestamp created_timestamp source_delay "
    "temporal_join_lookback online_ttl freshness_slo publication population online_store lineage "
    "deprecation features"
)
VIEW_DURATIONS = "source_delay temporal_join_lookback online_ttl freshness_slo population"
FEATURE_KEYS = "name dtype description default tolerance"
PAYLOAD_KEYS = (
    "entity_type entity_key feature_service feature_view event_timestamp "
    "materialization_timestamp values"
)
PLAN_KEYS = (
    "model service model_name owner runbook runtime latency_slo error_budget batching fallback "
    "shadow mirroring canary monitoring rollback prediction_log stress_test stakeholders"
)
SKEW_HEADER = (
    "case_id,entity_type,entity_key,feature_view,feature,as_of,offline_value,online_value,"
    "offline_event_ts,online_event_ts,tolerance_abs,tolerance_rel,verdict,kind,owner,review_note"
)
OBJECTIVES = "latency_p95_ms latency_p99_ms http_error_rate"
"""Metrics whose bounds may leave the threshold out: latency_slo and error_budget state it."""
ROLES = "data_engineering ml_engineering platform business"
COVERS = "latency errors features business"


class Invalid(ValueError):
    """A file that cannot be read at all."""


# --- the YAML that contract files are written in -------------------------------------------------

Line = tuple[int, int, str]
"""Number, indentation, text without comment."""

_KEY = re.compile(r"([A-Za-z_][\w.-]*):(?: +|$)")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


def read_yaml(text: str) -> Any:
    """Block and flow mappings and lists, quoted and plain scalars, comments. Raises Invalid."""
    stated = [_line(n, raw) for n, raw in enumerate(text.splitlines(), 1)]
    lines = _joined([line for line in stated if line[2]])
    if not lines:
        return None
    value, rest = _block(lines, lines[0][1])
    if rest:
        raise Invalid(f"line {rest[0][0]}: found an indentation that fits nothing above")
    return value


def _line(number: int, raw: str) -> Line:
    if "\t" in raw:
        raise Invalid(f"line {number}: found a tab, wanted spaces")
    quote, end = "", len(raw)
    for at, sign in enumerate(raw):
        before = raw[:at].rstrip()
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'" and (not before or before[-1] in ":,[{-"):
            quote = sign
        elif sign == "#" and raw[at - 1 : at] in ("", " "):
            end = at
            break
    return number, len(raw) - len(raw.lstrip()), raw[:end].strip()


def _joined(lines: list[Line]) -> list[Line]:
    """Brackets that stay open go on in the next lines."""
    found: list[Line] = []
    depth = 0
    for line in lines:
        if depth > 0:
            first = found.pop()
            found.append((first[0], first[1], f"{first[2]} {line[2]}"))
        else:
            found.append(line)
        bare = re.sub(r""""[^"]*"|(?<=[:,\[{ ])'[^']*'""", "", found[-1][2])
        depth = sum(bare.count(sign) for sign in "[{") - sum(bare.count(sign) for sign in "]}")
    return found


def _block(lines: list[Line], indent: int) -> tuple[Any, list[Line]]:
    """The value that starts at the first line, and the lines after it."""
    if lines[0][2].startswith("- ") or lines[0][2] == "-":
        return _list(lines, indent)
    if _KEY.match(lines[0][2]):
        return _mapping(lines, indent)
    return _scalar(lines[0]), lines[1:]


def _list(lines: list[Line], indent: int) -> tuple[list[Any], list[Line]]:
    items: list[Any] = []
    while lines and lines[0][1] == indent and lines[0][2][:2] in ("-", "- "):
        number, _, text = lines[0]
        inner = text[1:].lstrip()
        if inner:
            lines = [(number, indent + len(text) - len(inner), inner), *lines[1:]]
            value, lines = _block(lines, lines[0][1])
        else:
            value, lines = _nested(lines, indent)
        items.append(value)
    return items, lines


def _mapping(lines: list[Line], indent: int) -> tuple[dict[str, Any], list[Line]]:
    found: dict[str, Any] = {}
    while lines and lines[0][1] == indent and (match := _KEY.match(lines[0][2])):
        number, _, text = lines[0]
        key, rest = match[1], text[match.end() :]
        if key in found:
            raise Invalid(f"line {number}: found key {key} again, wanted it once")
        if rest:
            found[key], lines = _scalar((number, indent, rest)), lines[1:]
        else:
            found[key], lines = _nested(lines, indent)
    return found, lines


def _nested(lines: list[Line], indent: int) -> tuple[Any, list[Line]]:
    """What a line without a value owns: the deeper lines below it, or a list at its own depth."""
    below = lines[1:]
    deeper = below and (below[0][1] > indent or (below[0][1] == indent and below[0][2][0] == "-"))
    return _block(below, below[0][1]) if deeper else (None, below)


def _scalar(line: Line) -> Any:
    number, _, text = line
    value, rest = _flow(number, text, "")
    if rest.strip():
        raise Invalid(f"line {number}: found {rest.strip()!r} after a value")
    return value


def _flow(number: int, text: str, ends: str) -> tuple[Any, str]:
    """A value at the start of `text`; a plain one ends before any of `ends`."""
    text = text.lstrip()
    if text[:1] == "[":
        return _flow_list(number, text[1:])
    if text[:1] == "{":
        return _flow_mapping(number, text[1:])
    if text[:1] in ('"', "'"):
        close = text.find(text[0], 1)
        if close < 0:
            raise Invalid(f"line {number}: found a quote without its end")
        return text[1:close], text[close + 1 :]
    if text[:1] in set("&*!|>%@`"):
        raise Invalid(f"line {number}: found {text[0]!r}, wanted plain YAML")
    stop = min((at for sign in ends if (at := text.find(sign)) >= 0), default=len(text))
    return _plain(text[:stop].strip()), text[stop:]


def _flow_list(number: int, text: str) -> tuple[list[Any], str]:
    items: list[Any] = []
    while text.lstrip()[:1] != "]":
        value, text = _flow(number, text, ",]")
        items.append(value)
        text = _comma(number, text, "]")
    return items, text.lstrip()[1:]


def _flow_mapping(number: int, text: str) -> tuple[dict[str, Any], str]:
    found: dict[str, Any] = {}
    while text.lstrip()[:1] != "}":
        match = _KEY.match(text.lstrip())
        if match is None:
            raise Invalid(f"line {number}: found {text.strip()[:40]!r}, wanted `key: value`")
        if match[1] in found:
            raise Invalid(f"line {number}: found key {match[1]} again, wanted it once")
        found[match[1]], text = _flow(number, text.lstrip()[match.end() :], ",}")
        text = _comma(number, text, "}")
    return found, text.lstrip()[1:]


def _comma(number: int, text: str, end: str) -> str:
    text = text.lstrip()
    if text[:1] == ",":
        return text[1:]
    if text[:1] != end:
        raise Invalid(f"line {number}: found {text[:40]!r}, wanted , or {end}")
    return text


def _plain(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.fullmatch(text):
        return int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)
    return text


# --- small parts that the checks share -----------------------------------------------------------


def duration(value: Any) -> timedelta | None:
    """An ISO 8601 duration in days, hours, minutes, seconds; None for anything else."""
    pattern = r"P(?:(\d{1,6})D)?(?:T(?=\d)(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?"
    match = re.fullmatch(pattern, str(value))
    if match is None or value == "P":
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def moment(value: Any) -> datetime | None:
    """An RFC 3339 moment; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def number(value: Any) -> float | None:
    """A finite number that a cell states."""
    return float(value) if _NUMBER.fullmatch(str(value)) else None


def problem(path: str, found: object, wanted: object, why: str = "") -> str:
    return f"{path}: found {found}, wanted {wanted}" + (f" ({why})" if why else "")


def absent(path: str, mapping: Any, keys: str) -> Iterator[str]:
    """One problem for each required key that is not there or empty."""
    given = mapping if isinstance(mapping, dict) else {}
    for key in keys.split():
        if given.get(key) in (None, "", [], {}):
            yield problem(f"{path}.{key}".lstrip("."), "nothing", "a value", "it is required")


def items(mapping: Any, key: str) -> list[dict[str, Any]]:
    """The mappings of a list, none where there is no such list."""
    found = mapping.get(key) if isinstance(mapping, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def part(mapping: Any, key: str) -> dict[str, Any]:
    """A mapping inside a mapping, empty where there is none."""
    found = mapping.get(key) if isinstance(mapping, dict) else None
    return found if isinstance(found, dict) else {}


def names(mapping: Any, key: str) -> list[str]:
    """The texts of a list, none where there is no such list."""
    found = mapping.get(key) if isinstance(mapping, dict) else None
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def by_name(mappings: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {str(mapping.get("name")): mapping for mapping in mappings}


def repeated(path: str, stated: list[Any]) -> Iterator[str]:
    texts = [str(name) for name in stated]
    for name in dict.fromkeys(texts):
        count = texts.count(name)
        if count > 1:
            yield problem(path, f"{name} {count} times", "every name once")


class Lab:
    """The four files of a directory, read when a check asks for them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def text(self, name: str) -> str:
        path = self.directory / name
        try:
            if path.stat().st_size > MAX_BYTES:
                raise Invalid(problem(name, "too many bytes", f"at most {MAX_BYTES}"))
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(problem(name, type(error).__name__, "a readable text file")) from None

    def yaml(self, name: str) -> dict[str, Any]:
        text = self.text(name)
        try:
            found = read_yaml(text)
        except (Invalid, RecursionError) as error:
            raise Invalid(f"{name}: {error}") from None
        if not isinstance(found, dict):
            raise Invalid(problem(name, type(found).__name__, "a mapping"))
        return found

    def contract(self) -> dict[str, Any]:
        """The contract, whole: with what version 2 may leave out."""
        contract = self.yaml(CONTRACT)
        return whole(contract) if contract.get("version") == 2 else contract

    def views(self) -> dict[str, dict[str, Any]]:
        return by_name(items(self.contract(), "feature_views"))


# --- what version 2 of the contract may leave out ------------------------------------------------


def whole(contract: dict[str, Any]) -> dict[str, Any]:
    """A version 2 contract with owners, defaults, and features that only a name stands for."""
    shared = part(contract, "defaults")
    owner = {"owner": shared["owner"]} if "owner" in shared else {}
    owned = {
        key: [{**owner, **item} for item in items(contract, key)]
        for key in ("entities", "feature_views", "feature_services", "quality_gates")
        if items(contract, key)
    }
    full = {**contract, **owned}
    full["feature_views"] = [_whole_view(full, view) for view in items(full, "feature_views")]
    full["feature_services"] = [
        {**service, "features": _consumed(service)} for service in items(full, "feature_services")
    ]
    return full


def _whole_view(contract: dict[str, Any], view: dict[str, Any]) -> dict[str, Any]:
    implied = {
        "event_timestamp": "event_ts",
        "created_timestamp": "created_ts",
        "online_store": {"type": "valkey", "key_pattern": "fs"},
        "lineage": {"sources": ["source"]},
        "deprecation": {"status": "active"},
    }
    shared = {**part(contract, "defaults"), **part(view, "defaults")}
    return {**implied, **view, "features": [*_whole_features(contract, view, shared)]}


def _whole_features(
    contract: dict[str, Any], view: dict[str, Any], shared: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    made = {
        str(aggregate.get("name")): [
            f"{aggregate.get('name')}_{str(window).lower().replace('p', '').replace('t', '')}"
            for window in names(aggregate, "windows")
        ]
        for aggregate in items(view, "aggregates")
    }
    sources = by_name(items(contract, "sources"))
    columns = part(sources.get(str(view.get("source"))), "columns")
    listed = view.get("features", [*(made or columns)])
    own = {item.get("name") for item in listed if isinstance(item, dict)}
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, dict):
            yield _whole_feature(item, shared)
        elif isinstance(item, str):
            stated = [name for name in made.get(item) or [item] if name not in own]
            yield from (_whole_feature({"name": name}, shared) for name in stated)


def _whole_feature(feature: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """What is not stated: the view's or contract's default and tolerance, an unnamed dtype."""
    common: dict[str, Any] = {key: shared[key] for key in ("default", "tolerance") if key in shared}
    return {**common, "dtype": "inferred", "description": "inferred", **feature}


def _consumed(service: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for item in service.get("features") or []:
        if isinstance(item, dict):
            found += [f"{view}:{name}" for view in item for name in names(item, view)]
        elif isinstance(item, str):
            found.append(item)
    return found


# --- the four checks -----------------------------------------------------------------------------


def validate_feature_store_contract(lab: Lab) -> Iterator[str]:
    contract = lab.contract()
    yield from absent("", contract, CONTRACT_KEYS)
    yield from absent("", contract, "sources" if contract.get("version") == 2 else "source")
    yield from _sources(contract)
    entities = by_name(items(contract, "entities"))
    for key in ("entities", "feature_views", "feature_services", "quality_gates"):
        yield from repeated(key, [item.get("name") for item in items(contract, key)])
    for view in items(contract, "feature_views"):
        yield from _view(view, entities)
    for service in items(contract, "feature_services"):
        yield from _service(service, lab.views())
    for gate in items(contract, "quality_gates"):
        yield from absent(f"quality_gates[{gate.get('name')}]", gate, "name metric owner schedule")


def _sources(contract: dict[str, Any]) -> Iterator[str]:
    stated = items(contract, "sources")
    yield from repeated("sources", [source.get("name") for source in stated])
    for source in stated:
        path = f"sources[{source.get('name')}]"
        if source.get("kind") not in SOURCE_KINDS.split():
            yield problem(f"{path}.kind", source.get("kind"), f"one of {SOURCE_KINDS}")
        yield from absent(path, source, "name label" if "rows_of" in source else "name entities")
        if "rows_of" in source and source["rows_of"] not in by_name(stated):
            yield problem(f"{path}.rows_of", source["rows_of"], "a source of events")


def _view(view: dict[str, Any], entities: Mapping[str, Any]) -> Iterator[str]:
    path = f"feature_views[{view.get('name')}]"
    yield from absent(path, view, VIEW_KEYS)
    yield from absent(f"{path}.online_store", part(view, "online_store"), "type key_pattern")
    for entity in names(view, "entities"):
        if entity not in entities:
            yield problem(f"{path}.entities", entity, "an entity of the contract")
    yield from _clocks(path, view)
    yield from _deprecation(path, view)
    yield from repeated(f"{path}.features", [f.get("name") for f in items(view, "features")])
    for feature in items(view, "features"):
        yield from _feature(f"{path}.features[{feature.get('name')}]", feature)


def _clocks(path: str, view: dict[str, Any]) -> Iterator[str]:
    times = {key: duration(view.get(key)) for key in VIEW_DURATIONS.split()}
    for key in times:
        if view.get(key) is not None and times[key] is None:
            wanted = "an ISO 8601 duration such as PT10M"
            yield problem(f"{path}.{key}", view[key], wanted)
    ttl, lookback, fresh = (
        times[k] for k in ("online_ttl", "temporal_join_lookback", "freshness_slo")
    )
    if ttl and lookback and ttl >= lookback:
        why = "past the lookback a stale row cannot be told from a missing key"
        wanted = f"less than temporal_join_lookback {view['temporal_join_lookback']}"
        yield problem(f"{path}.online_ttl", view["online_ttl"], wanted, why)
    if fresh and ttl and fresh > ttl:
        wanted = f"at most online_ttl {view['online_ttl']}"
        yield problem(f"{path}.freshness_slo", view["freshness_slo"], wanted)
    publication = part(view, "publication")
    if "schedule" in publication:
        steps = [
            times["source_delay"],
            *map(duration, map(publication.get, ("schedule", "duration"))),
        ]
        cycle = sum((step for step in steps if step), timedelta())
        if ttl and cycle > ttl:
            why = "schedule + source_delay + duration must fit"
            yield problem(f"{path}.online_ttl", view["online_ttl"], f"at least {cycle}", why)


def _feature(path: str, feature: dict[str, Any]) -> Iterator[str]:
    yield from absent(path, feature, FEATURE_KEYS)
    yield from _deprecation(path, feature)
    default = part(feature, "default")
    if default.get("policy") not in ("reject", "default", "nan"):
        yield problem(f"{path}.default.policy", default.get("policy"), "reject, default or nan")
    elif default["policy"] != "reject":
        yield from absent(f"{path}.default", default, "approved_by reason")
    if default.get("policy") == "default" and number(default.get("value")) is None:
        yield problem(f"{path}.default.value", default.get("value"), "a number")
    expires = default.get("expires")
    if expires is not None and str(expires) <= str(datetime.now(UTC).date()):
        yield problem(f"{path}.default.expires", expires, "a day to come", "the approval ended")


def _deprecation(path: str, mapping: dict[str, Any]) -> Iterator[str]:
    stated = part(mapping, "deprecation")
    ends = stated.get("retire_on")
    if ends is not None and not _is_day(ends):
        yield problem(f"{path}.deprecation.retire_on", ends, "a day such as 2026-01-31")
    if stated.get("status") == "deprecated" and ends is None:
        why = "a consumer must know how long it may rely on it"
        yield problem(f"{path}.deprecation.retire_on", "nothing", "the day of its end", why)


def _service(service: dict[str, Any], views: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    path = f"feature_services[{service.get('name')}]"
    yield from absent(path, service, "name model owner features")
    consumed = names(service, "features")
    yield from repeated(f"{path}.features", consumed)
    for name in dict.fromkeys(consumed):
        view, _, feature_name = name.partition(":")
        feature = by_name(items(views.get(view), "features")).get(feature_name)
        if feature is None:
            yield problem(f"{path}.features", name, "a feature of the contract")
        elif _retired(part(feature, "deprecation") or part(views[view], "deprecation")):
            yield problem(f"{path}.features", f"{name}, which is retired", "an active feature")


def _retired(deprecation: dict[str, Any]) -> bool:
    ended = deprecation.get("retire_on")
    over = ended is not None and str(ended) <= str(datetime.now(UTC).date())
    return deprecation.get("status") == "retired" or over


def validate_online_payloads(lab: Lab) -> Iterator[str]:
    views = lab.views()
    services = by_name(items(lab.contract(), "feature_services"))
    shown = set()
    for at, line in enumerate(lab.text(PAYLOADS).splitlines(), 1):
        try:
            payload = json.loads(line)
        except (ValueError, RecursionError):
            yield problem(f"line {at}", "no JSON", "one JSON object")
            continue
        if not isinstance(payload, dict) or set(payload) != set(PAYLOAD_KEYS.split()):
            yield problem(f"line {at}", "other keys", f"exactly {PAYLOAD_KEYS}")
            continue
        if not all(isinstance(payload[key], str) for key in PAYLOAD_KEYS.split()[:-1]):
            yield problem(f"line {at}", "a name or moment that is no text", "text")
            continue
        shown.add(payload["feature_view"])
        yield from _payload(f"line {at}", payload, views, services)
    for name in sorted(views.keys() - shown):
        yield problem("payloads", f"no line of {name}", "at least one")


def _payload(
    path: str, payload: dict[str, Any], views: Mapping[str, Any], services: Mapping[str, Any]
) -> Iterator[str]:
    view = views.get(payload["feature_view"])
    if payload["feature_service"] not in services:
        yield problem(f"{path} feature_service", payload["feature_service"], "a known service")
    if view is None:
        yield problem(f"{path} feature_view", payload["feature_view"], "a known feature view")
        return
    if payload["entity_type"] != "|".join(names(view, "entities")):
        wanted = "|".join(names(view, "entities"))
        yield problem(f"{path} entity_type", payload["entity_type"], wanted)
    yield from _payload_times(path, payload, view)
    values = payload["values"] if isinstance(payload["values"], dict) else {}
    features = by_name(items(view, "features"))
    for name in sorted(features.keys() ^ values.keys()):
        found = "nothing" if name in features else "an unknown feature"
        yield problem(f"{path} values.{name}", found, f"exactly the features of {view['name']}")
    for name in sorted(features.keys() & values.keys()):
        if not _of_type(features[name].get("dtype"), values[name]):
            wanted = f"a value of {features[name].get('dtype')}"
            yield problem(f"{path} values.{name}", repr(values[name]), wanted)


def _payload_times(path: str, payload: dict[str, Any], view: dict[str, Any]) -> Iterator[str]:
    event, written = (
        moment(payload[key]) for key in ("event_timestamp", "materialization_timestamp")
    )
    if event is None or written is None:
        yield problem(path, "a timestamp that is none", "RFC 3339 moments")
        return
    ttl = duration(view.get("online_ttl")) or timedelta.max
    if event > written:
        why = "nobody can write what has not happened"
        yield problem(f"{path} event_timestamp", event, f"at most {written}", why)
    elif written - event > ttl:
        yield problem(f"{path} event_timestamp", event, f"within online_ttl {view['online_ttl']}")


def _of_type(dtype: Any, value: Any) -> bool:
    if value is None:
        return True
    if dtype == "int64":
        return type(value) is int
    if dtype in ("inferred", "string"):
        return dtype == "inferred" or isinstance(value, str)
    return type(value) is bool if dtype == "bool" else type(value) in (int, float)


def validate_skew_test_cases(lab: Lab) -> Iterator[str]:
    views = lab.views()
    reader = csv.DictReader(lab.text(SKEW).splitlines())
    if ",".join(reader.fieldnames or ()) != SKEW_HEADER:
        yield problem("header", ",".join(reader.fieldnames or ()), SKEW_HEADER)
        return
    rows: list[dict[str, str]] = list(reader)
    yield from repeated("case_id", [row["case_id"] for row in rows])
    for at, row in enumerate(rows, 2):
        if None in row or None in row.values():
            yield problem(f"row {at}", "another number of cells", "as many as the header")
        else:
            yield from _skew_row(f"row {at}", row, views)
    if not any(row["verdict"] == "REVIEW" for row in rows):
        yield problem("verdict", "no REVIEW row", "at least one")
    if not any(_passes_within_tolerance(row) for row in rows):
        yield problem("verdict", "no PASS row of a number with a tolerance", "at least one")


def _passes_within_tolerance(row: Mapping[str, str]) -> bool:
    tolerances = [number(row[key]) or 0 for key in ("tolerance_abs", "tolerance_rel")]
    numeric = number(row["offline_value"]) is not None
    return row["verdict"] == "PASS" and numeric and sum(tolerances) > 0


def _skew_row(path: str, row: dict[str, str], views: Mapping[str, Any]) -> Iterator[str]:
    feature = by_name(items(views.get(row["feature_view"]), "features")).get(row["feature"])
    if feature is None:
        yield problem(f"{path} feature", row["feature"], "a feature of the contract")
        return
    tolerance = part(feature, "tolerance")
    exact = feature.get("dtype") == "inferred" and not number(row["tolerance_abs"])
    for key, name in (("tolerance_abs", "absolute"), ("tolerance_rel", "relative")):
        if number(row[key]) != number(tolerance.get(name)) and not exact:
            yield problem(f"{path} {key}", row[key], tolerance.get(name), "the contract's")
    verdict = "PASS" if _agrees(row) else "REVIEW"
    if row["verdict"] != verdict:
        why = "what the row's own values, moments and tolerance give"
        yield problem(f"{path} verdict", row["verdict"], verdict, why)
    if row["verdict"] == "REVIEW":
        yield from absent(path, row, "kind owner review_note")


def _agrees(row: dict[str, str]) -> bool:
    if moment(row["offline_event_ts"]) != moment(row["online_event_ts"]):
        return False
    offline, online = number(row["offline_value"]), number(row["online_value"])
    if offline is None or online is None:
        return row["offline_value"] == row["online_value"]
    allowed = (number(row["tolerance_abs"]) or 0) + (number(row["tolerance_rel"]) or 0) * abs(
        offline
    )
    return abs(online - offline) <= allowed


def validate_serving_release_plan(lab: Lab) -> Iterator[str]:
    plan = lab.yaml(PLAN)
    yield from absent("", plan, PLAN_KEYS)
    service = by_name(items(lab.yaml(CONTRACT), "feature_services")).get(str(plan.get("service")))
    if service is None:
        yield problem("service", plan.get("service"), "a feature service of the contract")
    elif service.get("model") != plan.get("model"):
        yield problem("model", plan.get("model"), service.get("model"), "the contract's consumer")
    yield from absent("latency_slo", part(plan, "latency_slo"), "p95_ms p99_ms deadline_ms")
    yield from absent("batching", part(plan, "batching"), "max_batch_size dynamic")
    yield from _canary(part(plan, "canary").get("steps"))
    for monitored in items(plan, "monitoring"):
        path = f"monitoring[{monitored.get('metric')}]"
        yield from absent(path, monitored, f"metric {_threshold(monitored)} window action owner")
    yield from _rollback(part(plan, "rollback"))
    if part(plan, "fallback").get("decision") is None:
        yield problem("fallback.decision", "nothing", "what a rejected request gets")
    yield from _stakeholders(items(plan, "stakeholders"))


def _canary(steps: Any) -> Iterator[str]:
    if not isinstance(steps, list) or not all(type(step) is int for step in steps):
        yield problem("canary.steps", steps, "whole percentages")
    elif len(steps) < 3 or sorted(set(steps)) != steps or steps[-1] != 100 or steps[0] <= 0:
        yield problem("canary.steps", steps, "at least three, strictly rising to 100")


def _rollback(rollback: dict[str, Any]) -> Iterator[str]:
    yield from absent("rollback", rollback, "triggers owner runbook")
    covered = {str(trigger.get("covers")) for trigger in items(rollback, "triggers")}
    for covers in COVERS.split():
        if covers not in covered:
            why = "operators must know when to take the model back"
            yield problem("rollback.triggers", f"none that covers {covers}", "one", why)
    for trigger in items(rollback, "triggers"):
        path = f"rollback.triggers[{trigger.get('metric')}]"
        yield from absent(path, trigger, f"metric {_threshold(trigger)} window action")


def _threshold(bound: dict[str, Any]) -> str:
    """The key `threshold`, where the bound must state it."""
    return "" if bound.get("metric") in OBJECTIVES.split() else "threshold"


def _stakeholders(stakeholders: list[dict[str, Any]]) -> Iterator[str]:
    roles = [stakeholder.get("role") for stakeholder in stakeholders]
    for role in ROLES.split():
        if roles.count(role) != 1:
            yield problem("stakeholders", f"{roles.count(role)} of {role}", "exactly one")
    for stakeholder in stakeholders:
        path = f"stakeholders[{stakeholder.get('role')}]"
        yield from absent(path, stakeholder, "owner signed_off_by signed_off_on")
        signed = stakeholder.get("signed_off_on")
        if signed is not None and not _is_day(signed):
            yield problem(f"{path}.signed_off_on", signed, "a day such as 2026-01-31")


def _is_day(value: Any) -> bool:
    try:
        date.fromisoformat(str(value))
    except ValueError:
        return False
    return True


CHECKS: tuple[tuple[str, Callable[[Lab], Iterator[str]]], ...] = (
    (CONTRACT, validate_feature_store_contract),
    (PAYLOADS, validate_online_payloads),
    (SKEW, validate_skew_test_cases),
    (PLAN, validate_serving_release_plan),
)


def run(check: Callable[[Lab], Iterator[str]], lab: Lab, file: str) -> list[str]:
    """Every problem of one check, each with its file in front."""
    try:
        return [f"{file}: {text}" for text in check(lab)]
    except Invalid as error:
        return [str(error)]


def main(arguments: list[str]) -> int:
    if len(arguments) > 1:
        print("usage: validate_feature_serving_lab.py [DIR]", file=sys.stderr)
        return 2
    default = Path(__file__).resolve().parent.parent / "contracts"
    lab = Lab(Path(arguments[0]) if arguments else default)
    passed = True
    for file, check in CHECKS:
        problems = run(check, lab, file)
        print(f"{'FAIL' if problems else 'PASS'} {check.__name__}")
        for text in problems:
            print(text, file=sys.stderr)
        passed = passed and not problems
    if passed:
        print("All Chapter 19 feature store and model serving checks passed.")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
