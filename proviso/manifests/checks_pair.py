"""What two releases must share to be rolled out one over the other.

While both serve, one client meets both: the same request must be good for either, and either's
answer must be a word that the client knows.
"""

from __future__ import annotations

from collections.abc import Iterator

from proviso.contracts.base import Problem
from proviso.contracts.paths import listed
from proviso.release.directory import RELEASE_FILE, Release
from proviso.rollout.deployed import DeployedRelease


def pair_problems(candidate: Release, stable: Release) -> Iterator[Problem]:
    """Why the candidate cannot be rolled out over the stable."""
    yield from _identity(candidate, stable)
    yield from _request(candidate, stable)
    yield from _answer(candidate, stable)


def _identity(candidate: Release, stable: Release) -> Iterator[Problem]:
    where = stable.directory / RELEASE_FILE
    if stable.model_name != candidate.model_name:
        why = "a canary is another answer under the same name"
        yield Problem(f"{where}: model_name", stable.model_name, candidate.model_name, why)
    if stable.id == candidate.id:
        wanted = "another release than the candidate"
        yield Problem(f"{where}: id", stable.id, wanted, "a release cannot replace itself")
    elif _unit(stable) == _unit(candidate):
        why = "both would have the same names in the cluster"
        yield Problem(f"{where}: id", stable.id, f"another unit than {_unit(candidate)}", why)


def _request(candidate: Release, stable: Release) -> Iterator[Problem]:
    """Everything that a stable's client sends must be enough for the candidate, and no more."""
    where = candidate.directory / RELEASE_FILE
    sent = _sent(stable)
    for field in sorted(_sent(candidate) - sent):
        why = "clients of the stable release do not send it"
        wanted = f"only what the stable asks for: {listed(sent)}"
        yield Problem(f"{where}: service.fields", field, wanted, why)
    ours, theirs = candidate.service.limits, stable.service.limits
    for name in ("max_batch", "max_body_bytes"):
        found, least = getattr(ours, name), getattr(theirs, name)
        if found < least:
            why = "a request that the stable release answers would be refused"
            yield Problem(f"{where}: service.limits.{name}", str(found), f"at least {least}", why)


def _answer(candidate: Release, stable: Release) -> Iterator[Problem]:
    where = candidate.directory / RELEASE_FILE
    ours, theirs = candidate.service.decision, stable.service.decision
    for name in ("at_or_above", "below"):
        found, wanted = getattr(ours, name), getattr(theirs, name)
        if found != wanted:
            why = "clients meet both releases at once and know the stable's words"
            yield Problem(f"{where}: service.decision.{name}", found, wanted, why)


def _sent(release: Release) -> set[str]:
    """What a request carries, each entity's key with its type."""
    keys = {f"{entity.join_key} ({entity.dtype})" for entity in release.service.entities}
    return {*keys, *release.service.fields}


def _unit(release: Release) -> str:
    version = release.model.partition(":")[2]
    return DeployedRelease(release.model_name, version, release.id, release.digests).name
