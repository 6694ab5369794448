"""The entity that is to be forgotten, and the columns by which rows name it."""

from __future__ import annotations

from dataclasses import dataclass

from feature_runtime.core.keys import INTEGER_ID, STRING_ID, EntityId, entity_key, valid_id
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract
from proviso.contracts.sources import ObservedRows, TableSource


@dataclass(frozen=True)
class Subject:
    """keys: columns that hold the entity's id, as sources and as our files call them. ids: columns
    that hold a transaction's id."""

    name: str
    value: EntityId
    keys: frozenset[str]
    ids: frozenset[str]

    def __str__(self) -> str:
        return f"{self.name}:{self.value}"

    def owns(self, key: bytes) -> bool:
        """Whether a timeline is of this entity, alone or with others: `fs:{customer:123}:...`."""
        _, brace, rest = key.decode(errors="replace").partition("fs:{")
        names = rest.partition("}")[0].split("|") if brace else []
        return entity_key([self.name], [self.value]) in names


def parse_subject(contract: Contract, text: str) -> Subject:
    """`customer:123` as the contract reads it. Raises InputError."""
    name, _, value = text.partition(":")
    entity = contract.entity_by_name.get(name)
    if entity is None:
        wanted = f"NAME:ID of an entity: {', '.join(contract.entity_by_name)}"
        raise InputError.of("--entity", repr(text), wanted, code="entity_unknown")
    integer = entity.dtype == "int64"
    found = _integer(value) if integer else value
    if found is None or not valid_id(found):
        wanted = INTEGER_ID if integer else STRING_ID
        raise InputError.of(f"--entity {name}", repr(value), wanted, code="entity_id_invalid")
    rows = [source for source in contract.sources if not isinstance(source, ObservedRows)]
    keys = {source.keys.get(name, entity.join_key) for source in rows if name in source.entities}
    asked = [source for source in rows if not isinstance(source, TableSource)]
    ids = {source.id for source in asked} | {source.id_column for source in asked} - {None}
    return Subject(name, found, frozenset({entity.join_key, *keys}), frozenset(map(str, ids)))


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
