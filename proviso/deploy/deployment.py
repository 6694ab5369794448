"""`make deploy`: every step from nothing to a scored request, each with its own read-back.

The list of steps is the plan that `--dry-run` prints; running it twice changes nothing. Raises
ValidationFailed with what a step found; what was done stays, and the next run goes on from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from proviso.contracts.base import InputError
from proviso.contracts.loading import load_contract, load_plan
from proviso.deploy import images, kind
from proviso.deploy.changes import images_in, units_of_route, with_image, with_note
from proviso.deploy.first_request import Endpoint, Scored, ask
from proviso.deploy.kind import Kind
from proviso.deploy.platform import Platform, bring_up, gateway_up, kustomize
from proviso.deploy.revisions import SERVICE, Revisions
from proviso.deploy.rotation import load_users
from proviso.deploy.secrets import ensure_passwords
from proviso.deploy.storage import make_directories
from proviso.deploy.upstream import read_pins
from proviso.kube.api import Applied, Cluster, Progress, Ref, ref_of
from proviso.kube.namespace import Inside
from proviso.kube.programs import call
from proviso.kube.waiting import accepted, completed, ready, rolled_out, runs, wait
from proviso.manifests.checks import Request
from proviso.manifests.folder import write
from proviso.manifests.images import BASE, CONTROL, ROOT, control_image
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
"""The committed manifests are those of mode standard; another mode's stay out of their place."""
MONITORING = "proviso-monitoring"
_STORE_SECONDS, _DATA_SECONDS, _RELEASE_SECONDS = 180.0, 900.0, 300.0
_ASKED = 50
"""Entities of the made up world that a request is tried with: some join it late."""
_ROUTE = ("gateway.networking.k8s.io/v1", "HTTPRoute")
_GUARD = "ValidatingAdmissionPolicy"
_PLATFORMS: dict[Mode, str] = {
    "standard": "cert-manager, Envoy Gateway, KServe",
    "knative": "cert-manager, Knative Serving, Kourier, KServe",
}
Object = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What is asked for. stable None: the release is the first and gets the traffic itself."""

    contracts: Path
    release: Path
    stable: Path | None
    context: str
    mirror: Path | None
    address: str
    dry_run: bool = False
    mode: Mode = "standard"


@dataclass(frozen=True)
class Step:
    """One line of the plan; `act` says in words what it came to."""

    title: str
    act: Callable[[], str]


@dataclass
class Installer:
    """A deployment under way; `applied` collects what became of every object."""

    settings: Settings
    progress: Progress
    applied: Applied = field(default_factory=Applied)
    scored: Scored | None = None
    control: str = field(default_factory=lambda: control_image(BASE))
    """The Jobs' image: one for all of them, also when sources change while this runs."""

    # --- what it is made of --------------------------------------------------------------------

    @cached_property
    def kind(self) -> Kind | None:
        """The kind cluster, where it is one."""
        return kind.named(self.settings.context)

    @cached_property
    def cluster(self) -> Cluster:
        return Cluster(self.settings.context, dry_run=self.settings.dry_run)

    @cached_property
    def platform(self) -> Platform:
        folder = K8S / "platform"
        return Platform(folder, read_pins(folder), self.settings.mirror, self.settings.mode)

    @cached_property
    def base(self) -> list[Object]:
        """Namespace, store, jobs and policies, with volumes on the node where it is kind.

        The guard watches routes of the Gateway API, which mode knative has none of.
        """
        documents = kustomize(K8S / ("overlays/kind" if self.kind else "base"))
        return [one for one in documents if not self.revised or not one["kind"].startswith(_GUARD)]

    @property
    def revised(self) -> bool:
        """Mode knative: releases are revisions of one InferenceService, and there is no route."""
        return self.settings.mode == "knative"

    @cached_property
    def revisions(self) -> Revisions:
        return Revisions(self.cluster, self.releases[0].model_name, self.progress)

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
    def units(self) -> list[DeployedRelease]:
        """The stable one first."""
        return [rendering.pair.candidate for rendering in self.renderings]

    def folder(self, rendering: Rendering) -> Path:
        return RENDERED[self.settings.mode] / rendering.version

    # --- the steps -----------------------------------------------------------------------------

    @property
    def steps(self) -> Iterator[Step]:
        """In order. What a dry run at the server leaves out makes things outside of it."""
        real = not self.settings.dry_run
        if self.kind and real:
            yield Step(f"kind cluster {self.kind.name}", self._kind)
        yield Step("manifests of the releases", self._render)
        if real:
            yield Step("images", self._images)
        yield Step(f"platform: {_PLATFORMS[self.settings.mode]}", self._platform)
        yield Step("namespace, passwords, store, jobs", self._base)
        if real:
            yield Step("data: simulated, computed, in the store", self._data)
        yield Step("Prometheus", self._prometheus)
        if real:
            yield Step("releases that nothing leads to any more", self._retire)
        for release, rendering in zip(self.releases, self.renderings, strict=True):
            yield Step(f"release {release.model} {release.id}", self._unit(release, rendering))
        if not self.revised:
            yield Step("route", self._route)
        if real:
            yield Step("releases that nothing leads to now", self._retire)
            yield Step("a request through the gateway", self._ask)

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
            return f"not loaded: {self.settings.context} is no kind cluster; its nodes need {names}"
        others = (*self.platform.images, *_others())
        loaded = images.load(self.kind.name, (*names, *kind.present(others)), self.progress)
        return f"{len(names)} of ours, {len(loaded)} loaded"

    def _platform(self) -> str:
        platform = bring_up(self.cluster, self.platform, self.progress)
        ours = self._apply([one for one in self.base if one["kind"] == "Namespace"])
        gateway = Applied() if self.revised else self._gateway()
        self._add(platform, gateway)
        return str(Applied(platform.outcomes | ours.outcomes | gateway.outcomes))

    def _gateway(self) -> Applied:
        """Ours, of the Gateway API; in mode knative it is Kourier, a part of the platform."""
        name = "gateway-kind" if self.kind else "gateway"
        return gateway_up(self.cluster, K8S / "platform" / name, self.progress)

    def _base(self) -> str:
        if not self.settings.dry_run:
            made = ensure_passwords(Inside(self.cluster.core))
            if made.written:
                self.progress(f"passwords made at random: {', '.join(made.written)}")
        documents = [
            with_image(document, CONTROL.name, self.control)
            for document in self.base
            if not self._is_done(document)
        ]
        applied = self._apply(documents)
        if not self.settings.dry_run:
            store = Ref("apps/v1", "StatefulSet", "store", NAMESPACE)
            wait(self.cluster, store, rolled_out, _STORE_SECONDS, self.progress)
            load_users(Inside(self.cluster.core), self.progress)
        return str(applied)

    def _is_done(self, document: Object) -> bool:
        """A Job that has run stays. One that cannot, or is of another image, is made again."""
        found = self.cluster.get(ref_of(document)) if document["kind"] == "Job" else None
        if found is None:
            return False
        ends = {c["type"] for c in found["status"].get("conditions") or () if c["status"] == "True"}
        same = set(images_in(found["spec"])) == {self.control}
        if "Complete" in ends or (same and "Failed" not in ends):
            return True
        self.cluster.delete(ref_of(document))
        return False

    def _data(self) -> str:
        job = Ref("batch/v1", "Job", "data", NAMESPACE)
        wait(self.cluster, job, completed, _DATA_SECONDS, self.progress)
        return "complete"

    def _prometheus(self) -> str:
        """Rules and scrape configuration of the release that is rolled out."""
        files = self.folder(self.renderings[-1]) / "prometheus"
        maps = [_config_map(files / name) for name in ("rules.yml", "scrape.yml")]
        digest = hashlib.sha256(repr(maps).encode()).hexdigest()[:16]
        documents = [
            with_note(document, "proviso.dev/config", digest)
            for document in kustomize(K8S / "overlays" / "prometheus")
        ]
        applied = self._apply([*documents, *maps])
        if not self.settings.dry_run:
            server = Ref("apps/v1", "Deployment", "prometheus", MONITORING)
            wait(self.cluster, server, rolled_out, _STORE_SECONDS, self.progress)
        return str(applied)

    def _unit(self, release: Release, rendering: Rendering) -> Callable[[], str]:
        def act() -> str:
            documents = kustomize(self.folder(rendering))
            if self.revised:
                return self._revision(rendering.pair.candidate.name, documents)
            applied = self._apply(documents)
            if not self.settings.dry_run:
                self._await_unit(deployed_release(release).name)
            return str(applied)

        return act

    def _revision(self, unit: str, documents: list[Object]) -> str:
        """What stands around a revision first, then the InferenceService that it is one of."""
        service = [one for one in documents if one["kind"] == SERVICE[1]]
        applied = self._apply([one for one in documents if one not in service])
        ours = {one.name for one in self.units}
        for one in service:
            outcome = self.revisions.bring(unit, one, ours)
            applied.outcomes[str(ref_of(one))] = outcome
            self._add(applied)
        return f"{applied}; {self._shares()}"

    def _shares(self) -> str:
        found = self.revisions.traffic()
        shares = found.shares if found else {}
        return ", ".join(f"{unit} {share}%" for unit, share in shares.items()) or "no traffic"

    def _await_unit(self, name: str) -> None:
        """Ready, with all the pods that were asked for: KServe begins with one."""
        service = Ref(*SERVICE, name, NAMESPACE)
        wait(self.cluster, service, ready, _RELEASE_SECONDS, self.progress)
        spec = (self.cluster.get(service) or {}).get("spec", {})
        for component in ("predictor", "transformer"):
            if component in spec:
                workload = Ref("apps/v1", "Deployment", f"{name}-{component}", NAMESPACE)
                lack = runs(spec[component])
                wait(self.cluster, workload, lack, _RELEASE_SECONDS, self.progress)

    def _route(self) -> str:
        """A first deployment gives the stable release all traffic; a later one takes none away."""
        route = Ref(*_ROUTE, self.releases[0].model_name, NAMESPACE)
        found = self.cluster.get(route)
        if found is not None and self._leads_to_ours(found):
            step = found["metadata"].get("annotations", {}).get("proviso.dev/step")
            return f"as it was: {step}"
        first = self.renderings[0]
        path = self.folder(first) / first.rollout[-1].file
        # The command of every later step, too: so kubectl knows what it applied last.
        call(self._kubectl("apply", "-f", str(path)))
        if not self.settings.dry_run:
            wait(self.cluster, route, accepted, _STORE_SECONDS, self.progress)
        self.applied.outcomes[str(route)] = "configured" if found else "created"
        return f"{first.rollout[-1].step.name} of {self.releases[0].model}"

    def _kubectl(self, *arguments: str) -> list[str]:
        dry = ["--dry-run=server"] if self.settings.dry_run else []
        return ["kubectl", "--context", self.settings.context, *arguments, *dry]

    def _leads_to_ours(self, route: Object) -> bool:
        """Whether every backend is a release of this deployment: else it would lead to nothing."""
        led_to = set(units_of_route(route["spec"]))
        return bool(led_to) and led_to <= {
            deployed_release(release).name for release in self.releases
        }

    def _retire(self) -> str:
        """Units of the same versions under another id, whose source has changed since.

        Before the releases come, as they may need the room; what has traffic stays until it moved.
        """
        versions = {unit.version for unit in self.units}
        kept = {unit.name for unit in self.units} | self._led_to()
        gone = {
            name: labels
            for name, labels in self._deployed().items()
            if name not in kept and labels.get("proviso.dev/version") in versions
        }
        for labels in gone.values():
            self._delete_unit(labels["proviso.dev/release"])
        return ", ".join(gone) or "none"

    def _deployed(self) -> dict[str, dict[str, str]]:
        """Labels of the units that are there, by name. Revisions share an InferenceService, so
        there it is their Services that tell.
        """
        kind, suffix = (("v1", "Service"), "-public") if self.revised else (SERVICE, "")
        model = {"proviso.dev/model": self.releases[0].model_name}
        found = [one["metadata"] for one in self.cluster.all(*kind, NAMESPACE, model)]
        return {
            one["name"].removesuffix(suffix): one["labels"]
            for one in found
            if one["name"].endswith(suffix)
        }

    def _led_to(self) -> set[str]:
        """Units that have a share, or a copy, of the traffic."""
        if self.revised:
            found = self.revisions.traffic()
            return set(found.shares) if found else set()
        route = self.cluster.get(Ref(*_ROUTE, self.releases[0].model_name, NAMESPACE))
        return set(units_of_route(route["spec"])) if route else set()

    def _delete_unit(self, release_id: str) -> None:
        """All that is its own: the InferenceService of revisions is everybody's."""
        labels = {"proviso.dev/release": release_id}
        for api_version, name in (
            *(() if self.revised else (SERVICE,)),
            ("v1", "Service"),
            ("policy/v1", "PodDisruptionBudget"),
            ("networking.k8s.io/v1", "NetworkPolicy"),
        ):
            for found in self.cluster.all(api_version, name, NAMESPACE, labels):
                self.cluster.delete(ref_of(found))

    def _ask(self) -> str:
        release, contracts = self.releases[0], self.settings.contracts
        host = self.units[0].hostname
        simulation = load_simulation(contracts, load_contract(contracts))
        ids = {one.entity: ids_of(_ASKED, one.ids).tolist() for one in simulation.populations}
        self.scored = ask(Endpoint(self.settings.address, host, release), ids, self.progress)
        return str(self.scored)

    # --- small things --------------------------------------------------------------------------

    def _apply(self, documents: list[Object]) -> Applied:
        applied = self.cluster.apply(documents, self.progress)
        self._add(applied)
        return applied

    def _add(self, *applied: Applied) -> None:
        for one in applied:
            self.applied.outcomes |= one.outcomes


def shown(path: Path) -> Path:
    """A path as somebody in the present directory would write it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _others() -> tuple[str, ...]:
    """Images of others that our own manifests name."""
    documents = [*kustomize(K8S / "overlays" / "kind"), *kustomize(K8S / "overlays" / "prometheus")]
    named = {image for document in documents for image in images_in(document)}
    return tuple(sorted(image for image in named if not image.startswith("proviso/")))


def _config_map(path: Path) -> Object:
    if not path.is_file():
        raise InputError.of(path, "no such file", "a rendered release")
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"prometheus-{path.stem}", "namespace": MONITORING},
        "data": {path.name: path.read_text()},
    }
