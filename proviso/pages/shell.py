"""Renders a page: one self-contained file without scripts, fonts or images from elsewhere.

Each station keeps its own templates and hands their folder over; `style.css.j2` and
`shell.html.j2` (a page with head, title and style, to be extended) are found beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from proviso.contracts.files import replacing

_SHARED = Path(__file__).parent / "templates"


def environment(templates: Path) -> Environment:
    """Templates of a station beside the shared ones; everything is escaped, nothing undefined."""
    return Environment(
        loader=FileSystemLoader([templates, _SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def write_page(where: Environment, template: str, context: Mapping[str, Any], path: Path) -> None:
    """Writes a page to `path`, whole or not at all; its folder is made."""
    page = where.get_template(template).render(context)
    with replacing(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8", errors="replace")
