"""Faults that come from outside of the cluster, and what a load met because of them.

Processes are killed and the node is stopped with Docker alone: nothing in the cluster is asked to.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.cluster.load import Sent, failed
from tests.cluster.place import CONTEXT, NODE, attempt, run

Pod = Mapping[str, Any]


@dataclass(frozen=True)
class Outage:
    """What requests met of a fault. Seconds count from it.

    first and last: when the first and the last request that failed were sent; whoever asks later
    is answered. ended: when the last one had its error.
    """

    asked: int
    refused: tuple[Sent, ...]
    first: float
    last: float
    ended: float

    @property
    def seconds(self) -> float:
        """For how long requests were sent in vain."""
        return self.last - self.first

    def __str__(self) -> str:
        said = f"{len(self.refused)} of {self.asked} requests failed"
        if not self.refused:
            return said
        return (
            f"{said}, sent {self.first:.2f} to {self.last:.2f} s after it,"
            f" the last ended at {self.ended:.2f} s"
        )


def outage(sent: Sequence[Sent], at: float) -> Outage:
    """at: the fault, by the monotonic clock."""
    refused = tuple(failed(sent))
    began = [one.began for one in refused] or [at]
    ended = max((one.ended for one in refused), default=at)
    return Outage(len(sent), refused, min(began) - at, max(began) - at, ended - at)


def tag_of(what: str) -> str:
    """Begins the request ids of one load; records of earlier runs have others."""
    return f"{what}-{time.time_ns()}"


def measured(what: str) -> None:
    """A figure for docs/cluster.md."""
    print(f"measured: {what}")


def process_of(pod: Pod, container: str) -> int:
    """The process of a container, as the node counts them."""
    [status] = [s for s in pod["status"]["containerStatuses"] if s["name"] == container]
    identifier = status["containerID"].partition("://")[2]
    for line in run("docker", "exec", NODE, "ctr", "-n", "k8s.io", "task", "ls").splitlines():
        words = line.split()
        if words[0] == identifier:
            return int(words[1])
    raise AssertionError(f"{pod['metadata']['name']}: no process of {container} ({identifier})")


def kill(pod: Pod, container: str) -> float:
    """SIGKILL to a container's process; returns the moment, by the monotonic clock."""
    process = process_of(pod, container)
    at = time.monotonic()
    run("docker", "exec", NODE, "kill", "-9", str(process))
    return at


def restarts(pod: Pod) -> int:
    return sum(status["restartCount"] for status in pod["status"].get("containerStatuses", []))


@contextmanager
def paused() -> Iterator[float]:
    """The node stands still, every process on it; yields the moment at which it did."""
    run("docker", "pause", NODE)
    try:
        yield time.monotonic()
    finally:
        run("docker", "unpause", NODE)


def api_answers() -> bool:
    """Whether the API server takes requests, which it may not right after a pause."""
    return attempt("kubectl", "--context", CONTEXT, "get", "--raw", "/readyz").returncode == 0


def contradictions(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Requests that were scored twice with different ends."""
    found: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
    for record in records:
        if record["traffic"] == "live":
            found[record["request_id"]].add((record["decision"], record["probability"]))
    return sorted(name for name, ends in found.items() if len(ends) > 1)


def scored_twice(records: Sequence[Mapping[str, Any]]) -> int:
    """Records more than requests."""
    served = [record["request_id"] for record in records if record["traffic"] == "live"]
    return len(served) - len(set(served))
