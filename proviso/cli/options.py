"""Options that several commands share: one name, one meaning, one help text."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from typer import Option

Json = Annotated[
    bool, Option("--json", help="Print the result as one JSON object; errors as one on stderr.")
]
DryRun = Annotated[bool, Option("--dry-run", help="Print what would be done, and do nothing.")]
Yes = Annotated[
    bool, Option("--yes", help="Do not ask before changing a cluster that is not ours.")
]

Transactions = Annotated[
    Path | None,
    Option(
        "--transactions",
        help="The observed rows: a Parquet or CSV file, a folder, a glob (default: the contract's"
        " location).",
    ),
]
GivenTransactions = Annotated[
    Path | None,
    Option(
        "--transactions",
        help="The observed rows (default: the contract's location; without one, simulated rows).",
    ),
]
Sources = Annotated[
    list[str] | None,
    Option(
        "--source",
        metavar="NAME=PATH",
        help="Where a source lies (repeatable; default: the contract's location).",
    ),
]
History = Annotated[Path, Option("--history", help="Directory of the feature history.")]
ComputedHistory = Annotated[
    Path | None, Option("--history", help="Feature history to use (default: computed here).")
]
Start = Annotated[str, Option("--start", help="First moment, inclusive.")]
End = Annotated[str, Option("--end", help="Last moment, exclusive.")]
ParquetFile = Annotated[Path, Option("--out", help="Parquet file to write.")]
Memory = Annotated[
    str, Option("--memory", help="Memory limit of the engine, as in 4GB; beyond it spills to disk.")
]

StoreUrl = Annotated[str, Option("--store", help="Online store, redis://HOST:PORT/DB.")]
StorePasswordFile = Annotated[
    Path | None, Option("--store-password-file", help="File with the online store's password.")
]
AsOf = Annotated[str, Option("--as-of", help="Moment to measure at, or `now`.")]

ReleaseDir = Annotated[Path, Option("--release", help="Release directory.")]
ReleaseDirs = Annotated[
    list[Path] | None, Option("--release", help="Directory of a release in force (repeatable).")
]
EvidenceDir = Annotated[
    Path | None,
    Option("--evidence", help="Directory of the evidence (default: evidence/<release id>/)."),
]
Examples = Annotated[Path, Option("--out", help="Directory of the example releases.")]
FeatureService = Annotated[
    str | None, Option("--service", help="Feature service to train for (default: the plan's).")
]
Sample = Annotated[int, Option("--sample", min=1, max=100_000, help="Number of requests.")]
Seed = Annotated[int, Option("--seed", min=0, max=2**31, help="Selects the sample.")]

Target = Annotated[str, Option("--target", help="Endpoint, http://HOST:PORT.")]
GrpcTarget = Annotated[
    str | None,
    Option("--grpc-target", help="HOST:PORT of V2 gRPC; then half of the requests use it."),
]
Stream = Annotated[
    str | None, Option("--stream", help="Name of the stream (default: the contract's source).")
]
Rounds = Annotated[int, Option("--rounds", min=1, max=50, help="Number of rounds.")]


class ModeName(StrEnum):
    """How releases run in the cluster."""

    standard = "standard"
    knative = "knative"


ReleaseMode = Annotated[
    ModeName | None,
    Option("--mode", help="How the release runs in the cluster (default: the plan's)."),
]
ClusterMode = Annotated[ModeName, Option("--mode", help="How releases run in the cluster.")]
KubeContext = Annotated[
    str | None,
    Option("--context", help="kubeconfig context (default: our kind cluster of the mode)."),
]
