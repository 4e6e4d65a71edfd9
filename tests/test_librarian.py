"""The librarian's report is counted anew when something changed, and only then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from device.adapters.catalogue_sqlite import Catalogue, Stamp
from device.config import LibraryConfig
from device.domain.labels import Affect
from device.domain.tracks import Origin, Track
from device.librarian import Librarian

SONG = Track("a.flac", "A", "", "", 12.5, ("gloomish",), None, Origin.NONE)
STAMP = Stamp(1, 42)


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue(tmp_path / "catalogue.sqlite") as opened:
        opened.upsert([(SONG, STAMP)])
        yield opened


@pytest.fixture
def librarian(catalogue: Catalogue, tmp_path: Path) -> Librarian:
    return Librarian(LibraryConfig(tmp_path), tmp_path, catalogue, lambda event: None, lambda: 0.0)


def test_a_report_is_the_same_while_nothing_changes(librarian: Librarian) -> None:
    assert librarian.report() is librarian.report()
    assert librarian.report().unknown_words == ("gloomish",)


def test_what_this_process_writes_is_in_the_next_report(librarian: Librarian, catalogue: Catalogue) -> None:
    assert librarian.report().by_origin[Origin.PERSON.value] == 0
    catalogue.correct(SONG.uri, Affect(0.5, 0.5))
    assert librarian.report().by_origin[Origin.PERSON.value] == 1


def test_what_another_process_writes_is_in_the_next_report(librarian: Librarian, tmp_path: Path) -> None:
    assert librarian.report().by_origin[Origin.NONE.value] == 1
    with Catalogue(tmp_path / "catalogue.sqlite") as other:
        other.forget([SONG.uri])
    assert librarian.report().by_origin[Origin.NONE.value] == 0


def test_a_word_that_the_household_explains_is_unknown_no_more(librarian: Librarian, tmp_path: Path) -> None:
    assert librarian.report().unknown_words == ("gloomish",)
    (tmp_path / "lexicon.toml").write_text("[words]\ngloomish = [-0.5, -0.3]\n", encoding="utf-8")
    assert librarian.report().unknown_words == ()
