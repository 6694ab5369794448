"""YAML text as plain data, with the line and column of every value.

Accepted is YAML 1.2's core schema as a reviewer reads it: `on` and `no` are words, `010` is no
number, a date is text. A key stated twice, a key that is not text, an alias, a tag, a second
document or nesting deeper than MAX_DEPTH is an error. libyaml scans (`yaml.parse`, public); values
are built here from its events, which have positions (ADR 0075).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import yaml

from proviso.contracts.base import ContractError, Problem

MAX_DEPTH = 64

_QUOTE = "quote the text: a colon and a space, a comma or a bracket in it is YAML"
_UNQUOTED = {
    "mapping values are not allowed in this context",
    "did not find expected ',' or '}'",
    "did not find expected ',' or ']'",
}

Mark = tuple[int, int]
"""Line and column, counted from 1."""

_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,400})")
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_NUMERIC = frozenset("-+.0123456789")


@dataclass(frozen=True)
class Document:
    """Plain data of a file, and the position of each value by its path, `monitoring[x].window`."""

    file: str
    data: Any
    marks: Mapping[str, Mark] = field(default_factory=dict)

    def located(self, problem: Problem) -> Problem:
        """The problem with its position: of the value, else of what encloses it."""
        file, _, path = problem.path.partition(": ")
        if file != self.file or problem.line:
            return problem
        while path and path not in self.marks:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        line, column = self.marks.get(path, (0, 0))
        return replace(problem, line=line, column=column)


def read_document(file: str, text: str) -> Document:
    """The only document of YAML text. Raises ContractError."""
    try:
        root = _Reader(file, text).root()
    except yaml.YAMLError as error:
        raise ContractError([_not_yaml(file, error)]) from error
    return Document(file, root.value, dict(_marks(root, "")))


def path_of(data: Any, location: Iterable[int | str]) -> str:
    """The path of a value in plain data; an item of a list goes by its name where it has one.

    Steps that the data does not have, such as a missing key, are appended as they are.
    """
    text, here = "", data
    for step in location:
        if isinstance(here, list) and isinstance(step, int) and step < len(here):
            here = here[step]
            text += f"[{_item_name(here) or step}]"
        else:
            here = here.get(step) if isinstance(here, dict) else None
            text += f".{step}"
    return text.removeprefix(".")


class _Node(NamedTuple):
    """A value, and its children by key or index, each with the position to name for it."""

    value: Any
    children: tuple[tuple[int | str, Mark, _Node], ...] = ()


class _Reader:
    """Builds the values of one text out of the events of the scanner."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.CSafeLoader)

    def root(self) -> _Node:
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return _Node(None)
        node = self._node(next(self._events), 0)
        next(self._events)  # the document's end
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._error(after, "yaml_second_document", "a second document", "one document")
        return node

    def _node(self, event: yaml.Event, depth: int) -> _Node:
        if isinstance(event, yaml.AliasEvent):
            raise self._error(event, "yaml_alias", "an alias", "plain YAML")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise self._error(event, "yaml_tag", f"tag {tag}", "plain YAML")
        if depth > MAX_DEPTH:
            found = f"more than {MAX_DEPTH} levels of nesting"
            raise self._error(event, "yaml_too_deep", found, "plain YAML")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(depth)
        assert isinstance(event, yaml.ScalarEvent)
        return _Node(_plain(event.value) if event.implicit[0] else event.value)

    def _sequence(self, depth: int) -> _Node:
        items: list[tuple[int | str, Mark, _Node]] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append((len(items), _mark(event), self._node(event, depth + 1)))
        return _Node([node.value for _, _, node in items], tuple(items))

    def _mapping(self, depth: int) -> _Node:
        items: dict[str, tuple[Mark, _Node]] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1).value
            if not isinstance(key, str):
                raise self._error(event, "yaml_key_not_text", f"key {key!r}", "text")
            if key in items:
                raise self._error(event, "yaml_key_repeated", f"key {key!r} again", "it once")
            items[key] = (_mark(event), self._node(next(self._events), depth + 1))
        children = tuple((key, mark, node) for key, (mark, node) in items.items())
        return _Node({key: node.value for key, _, node in children}, children)

    def _error(self, event: yaml.Event, code: str, found: str, wanted: str) -> ContractError:
        line, column = _mark(event)
        problem = Problem(self._file, found, wanted, code=code, line=line, column=column)
        return ContractError([problem])


def _plain(text: str) -> Any:
    """A scalar without quotes."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _mark(event: yaml.Event) -> Mark:
    start = event.start_mark
    return (start.line + 1, start.column + 1) if start else (0, 0)


def _marks(node: _Node, path: str) -> Iterator[tuple[str, Mark]]:
    """Positions by path. Items of one name are not told apart: they go by the list's position."""
    named = Counter(_item_name(child.value) for step, _, child in node.children)
    for step, mark, child in node.children:
        if isinstance(step, str):
            here = f"{path}.{step}".removeprefix(".")
        else:
            name = _item_name(child.value)
            if name is not None and named[name] > 1:
                continue
            here = f"{path}[{name or step}]"
            if isinstance(child.value, str):
                yield f"{path}[{child.value}]", mark
        yield here, mark
        yield from _marks(child, here)


def _item_name(item: Any) -> str | None:
    """How problems name an item of a list: by its `name`, `metric` or `role`."""
    if not isinstance(item, dict):
        return None
    names = (item.get(key) for key in ("name", "metric", "role"))
    return next((name for name in names if isinstance(name, str)), None)


def _not_yaml(file: str, error: yaml.YAMLError) -> Problem:
    """The scanner's error; one about characters has no line."""
    mark = getattr(error, "problem_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    found = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "an error")
    why = _QUOTE if found in _UNQUOTED else ""
    return Problem(file, found, "valid YAML", why, "yaml_invalid", line=line, column=column)
