"""`proviso gate`: one verdict for a stage, every reason, the evidence kept with its digests."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from feature_runtime.core.identity import digest
from feature_runtime.core.moments import now as clock
from proviso.contracts.base import InputError
from proviso.contracts.loading import load_contract, load_plan
from proviso.gates.evidence import Desk
from proviso.gates.files import read_evidence
from proviso.gates.promote import promote_findings
from proviso.gates.register import Subject, register_findings
from proviso.gates.shadow import shadow_findings
from proviso.gates.verdict import Stage, Verdict
from proviso.release.directory import read_release

EVIDENCE = Path("evidence")


def judge(
    contracts: Path,
    release_dir: Path,
    stage: Stage,
    evidence: Path | None,
    now: int | None = None,
) -> Verdict:
    """Judges a release directory. `evidence` None: `evidence/<release id>/`; `now`: wall clock.

    Raises ContractError or InputError when contract, plan or release cannot be read at all.
    """
    release = read_release(release_dir)
    subject = Subject(contracts, load_contract(contracts), load_plan(contracts), release)
    where = evidence or EVIDENCE / release.id
    moment = clock() if now is None else now
    desk = Desk(where, release.id, subject.plan, moment)
    findings = list(register_findings(subject))
    if stage in {"shadow", "promote"}:
        findings += shadow_findings(subject, desk)
    if stage == "promote":
        findings += promote_findings(subject, desk)
    digests = _digests(where) if stage != "register" else {}
    return Verdict(release.id, stage, tuple(findings), digests, moment)


def _digests(where: Path) -> dict[str, str]:
    """Of every file of evidence that can be read; findings say what is wrong with the others."""
    files = sorted(p for p in where.glob("*") if p.suffix in {".csv", ".json"})
    found = {}
    for path in files:
        if not path.name.startswith("gate-"):
            with suppress(InputError):
                found[path.name] = digest(read_evidence(path, "evidence"))
    return found
