"""Faults of identity, section and timeline are told apart by their codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from feature_runtime.core import timeline
from feature_runtime.core.availability import Row, ViewTimes
from feature_runtime.core.identity import IdentityError, verify_transformer
from feature_runtime.core.service import ServiceSectionError, parse_service

RELEASE = Path(__file__).parents[3] / "model_repository" / "2.5.0" / "release.yml"
SCHEMA = "0" * 16
ROW = Row(1, 1, (1,), 0)
TIMES = ViewTimes(0, 100, 100)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda parsed: parsed["digests"].pop("config"), "release_digests_incomplete"),
        (lambda parsed: parsed["service"].update(name="other"), "release_digest_mismatch"),
        (lambda parsed: parsed.update(id="r-" + "0" * 16), "release_id_mismatch"),
    ],
)
def test_an_identity_that_is_not_the_files(
    change: Callable[[dict[str, Any]], object], code: str
) -> None:
    parsed = yaml.safe_load(RELEASE.read_text())
    source = parsed["digests"]["transformer"]
    change(parsed)
    with pytest.raises(IdentityError) as raised:
        verify_transformer(parsed, source)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("blob", "code"),
    [
        (b"", "timeline_not_one"),
        (b"junk of some length", "timeline_not_one"),
        (timeline.pack("f" * 16, [ROW]), "timeline_of_other_schema"),
        (timeline.pack(SCHEMA, [ROW])[:-1], "timeline_torn"),
        (timeline.pack(SCHEMA, [ROW]) + b"x", "timeline_torn"),
    ],
)
def test_bytes_that_are_no_timeline(blob: bytes, code: str) -> None:
    with pytest.raises(timeline.TimelineError) as raised:
        timeline.unpack(SCHEMA, blob)
    assert raised.value.code == code


def test_rows_that_may_not_be_merged() -> None:
    with pytest.raises(timeline.TimelineError) as raised:
        timeline.merge(TIMES, [], [Row(100, 100, (), 0)], 10, 1)
    assert raised.value.code == "row_in_future"


def test_a_section_that_no_runtime_knows() -> None:
    with pytest.raises(ServiceSectionError) as raised:
        parse_service({})
    assert raised.value.code == "service_section_invalid"
