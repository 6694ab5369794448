"""Stage `promote`: the release kept to the plan's bounds in shadow traffic and under load.

The figures are held to the plan as it is now, whatever the evidence says of itself: a load test
that passed under last month's budget does not show that it meets today's.
"""

from __future__ import annotations

from collections.abc import Iterator

from proviso.checks.registry import checks_of_stage
from proviso.gates.evidence import EvidenceFolder, evidence_finding
from proviso.gates.monitors import quality_gate_findings
from proviso.gates.register import Subject
from proviso.gates.verdict import Finding


def promote_findings(subject: Subject, folder: EvidenceFolder) -> Iterator[Finding]:
    """What the promote stage needs beside all of `shadow`."""
    for check in checks_of_stage("promote"):
        yield evidence_finding(folder, check)
    yield from quality_gate_findings(subject, folder, "promote")
