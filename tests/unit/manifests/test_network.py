"""The policies of two releases, the base and the monitoring together: who reaches whom.

Read with the same evaluator for every form a release can take; docs/network.md draws it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from proviso.manifests.network import network_policies
from proviso.manifests.objects.network import NetworkPolicy
from proviso.rollout.deployed import DeployedRelease, Mode, Topology
from tests.unit.manifests.network_evaluator import ELSEWHERE, End, Network, Pod, Policy

K8S = Path(__file__).parents[3] / "k8s"
HANDWRITTEN = ("base/network.yaml", "components/prometheus/network.yaml")
HA = "overlays/ha/network.yaml"
OURS = ("proviso", "proviso-monitoring")
OTHERS = ("envoy-gateway-system", "kube-system", "kserve", "knative-serving", "kourier-system", "x")
NAMESPACES = {name: {"kubernetes.io/metadata.name": name} for name in (*OURS, *OTHERS)}

Flow = tuple[str, str, int]


def unit(digit: str, topology: Topology = "separate", mode: Mode = "standard") -> DeployedRelease:
    return DeployedRelease("fraud-risk", f"2.{digit}.0", f"r-{digit * 16}", {}, topology, mode)


def gateway(namespace: str, name: str = "proviso") -> dict[str, str]:
    return {
        "gateway.envoyproxy.io/owning-gateway-name": name,
        "gateway.envoyproxy.io/owning-gateway-namespace": namespace,
    }


AROUND: Mapping[str, End] = {
    "store": Pod("proviso", {"app.kubernetes.io/name": "store"}),
    "sentinel": Pod("proviso", {"app.kubernetes.io/name": "sentinel"}),
    "job": Pod("proviso", {"app": "jobs", "batch.kubernetes.io/job-name": "append-1"}),
    "stray pod": Pod("proviso", {"app": "debug"}),
    "envoy": Pod("envoy-gateway-system", gateway("proviso")),
    "another gateway's envoy": Pod("envoy-gateway-system", gateway("x", "other")),
    "envoy's controller": Pod("envoy-gateway-system", {"control-plane": "envoy-gateway"}),
    "prometheus": Pod("proviso-monitoring", {"app.kubernetes.io/name": "prometheus"}),
    "pod beside prometheus": Pod("proviso-monitoring", {"app": "debug"}),
    "prometheus's double": Pod("x", {"app.kubernetes.io/name": "prometheus"}),
    "dns": Pod("kube-system", {"k8s-app": "kube-dns"}),
    "another pod of kube-system": Pod("kube-system", {"k8s-app": "other"}),
    "kserve": Pod("kserve", {"control-plane": "kserve-controller-manager"}),
    "kourier": Pod("kourier-system", {"app": "3scale-kourier-gateway"}),
    "activator": Pod("knative-serving", {"app": "activator"}),
    "autoscaler": Pod("knative-serving", {"app": "autoscaler"}),
    "knative's controller": Pod("knative-serving", {"app": "controller"}),
    "stranger": Pod("x", {"app": "web"}),
    "elsewhere": ELSEWHERE,
}


def transformers(*units: DeployedRelease) -> dict[str, End]:
    """`A`, `B`: the pods that clients reach; `A's predictor` where Triton has pods of its own."""
    found: dict[str, End] = {}
    for name, one in zip("AB", units, strict=True):
        found[name] = Pod("proviso", one.labels | one.front_pods)
        if one.front_pods != one.model_pods:
            found[f"{name}'s predictor"] = Pod("proviso", one.labels | one.model_pods)
    return found


def text_of(policy: NetworkPolicy) -> Policy:
    """As the API server reads it."""
    return policy.model_dump(by_alias=True, exclude_none=True)


def policies(*units: DeployedRelease, more: str | None = None) -> dict[str, Policy]:
    """Every policy by namespace and name."""
    found = [text_of(policy) for one in units for policy in network_policies(one)]
    for file in (*HANDWRITTEN, *([more] if more else [])):
        found += yaml.safe_load_all((K8S / file).read_text(encoding="utf-8"))
    named = {f"{p['metadata']['namespace']}/{p['metadata']['name']}": p for p in found}
    assert len(named) == len(found)
    return named


SEPARATE = (unit("4"), unit("5"))
COLLOCATED = (unit("4", "collocated"), unit("5", "collocated"))
KNATIVE = (unit("4", "collocated", "knative"), unit("5", "collocated", "knative"))

ALWAYS_YES: tuple[Flow, ...] = (
    ("A", "store", 6379),
    ("A", "dns", 53),
    ("prometheus", "A", 8080),
    ("prometheus", "dns", 53),
    ("job", "store", 6379),
    ("job", "dns", 53),
)
BEHIND_ENVOY: tuple[Flow, ...] = tuple(("envoy", "A", port) for port in (8080, 8081, 8082, 8083))
YES: Mapping[str, tuple[Flow, ...]] = {
    "separate": (
        *ALWAYS_YES,
        *BEHIND_ENVOY,
        ("A", "A's predictor", 8001),
        ("prometheus", "A's predictor", 8002),
    ),
    "collocated": (*ALWAYS_YES, *BEHIND_ENVOY, ("prometheus", "A", 8002)),
    "knative": (
        *ALWAYS_YES,
        ("kourier", "A", 8012),
        ("kourier", "A", 8013),
        ("activator", "A", 8012),
        ("activator", "A", 8022),
        ("autoscaler", "A", 9090),
        ("autoscaler", "A", 9091),
        ("prometheus", "A", 8002),
    ),
}

ALWAYS_NO: tuple[Flow, ...] = (
    ("A", "B", 8080),
    ("A", "elsewhere", 443),
    ("A", "job", 8080),
    ("A", "store", 26379),
    ("A", "another pod of kube-system", 53),
    ("A", "prometheus", 9090),
    ("A", "kserve", 443),
    ("job", "A", 8080),
    ("job", "A", 8001),
    ("job", "B", 8082),
    ("job", "elsewhere", 443),
    ("job", "job", 8080),
    ("store", "A", 8080),
    ("store", "elsewhere", 443),
    ("store", "dns", 53),
    ("stray pod", "store", 6379),
    ("stray pod", "A", 8080),
    ("stray pod", "dns", 53),
    ("stray pod", "elsewhere", 443),
    ("envoy", "store", 6379),
    ("envoy", "stray pod", 8080),
    ("envoy", "A", 8001),
    ("another gateway's envoy", "A", 8080),
    ("envoy's controller", "A", 8080),
    ("prometheus", "A", 8081),
    ("prometheus", "A", 8082),
    ("prometheus", "A", 8001),
    ("prometheus", "store", 6379),
    ("prometheus", "elsewhere", 443),
    ("pod beside prometheus", "A", 8080),
    ("pod beside prometheus", "elsewhere", 443),
    ("prometheus's double", "A", 8080),
    ("stranger", "A", 8080),
    ("stranger", "A", 8012),
    ("stranger", "store", 6379),
    ("stranger", "prometheus", 9090),
    ("stranger", "pod beside prometheus", 9090),
    ("elsewhere", "A", 8080),
    ("elsewhere", "store", 6379),
    ("kserve", "A", 8080),
    ("knative's controller", "A", 8012),
)
NO: Mapping[str, tuple[Flow, ...]] = {
    "separate": (
        *ALWAYS_NO,
        ("A", "B's predictor", 8001),
        ("A", "A's predictor", 8000),
        ("A", "A's predictor", 8002),
        ("A's predictor", "A", 8080),
        ("A's predictor", "store", 6379),
        ("A's predictor", "dns", 53),
        ("A's predictor", "elsewhere", 443),
        ("A's predictor", "B's predictor", 8001),
        ("envoy", "A's predictor", 8000),
        ("envoy", "A's predictor", 8001),
        ("job", "A's predictor", 8001),
        ("prometheus", "A's predictor", 8001),
        ("prometheus", "A", 8002),
        ("stranger", "A's predictor", 8001),
        ("kourier", "A", 8080),
    ),
    "collocated": (*ALWAYS_NO, ("envoy", "A", 8000), ("envoy", "A", 8002), ("kourier", "A", 8080)),
    "knative": (
        *ALWAYS_NO,
        ("envoy", "A", 8080),
        ("kourier", "A", 8080),
        ("kourier", "A", 9090),
        ("activator", "A", 8080),
        ("autoscaler", "A", 8012),
    ),
}
HA_YES: tuple[Flow, ...] = (
    ("store", "store", 6379),
    ("store", "sentinel", 26379),
    ("store", "dns", 53),
    ("sentinel", "store", 6379),
    ("sentinel", "sentinel", 26379),
    ("sentinel", "dns", 53),
    ("A", "store", 6379),
    ("job", "store", 6379),
)
HA_NO: tuple[Flow, ...] = (
    ("A", "sentinel", 26379),
    ("A's predictor", "store", 6379),
    ("job", "sentinel", 26379),
    ("stray pod", "sentinel", 26379),
    ("stranger", "sentinel", 26379),
    ("envoy", "store", 6379),
    ("sentinel", "A", 8080),
    ("sentinel", "elsewhere", 443),
    ("store", "elsewhere", 443),
)
FORMS = {"separate": SEPARATE, "collocated": COLLOCATED, "knative": KNATIVE}


def verdicts(form: str, found: Mapping[str, Policy]) -> dict[Flow, bool]:
    """Every flow of a form's tables."""
    return verdicts_of((*both(YES[form]), *both(NO[form])), FORMS[form], found)


