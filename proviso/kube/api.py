"""The API server: server-side apply, reading, deleting, logs, commands in containers.

The only module that imports the `kubernetes` client. Objects are plain mappings, as they come out
of YAML. There is one way to write: server-side apply under the field manager `proviso`.
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
from kubernetes.stream import stream
from urllib3.exceptions import HTTPError

from proviso.contracts.base import InputError
from proviso.kube.ownership import LAST_APPLIED, MANAGER, taken_over

Object = Mapping[str, Any]
Outcome = Literal["created", "configured", "unchanged"]
Progress = Callable[[str], None]
SECONDS = 30
PATIENCE = 90.0
"""Seconds in which a CRD or webhook that was just applied has to answer."""
GONE_SECONDS = 180.0
_CONFLICTS = 5
"""Attempts to change the owner of fields while controllers write the same object."""
_FIRST = ("Namespace", "CustomResourceDefinition")
_NOT_YET = (
    "failed calling webhook",
    "no endpoints available",
    "not yet ready",
    "the server could not find",
    "failed to find resource referenced by paramKind",
)
"""Parts of the API server's message when a webhook or kind just applied does not answer yet."""
_APPLY = "application/apply-patch+yaml"
_JSON_PATCH = "application/json-patch+json"


def silent(_: str) -> None:
    """Progress that is not shown."""


