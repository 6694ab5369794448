"""An upgrade of kserve that changes what the pod overrides must be read before it is used."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest
import uvicorn
from kserve import Model, ModelServer
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.servicer import InferenceServicer
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from feature_runtime.serving import http_protocol, rpc, rpc_services, server
from feature_runtime.serving.kserve_overrides import KSERVE_VERSION, OVERRIDES, Override

OURS: list[tuple[type[Any], type[Any]]] = [
    (rpc.Servicer, InferenceServicer),
    (rpc.Refusals, ExceptionToStatusInterceptor),
    (http_protocol.BoundedHeadProtocol, HttpToolsProtocol),
    (rpc_services.DescribedServicer, InferenceServicer),
    (server.ServedModel, Model),
    (server.PodDataPlane, DataPlane),
    (server.PodServer, ModelServer),
    (server.SignalFreeServer, uvicorn.Server),
]
OWN_BY_DESIGN = {"__init__", "run"}
"""run: PodServer replaces the whole of kserve's start and stop (server.py says why)."""


@pytest.mark.parametrize("override", OVERRIDES, ids=lambda one: one.target)
def test_what_is_overridden_is_as_it_was(override: Override) -> None:
    installed = f"kserve {version('kserve')}, recorded with {KSERVE_VERSION}"
    assert override.present_source() == override.source, installed


def test_a_change_of_source_is_noticed() -> None:
    [ready] = (one for one in OVERRIDES if one.target.endswith("DataPlane.ready"))
    [other] = (one for one in OVERRIDES if one.target.endswith(".ModelReady"))
    assert Override(ready.target, other.source, "").present_source() != other.source


@pytest.mark.parametrize(("own", "base"), OURS, ids=lambda one: one.__name__)
def test_every_override_is_listed(own: type[Any], base: type[Any]) -> None:
    names = {n for n in vars(own) if hasattr(base, n) and not n.startswith(("__", "_abc"))}
    listed = {one.target.rpartition(".")[2] for one in OVERRIDES}
    assert names - OWN_BY_DESIGN <= listed