def verdicts_of(
    flows: tuple[Flow, ...],
    units: tuple[DeployedRelease, DeployedRelease],
    found: Mapping[str, Policy],
) -> dict[Flow, bool]:
    ends = {**AROUND, **transformers(*units)}
    network = Network(tuple(found.values()), NAMESPACES)
    return {
        flow: network.allows(ends[flow[0]], ends[flow[1]], flow[2], protocol(flow))
        for flow in flows
    }


def both(flows: tuple[Flow, ...]) -> tuple[Flow, ...]:
    """What holds for A and B holds for B and A."""
    swap = str.maketrans("AB", "BA")
    return (*flows, *((a.translate(swap), b.translate(swap), port) for a, b, port in flows))


def protocol(flow: Flow) -> str:
    return "UDP" if flow[2] == 53 else "TCP"


EVERY_POLICY = [(form, name) for form, units in FORMS.items() for name in policies(*units)]


@pytest.mark.parametrize("form", FORMS)
def test_what_must_pass_passes_and_nothing_else_of_the_table(form: str) -> None:
    found = verdicts(form, policies(*FORMS[form]))
    assert found == dict.fromkeys(both(YES[form]), True) | dict.fromkeys(both(NO[form]), False)


def test_with_a_replica_the_stores_and_sentinels_reach_each_other_and_nobody_else() -> None:
    found = verdicts_of((*HA_YES, *HA_NO), SEPARATE, policies(*SEPARATE, more=HA))
    assert found == dict.fromkeys(HA_YES, True) | dict.fromkeys(HA_NO, False)


