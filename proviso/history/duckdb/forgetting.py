"""What a history's extents say once one entity's transactions are gone from its source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from feature_runtime.core.keys import EntityId
from proviso.contracts.contract import Contract, Entity
from proviso.history.duckdb.digests import digest_events, rebased, require_same
from proviso.history.duckdb.engine import connect, quoted
from proviso.history.duckdb.features import load_some
from proviso.history.duckdb.transactions import events_of
from proviso.history.extent import read_extent
from proviso.history.files import history_file
from proviso.history.values import DEFAULT_MEMORY, Progress, SourceDigest, read_all, silent


def digests_without(
    contract: Contract,
    transactions: Path,
    history: Path,
    entity: Entity,
    identifier: EntityId,
    progress: Progress = silent,
    memory: str = DEFAULT_MEMORY,
) -> Mapping[str, SourceDigest]:
    """By view, of each file that is there: the digest of its transactions without the entity's.

    What is gone are rows of the observed source: views of other sources keep theirs. A file that
    says so already is one of an interrupted call. Raises InputError where a file was computed from
    other transactions.
    """
    views = [v for v in contract.feature_views if history_file(history, v).is_file()]
    if not views:
        return {}
    paths = {view.name: history_file(history, view) for view in views}
    extents = {view.name: read_extent(contract, view, paths[view.name]) for view in views}
    gone = f"{quoted(entity.join_key)}::varchar = ?"
    rows = contract.observations_of().rows
    with connect(memory) as engine:
        loaded = load_some(engine, contract, transactions, views, None)
        progress(f"{read_all(loaded.values()).rows:,} rows read")
        whole = {v.name: rebased(engine, contract, v, extents[v.name]) for v in views}
        if rows.name in loaded:
            engine.execute(f"delete from {events_of(rows)} where {gone}", [str(identifier)])
            digest_events(engine, contract, rows)
        found = {}
        for view in views:
            extent = extents[view.name]
            after = rebased(engine, contract, view, extent)
            if extent != after:
                source = loaded[contract.source_of(view).name]
                require_same(view, paths[view.name], extent, whole[view.name], source)
            found[view.name] = SourceDigest(after.transactions, after.digest)
    return found
