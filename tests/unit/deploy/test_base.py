"""What every cluster gets before the first release, as kustomize renders it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from feature_runtime.core.moments import MINUTE
from proviso.contracts.contract import Scheduled
from proviso.contracts.loading import load_contract
from proviso.deploy.acl import REPLICATION, RIGHTS
from proviso.deploy.secrets import ACL_SECRET, secret_of
from proviso.deploy.storage import ROOT, VOLUMES, making_of
from tests.program import parse

REPOSITORY = Path(__file__).parents[3]
OVERLAYS = ("kind", "ha", "kind-ha")
Object = Mapping[str, Any]

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")


@cache
def _rendered(overlay: str) -> tuple[Object, ...]:
    command = ["kubectl", "kustomize", str(REPOSITORY / "k8s" / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return tuple(yaml.safe_load_all(done.stdout))


def _of(overlay: str, kind: str) -> dict[str, Object]:
    return {o["metadata"]["name"]: o for o in _rendered(overlay) if o["kind"] == kind}


def _templates(overlay: str) -> Iterator[tuple[str, Object]]:
    """Every pod template with the name of its owner."""
    for found in _rendered(overlay):
        spec = found.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            yield found["metadata"]["name"], spec["template"]


def _containers(template: Object) -> list[Object]:
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_is_restricted_and_has_no_token(overlay: str) -> None:
    owners = []
    for owner, template in _templates(overlay):
        owners.append(owner)
        spec, pod = template["spec"], template["spec"]["securityContext"]
        assert spec["automountServiceAccountToken"] is False
        assert (pod["runAsNonRoot"], pod["runAsUser"], pod["fsGroup"]) == (True, 1000, 1000)
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in _containers(template):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert container["imagePullPolicy"] == "IfNotPresent"
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]
    assert {"store", "append", "data", "skew"} <= set(owners)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_account_has_a_token(overlay: str) -> None:
    accounts = _of(overlay, "ServiceAccount")
    assert accounts.keys() == {"transformer", "predictor", "store", "jobs"}
    assert not any(account["automountServiceAccountToken"] for account in accounts.values())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_passwords_are_mounted_files_and_nothing_else(overlay: str) -> None:
    known = {ACL_SECRET, *map(secret_of, (*RIGHTS, *REPLICATION))}
    assert not _of(overlay, "Secret")
    for _, template in _templates(overlay):
        assert not any({"env", "envFrom"} & c.keys() for c in _containers(template))
        assert not any("subPath" in m for c in _containers(template) for m in c["volumeMounts"])
        volumes = template["spec"]["volumes"]
        assert {v["secret"]["secretName"] for v in volumes if "secret" in v} <= known


def test_the_first_run_is_that_of_every_run() -> None:
    append = _of("kind", "CronJob")["append"]["spec"]["jobTemplate"]["spec"]["template"]
    assert _of("kind", "Job")["data"]["spec"]["template"] == append


def test_every_command_of_a_job_is_one_of_the_program() -> None:
    asked = []
    for _, template in _templates("kind"):
        for container in _containers(template):
            if container["image"].startswith("proviso/control"):
                command = container["command"]
                words = command[command.index("proviso") + 1 :]
                parse([*words, *container["args"]])
                asked.append(" ".join(words))
    assert set(asked) == {"simulate", "features", "materialize", "check skew"}


def test_runs_are_written_ahead_and_the_live_view_keeps_its_promise() -> None:
    schedule = _of("kind", "CronJob")["append"]["spec"]["schedule"].split()
    first, step = schedule[0].split("/")
    minutes = range(int(first.split("-")[0]), 60, int(step))
    assert schedule[1:] == ["*"] * 4
    for view in load_contract(REPOSITORY / "contracts").feature_views:
        if isinstance(view.publication, Scheduled):
            start = view.source_delay // MINUTE
            readable = view.delay_to_readable // MINUTE
            assert any(start <= minute < readable - 1 for minute in minutes)
        else:
            # A minute for the run itself, and for a pod that starts slowly.
            assert (int(step) + 1) * MINUTE < view.freshness_slo


@pytest.mark.parametrize("overlay", ["kind", "kind-ha"])
def test_every_claim_has_its_directory_on_the_node(overlay: str) -> None:
    claims = set(_of(overlay, "PersistentVolumeClaim"))
    store = _of(overlay, "StatefulSet")["store"]["spec"]
    for template in store["volumeClaimTemplates"]:
        name = template["metadata"]["name"]
        claims |= {f"{name}-store-{number}" for number in range(store["replicas"])}
        assert template["spec"]["storageClassName"] == ""
    volumes = _of(overlay, "PersistentVolume").values()
    assert {volume["spec"]["claimRef"]["name"] for volume in volumes} == claims
    for volume in volumes:
        assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
        assert volume["spec"]["hostPath"]["path"] in {f"{ROOT}/{name}" for name in VOLUMES}
        assert volume["spec"]["hostPath"]["path"] in making_of()


def test_without_the_component_the_default_class_makes_the_volumes() -> None:
    for claim in _of("ha", "PersistentVolumeClaim").values():
        assert "storageClassName" not in claim["spec"]
    assert not _of("ha", "PersistentVolume")


def test_only_the_primary_of_two_stores_is_ready() -> None:
    store = _of("kind-ha", "StatefulSet")["store"]["spec"]
    probe = store["template"]["spec"]["containers"][0]["readinessProbe"]
    assert store["replicas"] == 2
    assert probe["exec"]["command"][-1].endswith("is-primary.sh")
    assert _of("kind-ha", "StatefulSet")["sentinel"]["spec"]["replicas"] == 3
    assert "publishNotReadyAddresses" not in _of("kind-ha", "Service")["store"]["spec"]
    assert _of("kind-ha", "Service")["store-peers"]["spec"]["publishNotReadyAddresses"] is True


@pytest.mark.parametrize("overlay", [*OVERLAYS, "prometheus"])
def test_a_busy_node_restarts_nothing(overlay: str) -> None:
    """A process that lacks CPU answers late; restarting it takes more CPU (ADR 126)."""
    probed = [c for _, t in _templates(overlay) for c in t["spec"]["containers"] if _probes(c)]
    assert probed
    for container in probed:
        for kind, probe in _probes(container):
            assert probe["timeoutSeconds"] >= 5, (container["name"], kind)
            if kind == "liveness":
                assert probe["periodSeconds"] * probe["failureThreshold"] >= 60


def _probes(container: Object) -> list[tuple[str, Object]]:
    kinds = ("startup", "readiness", "liveness")
    return [(kind, container[f"{kind}Probe"]) for kind in kinds if f"{kind}Probe" in container]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_all_that_a_store_runs_is_in_its_configuration(overlay: str) -> None:
    [config] = _of(overlay, "ConfigMap").values()
    for _, template in _templates(overlay):
        for container in template["spec"]["containers"]:
            probes = (container.get(f"{kind}Probe", {}) for kind in ("startup", "readiness"))
            words = [p["exec"]["command"] for p in probes if "exec" in p]
            for word in (*container.get("command", []), *(w for ws in words for w in ws)):
                if word.startswith("/etc/valkey/conf/"):
                    assert word.rpartition("/")[2] in config["data"]
