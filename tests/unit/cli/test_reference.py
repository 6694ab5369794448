"""docs/cli.md is what the commands say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from proviso.cli.reference import PAGE, page

ROOT = Path(__file__).parents[3]


def test_the_page_is_up_to_date() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    assert page(text) == text, "run python -m proviso.cli.reference"


def test_a_page_without_its_mark_is_refused() -> None:
    with pytest.raises(ValueError, match="generated from here on"):
        page("# Another page")
