"""Another deployed release, made from a copy of the contract for one test and deleted after it.

A variant is a contracts directory of its own, a release bound to it, and its rendered manifests;
`standing` puts it into the cluster, `routed` gives units an address of their own at the gateway.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from proviso.contracts.contract import Contract
from proviso.contracts.loading import load_contract, load_plan
from proviso.contracts.plan import Plan
from proviso.deploy import images
from proviso.manifests.checks import Request
from proviso.manifests.folder import write
from proviso.manifests.render import Rendering, render
from proviso.manifests.sizes import MIN_REPLICAS
from proviso.release.directory import Release
from proviso.rollout.deployed import DOMAIN, GATEWAY, GRPC, HTTP, DeployedRelease
from tests.cluster.load import Gateway, batch, failed
from tests.cluster.place import (
    ADDRESS,
    CLUSTER,
    CONTEXT,
    NAMESPACE,
    ROOT,
    Place,
    attempt,
    eventually,
)

Edits = Mapping[str, Sequence[tuple[str, str]]]
"""By file of the contracts directory: what stands there once, and what is to stand there."""


@dataclass(frozen=True)
class Variant:
    """A release of another contract or plan, rendered."""

    contracts: Path
    contract: Contract
    release: Release
    deployed: DeployedRelease
    folder: Path

    def rollout(self, step: str) -> Path:
        [path] = (self.folder / "rollout").glob(f"*{step}.yaml")
        return path


Bind = Callable[[Contract, Plan, Path], Release]
"""Writes a release of a contract and a plan into a directory."""


def variant(work: Path, edits: Edits, bind: Bind, stable: Path | None = None) -> Variant:
    """stable: what it is rolled out over."""
    contracts = work / "contracts"
    shutil.copytree(ROOT / "contracts", contracts)
    for name, changes in edits.items():
        _edit(contracts / name, changes)
    contract, plan = load_contract(contracts), load_plan(contracts)
    release = bind(contract, plan, work / "release")
    today = datetime.now(UTC).date()
    made = render(Request(contract, plan, release.directory, stable, today))
    return Variant(contracts, contract, release, made.pair.candidate, _written(made, work))


def _edit(path: Path, changes: Sequence[tuple[str, str]]) -> None:
    text = path.read_text()
    for old, new in changes:
        assert text.count(old) == 1, (path, old, text.count(old))
        text = text.replace(old, new)
    path.write_text(text)


def _written(made: Rendering, work: Path) -> Path:
    write(made, work / "rendered")
    return work / "rendered"


# --- in the cluster ------------------------------------------------------------------------------


@contextmanager
def standing(place: Place, of: Variant) -> Iterator[None]:
    """The release with all its pods ready, without traffic."""
    names = images.build_all([of.release], print)
    images.load(CLUSTER, names, print)
    place.kubectl("apply", "-f", of.folder / "release.yaml")
    try:
        for name in _workloads(of.deployed):
            eventually(f"{name} ready", partial(_ready, name), 150)
        place.kubectl(
            *("-n", NAMESPACE, "wait", "--for=condition=Ready", "--timeout=110s"),
            f"isvc/{of.deployed.name}",
        )
        yield
    finally:
        _remove(place, of)


def _workloads(deployed: DeployedRelease) -> list[str]:
    front = ["transformer"] if deployed.topology == "separate" else []
    return [f"{deployed.name}-{component}" for component in ("predictor", *front)]


def _ready(deployment: str) -> bool:
    """Whether it is there with all the pods that a release starts with."""
    shown = "jsonpath={.status.readyReplicas}"
    done = attempt(
        *("kubectl", "--context", CONTEXT, "-n", NAMESPACE),
        *("get", "deployment", deployment, "-o", shown),
    )
    return done.returncode == 0 and done.stdout == str(MIN_REPLICAS)


def _remove(place: Place, of: Variant) -> None:
    """Deletes at once: it gets no requests, and a small node has no room for ending pods."""
    place.kubectl("delete", "-f", of.folder / "release.yaml", "--ignore-not-found")
    pods = f"app in ({', '.join(f'isvc.{name}' for name in _workloads(of.deployed))})"
    place.kubectl("-n", NAMESPACE, "delete", "pods", "-l", pods, "--grace-period=1")


@contextmanager
def routed(place: Place, units: Sequence[DeployedRelease]) -> Iterator[list[Gateway]]:
    """A route to each release alone, through the same Envoy and under a host of its own."""
    routes = [_route(deployed) for deployed in units]
    text = "".join(json.dumps(route) + "\n---\n" for route in routes)
    place.kubectl("apply", "-f", "-", text=text)
    try:
        found = [_gateway(place, route) for route in routes]
        for gateway in found:
            eventually(gateway.host, partial(_answers, place, gateway), 30)
        yield found
    finally:
        for route in routes:
            place.kubectl("-n", NAMESPACE, "delete", "httproute", route["metadata"]["name"])


def _gateway(place: Place, route: Mapping[str, Any]) -> Gateway:
    [host] = route["spec"]["hostnames"]
    return Gateway(ADDRESS, host, place.stable.model_name, place.candidate.service)


def _answers(place: Place, gateway: Gateway) -> bool:
    return not failed(batch(gateway, place.asked, 4, "routed"))


def _route(deployed: DeployedRelease) -> dict[str, Any]:
    model = f"/v2/models/{deployed.model_name}"
    ways = (("rest", model, HTTP), ("grpc", "/inference.GRPCInferenceService/", GRPC))
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": f"only-{deployed.name}", "namespace": NAMESPACE},
        "spec": {
            "parentRefs": [{"name": GATEWAY, "sectionName": "http"}],
            "hostnames": [f"{deployed.name}.{DOMAIN}"],
            "rules": [
                {
                    "name": name,
                    "matches": [{"path": {"type": "PathPrefix", "value": prefix}}],
                    "backendRefs": [{"name": deployed.public, "port": port}],
                }
                for name, prefix, port in ways
            ],
        },
    }
