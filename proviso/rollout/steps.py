"""The steps of a rollout as data: which release gets which share of the traffic, in which order.

Rendering (manifests/) makes a file of each step; reading a step back from a cluster uses the
annotations that are written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proviso.contracts.plan import Plan
from proviso.rollout.deployed import PREFIX, DeployedRelease

NONE = "none"
"""In annotations: there is no stable release."""


@dataclass(frozen=True)
class Step:
    """One state of the rollout.

    candidate, stable: percent of the requests that each release answers; both 0: no release
    answers. mirrored: percent of the stable's requests that are copied to the candidate.
    """

    name: str
    candidate: int
    stable: int
    mirrored: int = 0

    @property
    def summary(self) -> str:
        """The shares in words: `candidate 5%, stable 95%`."""
        shares = f"candidate {self.candidate}%, stable {self.stable}%"
        return f"{shares}, {self.mirrored}% mirrored" if self.mirrored else shares

    @property
    def is_withdrawal(self) -> bool:
        """Whether no release answers: a first release was rolled back."""
        return not self.candidate and not self.stable


@dataclass(frozen=True)
class Pair:
    """The release that is rolled out, and the one that it replaces (None: it is the first)."""

    candidate: DeployedRelease
    stable: DeployedRelease | None

    @property
    def releases(self) -> Sequence[DeployedRelease]:
        """Those that exist, the candidate first."""
        return [self.candidate, *([self.stable] if self.stable else [])]


def rollout_steps(plan: Plan, *, over_stable: bool, mirrors: bool) -> list[Step]:
    """All steps in order. A first release has no stable to share traffic with: one step.

    The last canary step and `promote` give the same shares: before `promote` the former release
    stays deployed, so that the rollback is one step (docs/plan.md). mirrors: whether the router can
    copy requests to a shadow.
    """
    if not over_stable:
        return [Step("promote", 100, 0)]
    shadow = [Step("shadow", 0, 100, plan.mirroring.percent)] if mirrors else []
    canary = [Step(f"canary-{percent}", percent, 100 - percent) for percent in plan.canary.steps]
    return [*shadow, *canary, Step("promote", 100, 0)]


def rollback_step(*, over_stable: bool) -> Step:
    """All traffic back to the stable release; none at all where there is no stable."""
    return Step("rollback", 0, 100 if over_stable else 0)


def step_annotations(pair: Pair, step: Step) -> dict[str, str]:
    """The step as annotations of the object that routes the traffic."""
    stable = pair.stable
    return {
        f"{PREFIX}/step": step.name,
        f"{PREFIX}/candidate": pair.candidate.release_id,
        f"{PREFIX}/candidate-unit": pair.candidate.name,
        f"{PREFIX}/candidate-weight": str(step.candidate),
        f"{PREFIX}/stable": stable.release_id if stable else NONE,
        f"{PREFIX}/stable-unit": stable.name if stable else NONE,
        f"{PREFIX}/stable-weight": str(step.stable),
        f"{PREFIX}/mirror-percent": str(step.mirrored),
    }
