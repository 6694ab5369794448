"""Kubernetes' NetworkPolicy."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from proviso.manifests.objects.core import Kube, LabelSelector, Meta, Port

Direction = Literal["Ingress", "Egress"]


class PolicyPort(Kube):
    port: Port
    protocol: Literal["TCP", "UDP"] = "TCP"


class Peer(Kube):
    """Pods of the policy's own namespace, or of the namespaces selected beside them."""

    namespace_selector: LabelSelector | None = None
    pod_selector: LabelSelector


class IngressRule(Kube):
    """A rule always names its peers and ports: none allows all."""

    source: Annotated[list[Peer], Field(alias="from", min_length=1)]
    ports: Annotated[list[PolicyPort], Field(min_length=1)]


class EgressRule(Kube):
    to: Annotated[list[Peer], Field(min_length=1)]
    ports: Annotated[list[PolicyPort], Field(min_length=1)]


class NetworkPolicySpec(Kube):
    """A direction that is named and has no rule is closed."""

    pod_selector: LabelSelector
    policy_types: list[Direction]
    ingress: list[IngressRule] | None = None
    egress: list[EgressRule] | None = None


class NetworkPolicy(Kube):
    api_version: Literal["networking.k8s.io/v1"] = "networking.k8s.io/v1"
    kind: Literal["NetworkPolicy"] = "NetworkPolicy"
    metadata: Meta
    spec: NetworkPolicySpec
