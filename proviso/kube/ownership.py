"""Who owns which field of an object: server-side apply by us, `kubectl apply` by users.

Users take the steps of a rollout with `kubectl apply -f`, which by default applies on the client's
side: it keeps the last applied text in an annotation, and owns fields under a name of its own. The
functions here let both work on one object: the annotation is written for kubectl, and fields that
kubectl owns are taken over before we apply (the same as kubectl's own migration to server-side
apply). Without it a field that only kubectl has stated would stay for ever (ADR 0080).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]

MANAGER = "proviso"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_KUBECTL = "kubectl-client-side-apply"


def with_last_applied(document: Object) -> dict[str, Any]:
    """The object with the annotation by which a later `kubectl apply` knows what was stated."""
    metadata = document["metadata"]
    annotations = {k: v for k, v in metadata.get("annotations", {}).items() if k != LAST_APPLIED}
    stated = {**document, "metadata": {**metadata, "annotations": annotations}}
    text = json.dumps(stated, separators=(",", ":")) + "\n"
    return {**stated, "metadata": {**metadata, "annotations": {**annotations, LAST_APPLIED: text}}}


def taken_over(managed: Sequence[Object], api_version: str) -> list[Object] | None:
    """metadata.managedFields with kubectl's entries joined to ours; None: kubectl owns nothing."""
    if not any(_is_kubectls(entry) for entry in managed):
        return None
    ours = [entry for entry in managed if _is_ours(entry) or _is_kubectls(entry)]
    others = [entry for entry in managed if entry not in ours]
    fields: dict[str, Any] = {}
    for entry in ours:
        fields = _union(fields, entry.get("fieldsV1", {}))
    joined = {
        "manager": MANAGER,
        "operation": "Apply",
        "apiVersion": api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    return [*others, joined]


def _is_ours(entry: Object) -> bool:
    return entry.get("manager") == MANAGER and entry.get("operation") == "Apply" and _whole(entry)


def _is_kubectls(entry: Object) -> bool:
    return entry.get("manager") == _KUBECTL and entry.get("operation") == "Update" and _whole(entry)


def _whole(entry: Object) -> bool:
    """Whether an entry is of the object itself, not of its status or scale."""
    return not entry.get("subresource")


def _union(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Two sets of fields, which are nested mappings with empty ones as leaves."""
    return {key: _union(one.get(key, {}), other.get(key, {})) for key in {**one, **other}}
