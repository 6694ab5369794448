"""The tests themselves: test modules stand alone, fixtures come from a conftest."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
IMPORTS_A_TEST = re.compile(r"^\s*(?:from|import) tests\.(?:\w+\.)*test_\w+", re.MULTILINE)
EXPORTS = re.compile(r"^__all__\b", re.MULTILINE)


def test_no_test_module_imports_another() -> None:
    found = {
        str(path.relative_to(TESTS))
        for path in TESTS.rglob("*.py")
        if IMPORTS_A_TEST.search(path.read_text()) or EXPORTS.search(path.read_text())
    }
    assert found == set()
