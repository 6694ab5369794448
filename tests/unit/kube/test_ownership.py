"""Objects that both `kubectl apply` and we write: no field of either stays behind."""

from __future__ import annotations

import json
from typing import Any

from proviso.kube.api import Cluster
from proviso.kube.ownership import LAST_APPLIED, taken_over, with_last_applied
from tests.unit.kube.api_server import ApiServer

SETTINGS = "/api/v1/namespaces/proviso/configmaps/settings"
Object = dict[str, Any]


def entry(manager: str, operation: str, fields: Object, **more: str) -> Object:
    return {"manager": manager, "operation": operation, "fieldsV1": fields, **more}


def config_map(**metadata: Any) -> Object:
    named = {"name": "settings", "namespace": "proviso", **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": {"a": "1"}}


KUBECTL = entry("kubectl-client-side-apply", "Update", {"f:data": {"f:old": {}, "f:a": {}}})
OURS = entry("proviso", "Apply", {"f:data": {"f:a": {}}, "f:metadata": {"f:labels": {}}})
CONTROLLER = entry("controller", "Update", {"f:status": {}}, subresource="status")


def test_fields_of_kubectl_become_ours_and_others_stay() -> None:
    managed = taken_over([CONTROLLER, KUBECTL, OURS], "v1")
    assert managed is not None
    others, joined = managed[:-1], managed[-1]
    assert others == [CONTROLLER]
    assert (joined["manager"], joined["operation"]) == ("proviso", "Apply")
    assert joined["fieldsV1"] == {
        "f:data": {"f:old": {}, "f:a": {}},
        "f:metadata": {"f:labels": {}},
    }


def test_an_object_that_kubectl_never_applied_is_left_alone() -> None:
    patched = entry("kubectl-patch", "Update", {"f:data": {}})
    status = {**KUBECTL, "subresource": "status"}
    assert taken_over([CONTROLLER, OURS, patched, status], "v1") is None
    assert taken_over([], "v1") is None


def test_ownership_changes_before_the_object_is_applied(api: ApiServer) -> None:
    api.keep(config_map(managedFields=[KUBECTL]))
    Cluster("stand-in").apply([config_map()])
    [(_, path, _), (_, _, applied)] = api.writes
    assert path == SETTINGS
    assert applied["fieldManager"] == ["proviso"]
    [owner] = api.objects[SETTINGS]["metadata"]["managedFields"]
    assert owner["manager"] == "proviso"


def test_a_controller_that_writes_meanwhile_is_no_error(api: ApiServer) -> None:
    api.keep(config_map(managedFields=[KUBECTL]))
    api.refusals[SETTINGS] = [(409, "the object has been modified")]
    assert str(Cluster("stand-in").apply([config_map()])) == "1 unchanged"
    assert len(api.writes) == 3


def test_kubectl_finds_what_was_stated_last() -> None:
    stated = with_last_applied(config_map(annotations={"b": "2"}))
    annotations = stated["metadata"]["annotations"]
    assert annotations["b"] == "2"
    assert json.loads(annotations[LAST_APPLIED]) == config_map(annotations={"b": "2"})
    assert with_last_applied(stated) == stated


def test_the_note_for_kubectl_is_no_change(api: ApiServer) -> None:
    api.keep(config_map(annotations={LAST_APPLIED: "written by kubectl\n"}))
    assert str(Cluster("stand-in").apply([with_last_applied(config_map())])) == "1 unchanged"