def test_names_are_looked_up_over_tcp_too() -> None:
    ends = {**AROUND, **transformers(*SEPARATE)}
    network = Network(tuple(policies(*SEPARATE).values()), NAMESPACES)
    assert all(network.allows(ends[name], ends["dns"], 53, "TCP") for name in ("A", "job"))


@pytest.mark.parametrize(("form", "name"), EVERY_POLICY)
def test_no_policy_is_idle(form: str, name: str) -> None:
    """Without any one of them some flow of the table comes out differently."""
    whole = policies(*FORMS[form])
    less = {other: policy for other, policy in whole.items() if other != name}
    assert verdicts(form, less) != verdicts(form, whole)


@pytest.mark.parametrize("form", FORMS)
def test_no_rule_is_idle(form: str) -> None:
    whole = policies(*FORMS[form])
    all_there = verdicts(form, whole)
    for name, policy in whole.items():
        for direction in ("ingress", "egress"):
            for rule in policy["spec"].get(direction, []):
                rest = [other for other in policy["spec"][direction] if other is not rule]
                less = {**policy, "spec": {**policy["spec"], direction: rest}}
                assert verdicts(form, {**whole, name: less}) != all_there, (name, rule)


@pytest.mark.parametrize("form", FORMS)
def test_removing_a_release_closes_its_way_and_nobody_else_s(form: str) -> None:
    found = verdicts(form, policies(FORMS[form][1]))
    assert not found["A", "store", 6379]
    assert found["B", "store", 6379]


@pytest.mark.parametrize("form", FORMS)
def test_policies_carry_the_unit_s_name_and_labels(form: str) -> None:
    one = FORMS[form][0]
    for policy in network_policies(one):
        assert policy.metadata.name.startswith(f"{one.name}-")
        assert policy.metadata.labels == one.labels
        assert policy.metadata.namespace == "proviso"
