"""Drills on a running stack: requests that must be refused, and a value altered on purpose."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from feature_runtime.core import moments, timeline
from feature_runtime.core.availability import Row, Status, Value, availability
from feature_runtime.core.service import FeatureRef
from proviso.clients.endpoint import Answer, Clients, EndpointRequest, RestClient, rest_body
from proviso.contracts.base import InputError
from proviso.demo.probes import Probe, flagged, probes, reason_of, refused
from proviso.demo.report import RefusedRequest
from proviso.demo.require import require
from proviso.local.stack import Embedded
from proviso.local.transformer import Transformer
from proviso.records.reader import RecordReader
from proviso.replay.replay import CaseResult, PreparedReplay, ReplayContext, ask, timeline_of

READ = "mget"


async def refused_requests(
    context: ReplayContext, replay: PreparedReplay, embedded: Embedded, live: Transformer
) -> list[RefusedRequest]:
    """Sends the three probes. Raises ContractError when an answer is not the expected one."""
    service, model = embedded.release.service, embedded.release.model_name
    known = [
        case.request
        for case in replay.cases
        if all(status is Status.OK for status in case.expected.status)
    ]
    critical, approved, far = probes(service, known[-1:])
    replaying = RestClient(embedded.endpoint.url, model, service)
    living = RestClient(live.url, model, service)
    first = await replaying.ask(critical.request)
    _require_answer(critical, first, refused(service, first))
    second = await replaying.ask(approved.request)
    _require_answer(approved, second, flagged(second))
    _require_record(embedded.endpoint.record, approved.request.request_id)
    before = context.store.calls(READ)
    long_ago = replace(far.request, t=moments.now() - 30 * moments.DAY)
    third = await living.ask(long_ago)
    untouched = third.code == "400" and context.store.calls(READ) == before
    _require_answer(far, third, untouched)
    for client in (replaying, living):
        await client.close()
    answers = ((critical, first), (approved, second), (replace(far, request=long_ago), third))
    return [_refusal(probe, answer) for probe, answer in answers]


async def with_altered_value(
    context: ReplayContext, results: Sequence[CaseResult], clients: Clients
) -> tuple[list[CaseResult], str]:
    """Alters one stored value that the latest request read, and asks that request again.

    Returns the results with the new one in its place, and what was altered.
    """
    for position in range(len(results) - 1, -1, -1):
        what = _alter(context, results[position].case.request)
        if what is not None:
            again = await ask(context, [results[position].case], clients)
            return [*results[:position], *again, *results[position + 1 :]], what
    raise InputError.of(
        "replay",
        "no request with a value in the store",
        "at least one request with a value to alter",
        code="nothing_to_alter",
    )


def curl_line(embedded: Embedded, request: EndpointRequest) -> str:
    """A command that sends one of the replayed requests to the running endpoint."""
    release = embedded.release
    body = json.dumps(rest_body(release.service, request))
    url = f"{embedded.endpoint.url}/v2/models/{release.model_name}/infer"
    return f"curl -s {url} -H 'content-type: application/json' -d {shlex.quote(body)}"


def _alter(context: ReplayContext, request: EndpointRequest) -> str | None:
    """Adds one to the first number that the request's winners hold; None when there is none."""
    for view in context.release.service.views:
        key, blob = timeline_of(context, view, request)
        rows = timeline.unpack(view.schema, blob) if blob is not None else ()
        winner, status = availability(view.times, rows, request.t)
        if winner is None or status is not Status.OK:
            continue
        for i, feature in enumerate(view.features):
            if feature.policy is None or winner.values[i] is None:
                continue
            changed = _with_value(winner, i, _one_more(winner.values[i]))
            altered = [changed if row == winner else row for row in rows]
            context.store.replace(key, timeline.pack(view.schema, altered))
            return (
                f"{FeatureRef(view.name, feature.name)} {winner.values[i]} -> {changed.values[i]}"
            )
    return None


def _with_value(row: Row, i: int, value: Value) -> Row:
    return row._replace(values=(*row.values[:i], value, *row.values[i + 1 :]))


def _one_more(value: Value) -> Value:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return not value
    return value + 1


def _require_record(record: Path, request_id: str) -> None:
    """The use of a default must be in the prediction record."""
    records = RecordReader(record, ("request_id", "features"))
    mine = [one for one in records if one["request_id"] == request_id]
    used = [f for one in mine for f in one["features"].values() if f.get("default") is not None]
    missing = [] if used else [f"no default used by {request_id}"]
    require(record, missing, "a record of the default", "record_default_missing")


def _require_answer(probe: Probe, answer: Answer, expected: bool) -> None:
    require(probe.title, [] if expected else [str(answer)], probe.wanted, "drill_answer_unexpected")


def _refusal(probe: Probe, answer: Answer) -> RefusedRequest:
    ids = ", ".join(f"{name} {value}" for name, value in probe.request.ids.items())
    asked = f"{ids} at {moments.format_moment(probe.request.t)}"
    given = f"{answer.code} {answer.decision or ''}".strip()
    return RefusedRequest(probe.title, asked, given, reason_of(answer))
