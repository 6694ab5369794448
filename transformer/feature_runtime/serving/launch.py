"""From the command line to a server: KServe's arguments, the release's files, the settings.

KServe's controller appends --predictor_host, --http_port and, where none is given, --model_name.
"""

from __future__ import annotations

import argparse
import socket
import sys

import uvloop
from kserve.model_server import parser as kserve_arguments

from feature_runtime.core.coded import CodedError
from feature_runtime.core.project_functions import load_beside
from feature_runtime.core.release import own_fault, parse_release, read_release
from feature_runtime.core.traffic import LIVE, SHADOW, Traffic, traffic_of
from feature_runtime.serving.addresses import AddressError, Name, parse_predictor
from feature_runtime.serving.server import Listener, Settings, serve
from feature_runtime.serving.sinks import SINKS, SinkSettings
from feature_runtime.serving.store_url import StoreUrl, StoreUrlError, parse_store_url

_MAX_KEY = 4096


class CommandError(CodedError):
    """Arguments that contradict each other, or a missing one."""


def launch(own: argparse.Namespace) -> int:
    """Serves until told to stop. own: the pod's arguments; KServe's are read from the process.

    0 after a graceful stop, 2 when the pod cannot be started as asked.
    """
    try:
        uvloop.run(serve(_settings(own, _kserve_arguments())))
    except CodedError as error:
        print(f"feature_runtime: {error.printed}", file=sys.stderr)
    except OSError as error:
        code = "file_unreadable" if error.filename else "address_unusable"
        print(f"feature_runtime: {error} [{code}]", file=sys.stderr)
    else:
        return 0
    return 2


def _kserve_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="feature_runtime", parents=[kserve_arguments], allow_abbrev=False
    )
    parser.set_defaults(model_name=None)
    return parser.parse_args()


def _settings(own: argparse.Namespace, kserve: argparse.Namespace) -> Settings:
    predictor = _predictor(own.predictor, kserve.predictor_host)
    shadow = _shadow(own)
    parsed = read_release(own.release)
    release = parse_release(parsed)
    key = None if own.hash_key_file is None else own.hash_key_file.read_bytes()[:_MAX_KEY].strip()
    return Settings(
        release=release,
        fault=own_fault(parsed),
        library=load_beside(own.release.parent, release.service.own_functions),
        model_name=kserve.model_name or release.model_name,
        store=_store(own),
        store_password_file=own.store_password_file,
        predictor=predictor,
        record_sink=_sink(own.record_sink),
        record=SinkSettings(own.record, fsync=own.record_fsync),
        hash_key=key,
        replay_clock=own.replay_clock,
        host=own.host,
        listener=Listener(_traffic(own), kserve.http_port, kserve.grpc_port),
        shadow=shadow,
        max_in_flight=own.max_in_flight,
        pod=socket.gethostname(),
    )


def _store(own: argparse.Namespace) -> StoreUrl:
    try:
        url = parse_store_url(own.store)
    except StoreUrlError as error:
        raise CommandError(f"--store: {error}", code=error.code) from None
    if url.password and own.store_password_file is not None:
        found = "found a password beside --store-password-file, wanted the file alone"
        raise CommandError(f"--store: {found}", code="store_password_in_url")
    return url


def _sink(name: str) -> str:
    if name not in SINKS:
        said = f"--record-sink: found {name!r}, wanted one of {sorted(SINKS)}"
        raise CommandError(said, code="record_sink_unknown")
    return name


def _predictor(own: str | None, controllers: str | None) -> str | Name:
    given = own or controllers
    if not given:
        said = "--predictor: found nothing, wanted host:port of the predictor"
        raise CommandError(said, code="predictor_missing")
    try:
        return parse_predictor(given)
    except AddressError as error:
        option = "--predictor" if own else "--predictor_host"
        raise CommandError(f"{option}: {error}", code="predictor_address_invalid") from error


def _shadow(own: argparse.Namespace) -> Listener | None:
    """The second listener: the port decides what a request is, never a header (ADR 51)."""
    http, grpc = own.shadow_http_port, own.shadow_grpc_port
    if http is None and grpc is None:
        return None
    if http is None or grpc is None:
        one = "--shadow-http-port" if grpc is None else "--shadow-grpc-port"
        said = f"{one}: found it alone, wanted both shadow ports or neither"
        raise CommandError(said, code="shadow_port_missing")
    if _traffic(own) == SHADOW:
        said = "--traffic shadow: found beside shadow ports, wanted one of the two"
        raise CommandError(said, code="traffic_contradictory")
    return Listener(SHADOW, http, grpc)


def _traffic(own: argparse.Namespace) -> Traffic:
    """The traffic of the first two ports. `--arm` is its former spelling (docs/adr/0070)."""
    if own.arm is None:
        return LIVE if own.traffic is None else own.traffic
    if own.traffic is not None:
        said = "--arm: found beside --traffic, wanted --traffic alone"
        raise CommandError(said, code="traffic_contradictory")
    print("feature_runtime: --arm is deprecated: use --traffic live or shadow", file=sys.stderr)
    return traffic_of(own.arm)
