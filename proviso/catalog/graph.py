"""Lineage as a drawing: source, view with its features, feature service, model; left to right.

Pure: a contract in, boxes and curves out, in a drawing `WIDTH` units wide. A graph library was
weighed and left out: the four layers are known and their order is the contract's, so that placing
them is a running sum, and the drawing follows the page's colours and can be searched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from feature_runtime.core.service import FeatureRef, feature_ref
from proviso.contracts.contract import Contract, FeatureView

WIDTH = 1108.0
ROW = 20.0
_GAP = 18.0
_HEAD = 46.0
_PORT = 6.0
_MARGIN = 10.0
_INSET = 20.0
_NARROW, _BOLD = 6.7, 7.4  # units that a character takes on average, as measured in Chromium
_X = {"source": 0.0, "view": 180.0, "service": 660.0, "model": 922.0}
_WIDTHS = {"source": 130.0, "view": 300.0, "service": 206.0, "model": 186.0}
TONES = 6

Kind = Literal["source", "view", "service", "model"]


class Link(NamedTuple):
    """An edge by names. A source feeds a view, or a `view:feature` that states its own; a
    service consumes a `view:feature`; a model is fed by its service."""

    kind: Literal["feeds", "consumes", "serves"]
    start: str
    end: str


@dataclass(frozen=True)
class Row:
    """A feature inside its view's box; `y` is its middle. `used`: some service consumes it."""

    name: str
    label: str
    y: float
    used: bool


@dataclass(frozen=True)
class Box:
    """A node. `under` stands below its name; `tone` is the view's colour, None for the others."""

    kind: Kind
    name: str
    label: str
    under: str
    x: float
    y: float
    width: float
    height: float
    rows: tuple[Row, ...] = ()
    tone: int | None = None

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    @property
    def right(self) -> float:
        return self.x + self.width


@dataclass(frozen=True)
class Curve:
    """An edge as SVG path data."""

    link: Link
    path: str
    tone: int | None


@dataclass(frozen=True)
class Graph:
    """The whole drawing."""

    height: float
    boxes: tuple[Box, ...]
    curves: tuple[Curve, ...]


def links(contract: Contract) -> list[Link]:
    """Every edge once, in the contract's order; what names nothing of the contract is left out."""
    known = {str(FeatureRef(v.name, f.name)) for v in contract.feature_views for f in v.features}
    services = contract.feature_services
    found = [
        *(Link("feeds", s, v.name) for v in contract.feature_views for s in v.lineage.sources),
        *_own_sources(contract),
        *(Link("consumes", f, s.name) for s in services for f in s.features if f in known),
        *(Link("serves", s.name, s.model) for s in services),
    ]
    return list(dict.fromkeys(found))


def lineage_graph(contract: Contract, under: dict[str, str]) -> Graph:
    """The drawing of a contract; `under` gives a line of text below a node's name."""
    edges = links(contract)
    views = _views(contract, under)
    at = _row_places(views)
    services = _services(contract, at, under)
    pairs = zip(services, contract.feature_services, strict=True)
    models = [_model(box, service.model, under) for box, service in pairs]
    sources = _sources(edges, views, at, under)
    boxes = [*sources, *views, *services, *models]
    height = max(box.y + box.height for box in boxes) + 2
    return Graph(height, tuple(boxes), tuple(_curves(edges, boxes, at)))


def _own_sources(contract: Contract) -> Iterator[Link]:
    for view in contract.feature_views:
        for feature in view.features:
            if feature.lineage is not None:
                for source in feature.lineage.sources:
                    yield Link("feeds", source, str(FeatureRef(view.name, feature.name)))


def _views(contract: Contract, under: dict[str, str]) -> list[Box]:
    consumed = {name for service in contract.feature_services for name in service.features}
    boxes, y = [], 1.0
    for number, view in enumerate(contract.feature_views):
        rows = tuple(_rows(view, y + _HEAD, consumed))
        height = _HEAD + ROW * len(rows) + _MARGIN
        boxes.append(_box("view", view.name, under, y, height, rows, number % TONES))
        y += height + _GAP
    return boxes


