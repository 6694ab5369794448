"""Checks whether a release can be rolled out over another.

During a rollout a client's requests reach both: each must accept the same requests, and answer with
the same decisions.
"""

from __future__ import annotations

from collections.abc import Iterator

from proviso.contracts.base import Problem
from proviso.contracts.paths import listed
from proviso.release.directory import Release
from proviso.rollout.deployed import DeployedRelease


def pair_problems(candidate: Release, stable: Release) -> Iterator[Problem]:
    """Every reason why the candidate cannot be rolled out over the stable release."""
    yield from _identity(candidate, stable)
    yield from _request(candidate, stable)
    yield from _answer(candidate, stable)


def _identity(candidate: Release, stable: Release) -> Iterator[Problem]:
    where = stable.file
    if stable.model_name != candidate.model_name:
        path, code = f"{where}: model_name", "pair_model_name_mismatch"
        why = "both releases of a rollout serve under one name"
        yield Problem(path, stable.model_name, candidate.model_name, why, code)
    if stable.id == candidate.id:
        wanted, why = "another release than the candidate", "a release cannot replace itself"
        yield Problem(f"{where}: id", stable.id, wanted, why, "pair_same_release")
    elif _deployed_name(stable) == _deployed_name(candidate):
        why = "both would have the same names in the cluster"
        wanted = f"an id whose name is not {_deployed_name(candidate)}"
        yield Problem(f"{where}: id", stable.id, wanted, why, "pair_name_collision")


def _request(candidate: Release, stable: Release) -> Iterator[Problem]:
    """The candidate must accept every request that is valid for the stable release."""
    where = candidate.file
    sent = _sent(stable)
    for field in sorted(_sent(candidate) - sent):
        why = "clients of the stable release do not send it"
        wanted = f"only what the stable asks for: {listed(sent)}"
        yield Problem(f"{where}: service.fields", field, wanted, why, "pair_request_field_added")
    ours, theirs = candidate.service.limits, stable.service.limits
    for name in ("max_batch", "max_body_bytes"):
        found, least = getattr(ours, name), getattr(theirs, name)
        if found < least:
            why = "a request that the stable release answers would be refused"
            path, code = f"{where}: service.limits.{name}", "pair_limit_lowered"
            yield Problem(path, str(found), f"at least {least}", why, code)


def _answer(candidate: Release, stable: Release) -> Iterator[Problem]:
    where = candidate.file
    ours, theirs = candidate.service.decision, stable.service.decision
    for name in ("at_or_above", "below"):
        found, wanted = getattr(ours, name), getattr(theirs, name)
        if found != wanted:
            path, code = f"{where}: service.decision.{name}", "pair_decision_mismatch"
            why = "clients get answers of both releases and know the stable one's decisions"
            yield Problem(path, found, wanted, why, code)


def _sent(release: Release) -> set[str]:
    """What a request must have: entity keys and fields, each with its type."""
    keys = {f"{entity.join_key} ({entity.dtype})" for entity in release.service.entities}
    fields = {
        one.name if one.dtype == "float64" else f"{one.name} ({one.dtype})"
        for one in release.service.sent_fields
        if not one.nullable
    }
    return keys | fields


def _deployed_name(release: Release) -> str:
    return DeployedRelease(release.model_name, release.version, release.id, release.digests).name
