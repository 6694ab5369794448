"""The lineage drawing: every edge once, where it belongs, and nothing over anything else."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from proviso.catalog.graph import WIDTH, Box, Graph, Link, fit, lineage_graph, links
from proviso.contracts.contract import Contract, Lineage
from proviso.contracts.loading import load_contract

ROOT = Path(__file__).parents[3]
_NUMBER = re.compile(r"-?\d+\.?\d*")


@pytest.fixture(params=["contracts", "proviso/contracts/template"])
def contract(request: pytest.FixtureRequest) -> Contract:
    return load_contract(ROOT / request.param)


@pytest.fixture
def graph(contract: Contract) -> Graph:
    return lineage_graph(contract, {})


def named(graph: Graph, kind: str) -> dict[str, Box]:
    return {box.name: box for box in graph.boxes if box.kind == kind}


def wanted(contract: Contract) -> set[tuple[str, str]]:
    """Every edge, straight from the contract."""
    found = {(s, v.name) for v in contract.feature_views for s in v.lineage.sources}
    for service in contract.feature_services:
        found |= {(feature, service.name) for feature in service.features}
        found.add((service.name, service.model))
    return found


def test_every_edge_is_drawn_exactly_once(contract: Contract, graph: Graph) -> None:
    drawn = [(curve.link.start, curve.link.end) for curve in graph.curves]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == wanted(contract)


def test_everything_of_the_contract_has_its_place(contract: Contract, graph: Graph) -> None:
    assert set(named(graph, "view")) == set(contract.view_by_name)
    assert set(named(graph, "service")) == {s.name for s in contract.feature_services}
    assert set(named(graph, "model")) == {s.model for s in contract.feature_services}
    assert set(named(graph, "source")) == {contract.observations_of().rows.name}
    rows = [row.name for box in graph.boxes for row in box.rows]
    assert rows == [f"{v.name}:{f.name}" for v in contract.feature_views for f in v.features]


def test_nothing_lies_over_anything_else(graph: Graph) -> None:
    for kind in ("source", "view", "service", "model"):
        boxes = sorted(named(graph, kind).values(), key=lambda box: box.y)
        assert all(a.y + a.height < b.y for a, b in pairwise(boxes))
        assert all(box.x >= 0 and box.right <= WIDTH for box in boxes)
        assert all(box.y >= 0 and box.y + box.height <= graph.height for box in boxes)
    columns = sorted({(box.x, box.right) for box in graph.boxes})
    assert all(a[1] < b[0] for a, b in pairwise(columns))
    for box in named(graph, "view").values():
        ys = [row.y for row in box.rows]
        assert all(b - a >= 16 for a, b in pairwise(ys))
        assert box.y < ys[0]
        assert ys[-1] < box.y + box.height


def test_curves_leave_their_feature_and_arrive_in_the_vectors_order(
    contract: Contract, graph: Graph
) -> None:
    at = {row.name: row.y for box in graph.boxes for row in box.rows}
    services = named(graph, "service")
    for service in contract.feature_services:
        box, arrivals = services[service.name], []
        for curve in graph.curves:
            if curve.link.end == service.name:
                x1, y1, *_, x2, y2 = map(float, _NUMBER.findall(curve.path))
                view = named(graph, "view")[curve.link.start.partition(":")[0]]
                assert (x1, x2) == (view.right, box.x)
                assert y1 == pytest.approx(at[curve.link.start], abs=0.06)
                assert curve.tone == view.tone
                arrivals.append(y2)
        assert arrivals == sorted(arrivals)
        assert box.y < arrivals[0]
        assert arrivals[-1] < box.y + box.height
        assert len(set(arrivals)) == len(service.features)


def test_a_feature_with_a_source_of_its_own_has_its_edge() -> None:
    contract = load_contract(ROOT / "proviso/contracts/template")
    view = contract.feature_views[0]
    own = Lineage(sources=["deliveries", "depots of all zones"], job="by hand")
    feature = view.features[1].model_copy(update={"lineage": own})
    changed = view.model_copy(update={"features": [view.features[0], feature, *view.features[2:]]})
    views = [changed, *contract.feature_views[1:]]
    contract = contract.model_copy(update={"feature_views": views})
    graph = lineage_graph(contract, {})
    found = [curve.link for curve in graph.curves if curve.link.end == "courier_load_6h:fees_24h"]
    assert found == [
        Link("feeds", source, "courier_load_6h:fees_24h")
        for source in ("deliveries", "depots of all zones")
    ]
    assert "depots of all zones" in named(graph, "source")


def test_what_names_nothing_of_the_contract_is_not_drawn() -> None:
    contract = load_contract(ROOT / "proviso/contracts/template")
    [service] = contract.feature_services
    stray = service.model_copy(update={"features": [*service.features, "courier_load_6h:mood"]})
    changed = contract.model_copy(update={"feature_services": [stray]})
    assert links(changed) == links(contract)
    assert [curve.link for curve in lineage_graph(changed, {}).curves] == links(contract)


def test_long_names_end_where_their_box_does() -> None:
    assert fit("short", 100, 10) == "short"
    assert fit("exactly_10", 100, 10) == "exactly_10"
    assert fit("a_little_longer", 100, 10) == "a_little_…"
