"""A sample of a view's entities at a moment, hard cases first, each with the rows that decide.

What offline says of an entity is not computed here: the caller applies the availability rule to
the rows. The engine only finds entities and reads the rows of the chosen ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from feature_runtime.core.availability import Row
from proviso.contracts.contract import Contract, FeatureView
from proviso.history.duckdb.engine import Engine, column_type, connect, names, quoted
from proviso.history.duckdb.relation import history_relation
from proviso.history.values import STRATA, UNSEEN, Ids, Population, Sampled, SampleRequest

_CONDITIONS: Mapping[str, str] = {
    "stale": "_w is not null and {at} - _w.e > {ttl}",
    "expired": "_w is null and _past",
    "pending": "_pending",
    "new": "_w is not null and _w.s > {at} - {readable}",
    "null": "_w is not null and _w.n",
    "fresh": "_w is not null and {at} - _w.e <= {ttl}",
}
"""Condition of each stratum over an entity: `_w` its winner (e event_ts, s visible from, n has a
NULL), `_past`: it has had a visible row, `_pending`: a row has happened and is not visible."""

_FLAGS = ", ".join(f"_{stratum}" for stratum in STRATA)
_FETCH = 20_000


def sample_entities(
    contract: Contract, history: Path, view: FeatureView, request: SampleRequest
) -> Population:
    """At most `request.size` entities of a view: up to a quota of each hard stratum and of unseen
    ones, the rest evenly from all. The same history and seed give the same sample."""
    with connect() as engine:
        _classify(engine, contract, history, view, request)
        sizes = _sizes(engine)
        chosen = _chosen(engine, contract, view, request)
        for ids in _unseen(contract, view, request):
            chosen.setdefault(ids, frozenset({UNSEEN}))
        rows = dict(_rows(engine, contract, history, view, request, list(chosen)))
    sampled = tuple(Sampled(ids, strata, rows.get(ids, ())) for ids, strata in chosen.items())
    return Population(sampled, sizes)


def _classify(
    engine: Engine, contract: Contract, history: Path, view: FeatureView, request: SampleRequest
) -> None:
    """Table _entities: join keys and one truth value a stratum, of every entity with a row
    within two lookbacks."""
    keys, at = names(*contract.join_keys(view)), request.at
    lookback = view.temporal_join_lookback
    source = history_relation(contract, history, view, at - 2 * lookback, at + 1)
    nulls = " or ".join(f"{quoted(name)} is null" for name in request.features) or "false"
    winner = "struct_pack(e := _event_us, c := _created_us, s := _seen, n := _nulls)"
    usable = f"_seen <= {at:d} and _event_us >= {at - lookback:d}"
    places = {"at": at, "ttl": view.online_ttl, "readable": view.delay_to_readable}
    strata = ", ".join(f"{sql.format(**places)} as _{n}" for n, sql in _CONDITIONS.items())
    engine.execute(
        f"create temp table _entities as select {keys}, {strata} from ("
        f"select {keys}, max({winner}) filter (where {usable}) as _w,"
        f" bool_or(_seen <= {at:d}) as _past, bool_or(_seen > {at:d}) as _pending"
        f" from (select *, greatest(_event_us + {view.source_delay:d}, _created_us) as _seen,"
        f" ({nulls}) as _nulls from ({source})) group by {keys})"
    )


def _sizes(engine: Engine) -> dict[str, int]:
    counts = ", ".join(f"count(*) filter (where _{name})" for name in STRATA)
    return dict(zip(STRATA, engine.row(f"select {counts} from _entities"), strict=True))


def _chosen(
    engine: Engine, contract: Contract, view: FeatureView, request: SampleRequest
) -> dict[Ids, frozenset[str]]:
    keys = names(*contract.join_keys(view))
    chosen: dict[Ids, frozenset[str]] = {}

    def take(condition: str, count: int) -> None:
        """Adds entities until `count` have been looked at, in an order that the seed decides."""
        engine.execute(
            f"select {_FLAGS}, {keys} from _entities where {condition}"
            f" order by hash({keys}, {request.seed:d}), {keys} limit {count:d}"
        )
        for found in engine.fetchall():
            flags, ids = found[: len(STRATA)], found[len(STRATA) :]
            strata = frozenset(name for name, one in zip(STRATA, flags, strict=True) if one)
            chosen.setdefault(ids, strata)

    for stratum in STRATA:
        if stratum != "fresh":
            take(f"_{stratum}", request.quota)
    room = request.size - request.quota
    take("true", room)
    return dict(list(chosen.items())[:room])


def _unseen(contract: Contract, view: FeatureView, request: SampleRequest) -> Iterator[Ids]:
    """Ids that no history should have; if one exists after all, its rows are read too."""
    dtypes = [contract.entity_by_name[name].dtype for name in view.entities]
    for i in range(request.quota):
        yield tuple(
            2**52 + 1_000 * request.seed + i
            if dtype == "int64"
            else f"{UNSEEN}-{request.seed}-{i:04d}"
            for dtype in dtypes
        )


def _rows(
    engine: Engine,
    contract: Contract,
    history: Path,
    view: FeatureView,
    request: SampleRequest,
    chosen: Sequence[Ids],
) -> Iterator[tuple[Ids, tuple[Row, ...]]]:
    """Per entity its rows of the lookback, first in the file first: what conflicts keep."""
    join_keys = contract.join_keys(view)
    width, keys = len(join_keys), names(*join_keys)
    types = [column_type(contract.entity_by_name[name].dtype) for name in view.entities]
    columns = ", ".join(f"{quoted(k)} {t}" for k, t in zip(join_keys, types, strict=True))
    engine.execute(f"create temp table _chosen ({columns})")
    one = f"({', '.join('?' * width)})"
    values = [value for ids in chosen for value in ids]
    engine.execute(f"insert into _chosen values {', '.join([one] * len(chosen))}", values)
    oldest = request.at - view.temporal_join_lookback
    source = history_relation(contract, history, view, oldest, request.at + 1)
    features = names(*(f.name for f in view.features))
    engine.execute(
        f"select {keys}, _event_us, _created_us, {features} from ({source})"
        f" semi join _chosen using ({keys}) order by {keys}, _row"
    )
    for ids, found in groupby(_fetched(engine), key=lambda cells: cells[:width]):
        yield (
            ids,
            tuple(Row(cells[width], cells[width + 1], cells[width + 2 :]) for cells in found),
        )


def _fetched(engine: Engine) -> Iterator[tuple[Any, ...]]:
    while found := engine.fetchmany(_FETCH):
        yield from found
