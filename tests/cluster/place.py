"""The cluster as its tests see it: kubectl, the gateway, and what lies on the node's disk.

Everything is read with plain tools (kubectl, docker cp), not with the program under test.
"""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import httpx

from feature_runtime.core.moments import now
from proviso.checks.load import load_requests
from proviso.clients.endpoint import EndpointRequest, rest_body
from proviso.contracts.contract import Contract
from proviso.contracts.loading import load_contract
from proviso.kube.waiting import rolled_out
from proviso.manifests.images import MODEL_DOCKERFILE
from proviso.records.reader import require_record
from proviso.release.directory import Release, read_release
from proviso.rollout.deployed import deployed_release
from tests.cluster import impostor
from tests.cluster.bad_server import bad_server
from tests.cluster.load import Gateway, batch, releases

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / ".venv" / "bin" / "proviso"
CLUSTER = "proviso"
CONTEXT = f"kind-{CLUSTER}"
NAMESPACE = "proviso"
NODE = f"{CLUSTER}-control-plane"
ON_NODE = "/var/local/proviso"
ADDRESS = "127.0.0.1:8080"
DEPLOY_SECONDS = 1500.0
LIMIT = 300.0
"""Seconds until something is taken never to happen. No promise: a busy machine needs its time."""

Found = TypeVar("Found")


def run(*command: str | Path, seconds: float = LIMIT, text: str | None = None) -> str:
    """stdout of a command that has to succeed."""
    done = attempt(*command, seconds=seconds, text=text)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


