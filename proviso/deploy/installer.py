"""`make deploy`: every step from an empty machine to a scored request, each with its own read-back.

The list of steps is the plan that `--dry-run` prints. Running it twice changes nothing. A step
that fails raises ValidationFailed; what was done stays, and the next run continues from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from proviso.contracts.files import check_is_file
from proviso.contracts.loading import load_contract, load_plan
from proviso.deploy import images, kind
from proviso.deploy.changes import images_in, with_image, with_pod_annotation
from proviso.deploy.first_request import Endpoint, Scored, ask
from proviso.deploy.kind import Kind
from proviso.deploy.platform import Platform, bring_up, gateway_up, kustomize
from proviso.deploy.retirement import retire
from proviso.deploy.revisions import SERVICE, Revisions
from proviso.deploy.rotation import load_users
from proviso.deploy.route import Route
from proviso.deploy.secrets import ensure_passwords, our_namespace
from proviso.deploy.storage import make_directories
from proviso.deploy.upstream import read_pins
from proviso.kube.api import Applied, Cluster, Progress, Ref, ref_of
from proviso.kube.waiting import (
    inference_service_ready,
    job_complete,
    rolled_out,
    runs_component,
    wait,
)
from proviso.manifests.checks import Request
from proviso.manifests.folder import write
from proviso.manifests.images import BASE, CONTROL, ROOT, control_image
from proviso.manifests.network import MONITORING
from proviso.manifests.render import Rendering, render
from proviso.release.directory import Release, read_release
from proviso.rollout.deployed import NAMESPACE, DeployedRelease, Mode, deployed_release
from proviso.simulation.spec import load_simulation
from proviso.simulation.world import ids_of

K8S = ROOT / "k8s"
RENDERED: dict[Mode, Path] = {
    "standard": K8S / "releases",
    "knative": ROOT / "run" / "knative" / "releases",
}
"""Where a deployment renders. The committed manifests are those of mode standard."""
_STORE_SECONDS, _DATA_SECONDS, _RELEASE_SECONDS = 180.0, 900.0, 300.0
_ASKED = 50
"""Simulated entities that the first request is tried with: some appear late in the data."""
_GUARD = "ValidatingAdmissionPolicy"
_PLATFORMS: dict[Mode, str] = {
    "standard": "cert-manager, Envoy Gateway, KServe",
    "knative": "cert-manager, Knative Serving, Kourier, KServe",
}
Object = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """The options of a deployment. stable None: the release is the first and gets all traffic."""

    contracts: Path
    release: Path
    stable: Path | None
    context: str
    mirror: Path | None
    address: str
    dry_run: bool = False
    mode: Mode = "standard"


@dataclass(frozen=True)
class InstallStep:
    """One line of the plan; `act` does it and returns the outcome in words."""

    title: str
    act: Callable[[], str]


@dataclass
class Installer:
    """A deployment in progress; `applied` collects the outcome of every object."""

    settings: Settings
    progress: Progress
    applied: Applied = field(default_factory=Applied)
    scored: Scored | None = None
    control: str = field(default_factory=lambda: control_image(BASE))
    """The Jobs' image: the same for all of them, also when sources change during the run."""

    # --- inputs --------------------------------------------------------------------------------

    @cached_property
    def kind(self) -> Kind | None:
        """The kind cluster; None for a cluster of another kind."""
        return kind.named(self.settings.context)

    @cached_property
    def cluster(self) -> Cluster:
        return Cluster(self.settings.context, dry_run=self.settings.dry_run)

    @cached_property
    def platform(self) -> Platform:
        folder = K8S / "platform"
        pins, mirror, mode = read_pins(folder), self.settings.mirror, self.settings.mode
        return Platform(folder, pins, mirror, mode, self.kind is not None)

    @cached_property
    def base(self) -> list[Object]:
        """Namespace, store, jobs and policies; on kind with volumes on the node.

        Without the guard in mode knative: it validates routes of the Gateway API.
        """
        documents = kustomize(K8S / ("overlays/kind" if self.kind else "base"))
        return [one for one in documents if not self.revised or not one["kind"].startswith(_GUARD)]

    @property
    def revised(self) -> bool:
        """Mode knative: releases are revisions of one InferenceService, without a route."""
        return self.settings.mode == "knative"

    @cached_property
    def revisions(self) -> Revisions:
        return Revisions(self.cluster, self.releases[0].model_name, self.progress)

    @cached_property
    def route(self) -> Route:
        return Route(self.cluster, self.releases[0].model_name, self.progress)

    @cached_property
    def releases(self) -> list[Release]:
        """The stable one first."""
        asked = (self.settings.stable, self.settings.release)
        return [read_release(path) for path in asked if path is not None]

    @cached_property
    def renderings(self) -> list[Rendering]:
        """The stable release as the first one, the candidate over it."""
        settings, before = self.settings, None
        contract, plan = load_contract(settings.contracts), load_plan(settings.contracts)
        today, made = datetime.now(UTC).date(), []
        for release in self.releases:
            asked = Request(contract, plan, release.directory, before, today, settings.mode)
            made.append(render(asked))
            before = release.directory
        return made

    @property
    def deployed(self) -> list[DeployedRelease]:
        """The stable one first."""
        return [rendering.pair.candidate for rendering in self.renderings]

    def folder(self, rendering: Rendering) -> Path:
        return RENDERED[self.settings.mode] / rendering.version

    # --- the steps -----------------------------------------------------------------------------

    @property
    def steps(self) -> Iterator[InstallStep]:
        """In order. A dry run leaves out the steps that change something outside the API server."""
        real = not self.settings.dry_run
        if self.kind and real:
            yield InstallStep(f"kind cluster {self.kind.name}", self._kind)
        yield InstallStep("manifests of the releases", self._render)
        if real:
            yield InstallStep("images", self._images)
        yield InstallStep(f"platform: {_PLATFORMS[self.settings.mode]}", self._platform)
        yield InstallStep("namespace, passwords, store, jobs", self._base)
        if real:
            yield InstallStep("data: simulated, computed, in the store", self._data)
        yield InstallStep("Prometheus", self._prometheus)
        if real:
            yield InstallStep("replaced releases without traffic", self._retire)
        for release, rendering in zip(self.releases, self.renderings, strict=True):
            yield InstallStep(
                f"release {release.model} {release.id}", self._bring(release, rendering)
            )
        if not self.revised:
            yield InstallStep("route", self._lead)
        if real:
            yield InstallStep("replaced releases that lost their traffic", self._retire)
            yield InstallStep("a request through the gateway", self._ask)

    def _kind(self) -> str:
        assert self.kind is not None
        state = self.kind.up(ROOT / "kind-config.yaml")
        make_directories(self.kind.node)
        return f"{state}, context {self.kind.context}"

    def _render(self) -> str:
        changes = [
            change
            for rendering in self.renderings
            for change in write(rendering, self.folder(rendering)).values()
        ]
        written = sum(change != "unchanged" for change in changes)
        place = shown(RENDERED[self.settings.mode])
        return f"{len(changes)} files in {place}, {written} written"

    def _images(self) -> str:
        names = images.build_all(self.releases, self.progress)
        self.control = names[0]
        if self.kind is None:
            return (
                f"not loaded: {self.settings.context} is not a kind cluster; its nodes need {names}"
            )
        others = (*self.platform.images, *_others())
        loaded = images.load(self.kind.name, (*names, *kind.present(others)), self.progress)
        return f"{len(names)} of the project, {len(loaded)} loaded"

    def _platform(self) -> str:
        node = self._node()
        platform = bring_up(self.cluster, self.platform, self.progress)
        ours = self._apply([one for one in self.base if one["kind"] == "Namespace"])
        gateway = Applied() if self.revised else self._gateway()
        self._add(node, platform, gateway)
        return str(Applied(node.outcomes | platform.outcomes | ours.outcomes | gateway.outcomes))

    def _node(self) -> Applied:
        """CoreDNS and kube-proxy of a kind cluster that we made."""
        if self.kind is None or self.kind.name not in kind.OWN.values():
            return Applied()
        documents = kustomize(K8S / "platform" / "kube-system-kind")
        return self.cluster.apply(documents, self.progress)

    def _gateway(self) -> Applied:
        """Our Gateway. Mode knative uses Kourier, a component of the platform."""
        name = "gateway-kind" if self.kind else "gateway"
        return gateway_up(self.cluster, K8S / "platform" / name, self.progress)

    def _base(self) -> str:
        if not self.settings.dry_run:
            made = ensure_passwords(our_namespace(self.cluster))
            if made.written:
                self.progress(f"random passwords made: {', '.join(made.written)}")
        documents = [
            with_image(document, CONTROL.name, self.control)
            for document in self.base
            if not self._is_done(document)
        ]
        applied = self._apply(documents)
        if not self.settings.dry_run:
            store = Ref("apps/v1", "StatefulSet", "store", NAMESPACE)
            wait(self.cluster, store, rolled_out, _STORE_SECONDS, self.progress)
            load_users(our_namespace(self.cluster), self.progress)
        return str(applied)

    def _is_done(self, document: Object) -> bool:
        """Whether a Job has run. Deletes one that failed or is of another image: a Job's template
        cannot be changed.
        """
        job = self.cluster.get(ref_of(document)) if document["kind"] == "Job" else None
        if job is None:
            return False
        ends = {c["type"] for c in job["status"].get("conditions") or () if c["status"] == "True"}
        same = set(images_in(job["spec"])) == {self.control}
        if "Complete" in ends or (same and "Failed" not in ends):
            return True
        self.cluster.delete(ref_of(document))
        return False

    def _data(self) -> str:
        job = Ref("batch/v1", "Job", "data", NAMESPACE)
        wait(self.cluster, job, job_complete, _DATA_SECONDS, self.progress)
        return "complete"

    def _prometheus(self) -> str:
        """Rules and scrape configuration of the release that is rolled out."""
        files = self.folder(self.renderings[-1]) / "prometheus"
        maps = [_config_map(files / name) for name in ("rules.yml", "scrape.yml")]
        digest = hashlib.sha256(repr(maps).encode()).hexdigest()[:16]
        documents = [
            with_pod_annotation(document, "proviso.dev/config", digest)
            for document in kustomize(K8S / "overlays" / "prometheus")
        ]
        applied = self._apply([*documents, *maps])
        if not self.settings.dry_run:
            server = Ref("apps/v1", "Deployment", "prometheus", MONITORING)
            wait(self.cluster, server, rolled_out, _STORE_SECONDS, self.progress)
        return str(applied)

    def _bring(self, release: Release, rendering: Rendering) -> Callable[[], str]:
        def act() -> str:
            documents = kustomize(self.folder(rendering))
            if self.revised:
                return self._revision(rendering.pair.candidate.name, documents)
            applied = self._apply(documents)
            if not self.settings.dry_run:
                self._await_release(deployed_release(release).name)
            return str(applied)

        return act

    def _revision(self, name: str, documents: list[Object]) -> str:
        """The objects around a revision first, then the InferenceService."""
        service = [one for one in documents if one["kind"] == SERVICE[1]]
        applied = self._apply([one for one in documents if one not in service])
        ours = {one.name for one in self.deployed}
        for one in service:
            outcome = self.revisions.bring(name, one, ours)
            applied.outcomes[str(ref_of(one))] = outcome
            self._add(applied)
        return f"{applied}; {self._shares()}"

    def _shares(self) -> str:
        traffic = self.revisions.traffic()
        shares = traffic.shares if traffic else {}
        return ", ".join(f"{name} {share}%" for name, share in shares.items()) or "no traffic"

    def _await_release(self, name: str) -> None:
        """Ready, with all the pods of the manifest: KServe starts with one."""
        service = Ref(*SERVICE, name, NAMESPACE)
        wait(self.cluster, service, inference_service_ready, _RELEASE_SECONDS, self.progress)
        spec = (self.cluster.get(service) or {}).get("spec", {})
        for component in ("predictor", "transformer"):
            if component in spec:
                workload = Ref("apps/v1", "Deployment", f"{name}-{component}", NAMESPACE)
                lack = runs_component(spec[component])
                wait(self.cluster, workload, lack, _RELEASE_SECONDS, self.progress)

    def _lead(self) -> str:
        """All traffic to the stable release, unless the route leads to our releases already."""
        step = self.route.step_in_force({one.name for one in self.deployed})
        if step is not None:
            return f"as it was: {step}"
        first = self.renderings[0]
        last = first.rollout[-1]
        text = (self.folder(first) / last.file).read_text(encoding="utf-8")
        self._add(self.route.apply(list(yaml.safe_load_all(text))))
        return f"{last.step.name} of {self.releases[0].model}"

    def _retire(self) -> str:
        """Before the releases come, as they may need the room; again when traffic has moved."""
        serving = self.revisions.serving() if self.revised else self.route.serving()
        return ", ".join(retire(self.cluster, self.deployed, serving)) or "none"

    def _ask(self) -> str:
        release, contracts = self.releases[0], self.settings.contracts
        host = self.deployed[0].hostname
        simulation = load_simulation(contracts, load_contract(contracts))
        ids = {one.entity: ids_of(_ASKED, one.ids).tolist() for one in simulation.populations}
        self.scored = ask(Endpoint(self.settings.address, host, release), ids, self.progress)
        return str(self.scored)

    # --- outcomes ------------------------------------------------------------------------------

    def _apply(self, documents: list[Object]) -> Applied:
        applied = self.cluster.apply(documents, self.progress)
        self._add(applied)
        return applied

    def _add(self, *applied: Applied) -> None:
        for one in applied:
            self.applied.outcomes |= one.outcomes


def shown(path: Path) -> Path:
    """A path relative to the present directory, where it is below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _others() -> tuple[str, ...]:
    """Images of other projects that our own manifests name."""
    documents = [*kustomize(K8S / "overlays" / "kind"), *kustomize(K8S / "overlays" / "prometheus")]
    named = {image for document in documents for image in images_in(document)}
    return tuple(sorted(image for image in named if not image.startswith("proviso/")))


def _config_map(path: Path) -> Object:
    check_is_file(path, "a rendered release")
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"prometheus-{path.stem}", "namespace": MONITORING},
        "data": {path.name: path.read_text()},
    }
