"""The API server as a deployment uses it, against a stand-in that speaks HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from proviso.contracts.base import InputError
from proviso.kube.api import Cluster, Ref, ref_of, silent
from tests.unit.kube.api_server import KINDS, ApiServer

SETTINGS = "/api/v1/namespaces/proviso/configmaps/settings"
WEBHOOK = 'failed calling webhook "a.b": connect: connection refused'


def config_map(**data: str) -> dict[str, Any]:
    metadata = {"name": "settings", "namespace": "proviso"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


@pytest.mark.usefixtures("api")
def test_what_was_applied_twice_is_unchanged() -> None:
    cluster = Cluster("stand-in")
    seen = [str(cluster.apply([config_map(a=value)], silent)) for value in ("1", "1", "2")]
    assert seen == ["1 created", "1 unchanged", "1 configured"]


def test_the_server_is_asked_to_refuse_unknown_fields(api: ApiServer) -> None:
    Cluster("stand-in").apply([config_map()], silent)
    [(method, path, query)] = api.writes
    assert (method, path) == ("PATCH", SETTINGS)
    assert query["fieldValidation"] == ["Strict"]
    assert query["fieldManager"] == ["proviso"]


def test_a_dry_run_says_what_would_change_and_keeps_nothing(api: ApiServer) -> None:
    api.keep(config_map(a="1"))
    dry = Cluster("stand-in", dry_run=True)
    assert str(dry.apply([config_map(a="1")], silent)) == "1 unchanged"
    assert str(dry.apply([config_map(a="2")], silent)) == "1 configured"
    assert api.objects[SETTINGS]["data"] == {"a": "1"}
    assert all(query["dryRun"] == ["All"] for _, _, query in api.writes)


def test_namespaces_come_before_what_lies_in_them(api: ApiServer) -> None:
    Cluster("stand-in").apply([config_map(), namespace("proviso")], silent)
    assert [path for _, path, _ in api.writes] == ["/api/v1/namespaces/proviso", SETTINGS]


def test_a_webhook_that_does_not_answer_yet_is_waited_for(api: ApiServer) -> None:
    api.refusals[SETTINGS] = [(500, WEBHOOK)]
    told: list[str] = []
    applied = Cluster("stand-in").apply([config_map()], told.append)
    assert str(applied) == "1 created"
    assert told == [f"waiting until ConfigMap settings in proviso can be applied: {WEBHOOK}"]


def test_what_a_webhook_refuses_is_refused_at_once(api: ApiServer) -> None:
    message = "admission webhook denied the request: 'MinReplicas' above MaxReplicas"
    api.refusals[SETTINGS] = [(400, message)]
    with pytest.raises(InputError) as refused:
        Cluster("stand-in").apply([config_map()], silent)
    [problem] = refused.value.problems
    assert (problem.code, problem.path) == ("apply_refused", "ConfigMap settings in proviso")
    assert problem.message.endswith(message)
    assert SETTINGS not in api.objects


def test_a_kind_that_comes_late_is_waited_for_but_not_in_a_dry_run(api: ApiServer) -> None:
    thing = {"apiVersion": "x.example/v1", "kind": "Thing", "metadata": {"name": "a"}}
    with pytest.raises(InputError, match="Thing a"):
        Cluster("stand-in", dry_run=True).apply([thing], silent)
    told: list[str] = []

    def comes(message: str) -> None:
        told.append(message)
        api.kinds["x.example/v1"] = [("things", "Thing", False)]

    assert str(Cluster("stand-in").apply([thing], comes)) == "1 created"
    assert len(told) == 1
    assert "x.example/v1" not in KINDS


def test_what_is_not_there_is_none_and_deleting_it_says_so(api: ApiServer) -> None:
    cluster = Cluster("stand-in")
    assert cluster.get(ref_of(config_map())) is None
    assert cluster.get(Ref("x.example/v1", "Thing", "a")) is None
    assert not cluster.delete(ref_of(config_map()))
    assert not cluster.delete(Ref("x.example/v1", "Thing", "a"))
    api.keep(config_map())
    assert cluster.delete(ref_of(config_map()))
    assert SETTINGS not in api.objects


def test_objects_are_found_by_their_labels(api: ApiServer) -> None:
    for name, unit in (("a", "1"), ("b", "2")):
        one = config_map()
        one["metadata"] |= {"name": name, "labels": {"unit": unit, "of": "us"}}
        api.keep(one)
    found = Cluster("stand-in").all("v1", "ConfigMap", "proviso", {"unit": "2", "of": "us"})
    assert [one["metadata"]["name"] for one in found] == ["b"]


@pytest.mark.usefixtures("api")
def test_an_context_unknown_is_named() -> None:
    with pytest.raises(InputError) as unknown:
        Cluster("elsewhere")
    [problem] = unknown.value.problems
    assert (problem.code, problem.path) == ("context_unknown", "--context")
    assert problem.found == "elsewhere"


def test_annotations_are_not_given_to_what_is_not_there(api: ApiServer) -> None:
    cluster = Cluster("stand-in")
    assert not cluster.annotate(ref_of(config_map()), {"a": "1"})
    assert api.writes == []
    api.keep(config_map())
    assert cluster.annotate(ref_of(config_map()), {"a": "1"})
    assert api.objects[SETTINGS]["metadata"]["annotations"] == {"a": "1"}
