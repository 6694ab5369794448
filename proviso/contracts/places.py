"""Where the sources of a project lie: the contract's locations, and those that a command states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract
from proviso.contracts.locations import Location
from proviso.contracts.paths import listed
from proviso.contracts.sources import ObservedRows


@dataclass(frozen=True)
class PlacedSources:
    """A contract whose locations are those that a command works with.

    observed: where the rows lie that are observed; None: where the contract says, which is no
    path of this machine.
    """

    contract: Contract
    observed: Path | None

    @property
    def read(self) -> list[Path]:
        """The files and folders of this machine in which sources lie."""
        places = [self.observed, *map(local_place, _locations(self.contract).values())]
        return [place for place in places if place is not None]


def place_sources(
    contract: Contract, observed: Path | None, stated: Sequence[str] = ()
) -> PlacedSources:
    """The contract with the places that a command states, and where the observed rows lie.

    observed: what `--transactions` says. stated: each `--source NAME=PATH`. Raises InputError, also
    where the observed rows have no place.
    """
    rows = contract.observations_of().rows
    contract = placed(contract, stated)
    if observed is not None:
        if any(one.partition("=")[0] == rows.name for one in stated):
            why = "both are the place of the observed rows"
            found, wanted = f"also --source {rows.name}=...", "one of them"
            raise InputError.of("--transactions", found, wanted, why, code="options_conflict")
        return PlacedSources(contract, observed)
    location = _locations(contract).get(rows.name)
    if location is None:
        raise no_location(rows.name, "`--transactions PATH`")
    return PlacedSources(contract, local_place(location))


def given_sources(
    contract: Contract, observed: Path | None, stated: Sequence[str] = ()
) -> PlacedSources | None:
    """As `place_sources`; None where neither options nor contract say where observed rows lie."""
    name = contract.observations_of().rows.name
    if observed is None and name not in _locations(placed(contract, stated)):
        return None
    return place_sources(contract, observed, stated)


def observed_place(contract: Contract, observed: Path | None) -> str:
    """What an error calls the place of the observed rows."""
    if observed is not None:
        return str(observed)
    rows = contract.observations_of().rows
    return rows.location.shown if rows.location else rows.name


def no_location(name: str, option: str) -> InputError:
    """The error of a source that is needed and has no place. option: how to state one."""
    where, wanted = f"sources[{name}]", f"a `location`, or {option}"
    return InputError.of(where, "no place of its rows", wanted, code="source_location_missing")


def _locations(contract: Contract) -> dict[str, Location]:
    """The places of the sources that have one, by name."""
    return {
        source.name: source.location
        for source in contract.sources
        if not isinstance(source, ObservedRows) and source.location is not None
    }


def local_place(location: Location) -> Path | None:
    """The file, folder or glob that a location is on this machine."""
    if location.path is None or "://" in location.path:
        return None
    return Path(location.path)


def within_project(contract: Contract, folder: Path) -> Contract:
    """The contract with locations whose relative paths are those of the project's folder."""
    locations = _locations(contract)
    return _at(contract, {name: one.within(folder) for name, one in locations.items()})


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
