"""A cluster in mode knative as its tests see it: one InferenceService, read with plain kubectl."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from proviso.checks.load import load_requests
from proviso.clients.endpoint import Client, EndpointRequest, RestClient
from proviso.contracts.contract import Contract
from proviso.contracts.loading import CONTRACT_FILE, PLAN_FILE, load_contract, load_plan
from proviso.contracts.plan import Plan
from proviso.deploy import images
from proviso.manifests.checks import Request
from proviso.manifests.folder import write
from proviso.manifests.render import render
from proviso.records.reader import require_record
from proviso.release.directory import Release, read_release
from proviso.release.writing import Draft, write_release
from proviso.rollout.deployed import deployed_release, hostname
from tests.cluster.load import Gateway, Sent, batch, releases
from tests.cluster.place import NODE as STANDARD_NODE
from tests.cluster.place import PROGRAM, ROOT, attempt, eventually, run

CLUSTER = "proviso-knative"
CONTEXT, NODE = f"kind-{CLUSTER}", f"{CLUSTER}-control-plane"
ADDRESS = "127.0.0.1:8081"
NAMESPACE = "proviso"
RENDERED = ROOT / "run" / "knative" / "releases"
DEPLOY_SECONDS = 1800.0
READY_SECONDS = 240.0
_NEXT = "2.6.0"


class RestGateway(Gateway):
    """A revision has one serving port, and that is REST's."""

    def clients(self) -> tuple[Client, Client]:
        one, other = (
            RestClient(f"http://{self.address}", self.model, self.service, self.host)
            for _ in range(2)
        )
        return one, other


@contextmanager
def alone() -> Iterator[None]:
    """Two clusters want the same ports, and more than two cores: the standard one rests."""
    state = attempt("docker", "inspect", "-f", "{{.State.Running}}", STANDARD_NODE)
    ran = state.stdout.strip() == "true"
    if ran:
        run("docker", "stop", STANDARD_NODE)
    try:
        yield
    finally:
        if ran:
            attempt("docker", "stop", NODE)
            run("docker", "start", STANDARD_NODE)


def deployed(work: Path) -> Revised:
    """Deploys the committed releases in mode knative; quick where they are there already."""
    run(PROGRAM, "deploy", "--mode", "knative", "--yes", seconds=DEPLOY_SECONDS)
    repository = ROOT / "model_repository"
    return Revised(
        load_contract(ROOT / "contracts"),
        read_release(repository / "2.4.0"),
        read_release(repository / "2.5.0"),
        work,
    )