def _rows(view: FeatureView, top: float, consumed: set[str]) -> Iterator[Row]:
    for number, feature in enumerate(view.features):
        name = str(FeatureRef(view.name, feature.name))
        label = fit(feature.name, _WIDTHS["view"] - _INSET, _NARROW)
        yield Row(name, label, top + ROW * (number + 0.5), name in consumed)


def _services(contract: Contract, at: dict[str, float], under: dict[str, str]) -> list[Box]:
    """Each beside the middle of what it consumes, below the one before it."""
    boxes, free = [], 1.0
    for service in contract.feature_services:
        height = max(_HEAD + _MARGIN, _PORT * (len(service.features) + 2))
        places = [at[name] for name in service.features if name in at]
        y = max(free, sum(places) / max(1, len(places)) - height / 2)
        boxes.append(_box("service", service.name, under, y, height))
        free = y + height + _GAP
    return boxes


def _model(service: Box, model: str, under: dict[str, str]) -> Box:
    height = _HEAD + _MARGIN
    return _box("model", model, under, service.middle - height / 2, height)


def _sources(
    edges: Sequence[Link], views: Sequence[Box], at: dict[str, float], under: dict[str, str]
) -> list[Box]:
    """Each beside the middle of what it feeds, below the one before it."""
    middles = {box.name: box.y + _HEAD / 2 for box in views} | at
    fed: dict[str, list[float]] = {}
    for link in edges:
        if link.kind == "feeds":
            fed.setdefault(link.start, []).append(middles[link.end])
    boxes, free, height = [], 1.0, _HEAD + _MARGIN
    for name, places in fed.items():
        y = max(free, sum(places) / len(places) - height / 2)
        boxes.append(_box("source", name, under, y, height))
        free = y + height + _GAP
    return boxes


def _box(
    kind: Kind,
    name: str,
    under: dict[str, str],
    y: float,
    height: float,
    rows: tuple[Row, ...] = (),
    tone: int | None = None,
) -> Box:
    width = _WIDTHS[kind]
    shown = feature_ref(name).view if kind == "model" else name
    label = fit(shown, width - _INSET, _BOLD)
    note = fit(under.get(name, ""), width - _INSET, _NARROW)
    return Box(kind, name, label, note, _X[kind], round(y, 1), width, height, rows, tone)


def _row_places(views: Iterable[Box]) -> dict[str, float]:
    return {row.name: row.y for box in views for row in box.rows}


def _curves(edges: Sequence[Link], boxes: Sequence[Box], at: dict[str, float]) -> Iterator[Curve]:
    """Feature curves arrive spread over the service's side, in the order of its vector."""
    found = {(box.kind, box.name): box for box in boxes}
    ports = {
        name: iter(_ports(found["service", name], count))
        for name, count in Counter(e.end for e in edges if e.kind == "consumes").items()
    }
    for link in edges:
        if link.kind == "feeds":
            start, view = found["source", link.start], found["view", feature_ref(link.end).view]
            end = at[link.end] if link.end in at else view.y + _HEAD / 2
            yield Curve(link, _path(start.right, start.middle, view.x, end), view.tone)
        elif link.kind == "consumes":
            view, service = found["view", feature_ref(link.start).view], found["service", link.end]
            path = _path(view.right, at[link.start], service.x, next(ports[link.end]))
            yield Curve(link, path, view.tone)
        else:
            service, model = found["service", link.start], found["model", link.end]
            yield Curve(link, _path(service.right, service.middle, model.x, model.middle), None)


def _ports(service: Box, count: int) -> Iterator[float]:
    return (service.y + service.height * (n + 1) / (count + 1) for n in range(count))


def _path(x1: float, y1: float, x2: float, y2: float) -> str:
    """A curve that leaves and arrives level."""
    bend = (x2 - x1) / 2
    return f"M{x1:g} {y1:.1f}C{x1 + bend:g} {y1:.1f} {x2 - bend:g} {y2:.1f} {x2:g} {y2:.1f}"


def fit(text: str, width: float, character: float) -> str:
    """The text, cut to the room that it has."""
    room = int(width / character)
    return text if len(text) <= room else text[: room - 1] + "…"
