"""What the documents point at is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    path for path in ROOT.rglob("*.md") if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)|<img src=\"([^\"]+)\"")


def anchors(document: Path) -> set[str]:
    """The names that the headings of a document get on a page."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document) -> None:
    for file, heading, picture in LINK.findall(document.read_text(encoding="utf-8")):
        target = (document.parent / (file or picture)).resolve() if file or picture else document
        assert target.exists(), f"{file or picture}: not there"
        if heading:
            assert heading in anchors(target), f"{file}#{heading}: no such heading"
