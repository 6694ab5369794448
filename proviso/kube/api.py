"""The API server as a deployment uses it: server-side apply, reading back, deleting, explaining.

The one module (with inside.py, for Secrets and commands in pods) that owns the `kubernetes` client.
Objects are plain mappings, as they come out of YAML.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kubernetes import config
from kubernetes.client import ApiClient, ApiException, CoreV1Api
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ResourceNotFoundError
from urllib3.exceptions import HTTPError

from proviso.contracts.base import InputError

Object = Mapping[str, Any]
Outcome = Literal["created", "configured", "unchanged"]
Progress = Callable[[str], None]
MANAGER = "proviso"
SECONDS = 30
PATIENCE = 90.0
"""Seconds in which a CRD or webhook that was just applied has to answer."""
GONE_SECONDS = 180.0
_FIRST = ("Namespace", "CustomResourceDefinition")
_NOT_YET = (
    "failed calling webhook",
    "no endpoints available",
    "not yet ready",
    "the server could not find",
    "failed to find resource referenced by paramKind",
)
"""How the API server says that a webhook or a kind that was just applied does not answer yet."""
_APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Ref:
    """Which object: apiVersion, kind, name and namespace (None where it has none)."""

    api_version: str
    kind: str
    name: str
    namespace: str | None = None

    def __str__(self) -> str:
        place = f" in {self.namespace}" if self.namespace else ""
        return f"{self.kind} {self.name}{place}"


def ref_of(document: Object) -> Ref:
    """The reference of an object."""
    metadata = document["metadata"]
    return Ref(
        document["apiVersion"], document["kind"], metadata["name"], metadata.get("namespace")
    )


@dataclass
class Applied:
    """What became of the objects that were applied."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @property
    def changed(self) -> int:
        return sum(outcome != "unchanged" for outcome in self.outcomes.values())

    def __str__(self) -> str:
        found = list(self.outcomes.values())
        counts = {name: found.count(name) for name in ("created", "configured", "unchanged")}
        return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


