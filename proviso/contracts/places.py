"""Where the sources of a project lie: the contract's locations, and those that a command states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract
from proviso.contracts.locations import Location
from proviso.contracts.paths import listed
from proviso.contracts.sources import ObservedRows


def within_project(contract: Contract, folder: Path) -> Contract:
    """The contract with locations whose relative paths are those of the project's folder."""
    places = {
        source.name: source.location.within(folder)
        for source in contract.sources
        if not isinstance(source, ObservedRows) and source.location is not None
    }
    return _at(contract, places)


def placed(contract: Contract, stated: Sequence[str]) -> Contract:
    """The contract with the places that a command states as NAME=PATH. Raises InputError."""
    sources = {s.name: s for s in contract.sources if not isinstance(s, ObservedRows)}
    places: dict[str, Location] = {}
    for one in stated:
        name, _, path = one.partition("=")
        if name not in sources or not path:
            wanted = f"NAME=PATH, NAME one of {listed(sources)}"
            raise InputError.of("--source", one, wanted, code="source_option_invalid")
        if name in places:
            wanted = "each source once"
            raise InputError.of("--source", f"{name} twice", wanted, code="source_option_invalid")
        location = sources[name].location
        places[name] = location.at(path) if location else Location(path=path)
    return _at(contract, places)


def _at(contract: Contract, places: Mapping[str, Location]) -> Contract:
    if not places:
        return contract
    sources = [
        source.model_copy(update={"location": places[source.name]})
        if source.name in places
        else source
        for source in contract.sources
    ]
    moved = contract.model_copy(update={"sources": sources})
    moved.__dict__.pop("source_by_name", None)  # a copy keeps what was computed of the former
    return moved
