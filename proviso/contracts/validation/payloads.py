"""Second check: every payload line is a row that the contract's store could hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from feature_runtime.core.encode import MODEL_LIMIT
from feature_runtime.core.moments import format_duration, format_moment
from feature_runtime.core.service import feature_ref
from feature_runtime.core.values import valid_text
from proviso.contracts.base import Problem
from proviso.contracts.contract import Contract, Feature, FeatureView
from proviso.contracts.loading import PAYLOADS_FILE
from proviso.contracts.paths import listed
from proviso.contracts.payloads import Line, Payload
from proviso.contracts.publication import runs_of
from proviso.contracts.section import consumed_views

_INTEGER = re.compile(r"-?[0-9]{1,19}")


def payload_problems(contract: Contract, lines: Sequence[Line]) -> Iterator[Problem]:
    """Everything between the lines and the contract."""
    for line in lines:
        yield from _line(contract, line)
    yield from _repeated_rows(lines)
    yield from _uncovered(contract, {line.payload.feature_view for line in lines})


def key_problems(
    place: str, contract: Contract, view: FeatureView, entity_type: str, entity_key: str
) -> Iterator[Problem]:
    """Whether type and key name one entity of the view: `courier|zone` and `7|12`.

    A view over unknown entities is a problem of the contract's own check.
    """
    if any(name not in contract.entity_by_name for name in view.entities):
        return
    wanted = "|".join(view.entities)
    if entity_type != wanted:
        why = f"{view.name} is keyed by it"
        yield Problem(f"{place}: entity_type", entity_type, wanted, why, "entity_type_mismatch")
        return
    parts = entity_key.split("|")
    if len(parts) != len(view.entities):
        wanted = f"{len(view.entities)} ids with | between"
        yield Problem(f"{place}: entity_key", entity_key, wanted, code="entity_key_invalid")
        return
    for name, part in zip(view.entities, parts, strict=True):
        if contract.entity_by_name[name].dtype == "int64" and not _INTEGER.fullmatch(part):
            wanted = f"an integer, the id of a {name}"
            yield Problem(f"{place}: entity_key", part, wanted, code="entity_key_invalid")


def _line(contract: Contract, line: Line) -> Iterator[Problem]:
    place, payload = line.place, line.payload
    service = next(
        (s for s in contract.feature_services if s.name == payload.feature_service), None
    )
    view = contract.view_by_name.get(payload.feature_view)
    if service is None:
        wanted = f"one of {listed(s.name for s in contract.feature_services)}"
        found = payload.feature_service
        yield Problem(f"{place}: feature_service", found, wanted, code="service_unknown")
    if view is None:
        wanted = f"one of {listed(contract.view_by_name)}"
        found = payload.feature_view
        yield Problem(f"{place}: feature_view", found, wanted, code="view_unknown")
        return
    if service and view not in consumed_views(contract, service):
        wanted = f"a view that {service.name} consumes"
        found = payload.feature_view
        yield Problem(f"{place}: feature_view", found, wanted, code="view_not_consumed")
    yield from key_problems(place, contract, view, payload.entity_type, payload.entity_key)
    yield from _times(place, view, payload)
    yield from _values(place, view, payload)


def _times(place: str, view: FeatureView, payload: Payload) -> Iterator[Problem]:
    event, written = payload.event_timestamp, payload.materialization_timestamp
    age = written - event
    if age < 0:
        yield Problem(
            f"{place}: event_timestamp",
            format_moment(event),
            f"at or before materialization_timestamp {format_moment(written)}",
            "a row is written after the moment that it describes",
            "written_before_event",
        )
    elif age < view.source_delay:
        yield Problem(
            f"{place}: materialization_timestamp",
            format_moment(written),
            f"at least source_delay {format_duration(view.source_delay)} after event_timestamp",
            "until then the source is incomplete",
            "written_too_early",
        )
    elif age > view.online_ttl:
        yield Problem(
            f"{place}: event_timestamp",
            format_moment(event),
            f"within online_ttl {format_duration(view.online_ttl)} of materialization_timestamp",
            "the value is stale when it is written",
            "written_too_late",
        )
    runs = runs_of(view)
    if runs and event % runs.schedule:
        yield Problem(
            f"{place}: event_timestamp",
            format_moment(event),
            f"a multiple of schedule {format_duration(runs.schedule)}",
            "no run has that event time",
            "event_off_schedule",
        )


def _values(place: str, view: FeatureView, payload: Payload) -> Iterator[Problem]:
    named = {feature.name: feature for feature in view.features}
    for name in sorted(named.keys() - payload.values.keys()):
        why = f"{view.name} has it in the contract"
        wanted = f"a value of {named[name].dtype}"
        yield Problem(f"{place}: values.{name}", "nothing", wanted, why, "key_missing")
    for name in sorted(payload.values.keys() - named.keys()):
        wanted = f"only features of {view.name}"
        found = "an unknown feature"
        yield Problem(f"{place}: values.{name}", found, wanted, code="feature_unknown")
    for name, feature in named.items():
        if name in payload.values:
            yield from _value(f"{place}: values.{name}", feature, payload.values[name])


def _value(
    place: str, feature: Feature, value: bool | int | float | str | None
) -> Iterator[Problem]:
    if value is None:
        if feature.default.policy == "reject":
            why = "the feature's default policy is reject: requests would be rejected"
            yield Problem(place, "null", f"a value of {feature.dtype}", why, "null_of_critical")
    elif not _of_type(feature.dtype, value):
        why = "the pod would report status TYPE"
        found, wanted = repr(value), f"a value of {feature.dtype}"
        yield Problem(place, found, wanted, why, "value_type_mismatch")


def _of_type(dtype: str, value: bool | int | float | str) -> bool:
    if dtype == "string":
        return isinstance(value, str) and valid_text(value)
    if dtype == "bool":
        return type(value) is bool
    if dtype == "int64":
        return type(value) is int and -(2**63) <= value < 2**63
    if isinstance(value, float):
        return abs(value) < MODEL_LIMIT
    return type(value) is int and abs(value) <= 2**53


def _repeated_rows(lines: Iterable[Line]) -> Iterator[Problem]:
    seen: dict[tuple[str, str, int, int], str] = {}
    for line in lines:
        p = line.payload
        row = (p.feature_view, p.entity_key, p.event_timestamp, p.materialization_timestamp)
        if row in seen:
            first = seen[row].rpartition(" ")[2]
            found = f"the row of line {first} again"
            yield Problem(line.place, found, "every row once", code="row_repeated")
        seen.setdefault(row, line.place)


def _uncovered(contract: Contract, shown: set[str]) -> Iterator[Problem]:
    used = {feature_ref(name).view for s in contract.feature_services for name in s.features}
    for view in contract.feature_views:
        if view.name in used - shown:
            why = "the file shows what the model receives from every consumed view"
            found = f"no line of {view.name}"
            yield Problem(PAYLOADS_FILE, found, "at least one", why, "payload_missing")
