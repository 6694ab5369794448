"""Mode knative: the model's one InferenceService, whose revisions are its releases.

A release is applied as the newest revision with a share that is always stated (ADR 0055). A rollout
in progress is left as it is: a second deployment takes traffic from no release.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from proviso.kube.api import Cluster, Outcome, Progress, Ref
from proviso.kube.ownership import with_last_applied
from proviso.kube.waiting import Readiness, inference_service_ready, wait
from proviso.rollout.deployed import NAMESPACE, PREFIX, DeployedRelease

SERVICE = ("serving.kserve.io/v1beta1", "InferenceService")
_REVISION = ("serving.knative.dev/v1", "Revision")
_SECONDS = 300.0
_ALL = 100
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Traffic:
    """What the InferenceService states, and which deployed releases answer, by their names.

    newest: the release that was applied last; percent: the share that it was given; shares:
    percent of the requests by release, of those that have any.
    """

    newest: str
    percent: int
    shares: Mapping[str, int]

    def is_of(self, ours: Set[str]) -> bool:
        """Whether all that answer are ours, and at least one does; the newest is ours, too."""
        return self.newest in ours and bool(self.shares) and self.shares.keys() <= ours


def share_for(name: str, rendered: int, traffic: Traffic | None, ours: Set[str]) -> int | None:
    """The percentage that a release is applied with. None: it stays an earlier revision.

    name: of the deployed release; rendered: what its own file says, 100 for the first release and
    0 for a candidate; ours: the names of all releases of the deployment.
    """
    if traffic is None or not traffic.is_of(ours):
        return rendered
    if traffic.newest == name:
        return traffic.percent
    # The stable release was before the newest; to apply it again would promote it.
    return None if rendered else 0


@dataclass(frozen=True)
class Revisions:
    """A model's InferenceService in a cluster."""

    cluster: Cluster
    model_name: str
    progress: Progress

    @property
    def ref(self) -> Ref:
        return Ref(*SERVICE, self.model_name, NAMESPACE)

    def traffic(self) -> Traffic | None:
        """None where there is no InferenceService."""
        service = self.cluster.get(self.ref)
        if service is None:
            return None
        percent = service["spec"]["predictor"].get("canaryTrafficPercent", _ALL)
        return Traffic(_name(service), percent, self._shares(service))

    def serving(self) -> set[str]:
        """Names of the deployed releases that have a share of the traffic."""
        traffic = self.traffic()
        return set(traffic.shares) if traffic else set()

    def bring(self, name: str, document: Object, ours: Set[str]) -> Outcome:
        """Applies a release's InferenceService, and waits until its pods are ready."""
        rendered = document["spec"]["predictor"]["canaryTrafficPercent"]
        share = share_for(name, rendered, self.traffic(), ours)
        if share is None:
            return "unchanged"
        # The steps that follow are taken with kubectl: it has to know what is stated now.
        stated = with_last_applied(_with_share(document, share))
        [outcome] = self.cluster.apply([stated], self.progress).outcomes.values()
        if not self.cluster.dry_run:
            wait(self.cluster, self.ref, self._readiness(name, share), _SECONDS, self.progress)
        return outcome

    def _readiness(self, name: str, share: int) -> Readiness:
        """A release is the newest revision, ready, and has its share."""

        def lack(service: Object) -> str | None:
            state = _predictor(service)
            created, newest = state.get("latestCreatedRevision"), state.get("latestReadyRevision")
            if created is None or created != newest:
                return f"revision {created or 'none'} is not ready"
            if self._name_of(created) != name:
                return f"revision {created} is of an earlier release"
            given = self._shares(service).get(name, 0)
            if given != share:
                return f"{given}% of the requests, {share}% asked for"
            return inference_service_ready(service)

        return lack

    def _shares(self, service: Object) -> dict[str, int]:
        shares: dict[str, int] = {}
        for target in _predictor(service).get("traffic", []):
            name, percent = self._name_of(target.get("revisionName", "")), target.get("percent", 0)
            if name and percent:
                shares[name] = shares.get(name, 0) + percent
        return shares

    def _name_of(self, revision: str) -> str:
        """The deployed release of a revision; empty for a revision that is gone."""
        ref = Ref(*_REVISION, revision, NAMESPACE)
        present = self.cluster.get(ref) if revision else None
        return _name(present) if present else ""


def _predictor(service: Object) -> Mapping[str, Any]:
    state: Mapping[str, Any] = service.get("status", {}).get("components", {}).get("predictor", {})
    return state


def _name(document: Object) -> str:
    """The deployed release's name by the labels of an object of ours, or of a revision."""
    labels = document["metadata"].get("labels", {})
    model, version, release = (
        labels.get(f"{PREFIX}/{name}", "") for name in ("model", "version", "release")
    )
    return DeployedRelease(model, version, release, {}).name


def _with_share(document: Object, percent: int) -> dict[str, Any]:
    spec = document["spec"]
    predictor = {**spec["predictor"], "canaryTrafficPercent": percent}
    return {**document, "spec": {**spec, "predictor": predictor}}
