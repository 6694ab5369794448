"""Rewrites the text of a version 1 contract as version 2, line by line, so that comments stay.

The result is read again and compared with what the old text means. Where lines cannot be rewritten
so (a source in braces, for example) the file is written anew from its data, without comments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from proviso.contracts.base import ContractError
from proviso.contracts.contract import Contract
from proviso.contracts.documents import Document, read_document
from proviso.contracts.loading import parse_contract
from proviso.contracts.upgrade import (
    Version1,
    dated_known,
    has_doubles,
    is_version_1,
    upgraded,
)

_DATED = re.compile(r"dated:(\s*)(['\"]?)label\2")
_WHERE = re.compile(r"where:\s*(?:\"[^\"]*\"|'[^']*'|[^,}#\n]*[^,}#\s])")


@dataclass(frozen=True)
class Migrated:
    """A contract's text in version 2. commented: whether the comments are still there."""

    text: str
    commented: bool


def migrated(file: str, text: str) -> Migrated | None:
    """The text in version 2, None when it is version 2. Raises ContractError for no contract."""
    document = read_document(file, text)
    if not is_version_1(document.data):
        return None
    contract, _ = parse_contract(file, document.data)
    rewritten = _Rewriting(document, text.split("\n")).text()
    if rewritten is not None and _means(file, rewritten, contract):
        return Migrated(rewritten, commented=True)
    source = Version1.model_validate({"source": document.data["source"]}).source
    whole = upgraded(document.data, source)
    return Migrated(yaml.safe_dump(whole, sort_keys=False, width=1000), commented="#" not in text)


def _means(file: str, text: str, contract: Contract) -> bool:
    try:
        return parse_contract(file, read_document(file, text).data)[0] == contract
    except ContractError:
        return False


class _Rewriting:
    """The lines of a version 1 file and where its values stand."""

    def __init__(self, document: Document, lines: list[str]) -> None:
        self._data, self._marks, self._lines = document.data, document.marks, lines

    def text(self) -> str | None:
        """The text in version 2, None where its lines do not have the usual form."""
        source = self._source()
        if source is None:
            return None
        self._numbers()
        self._aggregates()
        start, end = self._block("source", "")
        after = [*source, *self._lines[end:]]
        before = [re.sub(r"^version:\s*1\b", "version: 2", line) for line in self._lines[:start]]
        return "\n".join([*before, *after])

    def _block(self, path: str, parent: str) -> tuple[int, int]:
        """The lines of a key of a block mapping: its own, and the first that is not of it."""
        start, column = self._marks[path]
        depth = parent.count(".") + 1 if parent else 0
        beside = [
            line
            for other, (line, at) in self._marks.items()
            if line > start and at <= column and other.count(".") <= depth
        ]
        end = min(beside, default=len(self._lines) + 1) - 1
        while end > start and not self._lines[end - 1].strip().rstrip("#"):
            end -= 1
        while end > start and self._lines[end - 1].startswith("#"):
            end -= 1
        while end > start and not self._lines[end - 1].strip():
            end -= 1
        return start - 1, end

    def _source(self) -> list[str] | None:
        """The lines of `sources`, made of those of `source`."""
        data = self._data["source"]
        start, end = self._block("source", "")
        if self._lines[start].split("#")[0].strip() != "source:":
            return None
        label = self._block("source.label", "source")
        columns = self._block("source.columns", "source")
        if self._lines[columns[0]].split("#")[0].strip() != "columns:":
            return None
        indent = self._marks["source.name"][1] - 1
        found = ["sources:", "  - kind: events"]
        for number in range(start + 1, end):
            line = self._lines[number]
            moved = f"    {line[indent:]}" if line.strip() else line
            if number == columns[0]:
                entities = ", ".join(entity["name"] for entity in self._data["entities"])
                found.append(f"    entities: [{entities}]")
            if not label[0] <= number < label[1]:
                found.append(moved)
            if number == columns[1] - 1:
                found += self._label(label, data["label"])
        name, column = data["name"], data["label"]["column"]
        observed = f"name: {name}_observed, rows_of: {name}, label: {column}"
        return [*found, f"  - {{kind: observations, {observed}}}"]

    def _label(self, block: tuple[int, int], label: Mapping[str, Any]) -> list[str]:
        """The label as a column, below the comments that stood in its lines."""
        stated = self._lines[slice(*block)]
        comments = [f"      {line.strip()}" for line in stated if line.strip().startswith("#")]
        known = {"column": label.get("known_at"), "delay": label["delay"]}
        moments = ", ".join(f"{key}: {value}" for key, value in known.items() if value)
        described = json.dumps(label["description"], ensure_ascii=False)
        column = f"dtype: bool, nullable: true, known_at: {{{moments}}}, description: {described}"
        return [*comments, f"      {label['column']}: {{{column}}}"]

    def _numbers(self) -> None:
        """Says of services whose fields stay doubles that they do."""
        source = Version1.model_validate({"source": self._data["source"]}).source
        services = [s for s in self._data["feature_services"] if has_doubles(s, source)]
        places = [self._marks.get(f"feature_services[{s['name']}].fields") for s in services]
        for line, column in sorted((place for place in places if place), reverse=True):
            self._lines.insert(line - 1, " " * (column - 1) + "numbers: double")

    def _aggregates(self) -> None:
        """Rewrites `dated: label`, from the last to the first, since lines may be added."""
        label = self._data["source"]["label"]["column"]
        stated = [
            (f"feature_views[{view['name']}].aggregates[{aggregate['name']}]", aggregate)
            for view in self._data["feature_views"]
            for aggregate in view["aggregates"]
            if aggregate.get("dated") == "label"
        ]
        stated = [(path, one) for path, one in stated if f"{path}.dated" in self._marks]
        for path, aggregate in sorted(stated, key=lambda s: self._marks[f"{s[0]}.dated"])[::-1]:
            self._aggregate(path, aggregate.get("where"), dated_known(aggregate, label)["where"])

    def _aggregate(self, path: str, where: str | None, wanted: str) -> None:
        line, column = self._marks[f"{path}.dated"]
        before, after = self._lines[line - 1][: column - 1], self._lines[line - 1][column - 1 :]
        after = _DATED.sub("dated: known", after, count=1)
        if where is None and before.strip() in ("", "-"):
            self._lines[line - 1] = f"{before}where: {json.dumps(wanted)}"
            self._lines.insert(line, " " * len(before) + after)
            return
        added = f"where: {wanted}, " if where is None else ""
        self._lines[line - 1] = f"{before}{added}{after}"
        if where is not None and where != wanted:
            at, start = self._marks[f"{path}.where"]
            text = self._lines[at - 1]
            rest = _WHERE.sub(lambda _: f"where: {json.dumps(wanted)}", text[start - 1 :], count=1)
            self._lines[at - 1] = text[: start - 1] + rest
