"""Mode knative: the share of each release, and when a revision counts as ready."""

from __future__ import annotations

from typing import Any

import pytest

from proviso.contracts.base import ContractError
from proviso.deploy import revisions
from proviso.deploy.revisions import Revisions, Traffic, share_for
from proviso.kube.api import Cluster, silent
from proviso.kube.ownership import LAST_APPLIED
from tests.unit.kube.api_server import KINDS, ApiServer

OLD, NEW, OTHER = "late-1-0-0-aaaaaa", "late-1-1-0-bbbbbb", "late-0-9-0-cccccc"
OURS = {OLD, NEW}
IDS = {OLD: ("1.0.0", "r-aaaaaa11"), NEW: ("1.1.0", "r-bbbbbb22"), OTHER: ("0.9.0", "r-cccccc33")}
REVISION = "serving.knative.dev/v1"
Object = dict[str, Any]


def labels(unit: str) -> dict[str, str]:
    version, release = IDS[unit]
    names = {"model": "late", "version": version, "release": release}
    return {f"proviso.dev/{name}": value for name, value in names.items()}


def revision(number: int, unit: str) -> Object:
    metadata = {"name": f"late-{number}", "namespace": "proviso", "labels": labels(unit)}
    return {"apiVersion": REVISION, "kind": "Revision", "metadata": metadata}


def service(unit: str, percent: int, **state: Any) -> Object:
    """An InferenceService; state: of its predictor."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": "late",
            "namespace": "proviso",
            "labels": labels(unit),
            "annotations": {},
        },
        "spec": {"predictor": {"minReplicas": 1, "canaryTrafficPercent": percent}},
        "status": {
            # Knative's generation, which is not the InferenceService's.
            "observedGeneration": 0,
            "conditions": [{"type": "Ready", "status": "True"}],
            "components": {"predictor": state},
        },
    }


def split(**percents: int) -> list[dict[str, Any]]:
    return [{"revisionName": f"late-{name[1:]}", "percent": n} for name, n in percents.items()]


ISVC = "/apis/serving.kserve.io/v1beta1/namespaces/proviso/inferenceservices/late"


@pytest.fixture
def revised(api: ApiServer) -> ApiServer:
    """A cluster with two revisions."""
    api.kinds = {**KINDS, REVISION: [("revisions", "Revision", True)]}
    for number, unit in enumerate((OLD, NEW), start=1):
        api.keep(revision(number, unit))
    return api


@pytest.mark.parametrize(
    ("found", "shares"),
    [
        # Nothing there: the first release gets all, the candidate none.
        (None, (100, 0)),
        # As a deployment leaves it, and in the middle of a rollout: nobody loses anything.
        (Traffic(NEW, 0, {OLD: 100}), (None, 0)),
        (Traffic(NEW, 25, {OLD: 75, NEW: 25}), (None, 25)),
        (Traffic(NEW, 100, {NEW: 100}), (None, 100)),
        # The stable one alone, a candidate of it once: the new one comes without a share.
        (Traffic(OLD, 100, {OLD: 100}), (100, 0)),
        # Another's traffic, or none since the release was stopped: begin with the stable one.
        (Traffic(OTHER, 100, {OTHER: 100}), (100, 0)),
        (Traffic(NEW, 5, {OTHER: 95, NEW: 5}), (100, 0)),
        (Traffic(OLD, 100, {}), (100, 0)),
    ],
)
def test_a_deployment_takes_no_traffic_away(
    found: Traffic | None, shares: tuple[int | None, int | None]
) -> None:
    assert (share_for(OLD, 100, found, OURS), share_for(NEW, 0, found, OURS)) == shares


def test_traffic_is_read_by_release(revised: ApiServer) -> None:
    here = Revisions(Cluster("stand-in"), "late", silent)
    assert here.traffic() is None
    revised.keep(service(NEW, 5, traffic=[*split(r2=5), *split(r1=95), *split(r7=0)]))
    assert here.traffic() == Traffic(NEW, 5, {NEW: 5, OLD: 95})


STANDS = {
    "latestCreatedRevision": "late-2",
    "latestReadyRevision": "late-2",
    "traffic": split(r2=25, r1=75),
}


def test_a_release_is_applied_with_the_share_it_has(revised: ApiServer) -> None:
    revised.keep(service(NEW, 25, **STANDS))
    here = Revisions(Cluster("stand-in"), "late", silent)
    assert here.bring(NEW, service(NEW, 0), OURS) == "unchanged"
    assert revised.objects[ISVC]["spec"]["predictor"]["canaryTrafficPercent"] == 25
    # The next step is taken with kubectl, which reads there what was stated before.
    assert LAST_APPLIED in revised.objects[ISVC]["metadata"]["annotations"]


def test_what_became_of_a_release_is_said(revised: ApiServer) -> None:
    here = Revisions(Cluster("stand-in", dry_run=True), "late", silent)
    document = service(NEW, 25)
    assert here.bring(NEW, document, OURS) == "created"
    revised.keep(service(NEW, 25, **STANDS))
    document["spec"]["predictor"]["minReplicas"] = 2
    assert here.bring(NEW, document, OURS) == "configured"


def test_a_release_behind_the_newest_is_left_alone(revised: ApiServer) -> None:
    revised.keep(service(NEW, 25, traffic=split(r2=25, r1=75)))
    here = Revisions(Cluster("stand-in"), "late", silent)
    assert here.bring(OLD, service(OLD, 100), OURS) == "unchanged"
    assert revised.writes == []


def test_a_dry_run_asks_the_server_and_waits_for_nothing(revised: ApiServer) -> None:
    here = Revisions(Cluster("stand-in", dry_run=True), "late", silent)
    here.bring(NEW, service(NEW, 0), OURS)
    assert [query["dryRun"] for _, _, query in revised.writes] == [["All"]]
    assert ISVC not in revised.objects


@pytest.mark.parametrize(
    ("state", "lack"),
    [
        ({}, "revision none is not ready"),
        (
            {"latestCreatedRevision": "late-2", "latestReadyRevision": "late-1"},
            "revision late-2 is not ready",
        ),
        (
            {"latestCreatedRevision": "late-1", "latestReadyRevision": "late-1"},
            "revision late-1 is of an earlier release",
        ),
        (
            {
                "latestCreatedRevision": "late-2",
                "latestReadyRevision": "late-2",
                "traffic": split(r1=100),
            },
            "0% of the requests, 5% asked for",
        ),
    ],
)
def test_what_a_revision_lacks_is_said(
    revised: ApiServer, monkeypatch: pytest.MonkeyPatch, state: Object, lack: str
) -> None:
    monkeypatch.setattr(revisions, "_SECONDS", 0.0)
    revised.keep(service(NEW, 5, **state))
    here = Revisions(Cluster("stand-in"), "late", silent)
    found = here.traffic()
    assert found is not None
    with pytest.raises(ContractError) as failed:
        here.bring(NEW, service(NEW, 5), {NEW})
    assert lack in str(failed.value)
