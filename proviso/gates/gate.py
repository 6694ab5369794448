"""`proviso gate`: the verdict of a stage with every reason and the digests of the evidence."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from feature_runtime.core.identity import digest
from feature_runtime.core.moments import now as clock
from proviso.checks.registry import Stage
from proviso.contracts.base import InputError
from proviso.contracts.loading import load_contract, load_plan
from proviso.gates.evidence import EvidenceFolder
from proviso.gates.files import read_evidence
from proviso.gates.monitors import quality_gate_findings
from proviso.gates.promote import promote_findings
from proviso.gates.register import Subject, register_findings
from proviso.gates.shadow import shadow_findings
from proviso.gates.verdict import Verdict
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
    directory = evidence or EVIDENCE / release.id
    moment = clock() if now is None else now
    folder = EvidenceFolder(directory, release.id, subject.plan, moment)
    findings = [
        *register_findings(subject),
        *quality_gate_findings(subject, folder, "register"),
    ]
    if stage in {"shadow", "promote"}:
        findings += shadow_findings(subject, folder)
    if stage == "promote":
        findings += promote_findings(subject, folder)
    digests = _digests(directory) if stage != "register" else {}
    return Verdict(release.id, stage, tuple(findings), digests, moment)


def _digests(directory: Path) -> dict[str, str]:
    """Digests of all evidence files that can be read, by name; findings name the others."""
    files = sorted(p for p in directory.glob("*") if p.suffix in {".csv", ".json"})
    digests = {}
    for path in files:
        if not path.name.startswith("gate-"):
            with suppress(InputError):
                digests[path.name] = digest(read_evidence(path, "evidence"))
    return digests
