"""Deletes deployed releases that a deployment has replaced: the same version under another id.

They are left behind when sources change between two deployments. What has traffic stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from proviso.deploy.revisions import SERVICE
from proviso.kube.api import Cluster, ref_of
from proviso.rollout.deployed import NAMESPACE, PREFIX, DeployedRelease

_AROUND = (
    ("v1", "Service"),
    ("policy/v1", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
)


def retire(cluster: Cluster, releases: Sequence[DeployedRelease], serving: Set[str]) -> list[str]:
    """Names of the deployed releases that were deleted.

    releases: of this deployment, at least one. serving: names of those with traffic.
    """
    versions = {release.version for release in releases}
    kept = {release.name for release in releases} | serving
    revised = releases[0].mode == "knative"
    replaced = {
        name: labels
        for name, labels in _present(cluster, releases[0].model_name, revised).items()
        if name not in kept and labels.get(f"{PREFIX}/version") in versions
    }
    for labels in replaced.values():
        _delete(cluster, labels[f"{PREFIX}/release"], revised)
    return list(replaced)


def _present(cluster: Cluster, model_name: str, revised: bool) -> dict[str, Mapping[str, str]]:
    """Labels of the deployed releases of a model, by name.

    Revisions share an InferenceService, so in mode knative it is their Services that tell.
    """
    kind, suffix = (("v1", "Service"), "-public") if revised else (SERVICE, "")
    listed = cluster.all(*kind, NAMESPACE, {f"{PREFIX}/model": model_name})
    return {
        one["metadata"]["name"].removesuffix(suffix): one["metadata"]["labels"]
        for one in listed
        if one["metadata"]["name"].endswith(suffix)
    }


def _delete(cluster: Cluster, release_id: str, revised: bool) -> None:
    """All that is the release's own; in mode knative the InferenceService is every release's."""
    labels = {f"{PREFIX}/release": release_id}
    for api_version, kind in (*(() if revised else (SERVICE,)), *_AROUND):
        for one in cluster.all(api_version, kind, NAMESPACE, labels):
            cluster.delete(ref_of(one))
