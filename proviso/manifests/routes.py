"""The HTTPRoute of a rollout step: the same host and paths at every step, other weights.

A client's URL and model name never change; what changes is which Services a path leads to. One
route carries REST and gRPC (a GRPCRoute beside it on the same host would lose). Its annotations
state the step, so that the step in force can be read back from a cluster.
"""

from __future__ import annotations

from proviso.manifests import sizes
from proviso.manifests.objects.core import Meta
from proviso.manifests.objects.routing import (
    BackendRef,
    BackendTrafficPolicy,
    BackendTrafficPolicySpec,
    BackOff,
    Body,
    DirectResponse,
    ExtensionRef,
    Filter,
    Header,
    HeaderChange,
    HTTPRoute,
    HTTPRouteFilter,
    HTTPRouteFilterSpec,
    HTTPRouteSpec,
    HttpTimeout,
    Match,
    Mirror,
    ParentRef,
    PathMatch,
    PerRetry,
    Retry,
    RetryOn,
    Rule,
    TargetRef,
    TcpTimeout,
    Timeout,
)
from proviso.rollout.deployed import (
    GATEWAY,
    GRPC,
    HTTP,
    NAMESPACE,
    PART_OF,
    PREFIX,
    SHADOW_GRPC,
    SHADOW_HTTP,
)
from proviso.rollout.steps import Pair, Step, step_annotations

WITHDRAWN = (
    '{"error": "release: found none, wanted one that serves", "code": "release_withdrawn", '
    '"reason": "withdrawn", "field": "release", "found": "none", "wanted": "one that serves"}'
)
"""Body of the 503 after a first release was rolled back, in the form of every serving error."""

REST_PREFIXES = ("/v1/models", "/v2/models", "/v2/health")
"""What the Open Inference Protocol and V1 serve, for every model name: the pod answers a name that
it does not serve in the protocol's form. `/metrics` and `/v2/repository` are not routed."""
RPC_SERVICES = ("inference.GRPCInferenceService", "grpc.health.v1.Health")


def route(pair: Pair, step: Step) -> HTTPRoute:
    """The model's route at one step."""
    rest = [_below(prefix) for prefix in REST_PREFIXES] + [_exactly("/v2"), _exactly("/")]
    rpc = [_below(f"/{service}/") for service in RPC_SERVICES]
    return HTTPRoute(
        metadata=_meta(pair, step),
        spec=HTTPRouteSpec(
            parent_refs=[ParentRef(name=GATEWAY, section_name="http")],
            hostnames=[pair.candidate.hostname],
            rules=[
                _rule("rest", rest, pair, step, (HTTP, SHADOW_HTTP)),
                _rule("grpc", rpc, pair, step, (GRPC, SHADOW_GRPC)),
            ],
        ),
    )


def withdrawn_filter(pair: Pair) -> HTTPRouteFilter:
    """503 with a reason, from the gateway itself: nothing answers, and the answer says so."""
    response = DirectResponse(
        status_code=503,
        content_type="application/json",
        body=Body(inline=WITHDRAWN),
        header=HeaderChange(set=[Header(name="retry-after", value="60")]),
    )
    meta = Meta(name=_withdrawn(pair), namespace=NAMESPACE, labels=_labels(pair))
    return HTTPRouteFilter(metadata=meta, spec=HTTPRouteFilterSpec(direct_response=response))


def traffic_policy(pair: Pair, deadline_ms: int) -> BackendTrafficPolicy:
    """Timeout and retries of the route.

    Retried is only what no pod can have scored: a refused connection, a refused stream. After
    anything else the request may have been scored and recorded (ADR 0054).
    """
    name = pair.candidate.model_name
    timeout = f"{deadline_ms + sizes.REQUEST_MARGIN_MS}ms"
    return BackendTrafficPolicy(
        metadata=Meta(name=name, namespace=NAMESPACE, labels=_labels(pair)),
        spec=BackendTrafficPolicySpec(
            target_refs=[TargetRef(name=name)],
            timeout=Timeout(
                tcp=TcpTimeout(connect_timeout="250ms"),
                http=HttpTimeout(request_timeout=timeout),
            ),
            retry=Retry(
                num_retries=2,
                retry_on=RetryOn(triggers=["connect-failure", "refused-stream"]),
                per_retry=PerRetry(back_off=BackOff(base_interval="5ms", max_interval="50ms")),
            ),
        ),
    )


def _meta(pair: Pair, step: Step) -> Meta:
    annotations = step_annotations(pair, step)
    if step.is_withdrawal:
        annotations[f"{PREFIX}/withdrawn"] = "no stable release to go back to: 503 with a reason"
    return Meta(
        name=pair.candidate.model_name,
        namespace=NAMESPACE,
        labels=_labels(pair),
        annotations=annotations,
    )


def _labels(pair: Pair) -> dict[str, str]:
    return {PART_OF: "proviso", f"{PREFIX}/model": pair.candidate.model_name}


def _rule(name: str, matches: list[Match], pair: Pair, step: Step, ports: tuple[int, int]) -> Rule:
    if step.is_withdrawal:
        ref = ExtensionRef(name=_withdrawn(pair))
        return Rule(
            name=name, matches=matches, filters=[Filter(type="ExtensionRef", extension_ref=ref)]
        )
    public, shadow = ports
    mirror = Mirror(
        backend_ref=BackendRef(name=pair.candidate.shadow, port=shadow), percent=step.mirrored
    )
    filters = [Filter(type="RequestMirror", request_mirror=mirror)] if step.mirrored else None
    shares = [(pair.stable, step.stable), (pair.candidate, step.candidate)]
    backends = [
        BackendRef(name=deployed.public, port=public, weight=weight)
        for deployed, weight in shares
        if deployed and weight
    ]
    return Rule(name=name, matches=matches, filters=filters, backend_refs=backends)


def _below(prefix: str) -> Match:
    return Match(path=PathMatch(type="PathPrefix", value=prefix))


def _exactly(path: str) -> Match:
    return Match(path=PathMatch(type="Exact", value=path))


def _withdrawn(pair: Pair) -> str:
    return f"{pair.candidate.model_name}-withdrawn"
