"""The catalogue keeps what it was given, all of it or none, and never stands in the way."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace

import pytest

from device.adapters.catalogue_sqlite import Catalogue, Problem, Ratings, Stamp
from device.domain.labels import Affect
from device.domain.selection import Play
from device.domain.tracks import Origin, Track
from device.errors import PeripheralError, SetupError

SONG = Track(
    "a/ü.flac", "Title", "Artist", "Album", 12.5, ("happy", "laid back"), Affect(0.6, -0.1), Origin.TAG, "Rock", 1987
)
PLAIN = Track("b.wav", "b", "", "", 1.0, (), None)
STAMP = Stamp(1_700_000_000_123_456_789, 42)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "catalogue.sqlite"


@pytest.fixture
def catalogue(path):
    with Catalogue(path) as catalogue:
        yield catalogue


def test_tracks_come_back_as_they_were_also_after_closing(path):
    with Catalogue(path) as catalogue:
        catalogue.upsert([(SONG, STAMP), (PLAIN, STAMP)])
    with Catalogue(path) as catalogue:
        assert catalogue.tracks() == (SONG, PLAIN)
        assert catalogue.stamps() == {"a/ü.flac": STAMP, "b.wav": STAMP}


def test_a_track_is_replaced_by_its_newer_self(catalogue):
    catalogue.upsert([(SONG, STAMP)])
    catalogue.upsert([(replace(SONG, title="New"), Stamp(1, 2))])
    assert [track.title for track in catalogue.tracks()] == ["New"]
    assert catalogue.stamps()["a/ü.flac"] == Stamp(1, 2)


def test_a_file_is_a_track_or_a_problem_never_both(catalogue):
    catalogue.upsert([(SONG, STAMP)], [Problem("bad.mp3", "cannot be read")])
    catalogue.upsert([(replace(PLAIN, uri="bad.mp3"), STAMP)], [Problem(SONG.uri, "holds no sound")])
    assert [track.uri for track in catalogue.tracks()] == ["bad.mp3"]
    assert catalogue.problems() == (Problem(SONG.uri, "holds no sound"),)


def test_a_batch_goes_in_whole_or_not_at_all(catalogue):
    impossible = replace(SONG, title=None)
    with pytest.raises(PeripheralError, match="catalogue"):
        catalogue.upsert([(PLAIN, STAMP), (impossible, STAMP)])
    assert catalogue.tracks() == ()
    catalogue.upsert([(PLAIN, STAMP)])
    assert catalogue.tracks() == (PLAIN,)


def test_forgotten_tracks_keep_their_plays_and_ratings(catalogue):
    catalogue.upsert([(SONG, STAMP)], [Problem("bad.mp3", "x")])
    catalogue.add_play(SONG.uri, SONG.artist, SONG.album, 100.0)
    catalogue.add_feedback(SONG.uri, True, 100.0)
    catalogue.forget([SONG.uri, "bad.mp3", "never seen"])
    assert (catalogue.tracks(), catalogue.problems()) == ((), ())
    assert len(catalogue.recent_plays(5, 0.0, 100.0)) == 1
    assert catalogue.ratings() == {SONG.uri: Ratings(1, 0)}


def test_recent_plays_are_the_newest_and_on_the_given_clock(catalogue):
    for number in range(5):
        catalogue.add_play(f"{number}.wav", "Artist", "Album", 1000.0 + number)
    assert catalogue.recent_plays(2, now_seconds=50.0, now_unix=1010.0) == (
        Play("3.wav", "Artist", "Album", 43.0),
        Play("4.wav", "Artist", "Album", 44.0),
    )


def test_the_play_that_was_skipped_is_remembered_as_skipped(catalogue):
    catalogue.add_play("a", "", "", 100.0)
    catalogue.add_play("a", "", "", 200.0)
    catalogue.add_skip("a", 210.0)
    catalogue.add_play("a", "", "", 300.0)
    catalogue.add_play("b", "", "", 400.0)
    plays = catalogue.recent_plays(9, 0.0, 500.0)
    assert [play.skipped for play in plays] == [False, True, False, False]


def test_a_play_in_the_future_of_a_wrong_clock_was_just_now(catalogue):
    catalogue.add_play("a.wav", "", "", 9_999_999_999.0)
    assert catalogue.recent_plays(1, now_seconds=50.0, now_unix=1000.0)[0].at_seconds == 50.0


def test_the_last_rating_decides_whether_a_song_is_disliked(catalogue):
    for uri, liked in (("a", True), ("a", False), ("b", False), ("b", True), ("c", True)):
        catalogue.add_feedback(uri, liked, 1.0)
    assert catalogue.disliked() == {"a"}
    assert catalogue.ratings()["b"] == Ratings(1, 1)


def test_notes_are_kept(catalogue):
    assert catalogue.note("x") == ""
    catalogue.write_note("x", "one")
    catalogue.write_note("x", "two")
    assert catalogue.note("x") == "two"


@pytest.mark.parametrize("damage", ["not a database", "torn pages"])
def test_a_damaged_file_is_kept_aside_and_a_new_one_begun(path, damage):
    with Catalogue(path) as catalogue:
        catalogue.upsert([(replace(SONG, uri=f"{number}.wav"), STAMP) for number in range(500)])
    content = path.read_bytes()
    torn = b"nonsense" * 1000 if damage == "not a database" else content[:4096] + b"\xff" * (len(content) - 4096)
    path.write_bytes(torn)
    with Catalogue(path) as catalogue:
        assert "damaged" in catalogue.warning and str(path) in catalogue.warning
        assert catalogue.tracks() == ()
        catalogue.upsert([(SONG, STAMP)])
    assert path.with_name(path.name + ".damaged-1").read_bytes() == torn
    with Catalogue(path) as catalogue:
        assert (catalogue.warning, catalogue.tracks()) == ("", (SONG,))


def test_a_file_in_use_is_opened_and_trouble_that_passes_is_no_wrong_set_up(path, monkeypatch):
    monkeypatch.setattr("device.adapters.catalogue_sqlite_file.BUSY_SECONDS", 0.2)
    with sqlite3.connect(path) as db:
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(PeripheralError, match="locked; is the disk full or the file in use"):
            Catalogue(path)
    db.close()
    with Catalogue(path) as writer, writer._file.writing(), Catalogue(path) as reader:
        assert reader.tracks() == ()


def test_a_catalogue_of_a_newer_program_is_left_alone(path):
    Catalogue(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(SetupError, match="newer Moodify"):
        Catalogue(path)
    assert path.exists()


def test_a_folder_that_does_not_exist_is_a_wrong_set_up(tmp_path):
    with pytest.raises(SetupError, match="nowhere"):
        Catalogue(tmp_path / "nowhere" / "catalogue.sqlite")


def test_many_threads_and_a_second_process_connection_write_together(catalogue, path):
    def write(number):
        for step in range(20):
            catalogue.add_play(f"{number}-{step}", "", "", 1.0)
            catalogue.tracks()

    with Catalogue(path) as other:
        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            other.add_play("other", "", "", 1.0)
        for thread in threads:
            thread.join()
    assert len(catalogue.recent_plays(1000, 0.0, 1.0)) == 100


def test_a_new_file_is_at_the_newest_version_with_its_journal_ahead(path):
    Catalogue(path).close()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone()[0] >= 1
    assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    db.close()