class Cluster:
    """One cluster by its kubeconfig context. dry_run: the server checks all and keeps nothing."""

    def __init__(self, context: str, *, dry_run: bool = False) -> None:
        try:
            self._api: ApiClient = config.new_client_from_config(  # type: ignore[no-untyped-call]
                context=context
            )
            # What the server knew for another run is not what it knows now.
            cache = tempfile.mkdtemp(prefix="proviso-api-")
            weakref.finalize(self, shutil.rmtree, cache, ignore_errors=True)
            self._dynamic = DynamicClient(  # type: ignore[no-untyped-call]
                self._api, cache_file=f"{cache}/discovery.json"
            )
        except (config.ConfigException, ApiException, HTTPError) as error:
            wanted = "a context of a cluster that answers"
            raise InputError.of(f"context {context}", str(error)[:300], wanted) from error
        self.context = context
        self.core = CoreV1Api(self._api)
        self.dry_run = dry_run

    # --- writing -------------------------------------------------------------------------------

    def apply(self, documents: Iterable[Object], progress: Progress) -> Applied:
        """Server-side apply, what others depend on first. Raises InputError with the reason.

        A CRD or webhook that is not there yet is waited for; unknown fields are an error.
        """
        applied = Applied()
        for document in sorted(documents, key=_rank):
            outcome = self._patiently(document, progress)
            applied.outcomes[str(ref_of(document))] = outcome
        return applied

    def _patiently(self, document: Object, progress: Progress) -> Outcome:
        ends, told = time.monotonic() + PATIENCE, False
        while True:
            try:
                return self._apply(document)
            except (ApiException, ResourceNotFoundError, HTTPError) as error:
                if self.dry_run or not _passing(error) or time.monotonic() > ends:
                    raise InputError.of(
                        str(ref_of(document)), said(error), "accepted by the API server"
                    ) from error
                if not told:
                    progress(f"waiting until {ref_of(document)} can be applied: {said(error)}")
                    told = True
                time.sleep(1)

    def _apply(self, document: Object) -> Outcome:
        ref = ref_of(document)
        before = self._read(ref)
        query = [("fieldManager", MANAGER), ("force", "true"), ("fieldValidation", "Strict")]
        if self.dry_run:
            query.append(("dryRun", "All"))
        after = self._call("PATCH", self._path(ref), query, document, _APPLY)
        if before is None:
            return "created"
        return "unchanged" if _content(before) == _content(after) else "configured"

    def annotate(self, ref: Ref, annotations: Mapping[str, str]) -> None:
        """Adds annotations to what is there; the other fields stay whose they are."""
        metadata: dict[str, Any] = {"name": ref.name, "annotations": dict(annotations)}
        body = {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": metadata}
        query = [("fieldManager", f"{MANAGER}-notes"), ("force", "true")]
        self._call("PATCH", self._path(ref), query, body, _APPLY)

    def delete(self, ref: Ref) -> bool:
        """Whether there was one. What it owns goes first; returns when all is gone."""
        query = [("propagationPolicy", "Foreground")]
        if self.dry_run:
            query.append(("dryRun", "All"))
        try:
            self._call("DELETE", self._path(ref), query)
        except ResourceNotFoundError:
            return False
        except (ApiException, HTTPError) as error:
            if getattr(error, "status", 0) == 404:
                return False
            raise InputError.of(str(ref), said(error), "deleted") from error
        self._await_end(ref)
        return True

    def _await_end(self, ref: Ref) -> None:
        ends = time.monotonic() + GONE_SECONDS
        while not self.dry_run and self.get(ref) is not None:
            if time.monotonic() > ends:
                raise InputError.of(str(ref), f"still there after {GONE_SECONDS:.0f} s", "deleted")
            time.sleep(0.5)

    # --- reading -------------------------------------------------------------------------------

    def get(self, ref: Ref) -> dict[str, Any] | None:
        """None where there is none, or no such kind. Raises InputError where nobody can tell."""
        try:
            return self._read(ref)
        except (ApiException, HTTPError) as error:
            raise InputError.of(str(ref), said(error), "an answer of the API server") from error

    def _read(self, ref: Ref) -> dict[str, Any] | None:
        try:
            return self._call("GET", self._path(ref), [])
        except ResourceNotFoundError:
            return None
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def all(
        self, api_version: str, kind: str, namespace: str | None, labels: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        """Every object of a kind with these labels."""
        path = self._path(Ref(api_version, kind, "", namespace)).rstrip("/")
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        try:
            found = self._call("GET", path, [("labelSelector", selector)])
        except (ApiException, HTTPError) as error:
            wanted = "an answer of the API server"
            raise InputError.of(f"{kind} in {namespace}", said(error), wanted) from error
        # A list says once what its items are.
        return [{"apiVersion": api_version, "kind": kind, **item} for item in found["items"]]

    def events(self, namespace: str) -> list[dict[str, Any]]:
        """What happened in a namespace, as far as the cluster remembers."""
        return self.all("v1", "Event", namespace, {})

    def log(self, pod: str, container: str, namespace: str, lines: int, *, previous: bool) -> str:
        """The last lines of a container; empty where there are none."""
        try:
            return str(
                self.core.read_namespaced_pod_log(
                    pod,
                    namespace,
                    container=container,
                    tail_lines=lines,
                    previous=previous,
                    _request_timeout=SECONDS,
                )
            )
        except ApiException:
            return ""

    # --- the wire ------------------------------------------------------------------------------

    def _path(self, ref: Ref) -> str:
        resource = self._dynamic.resources.get(api_version=ref.api_version, kind=ref.kind)
        namespace = (ref.namespace or "default") if resource.namespaced else None
        name = ref.name or None
        return str(resource.path(name=name, namespace=namespace))

    def _call(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        body: Object | None = None,
        content: str = "application/json",
    ) -> dict[str, Any]:
        request = self._api.param_serialize(
            method,
            path,
            query_params=list(query),
            header_params={"Accept": "application/json", "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        reply: Any = self._api.call_api(*request, _request_timeout=SECONDS)
        data = reply.read()
        if not 200 <= reply.status <= 299:
            raise ApiException(http_resp=reply, body=data.decode(), data=None)
        answer: dict[str, Any] = json.loads(data)
        return answer


def _rank(document: Object) -> int:
    kind = document["kind"]
    return _FIRST.index(kind) if kind in _FIRST else len(_FIRST)


def _content(found: Object) -> Object:
    """What an object says, without the server's book-keeping: a dry run gives no new version."""
    kept = {"managedFields", "resourceVersion", "generation"}
    metadata = {name: value for name, value in found["metadata"].items() if name not in kept}
    return {name: value for name, value in found.items() if name != "status"} | {
        "metadata": metadata
    }


def _passing(error: Exception) -> bool:
    """Whether waiting can help: the server, the kind or the webhook may still come."""
    if isinstance(error, (ResourceNotFoundError, HTTPError)):
        return True
    text = said(error)
    return any(sign in text for sign in _NOT_YET) or getattr(error, "status", 0) in (429, 503)


def said(error: Exception) -> str:
    """What the API server says, without its envelope."""
    body = getattr(error, "body", None)
    try:
        return str(json.loads(body)["message"]) if body else str(error)
    except (ValueError, TypeError, KeyError):
        return str(error)
