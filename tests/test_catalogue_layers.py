"""What the tags say, what was heard and what a person said of a track are kept apart; the best known of them counts."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from device.adapters import catalogue_sqlite_file
from device.adapters.catalogue_sqlite import Catalogue, Counts, PlayTally, Problem, SongOutcome, Stamp
from device.domain.hearing import Heard
from device.domain.labels import Affect
from device.domain.shelf import HEARD, shelve
from device.domain.tracks import Origin, Track, recording_key

STAMP = Stamp(1_700_000_000_123_456_789, 42)
TAGGED = Track(
    uri="a/ü.flac",
    title="Title",
    artist="Artist",
    album="Album",
    duration_seconds=12.5,
    moods=("happy", "laid back"),
    affect=Affect(0.6, -0.1),
    origin=Origin.TAG,
    genre="Rock",
    year=1987,
    album_artist="Various",
    compilation=True,
    recording_id="rec-1",
    release_id="rel-1",
    explicit=True,
    rating=4,
    track_gain_db=-7.5,
    album_gain_db=-6.25,
    uncertainty=0.2,
    identity="flac-md5:1",
)
PLAIN = Track("b.wav", "b", "", "", 1.0, (), None, identity="audio:2")
HEARING = Heard(Affect(-0.5, 0.25), 0.4, bytes(range(12)), {"tempo_bpm": 120.0}, "ears-1")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "catalogue.sqlite"


@pytest.fixture
def catalogue(path):
    with Catalogue(path) as catalogue:
        catalogue.upsert([(TAGGED, STAMP), (PLAIN, STAMP)])
        yield catalogue


def feeling(catalogue, uri):
    track = catalogue.track(uri)
    return track.affect, track.origin, track.uncertainty


def test_all_that_tags_say_comes_back(catalogue):
    assert catalogue.tracks() == (TAGGED, PLAIN)
    assert catalogue.track(TAGGED.uri) == TAGGED
    assert catalogue.track("nowhere") is None


def test_a_person_wins_over_a_tag_and_a_tag_over_the_analysis(catalogue):
    for uri in (TAGGED.uri, PLAIN.uri):
        assert catalogue.write_heard(uri, STAMP, HEARING)
    assert feeling(catalogue, TAGGED.uri) == (TAGGED.affect, Origin.TAG, 0.2)
    assert feeling(catalogue, PLAIN.uri) == (HEARING.affect, Origin.ANALYSIS, 0.4)
    for uri in (TAGGED.uri, PLAIN.uri):
        assert catalogue.correct(uri, Affect(0.9, 0.9), ("party",), 5.0)
        assert feeling(catalogue, uri) == (Affect(0.9, 0.9), Origin.PERSON, 0.0)
    assert catalogue.correction(PLAIN.uri).words == ("party",)
    assert catalogue.uncorrect(PLAIN.uri) and catalogue.uncorrect(TAGGED.uri)
    assert feeling(catalogue, TAGGED.uri) == (TAGGED.affect, Origin.TAG, 0.2)
    assert feeling(catalogue, PLAIN.uri) == (HEARING.affect, Origin.ANALYSIS, 0.4)
    assert not catalogue.uncorrect(PLAIN.uri)
    assert not catalogue.correct("nowhere", Affect(0, 0))


def test_reading_the_tags_again_keeps_the_other_layers(catalogue):
    catalogue.write_heard(PLAIN.uri, STAMP, HEARING)
    catalogue.correct(TAGGED.uri, Affect(0.9, 0.9))
    catalogue.upsert([(replace(TAGGED, moods=("sad",), affect=Affect(-1, 0)), Stamp(2, 2)), (PLAIN, Stamp(2, 2))])
    assert catalogue.track(TAGGED.uri).affect == Affect(0.9, 0.9)
    assert catalogue.track(TAGGED.uri).moods == ("sad",)
    assert catalogue.track(PLAIN.uri).timbre == HEARING.timbre
    assert catalogue.heard(PLAIN.uri) == HEARING


def test_without_an_identity_what_was_heard_holds_for_one_stamp(catalogue):
    plain = replace(PLAIN, identity="")
    catalogue.upsert([(plain, STAMP)])
    catalogue.write_heard(plain.uri, STAMP, HEARING)
    catalogue.upsert([(plain, STAMP)])
    assert catalogue.track(plain.uri).affect == HEARING.affect
    catalogue.upsert([(plain, Stamp(2, 2))])
    assert catalogue.track(plain.uri).affect is None


def test_the_shelf_is_what_shelving_the_tracks_would_give(catalogue):
    catalogue.write_heard(PLAIN.uri, STAMP, HEARING)
    catalogue.correct(TAGGED.uri, Affect(0.9, 0.9))
    catalogue.upsert([(Track("c.wav", "c", "", "", 1.0, (), None), STAMP)])
    shelf, other = catalogue.shelf(), shelve(catalogue.tracks())
    assert np.array_equal(shelf.records, other.records)
    assert [shelf.uri(row) for row in range(len(shelf))] == [TAGGED.uri, PLAIN.uri]
    assert shelf.row_of(PLAIN.uri) == 1 and shelf.row_of("c.wav") is None
    assert shelf.records["flags"][1] & HEARD


def test_what_is_gone_or_broken_leaves_the_shelf(catalogue):
    other = replace(PLAIN, uri="d.wav", identity="", affect=Affect(0, 0))
    catalogue.upsert([(other, STAMP)])
    catalogue.forget([TAGGED.uri])
    catalogue.upsert([], [Problem("d.wav", "holds no sound")])
    assert len(catalogue.shelf()) == 0
    assert catalogue.counts() == Counts(1, 0, 0, 0, 0, 2, 1)


def test_an_empty_catalogue_has_an_empty_shelf(tmp_path):
    with Catalogue(tmp_path / "new.sqlite") as catalogue:
        assert len(catalogue.shelf()) == 0
        assert catalogue.counts() == Counts(0, 0, 0, 0, 0, 0, 0)


def test_tracks_come_in_pages(catalogue):
    catalogue.upsert([(replace(PLAIN, uri=f"p/{n:04}.wav", identity=""), STAMP) for n in range(2500)])
    assert [track.uri for track in catalogue.tracks_page("p/0009.wav", 2)] == ["p/0010.wav", "p/0011.wav"]
    assert [track.uri for track in catalogue.each_track()] == [track.uri for track in catalogue.tracks()]


def test_the_counts_tell_who_said_what(catalogue):
    catalogue.write_heard(PLAIN.uri, STAMP, HEARING)
    assert catalogue.counts() == Counts(2, 2, 0, 1, 1, 0, 0)
    catalogue.correct(PLAIN.uri, Affect(0, 0))
    assert catalogue.counts() == Counts(2, 2, 1, 1, 0, 0, 0)


def test_copies_of_a_recording_share_the_key_of_the_first(catalogue):
    copy = replace(TAGGED, uri="z.mp3", title="Title (live?)", identity="x")
    catalogue.upsert([(copy, STAMP)])
    assert set(catalogue.shelf().records["recording"]) == {recording_key(TAGGED)}
    assert catalogue.duplicates() == ((TAGGED.uri, "z.mp3"),)
    catalogue.forget([TAGGED.uri])
    assert set(catalogue.shelf().records["recording"]) == {recording_key(copy)}
    assert catalogue.duplicates() == ()


def test_the_same_name_by_the_same_artist_is_a_copy(catalogue):
    catalogue.upsert([(replace(TAGGED, uri="z.mp3", recording_id="", artist="ARTIST"), STAMP)])
    assert catalogue.duplicates() == ((TAGGED.uri, "z.mp3"),)


def test_names_that_share_a_key_by_chance_are_no_copies(catalogue, path):
    catalogue.upsert([(replace(TAGGED, uri="z.mp3", recording_id="", title="Another", identity="z"), STAMP)])
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE track SET song = 7 WHERE uri IN ('z.mp3', ?)", (TAGGED.uri,))
    assert catalogue.duplicates() == ()
    assert catalogue.layers("z.mp3").copies == ()


def test_a_copy_of_a_copy_is_a_copy(catalogue):
    by_id = replace(TAGGED, uri="y.mp3", title="Titel", identity="y")
    by_name = replace(TAGGED, uri="z.mp3", recording_id="", identity="z")
    catalogue.upsert([(by_id, STAMP), (by_name, STAMP)])
    assert catalogue.duplicates() == ((TAGGED.uri, "y.mp3", "z.mp3"),)
    assert catalogue.layers(TAGGED.uri).copies == ("y.mp3", "z.mp3")


# The analysis' queue


def queue(catalogue, limit=10, model="ears-1", **rest):
    return [unheard.uri for unheard in catalogue.to_analyse(limit, model, **rest)]


def test_tracks_nobody_says_anything_of_are_heard_first(catalogue):
    catalogue.upsert([(replace(PLAIN, uri="c.wav", identity=""), STAMP)])
    catalogue.correct("c.wav", Affect(0, 0))
    assert queue(catalogue) == [PLAIN.uri]
    assert queue(catalogue, all=True) == [PLAIN.uri, TAGGED.uri, "c.wav"]
    assert queue(catalogue, 2, all=True) == [PLAIN.uri, TAGGED.uri]
    catalogue.uncorrect("c.wav")
    catalogue.correct(TAGGED.uri, Affect(0, 0))
    catalogue.uncorrect(TAGGED.uri)
    assert queue(catalogue) == [PLAIN.uri, "c.wav"]
    assert catalogue.to_analyse(1, "ears-1")[0].stamp == STAMP


def test_what_was_heard_or_cannot_be_is_not_heard_again(catalogue):
    catalogue.write_heard(PLAIN.uri, STAMP, HEARING)
    catalogue.analysis_failed(TAGGED.uri, STAMP, "no sound", "ears-1")
    assert queue(catalogue, all=True) == []
    assert catalogue.analysis_progress("ears-1") == (1, 1)
    assert catalogue.analysis_progress("ears-1", all=True) == (2, 2)
    assert catalogue.analysis_failures() == (Problem(TAGGED.uri, "no sound"),)
    assert catalogue.heard(TAGGED.uri) is None
    catalogue.upsert([(TAGGED, Stamp(9, 9))])
    assert queue(catalogue, all=True) == []
    catalogue.upsert([(replace(TAGGED, identity="flac-md5:new"), Stamp(10, 9))])
    assert queue(catalogue, all=True) == [TAGGED.uri]


def test_a_newer_model_hears_everything_again(catalogue):
    catalogue.write_heard(PLAIN.uri, STAMP, HEARING)
    assert queue(catalogue, model="ears-2") == [PLAIN.uri]
    assert queue(catalogue, model="ears-0") == [PLAIN.uri]
    assert catalogue.analysis_progress("ears-2") == (0, 1)
    catalogue.write_heard(PLAIN.uri, STAMP, replace(HEARING, model="ears-2"))
    assert queue(catalogue, model="ears-2") == []


def test_a_file_that_changed_meanwhile_is_not_taken_for_the_one_that_was_heard(catalogue):
    assert not catalogue.write_heard(PLAIN.uri, Stamp(1, 1), HEARING)
    assert not catalogue.analysis_failed("nowhere", STAMP, "x", "ears-1")
    assert queue(catalogue) == [PLAIN.uri]


def test_files_that_sound_the_same_are_heard_once(catalogue):
    catalogue.upsert([(replace(PLAIN, uri="c.wav"), STAMP)])
    catalogue.write_heard("c.wav", STAMP, HEARING)
    assert queue(catalogue) == []
    assert catalogue.track(PLAIN.uri).affect == HEARING.affect
    catalogue.upsert([(replace(PLAIN, uri="d.wav"), STAMP)])
    assert catalogue.track("d.wav").affect == HEARING.affect
    assert queue(catalogue) == []


# What people do


def test_plays_skips_and_ratings_are_tallied(catalogue):
    catalogue.add_play("a", "", "", 100.0)
    catalogue.add_play("a", "", "", 90.0)
    catalogue.add_skip("a", 101.0)
    catalogue.add_feedback("a", False, 102.0)
    assert catalogue.tally("a") == PlayTally(2, 1, 100.0, 101.0, 0)
    catalogue.add_feedback("a", True, 103.0)
    assert catalogue.tally("a").like == 2
    assert catalogue.tally("never") == PlayTally()


def test_outcomes_come_back_newest_last_and_can_be_forgotten(catalogue):
    full = SongOutcome("a", "liked", "happy", 1.0, 2**32 - 1, 7, Affect(0.1, 0.2), Affect(0.3, 0.4), b"x" * 12)
    bare = [SongOutcome("b", "heard_out", mood, float(n)) for n, mood in enumerate(("sad", "happy", "sad"), 2)]
    for outcome in (full, *bare):
        catalogue.add_outcome(outcome)
    assert catalogue.outcomes(10) == (full, *bare)
    assert catalogue.outcomes(2) == tuple(bare[1:])
    assert catalogue.forget_outcomes(mood="sad", keep=1) == 1
    assert catalogue.outcomes(10) == (full, *bare[1:])
    assert catalogue.forget_outcomes(uri="a") == 1
    assert catalogue.forget_outcomes() == 2
    assert catalogue.outcomes(10) == ()


# Catalogues of older programs


def old_catalogue(path):
    """As the first released program wrote it."""
    db = sqlite3.connect(path)
    db.executescript(catalogue_sqlite_file._STEPS[0])
    row = ("a.flac", 5, 6, "T", "A", "B", 3.0, "happy\nodd", 0.5, 0.25, "tag", "Rock", 1999)
    db.execute(f"INSERT INTO track VALUES ({', '.join('?' * 13)})", row)
    db.execute("INSERT INTO track VALUES ('b.flac', 5, 6, 'T', 'A', 'B', 3.0, '', NULL, NULL, 'none', '', NULL)")
    db.executemany("INSERT INTO plays VALUES (NULL, 'a.flac', 'A', 'B', ?)", [(10.0,), (20.0,)])
    db.executemany("INSERT INTO feedback VALUES (NULL, ?, ?, 1.0)", [("a.flac", 0), ("a.flac", 1), ("x.flac", 0)])
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()


def test_an_old_catalogue_keeps_all_it_knows_and_is_read_again(path):
    old_catalogue(path)
    for _ in range(2):
        with Catalogue(path) as catalogue:
            affect = Affect(0.5, 0.25)
            track = Track("a.flac", "T", "A", "B", 3.0, ("happy", "odd"), affect, Origin.TAG, "Rock", 1999)
            assert catalogue.track("a.flac") == track
            assert len(catalogue.tracks()) == 2
            assert [catalogue.shelf().uri(row) for row in range(len(catalogue.shelf()))] == ["a.flac"]
            assert catalogue.stamps()["a.flac"].mtime_ns == -1
            assert catalogue.tally("a.flac") == PlayTally(2, 0, 20.0, 0.0, 2)
            assert catalogue.tally("x.flac").like == 0
            assert len(catalogue.recent_plays(9, 0.0, 30.0)) == 2
            assert catalogue.disliked() == {"x.flac"}
            assert [unheard.uri for unheard in catalogue.to_analyse(9, "m")] == ["b.flac"]


def test_a_shelf_of_another_shape_is_made_anew(path):
    with Catalogue(path) as catalogue:
        catalogue.upsert([(TAGGED, STAMP)])
        catalogue.write_note("shelved as", "otherwise")
    db = sqlite3.connect(path)
    db.execute("UPDATE shelf SET record = x'00'")
    db.commit()
    db.close()
    with Catalogue(path) as catalogue:
        assert np.array_equal(catalogue.shelf().records, shelve([TAGGED]).records)


def test_a_large_file_found_damaged_in_use_is_replaced_at_the_next_start(path, monkeypatch):
    monkeypatch.setattr(catalogue_sqlite_file, "CHECKED_BYTES", 0)
    with Catalogue(path) as catalogue:
        catalogue.upsert([(replace(TAGGED, uri=f"{number}.wav", identity=""), STAMP) for number in range(500)])
    content = path.read_bytes()
    path.write_bytes(content[: 20 * 4096] + b"\xff" * (len(content) - 20 * 4096))
    with Catalogue(path) as catalogue:
        assert catalogue.warning == ""
        with pytest.raises(catalogue_sqlite_file.PeripheralError):
            catalogue.tracks()
    with Catalogue(path) as catalogue:
        assert "damaged" in catalogue.warning
        assert catalogue.tracks() == ()
    with Catalogue(path) as catalogue:
        assert catalogue.warning == ""
