"""A stand-in for an API server: keeps objects, merges what is applied, refuses what it is told to.

It speaks HTTP on loopback, so that the real client and the real discovery are in the tests.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Object = dict[str, Any]

KINDS: Mapping[str, list[tuple[str, str, bool]]] = {
    "v1": [
        ("namespaces", "Namespace", False),
        ("configmaps", "ConfigMap", True),
        ("secrets", "Secret", True),
        ("pods", "Pod", True),
        ("events", "Event", True),
    ],
    "apps/v1": [("deployments", "Deployment", True)],
    "batch/v1": [("jobs", "Job", True)],
    "serving.kserve.io/v1beta1": [("inferenceservices", "InferenceService", True)],
}


@dataclass
class ApiServer:
    """objects: by path. refusals: by path, answered one after the other before a write is taken.
    unreadable: by path, the answer to a read. logs: by pod, container and whether of the run
    before. kinds: what discovery tells."""

    objects: dict[str, Object] = field(default_factory=dict)
    refusals: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    unreadable: dict[str, tuple[int, str]] = field(default_factory=dict)
    logs: dict[tuple[str, str, bool], str] = field(default_factory=dict)
    kinds: dict[str, list[tuple[str, str, bool]]] = field(default_factory=lambda: dict(KINDS))
    writes: list[tuple[str, str, dict[str, list[str]]]] = field(default_factory=list)

    def keep(self, document: Object) -> None:
        """An object that is there already."""
        metadata = document["metadata"]
        plural, _, namespaced = next(
            row for row in self.kinds[document["apiVersion"]] if row[1] == document["kind"]
        )
        place = f"/namespaces/{metadata['namespace']}" if namespaced else ""
        path = f"{_root(document['apiVersion'])}{place}/{plural}/{metadata['name']}"
        kept = {"resourceVersion": "1", "generation": 1, **metadata}
        self.objects[path] = {**document, "metadata": kept}

    def answer(
        self, method: str, path: str, query: dict[str, list[str]], body: Any
    ) -> tuple[int, Any]:
        if method == "GET" and path in self.unreadable:
            status, message = self.unreadable[path]
            return status, _status(status, message)
        if method == "GET":
            return self._read(path, query)
        self.writes.append((method, path, query))
        if waiting := self.refusals.get(path):
            status, message = waiting.pop(0)
            return status, _status(status, message)
        if method == "DELETE":
            return (200, {}) if self.objects.pop(path, None) else (404, _status(404, "not found"))
        return 200, self._merged(path, body, keep="dryRun" not in query)

    def _read(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        if path.endswith("/log"):
            pod, previous = path.split("/")[-2], query.get("previous") in (["true"], ["True"])
            log = self.logs.get((pod, query["container"][0], previous))
            return (200, log) if log is not None else (400, _status(400, "no log"))
        if path in self.objects:
            return 200, self.objects[path]
        if (found := _discovery(self.kinds, path)) is not None:
            return 200, found
        if path.rsplit("/", 1)[-1] in {row[0] for rows in self.kinds.values() for row in rows}:
            return 200, {"items": self._selected(path, query)}
        return 404, _status(404, f"{path} not found")

    def _selected(self, path: str, query: dict[str, list[str]]) -> list[Object]:
        wanted = query.get("labelSelector", [""])[0]
        pairs = dict(pair.split("=") for pair in wanted.split(",") if pair)
        return [
            found
            for place, found in self.objects.items()
            if place.rsplit("/", 1)[0] == path
            and pairs.items() <= found["metadata"].get("labels", {}).items()
        ]

    def _merged(self, path: str, body: Any, *, keep: bool) -> Object:
        """An apply configuration is merged; a JSON patch replaces metadata, field by field."""
        before = self.objects.get(path)
        after: Object = json.loads(json.dumps(before or {"metadata": {"resourceVersion": "0"}}))
        if isinstance(body, list):
            body = {"metadata": {one["path"].rpartition("/")[2]: one["value"] for one in body}}
        _merge(after, body)
        if keep and after != before:
            version = int(after["metadata"]["resourceVersion"]) + 1
            after["metadata"]["resourceVersion"] = str(version)
            self.objects[path] = after
        return after


def _merge(into: Object, body: Object) -> None:
    for key, value in body.items():
        if isinstance(value, dict):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _status(code: int, message: str) -> Object:
    return {"kind": "Status", "apiVersion": "v1", "code": code, "message": message}


def _discovery(kinds: Mapping[str, list[tuple[str, str, bool]]], path: str) -> Object | None:
    groups = [version.split("/") for version in kinds if "/" in version]
    versions = [
        {"name": group, "versions": [{"version": one, "groupVersion": f"{group}/{one}"}]}
        | {"preferredVersion": {"version": one, "groupVersion": f"{group}/{one}"}}
        for group, one in groups
    ]
    fixed: dict[str, Object] = {
        "/version": {"major": "1", "minor": "34"},
        "/api": {"versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "groups": versions},
    }
    for version, rows in kinds.items():
        fixed[_root(version)] = {
            "kind": "APIResourceList",
            "groupVersion": version,
            "resources": [
                {
                    "name": plural,
                    "singularName": kind.lower(),
                    "namespaced": namespaced,
                    "kind": kind,
                    "verbs": ["get", "list", "patch", "delete"],
                }
                for plural, kind, namespaced in rows
            ],
        }
    return fixed.get(path)


@contextmanager
def serving(folder: Path) -> Iterator[tuple[ApiServer, str]]:
    """A server on loopback, and a kubeconfig whose context `stand-in` leads to it."""
    api = ApiServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            size = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(size)) if size else {}
            query = parse_qs(parts.query)
            status, found = api.answer(self.command, parts.path, query, body)
            data = found.encode() if isinstance(found, str) else json.dumps(found).encode()
            self.send_response(status)
            kind = "text/plain" if isinstance(found, str) else "application/json"
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PATCH = do_DELETE = _answer  # noqa: N815 (the base class names them so)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(_kubeconfig(f"http://127.0.0.1:{server.server_port}")))
    try:
        yield api, str(path)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _kubeconfig(address: str) -> Object:
    name = "stand-in"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": address}}],
        "users": [{"name": name, "user": {"token": "t"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
