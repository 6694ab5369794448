"""`python -m feature_runtime`: the transformer of one release.

kserve's own arguments are accepted as well; its controller appends --predictor_host,
--http_port and, where none is given, --model_name.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import uvloop
from kserve.model_server import parser as kserve_arguments

from feature_runtime.record import NoRecordError
from feature_runtime.release import ReleaseError, own_fault, parse_release, read_release
from feature_runtime.server import Settings, serve
from feature_runtime.service import ServiceError

_MAX_KEY = 4096


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="feature_runtime",
        description="Serves one release: online features, its model, a decision and its record.",
        parents=[kserve_arguments],
        allow_abbrev=False,
    )
    parser.set_defaults(model_name=None)
    add = parser.add_argument
    add("--release", type=Path, required=True, help="The release's release.yml.")
    add("--store", required=True, help="redis://host:port of the online store.")
    add("--store-password-file", type=Path, help="Its password; read at every connection.")
    add("--record", type=Path, required=True, help="File that prediction records are appended to.")
    add("--record-fsync", action="store_true", help="Records survive power loss; slower.")
    add("--hash-key-file", type=Path, help="Key of the hash of entity keys, if the plan hashes.")
    add("--arm", choices=("serve", "shadow"), default="serve", help="Which arm this pod is.")
    add("--replay-clock", action="store_true", help="The moment is the request's. Replays only.")
    add("--host", default="0.0.0.0", help="Address to listen on.")
    add("--max-in-flight", type=int, default=128, help="Requests at once; more are shed (429).")
    return parser


def _settings(args: argparse.Namespace) -> Settings:
    if not args.predictor_host:
        raise ReleaseError("--predictor_host: found nothing, wanted host:port of the predictor")
    parsed = read_release(args.release)
    release = parse_release(parsed)
    key = None if args.hash_key_file is None else args.hash_key_file.read_bytes()[:_MAX_KEY].strip()
    return Settings(
        release=release,
        fault=own_fault(parsed),
        model_name=args.model_name or release.model_name,
        store=args.store,
        store_password_file=args.store_password_file,
        predictor=args.predictor_host,
        record=args.record,
        record_fsync=args.record_fsync,
        hash_key=key,
        arm=args.arm,
        replay_clock=args.replay_clock,
        host=args.host,
        http_port=args.http_port,
        grpc_port=args.grpc_port,
        max_in_flight=args.max_in_flight,
    )


def main() -> int:
    """0 after a graceful stop, 2 when the pod cannot be started as asked."""
    try:
        uvloop.run(serve(_settings(_arguments().parse_args())))
    except (ReleaseError, ServiceError, NoRecordError, OSError) as error:
        print(f"feature_runtime: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
