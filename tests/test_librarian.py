"""The librarian's report is counted anew when something changed, and only then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from device.adapters.catalogue_sqlite import Catalogue, Stamp
from device.config import LibraryConfig
from device.domain.events import CatalogueChanged
from device.domain.labels import Affect
from device.domain.tracks import Origin, Track
from device.librarian import Librarian
from device.library import scan
from tests.songs import make_song

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


def test_dislikes_are_told_under_the_names_that_songs_have_now(catalogue: Catalogue, tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    make_song(music / "bad.flac", seed=1)
    scan(music, catalogue)
    catalogue.add_feedback("bad.flac", False, 1e9)
    (music / "bad.flac").rename(music / "01 bad.flac")
    told: SimpleQueue[CatalogueChanged] = SimpleQueue()
    librarian = Librarian(LibraryConfig(music), tmp_path, catalogue, told.put, lambda: 0.0)
    librarian.start()
    try:
        assert told.get(timeout=30).disliked == {"bad.flac"}
        assert told.get(timeout=30).disliked == {"01 bad.flac"}
    finally:
        librarian.close()
