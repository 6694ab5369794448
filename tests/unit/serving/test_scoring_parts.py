"""The parts of the scoring path that need no process: clocks, lookup, sink, config messages."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest

from feature_runtime.core import moments, timeline
from feature_runtime.core.availability import Row, Status
from feature_runtime.core.encode import Encoder
from feature_runtime.core.record import PredictionRecord
from feature_runtime.core.release import ReleaseError, own_fault, parse_release, read_release
from feature_runtime.core.service import parse_service
from feature_runtime.serving import triton_config
from feature_runtime.serving.errors import ErrorStatus, ServingError
from feature_runtime.serving.lookup import FeatureLookup, winner
from feature_runtime.serving.outcome import Decider
from feature_runtime.serving.ports import Sink
from feature_runtime.serving.record import HashKeyError, Recorder
from feature_runtime.serving.request import ScoringRequest
from feature_runtime.serving.scoring import live_clock, replay_clock
from feature_runtime.serving.sinks import SINKS, FileSink, SinkSettings, json_lines
from proviso.records.reader import RecordReader
from tests.local.pod_stack import RISK, VELOCITY, T, make_release, section

SERVICE = parse_service(section())
COMMITTED = Path(__file__).parents[3] / "model_repository/2.5.0/release.yml"


def request(*event_ts: int) -> ScoringRequest:
    n = len(event_ts)
    return ScoringRequest(
        request_id="r",
        client_request_id=None,
        traffic="live",
        protocol="v1",
        ids={"customer": [f"c{i}" for i in range(n)], "merchant": ["m|1%"] * n},
        fields={"amount": np.ones(n)},
        event_ts=np.array(event_ts, dtype=np.int64),
    )


def test_the_live_clock_is_read_once_and_bounds_the_clients() -> None:
    ticks = iter([T, T + 1])
    clock = live_clock(5 * moments.MINUTE, lambda: next(ticks))
    edge = 5 * moments.MINUTE
    assert clock(request(T - edge, T + edge, T)).tolist() == [T, T, T]
    with pytest.raises(ServingError) as refused:
        clock(request(T, T + edge + 2))
    error = refused.value
    assert (error.status, error.code) == (ErrorStatus.BAD_INPUT, "event_ts_out_of_range")
    assert error.field == "event_ts[1]"
    assert error.wanted.startswith("within PT5M of")


def test_the_replay_clock_is_the_requests_own() -> None:
    assert replay_clock(request(1, 2)).tolist() == [1, 2]


def test_keys_are_per_row_and_view() -> None:
    found = FeatureLookup(SERVICE).keys(request(T, T))
    assert found == [
        (f"fs:{{customer:c{i}}}:{VELOCITY}:00112233445566aa".encode(),
         f"fs:{{merchant:m%7C1%25}}:{RISK}:00112233445566bb".encode())
        for i in range(2)
    ]  # fmt: skip


def test_a_batch_may_ask_at_several_moments() -> None:
    view = SERVICE.view_by_name[VELOCITY]
    rows = [Row(T - moments.HOUR, T - moments.HOUR, (1, 1.0, True))]
    keys = FeatureLookup(SERVICE).keys(request(T, T))
    blobs: dict[bytes, bytes | None] = {k: None for row in keys for k in row}
    blobs |= {row[0]: timeline.pack(view.schema, rows) for row in keys}
    at = np.array([T, T - moments.HOUR], dtype=np.int64)
    found = FeatureLookup(SERVICE).read(keys, blobs, at)
    assert found.status[:, 0].tolist() == [Status.OK, Status.MISSING_KEY]
    assert found.values[:, 0].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    "blob",
    [
        b"", b"x", b"pv1", b"pv1" + bytes(8),
        timeline.pack("ff" * 8, [Row(0, 0, (1, 1.0, True))]),
        timeline.pack("00112233445566aa", [Row(T, T, (1, 1.0))]),
        timeline.pack("00112233445566aa", [Row(T, T, (1, 1.0, True))])[:-1],
    ],
    ids=["empty", "short", "magic", "zero schema", "schema", "two values", "torn"],
)  # fmt: skip
def test_bytes_that_are_no_timeline_are_type(blob: bytes) -> None:
    found = winner(SERVICE.view_by_name[VELOCITY], blob, T + moments.HOUR)
    assert (found.row, found.status) == (None, Status.TYPE)


@pytest.mark.parametrize("value", [3.5e38, -1e39, float("inf"), 1.7e308, 2.0**128 - 2.0**103])
def test_a_stored_number_beyond_the_models_type_is_type(value: float) -> None:
    view = SERVICE.view_by_name[VELOCITY]
    keys = FeatureLookup(SERVICE).keys(request(T))
    blobs: dict[bytes, bytes | None] = {k: None for row in keys for k in row}
    rows = [Row(T - moments.HOUR, T - moments.HOUR, (2**24 + 1, value, True))]
    blobs[keys[0][0]] = timeline.pack(view.schema, rows)
    found = FeatureLookup(SERVICE).read(keys, blobs, np.array([T], dtype=np.int64))
    assert found.status[0, :2].tolist() == [Status.OK, Status.TYPE]
    fields = {"amount": np.ones(1)}
    at = np.array([T], dtype=np.int64)
    encoded = Encoder(SERVICE).encode(fields, at, found.values, found.status)
    assert not np.isinf(encoded.vector).any()
    assert encoded.vector[0, 2] == 2**24, "as training rounds it"


@pytest.mark.parametrize("far", [-(2**63), moments.parse_moment("0001-01-01T00:00:00Z") - 1])
def test_a_stored_row_whose_moment_no_record_can_say_is_type(far: int) -> None:
    view = SERVICE.view_by_name[VELOCITY]
    blob = timeline.pack(view.schema, [Row(T - moments.HOUR, far, (1, 1.0, True))])
    found = winner(view, blob, T)
    assert (found.row, found.status) == (None, Status.TYPE)


def some_record(index: int) -> PredictionRecord:
    """A record of a release; its values do not matter."""
    release = parse_release(read_release(COMMITTED))
    ids: dict[str, list[int | str]] = {e.name: ["1"] for e in release.service.entities}
    fields = {name: np.ones(1) for name in release.service.fields}
    asked = ScoringRequest("r", None, "live", "v1", ids, fields, np.array([T], dtype=np.int64))
    lookup = FeatureLookup(release.service)
    keys = lookup.keys(asked)
    found = lookup.read(keys, {k: None for row in keys for k in row}, asked.event_ts)
    encoded = Encoder(release.service).encode(fields, asked.event_ts, found.values, found.status)
    outcome = Decider(release.service).outcome(asked.event_ts, found, encoded, np.zeros(1))
    [record] = Recorder(release, None, "pod").records(asked, found, encoded, outcome, {})
    return {**record, "index": index}


@pytest.mark.parametrize("fsync", [False, True])
def test_the_file_sink_keeps_the_ports_promise(tmp_path: Path, *, fsync: bool) -> None:
    """Records are in the file when `write` returns, one process after another."""
    path = tmp_path / "record.jsonl"
    for records in ([some_record(0)], [some_record(1), some_record(2)]):
        sink: Sink = SINKS["file"](SinkSettings(str(path), fsync=fsync))
        asyncio.run(sink.write(records))
        assert path.read_bytes().endswith(json_lines(records))
        sink.close()
    assert [one["index"] for one in RecordReader(path, ("index",))] == [0, 1, 2]
    assert path.stat().st_mode & 0o077 == 0o040


def test_a_sink_that_cannot_write_refuses() -> None:
    sink = FileSink(Path(os.devnull))
    os.dup2(os.open("/dev/full", os.O_WRONLY), sink._fd)  # noqa: SLF001
    with pytest.raises(ServingError) as refused:
        asyncio.run(sink.write([some_record(0)]))
    error = refused.value
    assert (error.status, error.reason) == (ErrorStatus.UNAVAILABLE, "record")
    assert error.code == "record_write_failed"
    sink.close()


def test_a_plan_that_hashes_needs_a_key(tmp_path: Path) -> None:
    directory = make_release(tmp_path / "r", hash_entity_keys=True)
    release = parse_release(read_release(directory / "release.yml"))
    for key in (None, b"short"):
        with pytest.raises(HashKeyError) as raised:
            Recorder(release, key, "pod")
        assert raised.value.code == "hash_key_missing"
    Recorder(release, b"x" * 16, "pod")


def test_a_release_is_its_own_and_a_changed_one_is_not(tmp_path: Path) -> None:
    parsed = read_release(make_release(tmp_path / "r") / "release.yml")
    assert own_fault(parsed) is None
    for part in ("service", "decision", "transformer", "base_images"):
        digests = {**parsed["digests"], part: "sha256:" + "0" * 64}
        assert f"digests.{part}" in (own_fault({**parsed, "digests": digests}) or "")
    assert "release.yml id" in (own_fault({**parsed, "id": "r-0000000000000000"}) or "")
    with pytest.raises(ReleaseError, match=r"input\.width: found 7 for a vector of 6"):
        parse_release({**parsed, "input": {"name": "features", "width": 7}})


def test_triton_config_messages_have_tritons_field_numbers() -> None:
    assert triton_config.request_bytes("m") == b"\x0a\x01m"
    parameter = b"\x0a\x03key\x12\x07\x0a\x05value"  # map entry: key = 1, value = 2 {string = 1}
    config = b"\x0a\x04name" + b"\x72" + bytes([len(parameter)]) + parameter  # field 14
    response = b"\x0a" + bytes([len(config)]) + config
    assert triton_config.parameter_of(response, "key") == "value"
    assert triton_config.parameter_of(response, "other") is None
    assert triton_config.parameter_of(b"", "key") is None
