"""Which ids name an entity: one rule for requests, streams and files."""

from __future__ import annotations

import pytest

from feature_runtime.core.keys import EntityId, entity_key, valid_id

GOOD: list[EntityId] = ["a", " ", "01", "x" * 256, "é" * 128, "{}|:%", "\n", 0, -(2**63), 2**63 - 1]
BAD: list[EntityId] = ["", "x" * 257, "é" * 129, "\ud800", 2**63, -(2**63) - 1]


@pytest.mark.parametrize("value", GOOD)
def test_ids_that_name_an_entity(value: EntityId) -> None:
    assert valid_id(value)


@pytest.mark.parametrize("value", BAD)
def test_ids_that_name_none(value: EntityId) -> None:
    assert not valid_id(value)


def test_no_two_ids_have_one_key() -> None:
    keys = {entity_key(["card"], [value]) for value in GOOD}
    assert len(keys) == len(GOOD)
