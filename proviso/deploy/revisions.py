"""Mode knative: the model's one InferenceService, whose revisions are its releases.

A release is brought as the newest revision with a share that is always said (ADR 0055). What is
under way already is left as it is: a second deployment takes no traffic from anybody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from proviso.kube.api import Cluster, Outcome, Progress, Ref
from proviso.kube.programs import call
from proviso.kube.waiting import Missing, ready, wait
from proviso.rollout.deployed import NAMESPACE, PREFIX, DeployedRelease

SERVICE = ("serving.kserve.io/v1beta1", "InferenceService")
_REVISION = ("serving.knative.dev/v1", "Revision")
_SECONDS = 300.0
_ALL = 100
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Traffic:
    """What the InferenceService was told last, and who answers.

    newest: the unit that was applied last; percent: the share that it was given; shares: percent
    of the requests by unit, of those that have any.
    """

    newest: str
    percent: int
    shares: Mapping[str, int]

    def is_of(self, ours: Set[str]) -> bool:
        """Whether somebody answers, and nobody but ours; the newest is ours, too."""
        return self.newest in ours and bool(self.shares) and self.shares.keys() <= ours


def share_for(unit: str, rendered: int, found: Traffic | None, ours: Set[str]) -> int | None:
    """The percentage that a release of a deployment is applied with. None: it stays an older one.

    rendered: what its own file says, 100 for the first release and 0 for a candidate. ours: all
    units of the deployment.
    """
    if found is None or not found.is_of(ours):
        return rendered
    if found.newest == unit:
        return found.percent
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
        found = self.cluster.get(self.ref)
        if found is None:
            return None
        percent = found["spec"]["predictor"].get("canaryTrafficPercent", _ALL)
        return Traffic(_unit(found), percent, self._shares(found))

    def bring(self, unit: str, document: Object, ours: Set[str]) -> Outcome:
        """Applies a release's InferenceService, and waits until its pods are ready."""
        rendered = document["spec"]["predictor"]["canaryTrafficPercent"]
        share = share_for(unit, rendered, self.traffic(), ours)
        if share is None:
            return "unchanged"
        before = self.cluster.get(self.ref)
        after = self._apply(_with_share(document, share))
        if not self.cluster.dry_run:
            wait(self.cluster, self.ref, self._missing(unit, share), _SECONDS, self.progress)
        if before is None:
            return "created"
        return "unchanged" if _said(before) == _said(after) else "configured"

    def _apply(self, document: Object) -> Object:
        """With kubectl, as the steps that follow will be: so it knows what was applied before."""
        dry = ["--dry-run=server"] if self.cluster.dry_run else []
        command = ["kubectl", "--context", self.cluster.context, "apply", *dry]
        text = call([*command, "-o", "json", "-f", "-"], text=json.dumps(document))
        after: Object = json.loads(text)
        return after

    def _missing(self, unit: str, share: int) -> Missing:
        """What lacks until a unit is the newest revision, ready, and has its share."""

        def lack(found: Object) -> str | None:
            state = _predictor(found)
            created, newest = state.get("latestCreatedRevision"), state.get("latestReadyRevision")
            if created is None or created != newest:
                return f"revision {created or 'none'} is not ready"
            if self._unit_of(created) != unit:
                return f"revision {created} is of an earlier release"
            given = self._shares(found).get(unit, 0)
            if given != share:
                return f"{given}% of the requests, {share}% asked for"
            return ready(found)

        return lack

    def _shares(self, found: Object) -> dict[str, int]:
        shares: dict[str, int] = {}
        for target in _predictor(found).get("traffic", []):
            unit, percent = self._unit_of(target.get("revisionName", "")), target.get("percent", 0)
            if unit and percent:
                shares[unit] = shares.get(unit, 0) + percent
        return shares

    def _unit_of(self, revision: str) -> str:
        """Empty for a revision that is gone."""
        found = self.cluster.get(Ref(*_REVISION, revision, NAMESPACE)) if revision else None
        return _unit(found) if found else ""


def _predictor(found: Object) -> Mapping[str, Any]:
    state: Mapping[str, Any] = found.get("status", {}).get("components", {}).get("predictor", {})
    return state


def _unit(found: Object) -> str:
    """The unit that an object of ours, or a revision, is of."""
    labels = found["metadata"].get("labels", {})
    model, version, release = (
        labels.get(f"{PREFIX}/{name}", "") for name in ("model", "version", "release")
    )
    return DeployedRelease(model, version, release, {}).name


def _said(found: Object) -> Object:
    """What an InferenceService asks for, without kubectl's notes."""
    metadata, noted = found["metadata"], "kubectl.kubernetes.io/last-applied-configuration"
    annotations = {k: v for k, v in metadata["annotations"].items() if k != noted}
    return {"spec": found["spec"], "labels": metadata["labels"], "annotations": annotations}


def _with_share(document: Object, percent: int) -> dict[str, Any]:
    spec = document["spec"]
    predictor = {**spec["predictor"], "canaryTrafficPercent": percent}
    return {**document, "spec": {**spec, "predictor": predictor}}