@dataclass(frozen=True)
class Ref:
    """A reference to an object; namespace is None where the object has none."""

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
    """The outcome of each object that was applied, by its reference as text."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @property
    def changed(self) -> int:
        return sum(outcome != "unchanged" for outcome in self.outcomes.values())

    def __str__(self) -> str:
        outcomes = list(self.outcomes.values())
        counts = {name: outcomes.count(name) for name in ("created", "configured", "unchanged")}
        return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


class Cluster:
    """One cluster by its kubeconfig context. dry_run: the server checks every write, keeps none."""

    def __init__(self, context: str, *, dry_run: bool = False) -> None:
        try:
            self._api: ApiClient = config.new_client_from_config(  # type: ignore[no-untyped-call]
                context=context
            )
            # The client would keep the discovery of an earlier run, which may lack new kinds.
            cache = tempfile.mkdtemp(prefix="proviso-api-")
            weakref.finalize(self, shutil.rmtree, cache, ignore_errors=True)
            self._dynamic = DynamicClient(  # type: ignore[no-untyped-call]
                self._api, cache_file=f"{cache}/discovery.json"
            )
        except config.ConfigException as error:
            wanted, code = "a context of the kubeconfig", "context_unknown"
            raise InputError.of(
                "--context", context, wanted, str(error)[:300], code=code
            ) from error
        except (ApiException, HTTPError) as error:
            raise _unanswered(f"context {context}", error) from error
        self.context = context
        self._core = CoreV1Api(self._api)
        self.dry_run = dry_run

    # --- writing -------------------------------------------------------------------------------

    def apply(self, documents: Iterable[Object], progress: Progress = silent) -> Applied:
        """Server-side apply; Namespaces and CRDs first. Raises InputError with the reason.

        Waits for a CRD or webhook that does not answer yet; unknown fields are an error. Fields
        that `kubectl apply` owned become ours, so that those we no longer state are removed.
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
                    message = f"refused by the API server: {message_of(error)}"
                    raise InputError.event("apply_refused", message, ref_of(document)) from error
                if not told:
                    progress(
                        f"waiting until {ref_of(document)} can be applied: {message_of(error)}"
                    )
                    told = True
                time.sleep(1)

    def _apply(self, document: Object) -> Outcome:
        ref = ref_of(document)
        before = self._read(ref)
        if before is not None:
            self._take_over(ref, before)
        query = self._query(fieldManager=MANAGER, force="true", fieldValidation="Strict")
        after = self._call("PATCH", self._path(ref), query, document, _APPLY)
        if before is None:
            return "created"
        return "unchanged" if _content(before) == _content(after) else "configured"

    def _take_over(self, ref: Ref, present: Object) -> None:
        """Makes us the owner of what `kubectl apply` owns. Controllers may write meanwhile."""
        for left in reversed(range(_CONFLICTS)):
            metadata = present["metadata"]
            managed = taken_over(metadata.get("managedFields", []), present["apiVersion"])
            if managed is None:
                return
            patch = [
                {"op": "replace", "path": "/metadata/managedFields", "value": managed},
                # The server refuses the patch when the object has changed since it was read.
                *_replacing("/metadata/resourceVersion", metadata.get("resourceVersion")),
            ]
            try:
                self._call("PATCH", self._path(ref), self._query(), patch, _JSON_PATCH)
            except ApiException as error:
                if error.status != 409 or not left:
                    raise
                present = self._read(ref) or {"apiVersion": ref.api_version, "metadata": {}}
            else:
                return

    def annotate(self, ref: Ref, annotations: Mapping[str, str]) -> bool:
        """Adds annotations to an object; its other fields keep their owners.

        False where there is no such object. Annotations of an earlier call that are not named
        again are removed.
        """
        present = self.get(ref)
        if present is None:
            return False
        # With its uid, so that an object deleted meanwhile is not created again.
        metadata: dict[str, Any] = {"name": ref.name, "annotations": dict(annotations)}
        if "uid" in present["metadata"]:
            metadata["uid"] = present["metadata"]["uid"]
        body = {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": metadata}
        query = self._query(fieldManager=f"{MANAGER}-notes", force="true")
        try:
            self._call("PATCH", self._path(ref), query, body, _APPLY)
        except (ApiException, HTTPError) as error:
            if getattr(error, "status", 0) in (404, 409):
                return False
            message = f"refused by the API server: {message_of(error)}"
            raise InputError.event("apply_refused", message, ref) from error
        return True

    def delete(self, ref: Ref) -> bool:
        """Deletes an object and what it owns; returns when all is gone. False: there was none."""
        try:
            query = self._query(propagationPolicy="Foreground")
            self._call("DELETE", self._path(ref), query)
        except ResourceNotFoundError:
            return False
        except (ApiException, HTTPError) as error:
            if getattr(error, "status", 0) == 404:
                return False
            message = f"cannot be deleted: {message_of(error)}"
            raise InputError.event("delete_refused", message, ref) from error
        self._await_end(ref)
        return True

    def _query(self, **parameters: str) -> list[tuple[str, str]]:
        dry = {"dryRun": "All"} if self.dry_run else {}
        return list({**parameters, **dry}.items())

    def _await_end(self, ref: Ref) -> None:
        ends = time.monotonic() + GONE_SECONDS
        while not self.dry_run and self.get(ref) is not None:
            if time.monotonic() > ends:
                message = f"still there {GONE_SECONDS:.0f} s after it was deleted"
                why = "a finalizer may hold it: see its metadata.finalizers"
                raise InputError.event("not_deleted_in_time", message, ref, why)
            time.sleep(0.5)

    # --- reading -------------------------------------------------------------------------------

    def get(self, ref: Ref) -> dict[str, Any] | None:
        """The object; None where there is none, or no such kind.

        Raises InputError where the API server does not tell.
        """
        try:
            return self._read(ref)
        except (ApiException, HTTPError) as error:
            raise _unanswered(str(ref), error) from error

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
        """Every object of a kind with these labels; an empty mapping: every object."""
        path = self._path(Ref(api_version, kind, "", namespace)).rstrip("/")
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        try:
            listed = self._call("GET", path, [("labelSelector", selector)])
        except (ApiException, HTTPError) as error:
            raise _unanswered(f"{kind} in {namespace}", error) from error
        # The items of a list have no apiVersion and kind of their own.
        return [{"apiVersion": api_version, "kind": kind, **item} for item in listed["items"]]

    def events(self, namespace: str) -> list[dict[str, Any]]:
        """The events of a namespace that the cluster still keeps (an hour by default)."""
        return self.all("v1", "Event", namespace, {})

    def log(self, pod: str, container: str, namespace: str, lines: int, *, previous: bool) -> str:
        """The last lines of a container; empty where there are none."""
        try:
            return str(
                self._core.read_namespaced_pod_log(
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

    def execute(
        self, pod: str, container: str, namespace: str, command: Sequence[str]
    ) -> str | None:
        """stdout and stderr of a command in a container; None where it could not be started."""
        try:
            output = stream(
                self._core.connect_get_namespaced_pod_exec,
                pod,
                namespace,
                container=container,
                command=list(command),
                stdout=True,
                stderr=True,
                stdin=False,
                tty=False,
                _request_timeout=SECONDS,
            )
        except ApiException:
            return None
        return str(output)

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
        body: Object | Sequence[Object] | None = None,
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


def _replacing(path: str, value: object) -> list[Object]:
    return [{"op": "replace", "path": path, "value": value}] if value is not None else []


def _content(document: Object) -> Object:
    """An object without status and the server's book-keeping: a dry run makes no new version."""
    kept = {"managedFields", "resourceVersion", "generation"}
    metadata = {name: value for name, value in document["metadata"].items() if name not in kept}
    if "annotations" in metadata:
        notes = {k: v for k, v in metadata["annotations"].items() if k != LAST_APPLIED}
        metadata["annotations"] = notes
    return {name: value for name, value in document.items() if name != "status"} | {
        "metadata": metadata
    }


def _passing(error: Exception) -> bool:
    """Whether waiting can help: the server, the kind or the webhook may still come."""
    if isinstance(error, (ResourceNotFoundError, HTTPError)):
        return True
    text = message_of(error)
    return any(sign in text for sign in _NOT_YET) or getattr(error, "status", 0) in (429, 503)


def _unanswered(path: str, error: Exception) -> InputError:
    """The error of a question that the API server did not answer."""
    if isinstance(error, HTTPError):
        message = f"the API server cannot be reached: {str(error)[:300]}"
        return InputError.event("api_server_unreachable", message, path)
    message = f"the API server answered with an error: {message_of(error)[:300]}"
    return InputError.event("api_server_error", message, path)


def message_of(error: Exception) -> str:
    """The message of an API server's error, without its envelope."""
    body = getattr(error, "body", None)
    try:
        return str(json.loads(body)["message"]) if body else str(error)
    except (ValueError, TypeError, KeyError):
        return str(error)
