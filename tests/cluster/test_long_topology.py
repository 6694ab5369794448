"""Transformer and Triton in one pod beside the two of the separate form: right, and how fast.

The same model and load, each form through the same gateway, in turns; no time is asserted.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from proviso.clients.endpoint import Client, GrpcClient, RestClient
from proviso.contracts.contract import Contract
from proviso.contracts.loading import PLAN_FILE
from proviso.contracts.plan import Plan
from proviso.release.directory import Release
from proviso.release.writing import rebind
from proviso.rollout.deployed import deployed_release
from tests.cluster import truth
from tests.cluster.jobs import settled_history
from tests.cluster.load import Gateway, Sent, batch, failed
from tests.cluster.long_faults import measured, tag_of
from tests.cluster.long_release import routed, standing, variant
from tests.cluster.place import Place

pytestmark = [pytest.mark.cluster, pytest.mark.long]
ROUNDS = 7
LEVELS = ((1, 150), (8, 600))
"""Concurrency, and requests of a round."""
FORMS = ("separate", "collocated")
EDITS = {
    PLAN_FILE: (
        ("topology: separate", "topology: collocated"),
        # No part of an id depends on the topology; another id is another deployed release.
        ("max_body_bytes: 1048576", "max_body_bytes: 1048577"),
    )
}


@dataclass(frozen=True)
class Only(Gateway):
    """One protocol of a gateway, over two connections."""

    protocol: str = "rest"

    def clients(self) -> tuple[Client, Client]:
        return self._one(), self._one()

    def _one(self) -> Client:
        if self.protocol == "rest":
            return RestClient(f"http://{self.address}", self.model, self.service, self.host)
        return GrpcClient(self.address, self.model, self.service, self.host)


@dataclass(frozen=True)
class Figure:
    """One round of one form: latencies in milliseconds, answers a second."""

    p50: float
    p95: float
    rate: float


def figure(sent: Sequence[Sent]) -> Figure:
    p50, p95 = np.percentile([one.answer.seconds * 1_000 for one in sent], [50, 95])
    seconds = max(one.ended for one in sent) - min(one.began for one in sent)
    return Figure(float(p50), float(p95), len(sent) / seconds)


def of_candidate(release: Release, contract: Contract, plan: Plan, directory: Path) -> Release:
    """The candidate's model under another plan."""
    shutil.copytree(release.directory, directory)
    return rebind(directory, contract, plan)


def test_one_pod_answers_as_two_do(at_rest: Place, tmp_path: Path) -> None:
    other = variant(tmp_path, EDITS, partial(of_candidate, at_rest.candidate))
    assert other.deployed.topology == "collocated"
    units = [deployed_release(at_rest.candidate), other.deployed]
    with standing(at_rest, other), routed(at_rest, units) as ways:
        asked = in_turns(at_rest, dict(zip(FORMS, ways, strict=True)))
    history = settled_history(at_rest)
    shown(asked)
    for form, contract, release in (
        ("separate", at_rest.contract, at_rest.candidate),
        ("collocated", other.contract, other.release),
    ):
        sent = [one for key, rounds in asked.items() if key[0] == form for x in rounds for one in x]
        assert not failed(sent), failed(sent)[:3]
        assert {one.answer.release for one in sent} == {release.id}
        cases = truth.offline(contract, release, history, sent, tmp_path / form)
        assert not truth.wrong(sent, cases)


Key = tuple[str, str, int]
"""Form, protocol, concurrency."""


def in_turns(place: Place, ways: dict[str, Gateway]) -> dict[Key, list[list[Sent]]]:
    """Every level of either form in each round; which form is first changes. The first is warm-up
    and is not counted, but its answers are.
    """
    found: dict[Key, list[list[Sent]]] = defaultdict(list)
    for number in range(ROUNDS + 1):
        for protocol in ("rest", "grpc"):
            for concurrency, count in LEVELS:
                for form in FORMS if number % 2 else reversed(FORMS):
                    way = ways[form]
                    only = Only(way.address, way.host, way.model, way.service, protocol)
                    sent = batch(only, place.asked, count, tag_of(form), concurrency)
                    found[form, protocol, concurrency].append(sent)
    return found


def shown(asked: dict[Key, list[list[Sent]]]) -> None:
    measured("one pod against two: median of the rounds (least to most)")
    for (form, protocol, concurrency), rounds in sorted(asked.items(), key=lambda kv: kv[0][1:]):
        figures = [figure(sent) for sent in rounds[1:]]
        columns = {
            "p50 ms": [one.p50 for one in figures],
            "p95 ms": [one.p95 for one in figures],
            "a second": [one.rate for one in figures],
        }
        said = ", ".join(f"{name} {spread(values)}" for name, values in columns.items())
        measured(f"{protocol} c{concurrency} {form}: {said}")


def spread(values: Sequence[float]) -> str:
    return f"{np.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"
