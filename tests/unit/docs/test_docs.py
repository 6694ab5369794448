"""The docs as a whole: one index, no broken link, the rooms and names that the code has."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.glob("*.md") if path.name != "index.md")
LINKED = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
WORDS = ("Time and features", "The online store and streams", "A release and its rollout")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```|^    .*?$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"`([A-Z][A-Za-z]+|proviso_[a-z_]+|[a-z]+_digest)`")


def links(page: Path) -> list[str]:
    """Targets of a page's links, without those inside code."""
    return _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its two head rows."""
    section = page.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_page_is_linked_once_in_the_index() -> None:
    count = Counter(links(DOCS / "index.md"))
    wrong = {page.name: count[page.name] for page in PAGES if count[page.name] != 1}
    assert wrong == {}, "docs/index.md links every page of docs/ once, with a line about it"


def test_every_decision_is_linked_once_in_the_index_of_decisions() -> None:
    decisions = sorted(path.name for path in (DOCS / "adr").glob("0*.md"))
    assert sorted(links(DOCS / "adr" / "README.md")) == decisions


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if re.match(r"[a-z]+:", link):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_architecture_names_the_rooms_in_the_order_of_their_imports() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    rooms, runtime = config["tool"]["importlinter"]["contracts"][:2]
    layers = [set(layer.split(" | ")) for layer in rooms["layers"]]
    shown = [set(re.findall(r"`(\w+)`", row[0])) for row in rows(DOCS / "architecture.md", "Rooms")]
    assert shown == layers
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    assert all(f"`{layer}`" in text for layer in runtime["layers"])


def test_every_room_of_the_source_has_a_layer() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [rooms] = [c for c in config["tool"]["importlinter"]["contracts"] if "containers" in c][:1]
    named = {name for layer in rooms["layers"] for name in layer.split(" | ")}
    assert named == {path.parent.name for path in (ROOT / "proviso").glob("*/__init__.py")}


def test_names_of_the_glossary_are_names_of_the_source() -> None:
    source = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("proviso", "transformer")
        for path in sorted((ROOT / folder).rglob("*.py"))
    )
    table = rows(DOCS / "glossary.md", "Former names")
    now = {name for row in table for name in _NAME.findall(row[1])}
    assert len(now) > 10
    assert sorted(name for name in now if name not in source) == []


def test_modules_of_the_glossary_exist() -> None:
    table = rows(DOCS / "glossary.md", "Former names")
    modules = re.findall(r"`(\w+(?:/\w+)+)`", " ".join(row[1] for row in table))
    homes = (ROOT / "proviso", ROOT / "transformer")
    assert len(modules) > 20
    assert [
        name
        for name in modules
        if not any((home / f"{name}.py").is_file() or (home / name).is_dir() for home in homes)
    ] == []


def test_a_word_has_one_meaning() -> None:
    words = [
        word.strip()
        for heading in (
            "Time and features",
            "The online store and streams",
            "A release and its rollout",
        )
        for row in rows(DOCS / "glossary.md", heading)
        for word in row[0].split(",")
    ]
    assert [word for word, count in Counter(words).items() if count > 1] == []
