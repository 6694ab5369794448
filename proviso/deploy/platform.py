"""cert-manager, Envoy Gateway (or Knative) and KServe, in order, each waited for; then our gateway.

What was applied last is written on a component's namespace, with the Deployments that came of it,
so that a run that would change nothing only asks whether these are there and ready.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from proviso.deploy.upstream import Component, Pins, bring
from proviso.kube.api import Applied, Cluster, Progress, Ref, ref_of
from proviso.kube.programs import call
from proviso.kube.waiting import condition, rolled_out, wait
from proviso.rollout.deployed import Mode

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
    mode: Mode

    @property
    def components(self) -> list[Component]:
        return [one for one in self.pins.components if self.mode in one.modes]

    def own_of(self, component: Component) -> Path:
        """The kustomization over a component's file."""
        return self.folder / component.name

    def folder_of(self, component: Component) -> Path:
        """What is applied: that, or the mode's variation on it."""
        return self.folder / component.variants.get(self.mode, component.name)

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
    folder = platform.folder_of(component)
    place = Ref("v1", "Namespace", component.namespace)
    key, digest = f"{ANNOTATION}-{component.name}", _digest({platform.own_of(component), folder})
    notes = _notes(cluster.get(place))
    if _stands(cluster, place, notes.get(key, ""), digest, progress):
        return Applied({component.name: "unchanged"})
    documents = kustomize(folder)
    applied = cluster.apply(documents, progress)
    if not cluster.dry_run:
        for document in documents:
            _wait_for(cluster, document, progress)
        # One owner holds the notes of all components in a namespace, so it says them all.
        note = " ".join([digest, *_deployments(documents, component.namespace)])
        cluster.annotate(place, {**_notes(cluster.get(place)), key: note})
    return applied


def _notes(namespace: Object | None) -> dict[str, str]:
    """What was applied last, by the annotations' names."""
    annotations = (namespace or {}).get("metadata", {}).get("annotations", {})
    return {key: value for key, value in annotations.items() if key.startswith(f"{ANNOTATION}-")}


def _stands(cluster: Cluster, place: Ref, note: str, digest: str, progress: Progress) -> bool:
    """Whether a note speaks of the same files, and all that it names is there and ready."""
    noted, *names = note.split() or [""]
    if noted != digest:
        return False
    deployments = [Ref("apps/v1", "Deployment", name, place.name) for name in names]
    if not all(map(cluster.get, deployments)):
        progress(f"{place}: found less than was applied, applying all of it again")
        return False
    for deployment in () if cluster.dry_run else deployments:
        wait(cluster, deployment, rolled_out, READY_SECONDS, progress)
    return True


def _deployments(documents: Iterable[Object], namespace: str) -> list[str]:
    """Those in the component's own namespace: the note is a list of names there."""
    found = [one["metadata"] for one in documents if one["kind"] == "Deployment"]
    return [one["name"] for one in found if one["namespace"] == namespace]


def _wait_for(cluster: Cluster, document: Object, progress: Progress) -> None:
    if document["kind"] in _WORKLOADS:
        wait(cluster, ref_of(document), rolled_out, READY_SECONDS, progress)
    elif document["kind"] == "CustomResourceDefinition":
        wait(cluster, ref_of(document), condition("Established"), READY_SECONDS, progress)


def _digest(folders: Iterable[Path]) -> str:
    """Of everything that a component's kustomizations are made of."""
    files = sorted(path for folder in folders for path in folder.iterdir() if path.is_file())
    lines = (f"{path.parent.name}/{path.name}={_hash(path.read_bytes())}\n" for path in files)
    return _hash("".join(lines).encode())[:16]


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def gateway_up(cluster: Cluster, folder: Path, progress: Progress) -> Applied:
    """Our gateway, programmed. folder: its kustomization."""
    documents = kustomize(folder)
    applied = cluster.apply(documents, progress)
    for document in documents:
        if document["kind"] == "Gateway" and not cluster.dry_run:
            wait(cluster, ref_of(document), condition("Programmed"), READY_SECONDS, progress)
    return applied
