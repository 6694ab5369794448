"""Applies cert-manager, Envoy Gateway (or Knative) and KServe, waits for each; then our gateway.

An annotation of a component's namespace has the hash of what was applied last and the names of its
Deployments, so that a run without changes only asks whether these exist and are ready (ADR 0058).
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
from proviso.kube.waiting import has_condition, rolled_out, wait
from proviso.rollout.deployed import Mode

ANNOTATION = "proviso.dev/applied"
READY_SECONDS = 300.0
_WORKLOADS = ("Deployment", "StatefulSet")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Platform:
    """The kustomizations' folder (k8s/platform), its pins, and the mirror that files come from.

    kind: a component's folder `<name>-kind` is applied, where there is one.
    """

    folder: Path
    pins: Pins
    mirror: Path | None
    mode: Mode
    kind: bool = False

    @property
    def components(self) -> list[Component]:
        return [one for one in self.pins.components if self.mode in one.modes]

    def folders_of(self, component: Component) -> tuple[Path, ...]:
        """A component's kustomizations, each over the one before; the last one is applied.

        The component's own, which has the upstream file, the mode's variant, and kind's.
        """
        variant = component.variants.get(self.mode, component.name)
        folders = [self.folder / name for name in dict.fromkeys((component.name, variant))]
        on_kind = self.folder / f"{variant}-kind"
        return (*folders, on_kind) if self.kind and on_kind.is_dir() else tuple(folders)

    @property
    def images(self) -> tuple[str, ...]:
        """The images of every component of this mode."""
        return tuple(image for one in self.components for image in one.images)


def kustomize(folder: Path) -> list[dict[str, Any]]:
    """The objects of a kustomization, rendered by kubectl."""
    text = call(["kubectl", "kustomize", str(folder)])
    return [document for document in yaml.load_all(text, Loader=_LOADER) if document]


def bring_up(cluster: Cluster, platform: Platform, progress: Progress) -> Applied:
    """Applies every component of the mode that has changed, and waits until it is ready."""
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
    folders = platform.folders_of(component)
    place = Ref("v1", "Namespace", component.namespace)
    key, digest = f"{ANNOTATION}-{component.name}", _digest(folders)
    notes = _notes(cluster.get(place))
    if _in_force(cluster, place, notes.get(key, ""), digest, progress):
        return Applied({component.name: "unchanged"})
    documents = kustomize(folders[-1])
    applied = cluster.apply(documents, progress)
    if not cluster.dry_run:
        for document in documents:
            _wait_for(cluster, document, progress)
        # The notes of a namespace have one owner: server-side apply drops those that it omits.
        note = " ".join([digest, *_deployments(documents, component.namespace)])
        cluster.annotate(place, {**_notes(cluster.get(place)), key: note})
    return applied


def _notes(namespace: Object | None) -> dict[str, str]:
    """The annotations that state what was applied last."""
    annotations = (namespace or {}).get("metadata", {}).get("annotations", {})
    return {key: value for key, value in annotations.items() if key.startswith(f"{ANNOTATION}-")}


def _in_force(cluster: Cluster, place: Ref, note: str, digest: str, progress: Progress) -> bool:
    """Whether a note has the same hash, and all Deployments that it names exist and are ready."""
    noted, *names = note.split() or [""]
    if noted != digest:
        return False
    deployments = [Ref("apps/v1", "Deployment", name, place.name) for name in names]
    if not all(map(cluster.get, deployments)):
        progress(f"{place}: a Deployment is missing; applying the component again")
        return False
    for deployment in () if cluster.dry_run else deployments:
        wait(cluster, deployment, rolled_out, READY_SECONDS, progress)
    return True


def _deployments(documents: Iterable[Object], namespace: str) -> list[str]:
    """Names of the Deployments in the component's own namespace."""
    found = [one["metadata"] for one in documents if one["kind"] == "Deployment"]
    return [one["name"] for one in found if one["namespace"] == namespace]


def _wait_for(cluster: Cluster, document: Object, progress: Progress) -> None:
    if document["kind"] in _WORKLOADS:
        wait(cluster, ref_of(document), rolled_out, READY_SECONDS, progress)
    elif document["kind"] == "CustomResourceDefinition":
        wait(cluster, ref_of(document), has_condition("Established"), READY_SECONDS, progress)


def _digest(folders: Iterable[Path]) -> str:
    """The hash of all files of a component's kustomizations."""
    files = sorted(path for folder in folders for path in folder.iterdir() if path.is_file())
    lines = (f"{path.parent.name}/{path.name}={_hash(path.read_bytes())}\n" for path in files)
    return _hash("".join(lines).encode())[:16]


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def gateway_up(cluster: Cluster, folder: Path, progress: Progress) -> Applied:
    """Applies our Gateway and waits until it is programmed. folder: its kustomization."""
    documents = kustomize(folder)
    applied = cluster.apply(documents, progress)
    for document in documents:
        if document["kind"] == "Gateway" and not cluster.dry_run:
            wait(cluster, ref_of(document), has_condition("Programmed"), READY_SECONDS, progress)
    return applied
