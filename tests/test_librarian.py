"""The librarian's report is counted anew when something changed, and only then."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import pytest

import device.librarian as librarian_module
from device.adapters.catalogue_sqlite import Catalogue, Stamp
from device.config import LibraryConfig
from device.domain.events import CatalogueChanged
from device.domain.labels import Affect
from device.domain.tracks import Origin, Track
from device.librarian import FIRST_NEWS_SECONDS, NEWS_SECONDS, Librarian
from device.library import BATCH, scan
from device.ports import Clock
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


def fill(folder: Path, count: int) -> None:
    """That many names of one song."""
    make_song(folder / "0.flac", seed=1)
    for number in range(1, count):
        (folder / f"{number}.flac").hardlink_to(folder / "0.flac")


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    return folder


class Listener:
    """Takes what the librarian tells, and ends it when enough was told."""

    def __init__(self, music: Path, state: Path, catalogue: Catalogue, enough: int, clock: Clock = lambda: 0.0) -> None:
        self.told: list[CatalogueChanged] = []
        self.music = music
        self._enough = enough
        self._ended = threading.Event()
        self.librarian = Librarian(LibraryConfig(music), state, catalogue, self._take, clock)

    def _take(self, event: object) -> None:
        assert isinstance(event, CatalogueChanged)
        self.told.append(event)
        self.then()
        if len(self.told) >= self._enough:
            self._ended.set()

    def then(self) -> None:
        """What happens when something was told."""

    def listen(self) -> list[CatalogueChanged]:
        self.librarian.start()
        try:
            assert self._ended.wait(20.0), [event.detail for event in self.told]
        finally:
            self.librarian.close()
        return self.told


def test_a_long_scan_tells_what_it_has_read_so_far(
    catalogue: Catalogue, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device.librarian.FIRST_NEWS_SECONDS", NEWS_SECONDS)
    catalogue.forget([SONG.uri])
    fill(music, 2 * BATCH)

    a_second_a_look = map(float, itertools.count()).__next__
    first, *between, last = Listener(music, tmp_path, catalogue, 4, a_second_a_look).listen()
    assert (first.track_count, last.track_count) == (0, 2 * BATCH)
    assert between[-1].track_count == BATCH
    assert re.fullmatch(rf"reading the music folder: \d+ of {2 * BATCH}", between[-1].detail)
    assert len(between) <= 2 * BATCH / (NEWS_SECONDS - 5) + 1


def test_while_there_is_nothing_to_choose_from_news_come_soon(
    catalogue: Catalogue, music: Path, tmp_path: Path
) -> None:
    catalogue.forget([SONG.uri])
    fill(music, 20)
    a_second_a_look = map(float, itertools.count()).__next__
    _, second, *_ = Listener(music, tmp_path, catalogue, 3, a_second_a_look).listen()
    done = int(re.fullmatch(r"reading the music folder: (\d+) of 20", second.detail)[1])
    assert 0 < done <= FIRST_NEWS_SECONDS


def test_a_change_in_the_middle_of_a_scan_is_told_at_once(catalogue: Catalogue, music: Path, tmp_path: Path) -> None:
    fill(music, 3)

    class Changing(Listener):
        def then(self) -> None:
            if len(self.told) == 1:
                self.librarian.look_again()

    told = Changing(music, tmp_path, catalogue, 3).listen()
    assert told[1].detail.startswith("reading the music folder: 0 of 3")


class LateDrive(Listener):
    """The drive is mounted once the first scan has told that music is missing; till then it lies aside."""

    def then(self) -> None:
        if len(self.told) == 2:
            for path in (self.music.parent / "aside").iterdir():
                path.rename(self.music / path.name)


@pytest.mark.parametrize("left", [0, 1])
def test_a_drive_that_is_mounted_late_is_soon_found(
    catalogue: Catalogue, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    monkeypatch.setattr(librarian_module, "RETRY_SECONDS", 0.05)
    catalogue.forget([SONG.uri])
    for number in range(4):
        make_song(music / f"{number}.flac", seed=number)
    scan(music, catalogue)
    (tmp_path / "aside").mkdir()
    for number in range(left, 4):
        (music / f"{number}.flac").rename(tmp_path / "aside" / f"{number}.flac")
    *_, away, back = LateDrive(music, tmp_path, catalogue, 3, time.monotonic).listen()
    assert (away.track_count, back.track_count) == (left, 4)


def rests(librarian: Librarian, scan_seconds: float, count: int) -> list[float]:
    return [librarian._rest_seconds(scan_seconds) for _ in range(count)]


def test_a_house_that_threw_most_of_its_music_away_is_not_looked_through_for_ever(
    librarian: Librarian, catalogue: Catalogue
) -> None:
    assert rests(librarian, 1.0, 1) == [3600.0]
    catalogue.upsert([(replace(SONG, uri=f"{number}.flac"), STAMP) for number in range(2)])
    catalogue.forget(["0.flac", "1.flac"])
    assert rests(librarian, 1.0, 9) == [30.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0]


def test_a_folder_without_music_that_takes_long_is_looked_at_less_often(
    librarian: Librarian, catalogue: Catalogue
) -> None:
    catalogue.forget([SONG.uri])
    assert rests(librarian, 0.1, 9) == [30.0] * 9
    assert rests(librarian, 60.0, 1) == [1200.0]
