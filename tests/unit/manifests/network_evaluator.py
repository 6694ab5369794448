"""What NetworkPolicies allow, worked out from their text: the local cluster's CNI enforces none.

Kubernetes' rules (its reference, networking.k8s.io/v1): a pod that no policy selects for a
direction is open in it; a selected one is open only to what the rules of its policies name, and
policies add up. A connection needs the source's egress and the destination's ingress. A node may
always reach its own pods, so probes are outside of this. What is not understood is refused, not
guessed: unknown keys and ipBlock raise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Policy = Mapping[str, Any]
Direction = Literal["Ingress", "Egress"]


@dataclass(frozen=True)
class Pod:
    """Labels as the API server has them; ports: numbers of named ones."""

    namespace: str
    labels: Mapping[str, str]
    ports: Mapping[str, int] = field(default_factory=dict)


class Elsewhere:
    """An address outside of the cluster: no selector finds it."""


ELSEWHERE = Elsewhere()
End = Pod | Elsewhere


@dataclass(frozen=True)
class Network:
    """All policies of a cluster and the labels of its namespaces."""

    policies: tuple[Policy, ...]
    namespaces: Mapping[str, Mapping[str, str]]

    def allows(self, source: End, target: End, port: int, protocol: str = "TCP") -> bool:
        """Whether a connection from `source` to `target` comes to be."""
        return self._open("Egress", source, target, target, port, protocol) and self._open(
            "Ingress", target, source, target, port, protocol
        )

    def _open(
        self, direction: Direction, own: End, peer: End, target: End, port: int, protocol: str
    ) -> bool:
        if isinstance(own, Elsewhere):
            return True
        mine = [p for p in self.policies if _governs(p, direction, own)]
        rules = [rule for p in mine for rule in _rules(p, direction)]
        key = {"Ingress": "from", "Egress": "to"}[direction]
        policy_of = [p["metadata"]["namespace"] for p in mine for _ in _rules(p, direction)]
        return not mine or any(
            self._peers(rule, key, namespace, peer) and _port(rule, target, port, protocol)
            for rule, namespace in zip(rules, policy_of, strict=True)
        )

    def _peers(self, rule: Mapping[str, Any], key: str, namespace: str, peer: End) -> bool:
        """A rule without peers is for everybody, those outside included."""
        _known(rule, {key, "ports"})
        peers = rule.get(key) or []
        return not peers or any(self._peer(one, namespace, peer) for one in peers)

    def _peer(self, wanted: Mapping[str, Any], namespace: str, peer: End) -> bool:
        _known(wanted, {"podSelector", "namespaceSelector"})
        if isinstance(peer, Elsewhere):
            return False
        if "namespaceSelector" in wanted:
            there = selects(wanted["namespaceSelector"], self.namespaces[peer.namespace])
        else:
            there = peer.namespace == namespace
        return there and selects(wanted.get("podSelector", {}), peer.labels)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector, all parts of it, holds; an empty one holds for everything."""
    _known(selector, {"matchLabels", "matchExpressions"})
    equal = all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items())
    return equal and all(_expression(e, labels) for e in selector.get("matchExpressions", []))


def _expression(wanted: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    _known(wanted, {"key", "operator", "values"})
    key, values = wanted["key"], wanted.get("values", [])
    verdicts = {
        "In": labels.get(key) in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }
    return verdicts[wanted["operator"]]


def _governs(policy: Policy, direction: Direction, pod: Pod) -> bool:
    _known(policy, {"apiVersion", "kind", "metadata", "spec"})
    spec = policy["spec"]
    _known(spec, {"podSelector", "policyTypes", "ingress", "egress"})
    usual = ["Ingress", *(["Egress"] if "egress" in spec else [])]
    return (
        policy["metadata"]["namespace"] == pod.namespace
        and direction in spec.get("policyTypes", usual)
        and selects(spec["podSelector"], pod.labels)
    )


def _rules(policy: Policy, direction: Direction) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] | None = policy["spec"].get(direction.lower())
    return found or []


def _port(rule: Mapping[str, Any], target: End, port: int, protocol: str) -> bool:
    """A rule without ports is for all of them; a name is a port of the target, on either side."""
    ports: Iterable[Mapping[str, Any]] = rule.get("ports") or []
    return not ports or any(_one_port(one, target, port, protocol) for one in ports)


def _one_port(wanted: Mapping[str, Any], target: End, port: int, protocol: str) -> bool:
    _known(wanted, {"port", "protocol", "endPort"})
    if wanted.get("protocol", "TCP") != protocol:
        return False
    if "port" not in wanted:
        return True
    if isinstance(wanted["port"], str):
        return not isinstance(target, Elsewhere) and target.ports.get(wanted["port"]) == port
    return bool(wanted["port"] <= port <= wanted.get("endPort", wanted["port"]))


def _known(found: Mapping[str, Any], keys: set[str]) -> None:
    if unknown := set(found) - keys:
        raise ValueError(f"found {sorted(unknown)}, wanted some of {sorted(keys)}")