def attempt(
    *command: str | Path, seconds: float = LIMIT, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """A command that may fail."""
    words = [str(part) for part in command]
    return subprocess.run(
        words, input=text, capture_output=True, text=True, timeout=seconds, cwd=ROOT, check=False
    )


def eventually(what: str, look: Callable[[], Found | None], seconds: float = LIMIT) -> Found:
    """What `look` finds, as soon as it finds something."""
    ends = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        assert time.monotonic() < ends, f"not within {seconds} s: {what}"
        time.sleep(0.5)


def deployed(work: Path) -> Place:
    """Deploys the committed releases; quick where they are there already. work: for copies."""
    run(PROGRAM, "deploy", "--yes", seconds=DEPLOY_SECONDS)
    repository = ROOT / "model_repository"
    return Place(
        load_contract(ROOT / "contracts"),
        read_release(repository / "2.4.0"),
        read_release(repository / "2.5.0"),
        work,
    )


@dataclass(frozen=True)
class Place:
    """A deployment: the stable release serves, the candidate is there without traffic."""

    contract: Contract
    stable: Release
    candidate: Release
    work: Path

    @cached_property
    def gateway(self) -> Gateway:
        model = self.stable.model_name
        host = deployed_release(self.stable).hostname
        # The candidate's service reads all that the stable one reads.
        return Gateway(ADDRESS, host, model, self.candidate.service)

    @cached_property
    def asked(self) -> list[EndpointRequest]:
        """The newest transactions of the cluster's own history, to be asked about now."""
        return load_requests(
            self.contract, self.candidate.service, self.data / "transactions.parquet"
        )

    @cached_property
    def data(self) -> Path:
        """A copy of the data volume as it was when it was first asked for."""
        return self.copy("data")

    def copy(self, volume: str) -> Path:
        """A copy of a volume as it is now."""
        folder = self.work / f"{volume}-{time.monotonic_ns()}"
        folder.mkdir()
        run("docker", "cp", f"{NODE}:{ON_NODE}/{volume}/.", folder)
        return folder

    def records(self, tag: str) -> list[dict[str, Any]]:
        """The prediction records of requests whose id begins with `tag`, of every pod."""
        where = f"{ON_NODE}/records"
        sought = f'"request_id":"{tag}'
        done = attempt("docker", "exec", NODE, "grep", "-rhF", sought, where)
        assert done.returncode in (0, 1), done.stderr
        lines = done.stdout.splitlines()
        return [dict(require_record(line.encode(), ("request_id",))) for line in lines]

    # --- what a user does ----------------------------------------------------------------------

    def kubectl(self, *arguments: str | Path, text: str | None = None) -> str:
        return run("kubectl", "--context", CONTEXT, *arguments, text=text)

    def get(self, kind: str, name: str, namespace: str = NAMESPACE) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.kubectl("-n", namespace, "get", kind, name, "-o", "json")
        )
        return found

    def rollout(self, name: str, release: Release | None = None) -> Path:
        """A step as committed, of the candidate unless another release is named."""
        version = deployed_release(release or self.candidate).version
        return ROOT / "k8s" / "releases" / version / "rollout" / f"{name}.yaml"

    def step(self, name: str) -> None:
        """Applies a step of the candidate and waits until the gateway has taken it over."""
        self.apply(self.rollout(name))
        eventually(f"the route of {name} in force", self._route_accepted)

    def apply(self, path: Path) -> float:
        """Plain `kubectl apply -f`; returns the monotonic second at which it was done."""
        self.kubectl("apply", "-f", path)
        return time.monotonic()

    def back(self) -> None:
        """The stable release alone, and every pod of both releases ready."""
        self.step("rollback")
        eventually("every pod is ready", self._whole)
        eventually("only the stable release answers", self._only_stable)

    def _route_accepted(self) -> bool:
        route = self.get("httproute", self.stable.model_name)
        parents = route.get("status", {}).get("parents", [])
        current = route["metadata"]["generation"]
        return bool(parents) and all(
            condition["status"] == "True" and condition["observedGeneration"] == current
            for parent in parents
            for condition in parent["conditions"]
            if condition["type"] == "Accepted"
        )

    def _whole(self) -> bool:
        """Every Deployment has its pods again: what a test broke has healed."""
        found = json.loads(self.kubectl("-n", NAMESPACE, "get", "deployments", "-o", "json"))
        return all(rolled_out(one) is None for one in found["items"])

    def _only_stable(self) -> bool:
        sent = batch(self.gateway, self.asked, 20, f"back-{time.monotonic_ns()}")
        return set(releases(sent)) == {self.stable.id}

    # --- states that a test needs --------------------------------------------------------------

    @contextmanager
    def still(self) -> Iterator[None]:
        """No scheduled job runs: what a test copies is what answered, and nothing takes the CPU.

        A test that needs newer data runs one itself (append_now).
        """
        jobs = json.loads(self.kubectl("-n", NAMESPACE, "get", "cronjobs", "-o", "json"))["items"]
        names = [job["metadata"]["name"] for job in jobs]
        self._suspend(names, True)
        try:
            eventually("no job at work", self._no_job)
            yield
        finally:
            self._suspend(names, False)

    def _suspend(self, names: list[str], value: bool) -> None:
        patch = json.dumps({"spec": {"suspend": value}})
        for name in names:
            self.kubectl("-n", NAMESPACE, "patch", "cronjob", name, "--type=merge", "-p", patch)

    def _no_job(self) -> bool:
        jobs = json.loads(self.kubectl("-n", NAMESPACE, "get", "jobs", "-o", "json"))["items"]
        return not any(job["status"].get("active") for job in jobs)

    def roll(self, component: str, *of: Release) -> None:
        """Restarts a component's pods one by one, as a change of its template would.

        Those of several releases at the same time: a predictor's pod takes 45 s to stop.
        """
        mark = {"annotations": {"proviso.dev/rolled": str(time.time_ns())}}
        patch = json.dumps({"spec": {component: mark}})
        names = [deployed_release(release).name for release in of]
        for name in names:
            self.kubectl("-n", NAMESPACE, "patch", "isvc", name, "--type=merge", "-p", patch)
        for name in names:
            rolled = partial(self._rolled, name, component, mark)
            eventually(f"{name} {component} rolled", rolled, 2 * LIMIT)

    def _rolled(self, deployed_name: str, component: str, mark: dict[str, dict[str, str]]) -> bool:
        """All pods carry the mark and are ready; the old ones are gone."""
        pods = self.pods(deployed_name, component)
        wanted = mark["annotations"].items()
        return len(pods) == self.replicas(deployed_name, component) and all(
            wanted <= pod["metadata"].get("annotations", {}).items() and ready(pod) for pod in pods
        )

    def pods(self, deployed_name: str, component: str) -> list[dict[str, Any]]:
        """A component's pods, those that are ending included."""
        label = f"app=isvc.{deployed_name}-{component}"
        found = self.kubectl("-n", NAMESPACE, "get", "pods", "-l", label, "-o", "json")
        items: list[dict[str, Any]] = json.loads(found)["items"]
        return items

    def replicas(self, deployed_name: str, component: str) -> int:
        return int(self.get("deployment", f"{deployed_name}-{component}")["spec"]["replicas"])

    @contextmanager
    def unready(self, release: Release) -> Iterator[None]:
        """A release without a transformer."""
        name = f"{deployed_release(release).name}-transformer"
        count = self.replicas(deployed_release(release).name, "transformer")
        self.scale(name, 0)
        try:
            yield
        finally:
            self.scale(name, count)

    def scale(self, deployment: str, count: int) -> None:
        """Sets the number of pods, and waits until as many are ready."""
        self.kubectl("-n", NAMESPACE, "scale", "deployment", deployment, f"--replicas={count}")

        def reached() -> bool:
            status = self.get("deployment", deployment).get("status", {})
            return int(status.get("readyReplicas", 0)) == count

        eventually(f"{deployment} at {count}", reached)

    @contextmanager
    def sick(self, release: Release, how: str) -> Iterator[None]:
        """The release's shadow Service leads to nothing (`down`) or to a bad server."""
        name = deployed_release(release).shadow
        before = self.get("service", name)["spec"]["selector"]
        if how != "down":
            job = self.get("cronjob", "skew")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
            image = job["containers"][0]["image"]
            self.kubectl("apply", "-f", "-", text=json.dumps(bad_server(how, image)))
            eventually("the bad server listens", lambda: ready(self.get("pod", "bad-server")))
        self._select(name, before, {"app": "bad-server"})
        try:
            yield
        finally:
            self._select(name, {"app": "bad-server"}, before)
            self.kubectl("-n", NAMESPACE, "delete", "pod", "bad-server", "--ignore-not-found")

    def _select(self, service: str, old: dict[str, str], new: dict[str, str]) -> None:
        selector = {**dict.fromkeys(old), **new}
        patch = json.dumps({"spec": {"selector": selector}})
        self.kubectl("-n", NAMESPACE, "patch", "service", service, "--type=merge", "-p", patch)

    @contextmanager
    def impostor(self, release: Release, how: str) -> Iterator[str]:
        """A predictor of a bad release directory beside the good ones; yields its name."""
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "release"
            claimed = impostor.directory(release, how, out)
            image = f"proviso/model-impostor:{how}"
            run("docker", "build", "-q", "-t", image, "-f", ROOT / MODEL_DOCKERFILE, out)
        run("kind", "load", "docker-image", "--name", CLUSTER, image)
        service = self.get("isvc", deployed_release(release).name)
        bad = impostor.manifest(service, image, release.id, claimed)
        self.kubectl("apply", "-f", "-", text=json.dumps(bad))
        try:
            yield impostor.NAME
        finally:
            self.kubectl("-n", NAMESPACE, "delete", "isvc", impostor.NAME)

    @contextmanager
    def crossed(self, release: Release, other: Release) -> Iterator[str]:
        """A transformer of `release` that is told `other`'s predictor; yields its address."""
        own = deployed_release(release).name
        pod = impostor.crossed(
            self.get("deployment", f"{own}-transformer"), own, deployed_release(other).name
        )
        self.kubectl("apply", "-f", "-", text=json.dumps(pod))
        try:
            yield eventually("the crossed pod listens", self._crossed_address)
        finally:
            self.kubectl("-n", NAMESPACE, "delete", "pod", "crossed", "--grace-period=1")

    def _crossed_address(self) -> str | None:
        pod = self.get("pod", "crossed")
        return str(pod["status"]["podIP"]) if ready(pod) else None

    # --- what the cluster says -----------------------------------------------------------------

    def counted(self, release: Release, traffic: str) -> int:
        """Requests of an traffic over all pods of a release, by their own counters."""
        total = 0.0
        for pod in self.pods(deployed_release(release).name, "transformer"):
            name = pod["metadata"]["name"]
            path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}:8080/proxy/metrics"
            for line in self.kubectl("get", "--raw", path).splitlines():
                if line.startswith("proviso_requests_total{") and f'traffic="{traffic}"' in line:
                    total += float(line.rpartition(" ")[2])
        return int(total)

    def items(self, kind: str, label: str) -> list[dict[str, Any]]:
        found = self.kubectl("-n", NAMESPACE, "get", kind, "-l", label, "-o", "json")
        items: list[dict[str, Any]] = json.loads(found)["items"]
        return items

    def init_log(self, deployed_name: str, container: str) -> str | None:
        """The last words of an init container that failed."""
        for pod in self.pods(deployed_name, "predictor"):
            for status in pod["status"].get("initContainerStatuses", []):
                ended = {**status.get("lastState", {}), **status["state"]}.get("terminated")
                if status["name"] == container and ended and ended["exitCode"] != 0:
                    name = pod["metadata"]["name"]
                    return self.kubectl("-n", NAMESPACE, "logs", name, "-c", container)
        return None

    def gave_up(self, deployed_name: str, component: str) -> bool:
        """Whether each of a component's pods has ended with an error and been started again."""
        pods = self.pods(deployed_name, component)
        containers = [pod["status"].get("containerStatuses", []) for pod in pods]
        return bool(pods) and all(any(map(_failed_before, of_pod)) for of_pod in containers)

    def secret(self, name: str) -> str:
        """The clear password in a client's Secret."""
        return base64.b64decode(self.get("secret", name)["data"]["password"]).decode()

    def store_accepts(self, user: str, password: str) -> bool:
        """Whether the store lets a user in; the password goes through stdin."""
        said = self.kubectl(
            *("-n", NAMESPACE, "exec", "-i", "store-0", "-c", "store", "--"),
            *("valkey-cli", "--no-raw"),
            text=f"AUTH {user} {password}\n",
        )
        return "OK" in said

    def ask_pod(self, address: str) -> tuple[int, str]:
        """(code, body) of one request straight to a pod, from the node."""
        request = replace(self.asked[0], request_id="straight", t=now())
        body = json.dumps(rest_body(self.candidate.service, request))
        url = f"http://{address}:8080/v2/models/{self.candidate.model_name}/infer"
        said = run(
            *("docker", "exec", "-i", NODE, "curl", "-s", "-m", "10", "-d", "@-"),
            *("-H", "content-type: application/json", "-w", "\n%{http_code}", url),
            text=body,
        )
        text, _, code = said.rpartition("\n")
        return int(code), text

    def ask(self, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """One request through the gateway, with further headers."""
        request = replace(self.asked[0], request_id="by-hand", t=now())
        url = f"http://{ADDRESS}/v2/models/{self.stable.model_name}/infer"
        return httpx.post(
            url,
            json=rest_body(self.candidate.service, request),
            headers={**(headers or {}), "host": self.gateway.host},
            trust_env=False,
        )

    def refusal(self) -> httpx.Response | None:
        """An answer of the gateway that is no prediction."""
        reply = self.ask()
        return None if reply.status_code == httpx.codes.OK else reply

    def generations(self) -> dict[str, str]:
        """uid and generation of each object of ours."""
        kinds = (
            "inferenceservices,httproutes,deployments,statefulsets,services,secrets,configmaps,"
            "cronjobs,jobs,networkpolicies,poddisruptionbudgets,serviceaccounts,gateways"
        )
        found = json.loads(self.kubectl("-n", NAMESPACE, "get", kinds, "-o", "json"))["items"]
        return {
            f"{item['kind']}/{item['metadata']['name']}": _version(item)
            for item in found
            # What a CronJob starts is the clock's doing.
            if not item["metadata"].get("ownerReferences")
        }


def _version(item: dict[str, Any]) -> str:
    metadata = item["metadata"]
    return f"{metadata['uid']}:{metadata.get('generation', metadata['resourceVersion'])}"


def _failed_before(container: dict[str, Any]) -> bool:
    before = container.get("lastState", {}).get("terminated", {})
    return bool(before.get("exitCode", 0))


def ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
