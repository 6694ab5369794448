"""How requests reach a release: the Gateway API's HTTPRoute and Envoy Gateway's policies to it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from proviso.manifests.objects.core import Kube, Meta, Port

Share = Annotated[int, Field(ge=0, le=100)]
Milliseconds = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,4}(ms|s)$")]


class ParentRef(Kube):
    name: str
    section_name: str


class PathMatch(Kube):
    type: Literal["Exact", "PathPrefix"]
    value: str


class Match(Kube):
    path: PathMatch


class BackendRef(Kube):
    name: str
    port: Port
    weight: Share | None = None


class Mirror(Kube):
    backend_ref: BackendRef
    percent: Share


class ExtensionRef(Kube):
    group: Literal["gateway.envoyproxy.io"] = "gateway.envoyproxy.io"
    kind: Literal["HTTPRouteFilter"] = "HTTPRouteFilter"
    name: str


class Filter(Kube):
    type: Literal["RequestMirror", "ExtensionRef"]
    request_mirror: Mirror | None = None
    extension_ref: ExtensionRef | None = None


class Rule(Kube):
    name: str
    matches: list[Match]
    filters: list[Filter] | None = None
    backend_refs: list[BackendRef] | None = None


class HTTPRouteSpec(Kube):
    parent_refs: list[ParentRef]
    hostnames: list[str]
    rules: list[Rule]


class HTTPRoute(Kube):
    api_version: Literal["gateway.networking.k8s.io/v1"] = "gateway.networking.k8s.io/v1"
    kind: Literal["HTTPRoute"] = "HTTPRoute"
    metadata: Meta
    spec: HTTPRouteSpec


class Header(Kube):
    name: str
    value: str


class HeaderChange(Kube):
    set: list[Header]


class Body(Kube):
    type: Literal["Inline"] = "Inline"
    inline: str


class DirectResponse(Kube):
    status_code: int
    content_type: str
    body: Body
    header: HeaderChange


class HTTPRouteFilterSpec(Kube):
    direct_response: DirectResponse


class HTTPRouteFilter(Kube):
    api_version: Literal["gateway.envoyproxy.io/v1alpha1"] = "gateway.envoyproxy.io/v1alpha1"
    kind: Literal["HTTPRouteFilter"] = "HTTPRouteFilter"
    metadata: Meta
    spec: HTTPRouteFilterSpec


class TargetRef(Kube):
    group: Literal["gateway.networking.k8s.io"] = "gateway.networking.k8s.io"
    kind: Literal["HTTPRoute"] = "HTTPRoute"
    name: str


class TcpTimeout(Kube):
    connect_timeout: Milliseconds


class HttpTimeout(Kube):
    request_timeout: Milliseconds


class Timeout(Kube):
    tcp: TcpTimeout
    http: HttpTimeout


class RetryOn(Kube):
    triggers: list[Literal["connect-failure", "refused-stream"]]


class BackOff(Kube):
    base_interval: Milliseconds
    max_interval: Milliseconds


class PerRetry(Kube):
    back_off: BackOff


class Retry(Kube):
    num_retries: int
    retry_on: RetryOn
    per_retry: PerRetry


class BackendTrafficPolicySpec(Kube):
    target_refs: list[TargetRef]
    timeout: Timeout
    retry: Retry


class BackendTrafficPolicy(Kube):
    api_version: Literal["gateway.envoyproxy.io/v1alpha1"] = "gateway.envoyproxy.io/v1alpha1"
    kind: Literal["BackendTrafficPolicy"] = "BackendTrafficPolicy"
    metadata: Meta
    spec: BackendTrafficPolicySpec
