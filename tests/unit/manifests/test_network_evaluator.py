"""The evaluator against Kubernetes' own words on NetworkPolicies, before anything relies on it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.manifests.network_evaluator import ELSEWHERE, Network, Pod, selects

NAMESPACES = {"here": {"team": "a"}, "there": {"team": "b"}}
WEB = Pod("here", {"app": "web"})
DATABASE = Pod("here", {"app": "db"}, {"sql": 5432})
STRANGER = Pod("there", {"app": "web"})


def policy(spec: dict[str, Any], namespace: str = "here") -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": namespace},
        "spec": {"podSelector": {}} | spec,
    }


def network(*specs: dict[str, Any]) -> Network:
    return Network(tuple(policy(spec) for spec in specs), NAMESPACES)


def into_database(*peers: dict[str, Any], ports: list[dict[str, Any]] | None = None) -> Network:
    rule: dict[str, Any] = {"from": list(peers)} | ({"ports": ports} if ports else {})
    return network({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [rule]})


def test_without_policies_everything_is_open() -> None:
    assert network().allows(STRANGER, DATABASE, 5432)
    assert network().allows(ELSEWHERE, DATABASE, 5432)


def test_a_selected_pod_is_closed_in_the_named_directions_only() -> None:
    closed = network({"policyTypes": ["Ingress"]})
    assert not closed.allows(STRANGER, WEB, 80)
    assert closed.allows(WEB, STRANGER, 80)
    assert closed.allows(WEB, ELSEWHERE, 443)


def test_without_policy_types_ingress_is_meant_and_egress_where_there_are_such_rules() -> None:
    assert not network({}).allows(STRANGER, WEB, 80)
    assert network({}).allows(WEB, ELSEWHERE, 443)
    assert not network({"egress": []}).allows(WEB, ELSEWHERE, 443)


def test_a_policy_is_for_its_own_namespace() -> None:
    assert network({"policyTypes": ["Ingress", "Egress"]}).allows(STRANGER, STRANGER, 80)


def test_policies_add_up() -> None:
    deny: dict[str, Any] = {"policyTypes": ["Ingress"]}
    allow: dict[str, Any] = {"ingress": [{"from": [{"podSelector": {}}]}]}
    assert network(deny, allow).allows(WEB, DATABASE, 1)
    assert not network(deny).allows(WEB, DATABASE, 1)


def test_both_ends_must_agree() -> None:
    from_web = {"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]}
    no_egress = {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"]}
    assert network(from_web).allows(WEB, DATABASE, 1)
    assert not network(from_web, no_egress).allows(WEB, DATABASE, 1)


def test_a_pod_selector_alone_stays_in_the_namespace_of_the_policy() -> None:
    web = {"podSelector": {"matchLabels": {"app": "web"}}}
    assert into_database(web).allows(WEB, DATABASE, 5432)
    assert not into_database(web).allows(STRANGER, DATABASE, 5432)


def test_a_namespace_selector_alone_means_all_its_pods_and_with_a_pod_selector_both_hold() -> None:
    team = {"namespaceSelector": {"matchLabels": {"team": "b"}}}
    assert into_database(team).allows(STRANGER, DATABASE, 5432)
    assert not into_database(team).allows(WEB, DATABASE, 5432)
    both = team | {"podSelector": {"matchLabels": {"app": "other"}}}
    assert not into_database(both).allows(STRANGER, DATABASE, 5432)


def test_a_rule_without_peers_is_for_everybody_and_an_empty_namespace_selector_is_not() -> None:
    assert into_database().allows(ELSEWHERE, DATABASE, 5432)
    everywhere = into_database({"namespaceSelector": {}})
    assert everywhere.allows(STRANGER, DATABASE, 5432)
    assert not everywhere.allows(ELSEWHERE, DATABASE, 5432)


@pytest.mark.parametrize(
    ("ports", "port", "protocol", "opens"),
    [
        ([{"port": 5432}], 5432, "TCP", True),
        ([{"port": 5432}], 5433, "TCP", False),
        ([{"port": 5432}], 5432, "UDP", False),
        ([{"port": "sql"}], 5432, "TCP", True),
        ([{"port": "other"}], 5432, "TCP", False),
        ([{"protocol": "UDP"}], 53, "UDP", True),
        ([{"port": 5000, "endPort": 6000}], 5432, "TCP", True),
        ([{"port": 1}, {"port": 2}], 2, "TCP", True),
    ],
)
def test_ports(ports: list[dict[str, Any]], port: int, protocol: str, opens: bool) -> None:
    assert into_database(ports=ports).allows(WEB, DATABASE, port, protocol) is opens


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ({"key": "app", "operator": "In", "values": ["web", "db"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["web"]}, False),
        ({"key": "none", "operator": "NotIn", "values": ["web"]}, True),
        ({"key": "app", "operator": "Exists"}, True),
        ({"key": "app", "operator": "DoesNotExist"}, False),
    ],
)
def test_expressions(expression: dict[str, Any], holds: bool) -> None:
    assert selects({"matchExpressions": [expression]}, WEB.labels) is holds


def test_labels_and_expressions_hold_together() -> None:
    no = {"key": "app", "operator": "DoesNotExist"}
    assert not selects({"matchLabels": {"app": "web"}, "matchExpressions": [no]}, WEB.labels)


def test_what_is_not_understood_is_refused() -> None:
    with pytest.raises(ValueError, match="ipBlock"):
        into_database({"ipBlock": {"cidr": "10.0.0.0/8"}}).allows(WEB, DATABASE, 5432)
