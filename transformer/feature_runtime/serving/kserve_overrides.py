"""What the pod overrides of kserve's SDK, or relies on though kserve does not document it.

Each entry has the digest of the source that the pod's version was written against.
tests/kserve_process/test_kserve_overrides.py fails when an upgrade changes one of them, and when a
class of the pod overrides something that is not listed: read the new source, adapt the override,
then record the new digest.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from dataclasses import dataclass
from typing import Any

KSERVE_VERSION = "0.21.0"
"""The version of kserve whose sources the digests are of."""


@dataclass(frozen=True)
class Override:
    """target: `module:Class.attribute`. source: first 16 hex digits of its source's SHA-256."""

    target: str
    source: str
    why: str

    def present_source(self) -> str:
        """The digest of the source that is installed. Raises AttributeError or ImportError."""
        module, _, names = self.target.partition(":")
        found: Any = importlib.import_module(module)
        for name in names.split("."):
            found = getattr(found, name)
        return hashlib.sha256(inspect.getsource(found).encode()).hexdigest()[:16]


_HTTP = "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol"
_GRPC = "kserve.protocol.grpc.servicer:InferenceServicer"

OVERRIDES = (
    Override(f"{_GRPC}.ModelInfer", "49bf48c9159ebe9f", "the pod's own path, errors and metadata"),
    Override(f"{_GRPC}.RepositoryModelLoad", "67fee58ff64a6edd", "clients must not load a model"),
    Override(
        f"{_GRPC}.RepositoryModelUnload", "d8a895c6fdc3d1cc", "clients must not unload the model"
    ),
    Override(
        f"{_GRPC}.ServerMetadata",
        "7c5d7d9baf51ff93",
        "kserve's claims what is not served",
    ),
    Override(f"{_GRPC}.ModelReady", "97f41a95d064a543", "kserve's knows no version"),
    Override(f"{_GRPC}.ModelMetadata", "5a8a0d47b9ee471f", "kserve's knows no version"),
    Override(
        "kserve.protocol.dataplane:DataPlane.ready",
        "092ec924c2558e83",
        "kserve's is always true; the pod is ready when its identity is verified and it is warm",
    ),
    Override("kserve:Model.healthy", "271ff5811fb07903", "the model is ready when the pod is"),
    Override(
        "kserve:ModelServer.__init__",
        "1029569ff98894af",
        "called, not overridden: makes the registry and the data plane, and starts nothing",
    ),
    Override(
        "kserve.protocol.grpc.interceptors:ExceptionToStatusInterceptor.handle_exception",
        "f9a4d0abc9843c24",
        "kserve logs a traceback for every call that is refused",
    ),
    Override(f"{_HTTP}.__init__", "4f08999410347141", "state of the head"),
    Override(
        f"{_HTTP}.connection_made",
        "6efb565ff3d36b91",
        "a connection on which no request begins is closed like an idle one",
    ),
    Override(f"{_HTTP}.connection_lost", "c91a4c9bf2e29c55", "ends the timer of the head"),
    Override(
        f"{_HTTP}.data_received",
        "010a7ae59a5d3b1a",
        "uvicorn bounds neither the size of a head nor the time that it takes",
    ),
    Override(f"{_HTTP}.send_400_response", "ae5a4a3782b646fd", "uvicorn's answers with plain text"),
    Override(
        f"{_HTTP}._unsupported_upgrade_warning",
        "55bbd2762b189d9a",
        "a request that offers another protocol is read without the offer",
    ),
    Override(f"{_HTTP}.on_message_begin", "96d377fdc7c2baef", "a head begins"),
    Override(
        f"{_HTTP}.on_message_complete",
        "1fbad42dc31fc01f",
        "a request is read once more without its offer",
    ),
    Override(f"{_HTTP}.on_headers_complete", "1ea8589acfad92d8", "a head ends"),
    Override(
        "uvicorn:Server.capture_signals",
        "e1bbcd4770d1c887",
        "PodServer handles the signals and stops all servers together",
    ),
)