@dataclass(frozen=True)
class Revised:
    """A deployment in mode knative: the stable release has all traffic, the candidate none."""

    contract: Contract
    stable: Release
    candidate: Release
    work: Path

    @cached_property
    def gateway(self) -> Gateway:
        model = self.stable.model_name
        return RestGateway(ADDRESS, hostname(model, "knative"), model, self.candidate.service)

    @cached_property
    def asked(self) -> list[EndpointRequest]:
        """The newest transactions of the cluster's own history, to be asked about now."""
        return load_requests(
            self.contract, self.candidate.service, self.data / "transactions.parquet"
        )

    @cached_property
    def data(self) -> Path:
        """A copy of the data volume as it was when it was first asked for."""
        return self.copy()

    def copy(self) -> Path:
        """A copy of the data volume as it is now."""
        folder = self.work / f"data-{time.monotonic_ns()}"
        folder.mkdir()
        run("docker", "cp", f"{NODE}:/var/local/proviso/data/.", folder)
        return folder

    def records(self, tag: str) -> list[dict[str, Any]]:
        """The prediction records of requests whose id begins with `tag`, of every pod."""
        sought = f'"request_id":"{tag}'
        folder = "/var/local/proviso/records"
        done = attempt("docker", "exec", NODE, "grep", "-rhF", sought, folder)
        assert done.returncode in (0, 1), done.stderr
        lines = done.stdout.splitlines()
        return [dict(require_record(line.encode(), ("request_id",))) for line in lines]

    # --- what a user does ----------------------------------------------------------------------

    def kubectl(self, *arguments: str | Path) -> str:
        return run("kubectl", "--context", CONTEXT, "-n", NAMESPACE, *arguments)

    def step(self, name: str, release: Release | None = None) -> float:
        """Applies a step; returns the monotonic second at which the API server had taken it."""
        version = deployed_release(release or self.candidate).version
        self.kubectl("apply", "-f", RENDERED / version / "rollout" / f"{name}.yaml")
        return time.monotonic()

    def bring(self, release: Release) -> None:
        """Applies a release without its steps, and waits until its revision is ready."""
        self.kubectl("apply", "-k", RENDERED / deployed_release(release).version)
        self.await_ready(release)

    def await_ready(self, release: Release) -> None:
        eventually(f"a revision of {release.model}", lambda: self.newest(release), READY_SECONDS)

    def await_shares(self, **percents: int) -> None:
        """By version, with underscores; those that are not named have none."""
        wanted = {name.strip("_").replace("_", "."): n for name, n in percents.items()}
        eventually(f"shares {wanted}", lambda: self.shares() == wanted, READY_SECONDS)

    def back(self) -> None:
        """The stable release alone, the candidate the newest revision without a share."""
        if self._leads_back():
            self.step("rollback")
        else:
            self.bring(self.stable)
            self.await_shares(_2_4_0=100)
            self.bring(self.candidate)
        self.await_shares(_2_4_0=100)
        eventually("only the stable release answers", self._only_stable)

    def _leads_back(self) -> bool:
        """Whether the candidate is the newest revision, and the stable one was before it."""
        state, versions = self.predictor(), self.versions()
        rolled, previous = (
            versions.get(state.get(f"{which}RolledoutRevision", ""))
            for which in ("latest", "previous")
        )
        stable, candidate = (deployed_release(one).version for one in (self.stable, self.candidate))
        behind = previous if rolled == candidate else rolled
        return self.newest(self.candidate) and behind == stable

    def _only_stable(self) -> bool:
        sent = batch(self.gateway, self.asked, 40, f"back-{time.monotonic_ns()}")
        return set(releases(sent)) == {self.stable.id}

    def third(self) -> Release:
        """2.6.0 over 2.4.0: the candidate's model with another threshold, rendered and loaded."""
        contracts, directory = self.work / "contracts", self.work / _NEXT
        shutil.copytree(ROOT / "contracts", contracts)
        model = self.candidate.model
        edits = {model: f"{model.partition(':')[0]}:{_NEXT}", "threshold: 0.5": "threshold: 0.6"}
        for name in (CONTRACT_FILE, PLAN_FILE):
            text = (contracts / name).read_text()
            for old, new in edits.items():
                text = text.replace(old, new)
            (contracts / name).write_text(text)
        contract, plan = load_contract(contracts), load_plan(contracts)
        release = write_release(_draft(self.candidate, contract, plan), directory)
        today = datetime.now(UTC).date()
        asked = Request(contract, plan, directory, self.stable.directory, today, "knative")
        write(render(asked), RENDERED / _NEXT)
        images.load(CLUSTER, images.build_all([release], _silent), _silent)
        return release

    # --- what the cluster says -----------------------------------------------------------------

    def service(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.kubectl("get", "isvc", self.stable.model_name, "-o", "json")
        )
        return found

    def predictor(self) -> dict[str, Any]:
        found: dict[str, Any] = self.service().get("status", {}).get("components", {})
        state: dict[str, Any] = found.get("predictor", {})
        return state

    def versions(self) -> dict[str, str]:
        """Of every revision, the version of its release."""
        items = json.loads(self.kubectl("get", "revisions", "-o", "json"))["items"]
        return {
            one["metadata"]["name"]: one["metadata"]["labels"]["proviso.dev/version"]
            for one in items
        }

    def shares(self) -> dict[str, int]:
        """Percent by version of those that have any, as Knative says."""
        versions, shares = self.versions(), dict[str, int]()
        for target in self.predictor().get("traffic", []):
            if target.get("percent"):
                version = versions[target["revisionName"]]
                shares[version] = shares.get(version, 0) + target["percent"]
        return shares

    def newest(self, release: Release) -> bool:
        """Whether a release is the newest revision, and ready."""
        state = self.predictor()
        created, ready = state.get("latestCreatedRevision"), state.get("latestReadyRevision")
        return (
            created == ready
            and self.versions().get(str(created)) == deployed_release(release).version
        )

    def pods(self, release: Release) -> list[str]:
        """Its pods that are not on their way out."""
        label = f"proviso.dev/release={release.id}"
        items = json.loads(self.kubectl("get", "pods", "-l", label, "-o", "json"))["items"]
        return [
            one["metadata"]["name"] for one in items if "deletionTimestamp" not in one["metadata"]
        ]

    def without_idle_pods(self, release: Release) -> Path:
        """A kustomization of a release that has no pod while there are no requests."""
        folder = RENDERED.parent / "scale-to-zero"
        folder.mkdir(exist_ok=True)
        component = "../../../k8s/components/scale-to-zero"
        resource = f"../releases/{deployed_release(release).version}"
        (folder / "kustomization.yaml").write_text(
            f"resources: [{resource}]\ncomponents: [{component}]\n"
        )
        return folder


def by_version(sent: Sequence[Sent], *known: Release) -> dict[str, int]:
    """Answers by version; `none` for those that failed."""
    versions = {release.id: deployed_release(release).version for release in known}
    return {versions.get(str(one), "none"): n for one, n in releases(sent).items()}


def _draft(before: Release, contract: Contract, plan: Plan) -> Draft:
    """The same model under another contract and plan."""
    model, baseline = before.model_file.read_bytes(), before.baseline_file.read_bytes()
    return Draft(contract, plan, model, baseline, before.card, before.parsed.get("certificate"))


def _silent(_: str) -> None:
    """Progress that is not shown."""
