"""Renders a page or a picture: one self-contained file that loads and runs nothing.

A room keeps its own templates and passes their folder. The shared ones are found beside them:
`shell.html.j2` (head, title and style, to be extended) and `chart.html.j2` (charts, legends).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from proviso.contracts.files import replacing
from proviso.pages.charts import Chart, Key

_SHARED = Path(__file__).parent / "templates"


_PICTURE_TOP = 40


def environment(templates: Path = _SHARED) -> Environment:
    """A room's templates beside the shared ones; values are escaped, undefined names fail."""
    return Environment(
        loader=FileSystemLoader([templates, _SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def write_page(where: Environment, template: str, context: Mapping[str, Any], path: Path) -> None:
    """Writes a page to `path`, whole or not at all; its folder is made."""
    with replacing(path) as unfinished:
        unfinished.write_text(page_text(where, template, context), encoding="utf-8")


def page_text(where: Environment, template: str, context: Mapping[str, Any]) -> str:
    """A page that can be written as UTF-8: what is no character in a value becomes `?`."""
    page = where.get_template(template).render(context)
    return page.encode(errors="replace").decode()


def picture(title: str, charts: Sequence[Chart], legend: Sequence[Key]) -> str:
    """An SVG file: charts of one size side by side below a legend."""
    context = {
        "title": title,
        "charts": charts,
        "legend": legend,
        "top": _PICTURE_TOP,
        "width": sum(chart.width for chart in charts),
        "height": _PICTURE_TOP + max(chart.height for chart in charts),
    }
    return environment().get_template("picture.svg.j2").render(context)
