"""Compares two pieces of plain data: the path, found and wanted of every leaf that differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

MOST = 20
"""The most differences that a comparison reports: the first ones show what happened."""
_SHOWN = 80
_ABSENT = object()


def differences(found: Any, wanted: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """(path, found, wanted) of every leaf that is not the same."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for key in [*wanted, *(key for key in found if key not in wanted)]:
            place = f"{path}.{key}" if path else str(key)
            yield from differences(found.get(key, _ABSENT), wanted.get(key, _ABSENT), place)
    elif _named(found) and _named(wanted):
        yield from _by_name(found, wanted, path)
    elif isinstance(found, list) and isinstance(wanted, list):
        yield from _first(found, wanted, path)
    elif found != wanted or type(found) is not type(wanted):
        yield path, _shown(found), _shown(wanted)


def _by_name(
    found: list[dict[str, Any]], wanted: list[dict[str, Any]], path: str
) -> Iterator[tuple[str, str, str]]:
    """Lists of items with names: their order matters, so it is compared separately."""
    have, want = ([item["name"] for item in items] for items in (found, wanted))
    yield from _first(have, want, path)
    by_name = {item["name"]: item for item in found}
    for item in wanted:
        if item["name"] in by_name:
            yield from differences(by_name[item["name"]], item, f"{path}[{item['name']}]")


def _first(found: list[Any], wanted: list[Any], path: str) -> Iterator[tuple[str, str, str]]:
    """The first place where two lists differ: after a missing item all later ones are shifted."""
    for at, (have, want) in enumerate(zip_longest(found, wanted, fillvalue=_ABSENT)):
        if have != want:
            yield f"{path}[{at}]", _shown(have), _shown(want)
            return


def _named(items: Any) -> bool:
    return (
        isinstance(items, list)
        and bool(items)
        and all(isinstance(item, dict) and "name" in item for item in items)
    )


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
