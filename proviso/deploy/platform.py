"""cert-manager, Envoy Gateway and KServe, in order, each waited for; then our own gateway.

What was applied last is written on a component's namespace, so that a run that would change
nothing asks one question a component.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from proviso.deploy.cluster import Applied, Cluster, Progress, Ref, ref_of
from proviso.deploy.tools import call
from proviso.deploy.upstream import Component, Pins, bring
from proviso.deploy.waiting import condition, rolled_out, wait

ANNOTATION = "proviso.dev/applied"
READY_SECONDS = 300.0
_WORKLOADS = ("Deployment", "StatefulSet")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Platform:
    """Where kustomizations are (k8s/platform), what is pinned there, where files come from."""

    folder: Path
    pins: Pins
    mirror: Path | None
    mode: str

    @property
    def components(self) -> list[Component]:
        return [one for one in self.pins.components if self.mode in one.modes]

    @property
    def images(self) -> tuple[str, ...]:
        """Of every component of this mode."""
        return tuple(image for one in self.components for image in one.images)


def kustomize(folder: Path) -> list[dict[str, Any]]:
    """The objects of a kustomization, rendered by kubectl."""
    text = call(["kubectl", "kustomize", str(folder)])
    return [document for document in yaml.load_all(text, Loader=_LOADER) if document]


def bring_up(cluster: Cluster, platform: Platform, progress: Progress) -> Applied:
    """Every component of the mode, applied where it is another than before, and ready."""
    total = Applied()
    for component in platform.components:
        applied = _component(cluster, platform, component, progress)
        progress(f"{component.name} {component.version}: {applied}")
        total.outcomes |= applied.outcomes
    return total


def _component(
    cluster: Cluster, platform: Platform, component: Component, progress: Progress
) -> Applied:
    bring(component, platform.folder, platform.mirror)
    folder = platform.folder / component.name
    digest = _digest(folder)
    place = Ref("v1", "Namespace", component.namespace)
    found = cluster.get(place)
    if found and found["metadata"].get("annotations", {}).get(ANNOTATION) == digest:
        return Applied({str(place): "unchanged"})
    documents = kustomize(folder)
    applied = cluster.apply(documents, progress)
    if not cluster.dry_run:
        for document in documents:
            _wait_for(cluster, document, progress)
        cluster.annotate(place, {ANNOTATION: digest})
    return applied


def _wait_for(cluster: Cluster, document: Object, progress: Progress) -> None:
    if document["kind"] in _WORKLOADS:
        wait(cluster, ref_of(document), rolled_out, READY_SECONDS, progress)
    elif document["kind"] == "CustomResourceDefinition":
        wait(cluster, ref_of(document), condition("Established"), READY_SECONDS, progress)


def _digest(folder: Path) -> str:
    """Of everything that the kustomization is made of."""
    lines = "".join(f"{name}={digest}\n" for name, digest in _contents(folder))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def _contents(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.iterdir()):
        yield path.name, hashlib.sha256(path.read_bytes()).hexdigest()


def gateway_up(cluster: Cluster, folder: Path, progress: Progress) -> Applied:
    """Our gateway, programmed. folder: its kustomization."""
    documents = kustomize(folder)
    applied = cluster.apply(documents, progress)
    for document in documents:
        if document["kind"] == "Gateway" and not cluster.dry_run:
            wait(cluster, ref_of(document), condition("Programmed"), READY_SECONDS, progress)
    return applied
