"""`python -m feature_runtime`: the transformer of one release, and its own command line.

KServe parses the process's arguments when it is imported, and would take `--predictor` for an
abbreviation of several of its own. So ours are read here, and KServe finds the others only.
"""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="feature_runtime",
        description="Serves one release: online features, its model, a decision and its record.",
        epilog="KServe's own arguments work as well: --http_port, --grpc_port, --model_name, ...",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--release", type=Path, required=True, help="The release's release.yml.")
    add("--predictor", help="host:port of its predictors. Wins over KServe's --predictor_host.")
    add("--store", required=True, help="Online store, redis://[USER@]HOST[:PORT][/DB].")
    add("--store-password-file", type=Path, help="Its password; read at every connection.")
    add("--record", required=True, help="Where prediction records go: for sink file, its path.")
    add("--record-sink", default="file", help="Kind of sink for them (file).")
    add("--record-fsync", action="store_true", help="Records survive power loss; slower.")
    add("--hash-key-file", type=Path, help="Key of the hash of entity keys, if the plan hashes.")
    add("--traffic", choices=("live", "shadow"), help="What the first ports get.")
    add("--arm", choices=("serve", "shadow"), help="Deprecated: use --traffic live or shadow.")
    add("--shadow-http-port", type=int, help="A second HTTP port, for shadow traffic.")
    add("--shadow-grpc-port", type=int, help="A second gRPC port; give both or neither.")
    add("--replay-clock", action="store_true", help="The moment is the request's. Replays only.")
    add("--host", default="0.0.0.0", help="Address to listen on.")
    add("--max-in-flight", type=int, default=128, help="Requests at once, per traffic; then 429.")
    return parser


def main() -> int:
    """0 after a graceful stop, 2 when the pod cannot be started as asked."""
    own, sys.argv[1:] = _arguments().parse_known_args()
    # Imports make next to no garbage; the server turns the collector on (docs/serving.md).
    gc.disable()
    from feature_runtime.serving.launch import launch

    return launch(own)


if __name__ == "__main__":
    sys.exit(main())
