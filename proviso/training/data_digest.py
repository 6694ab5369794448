"""Digests of the data that a release was trained on, by which `releases certify` knows it again."""

from __future__ import annotations

import hashlib
from pathlib import Path

from proviso.contracts.contract import Contract
from proviso.contracts.feature_service import FeatureService
from proviso.contracts.places import local_place
from proviso.contracts.section import consumed_views
from proviso.contracts.sources import RowsSource
from proviso.history.engines import history_engine

_CHUNK = 1024 * 1024


def observed_digest(contract: Contract, transactions: Path | None) -> str:
    """The digest of the observed rows. transactions: None: the contract's location."""
    return _source_digest(contract, contract.observations_of().rows, transactions)


def further_digests(contract: Contract, service: FeatureService) -> list[str]:
    """`<source> <digest>` of each source of the service's views beside the observed rows."""
    sources = {one.name: one for one in map(contract.source_of, consumed_views(contract, service))}
    sources.pop(contract.observations_of().rows.name, None)
    return [f"{name} {_source_digest(contract, sources[name], None)}" for name in sorted(sources)]


def file_digest(path: Path) -> str:
    """`sha256:<hex>` of a file of any size."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def _source_digest(contract: Contract, source: RowsSource, stated: Path | None) -> str:
    """Of the bytes of a single file of this machine, else of the rows that the contract names."""
    path = stated or (local_place(source.location) if source.location else None)
    if path is not None and path.is_file():
        return file_digest(path)
    return history_engine().rows_digest(contract, source, stated)
