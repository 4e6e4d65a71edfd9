"""A file that is renamed, moved or away for a while keeps what people thought of it."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from device.adapters.catalogue_sqlite import TURN, Catalogue, PlayTally, Problem, Ratings, SongOutcome, Stamp
from device.adapters.catalogue_sqlite_moves import REMEMBERED_SECONDS
from device.domain.hearing import Heard
from device.domain.labels import Affect
from device.domain.tracks import Origin, Track

NOW = 1_750_000_000.0
STAMP, LATER = Stamp(1, 1), Stamp(2, 2)
SAID = Affect(0.9, -0.9)
HEARING = Heard(Affect(-0.5, 0.25), 0.4, bytes(12), {}, "ears-1")


def track(uri, sound="", recording=""):
    return Track(uri, uri, "", "", 1.0, (), None, identity=sound, recording_id=recording)


A, B = track("a.flac", "sound-a"), track("b.flac", "sound-b")


@pytest.fixture
def catalogue(tmp_path):
    with Catalogue(tmp_path / "catalogue.sqlite") as catalogue:
        yield catalogue


def scan(catalogue, *files, now=NOW):
    """What a scan does with a folder of these (track, stamp)."""
    known = {track.uri: (track, stamp) for track, stamp in files}
    difference = catalogue.compare([(track.uri, stamp.mtime_ns, stamp.size_bytes) for track, stamp in files])
    catalogue.settle(now_unix=now)
    for uri, _ in catalogue.to_read():
        catalogue.upsert([known[uri]], now_unix=now)
    catalogue.finish(now)
    return difference


def think_of(catalogue, uri):
    """Have people and the analysis say something of a track."""
    catalogue.add_play(uri, "", "", NOW)
    catalogue.add_feedback(uri, True, NOW)
    catalogue.add_outcome(SongOutcome(uri, "liked", "happy", NOW))
    catalogue.correct(uri, SAID, ("happy",), NOW)
    stamp = catalogue.stamps()[uri]
    catalogue.write_heard(uri, stamp, HEARING)


def thought_of(catalogue, uri):
    """Whether all that `think_of` said is said of `uri`."""
    known = (
        [play.uri for play in catalogue.recent_plays(9, 0, NOW)] == [uri],
        catalogue.ratings() == {uri: Ratings(1, 0)},
        [outcome.uri for outcome in catalogue.outcomes(9)] == [uri],
        list(catalogue.corrections()) == [uri],
        catalogue.track(uri).origin == Origin.PERSON,
        catalogue.heard(uri) == HEARING,
        catalogue.tally(uri) == PlayTally(1, 0, NOW, 0.0, 2),
        [catalogue.shelf().uri(row) for row in range(len(catalogue.shelf()))] == [uri],
    )
    return all(known)


def test_a_renamed_file_keeps_all(catalogue):
    scan(catalogue, (A, STAMP))
    think_of(catalogue, A.uri)
    assert thought_of(catalogue, A.uri)
    scan(catalogue, (replace(A, uri="deep/new.flac"), LATER))
    assert thought_of(catalogue, "deep/new.flac")
    assert catalogue.counts().gone == 0


def test_a_file_may_be_away_for_days_and_come_back_elsewhere(catalogue):
    scan(catalogue, (A, STAMP))
    think_of(catalogue, A.uri)
    scan(catalogue, now=NOW)
    assert catalogue.tracks() == () and catalogue.counts().gone == 1
    scan(catalogue, (replace(A, uri="new.flac"), STAMP), now=NOW + REMEMBERED_SECONDS - 1)
    assert thought_of(catalogue, "new.flac")


def test_a_drive_that_comes_back_needs_no_reading(catalogue):
    scan(catalogue, (A, STAMP), (B, STAMP))
    think_of(catalogue, A.uri)
    scan(catalogue)
    difference = scan(catalogue, (A, STAMP), (B, STAMP))
    assert (difference.to_read, difference.returned) == (0, 2)
    assert thought_of(catalogue, A.uri)


def look_daily(catalogue, days: int, since: float = NOW) -> None:
    """Scans an empty folder."""
    for day in range(1, days + 1):
        scan(catalogue, now=since + 86400 * day + 1)


def test_after_thirty_days_only_plays_and_ratings_are_kept(catalogue):
    scan(catalogue, (A, STAMP), now=NOW)
    think_of(catalogue, A.uri)
    scan(catalogue, now=NOW)
    look_daily(catalogue, 29)
    assert catalogue.counts().gone == 1
    look_daily(catalogue, 1, since=NOW + 29 * 86400)
    assert catalogue.counts().gone == 0
    scan(catalogue, (A, STAMP), now=NOW + REMEMBERED_SECONDS + 2)
    assert catalogue.corrections() == {}
    assert catalogue.heard(A.uri) is None
    assert catalogue.ratings() == {A.uri: Ratings(1, 0)}
    assert catalogue.tally(A.uri).play_count == 1


def test_a_clock_that_was_not_set_purges_nothing(catalogue):
    scan(catalogue, (A, STAMP), now=0.0)
    scan(catalogue, now=REMEMBERED_SECONDS * 2)
    scan(catalogue, now=NOW)
    assert catalogue.counts().gone == 1
    look_daily(catalogue, 31)
    assert catalogue.counts().gone == 0


def test_days_in_which_nobody_looked_do_not_count(catalogue):
    # Off for a year, or begun with the clock of the last shutdown while the drive is not there yet.
    scan(catalogue, (A, STAMP), now=NOW)
    think_of(catalogue, A.uri)
    scan(catalogue, now=NOW + 60)
    scan(catalogue, now=NOW + 365 * 86400)
    scan(catalogue, (A, STAMP), now=NOW + 365 * 86400 + 60)
    assert thought_of(catalogue, A.uri)


def test_another_encoding_of_a_recording_takes_over(catalogue):
    scan(catalogue, (track("a.mp3", "sound-1", "rec"), STAMP))
    think_of(catalogue, "a.mp3")
    scan(catalogue, (track("a.flac", "sound-2", "rec"), STAMP))
    assert thought_of(catalogue, "a.flac")


def test_a_recording_that_is_still_there_is_not_followed(catalogue):
    first, second = track("a.mp3", "1", "rec"), track("b.mp3", "2", "rec")
    scan(catalogue, (first, STAMP), (second, STAMP))
    catalogue.add_play("a.mp3", "", "", NOW)
    scan(catalogue, (second, STAMP), (track("c.mp3", "3", "rec"), STAMP))
    assert catalogue.tally("a.mp3").play_count == 1
    assert catalogue.tally("c.mp3").play_count == 0


def test_a_copy_takes_nothing_from_the_original(catalogue):
    scan(catalogue, (A, STAMP))
    think_of(catalogue, A.uri)
    scan(catalogue, (A, STAMP), (replace(A, uri="copy.flac"), LATER))
    assert catalogue.tally(A.uri).play_count == 1
    assert list(catalogue.corrections()) == [A.uri]
    assert catalogue.tally("copy.flac") == PlayTally()


def test_a_file_copied_first_and_deleted_later_keeps_all(catalogue):
    scan(catalogue, (A, STAMP))
    think_of(catalogue, A.uri)
    copy = replace(A, uri="copy.flac")
    scan(catalogue, (A, STAMP), (copy, LATER))
    scan(catalogue, (copy, LATER))
    assert thought_of(catalogue, "copy.flac")


def test_of_two_copies_the_renamed_one_keeps_its_own(catalogue):
    other = replace(A, uri="other.flac")
    scan(catalogue, (A, STAMP), (other, STAMP))
    catalogue.add_play(A.uri, "", "", NOW)
    scan(catalogue, (replace(A, uri="z.flac"), LATER), (other, STAMP))
    assert catalogue.tally("z.flac").play_count == 1
    assert catalogue.tally("other.flac").play_count == 0


@pytest.mark.parametrize("liked", [A, B])
def test_two_files_that_change_names_change_all(catalogue, liked):
    scan(catalogue, (A, STAMP), (B, STAMP))
    think_of(catalogue, liked.uri)
    scan(catalogue, (replace(A, uri=B.uri), LATER), (replace(B, uri=A.uri), LATER))
    assert thought_of(catalogue, {A.uri: B.uri, B.uri: A.uri}[liked.uri])
    assert catalogue.counts().gone == 0


def test_files_that_all_move_by_one_keep_their_own(catalogue):
    files = [track(f"{n}.flac", f"sound-{n}") for n in range(9)]
    scan(catalogue, *((file, STAMP) for file in files))
    for n, file in enumerate(files):
        for _ in range(n):
            catalogue.add_play(file.uri, "", "", NOW)
    scan(catalogue, *((replace(file, uri=f"{n + 1}.flac"), LATER) for n, file in enumerate(files)))
    assert [catalogue.tally(f"{n + 1}.flac").play_count for n in range(9)] == list(range(9))


def test_a_better_copy_under_the_same_name_keeps_all(catalogue):
    song = replace(A, artist="Somebody", title="Something")
    scan(catalogue, (song, STAMP))
    catalogue.add_play(A.uri, "", "", NOW)
    catalogue.correct(A.uri, SAID)
    scan(catalogue, (replace(song, identity="better"), LATER))
    assert catalogue.tally(A.uri).play_count == 1
    assert catalogue.track(A.uri).affect == SAID


def test_another_song_under_the_same_name_begins_anew(catalogue):
    scan(catalogue, (A, STAMP))
    think_of(catalogue, A.uri)
    scan(catalogue, (replace(B, uri=A.uri), LATER))
    assert catalogue.tally(A.uri) == PlayTally()
    assert catalogue.track(A.uri).affect is None
    scan(catalogue, (replace(B, uri=A.uri), LATER), (replace(A, uri="found.flac"), LATER))
    assert thought_of(catalogue, "found.flac")


def test_a_changed_tag_is_no_other_song(catalogue):
    scan(catalogue, (A, STAMP))
    think_of(catalogue, A.uri)
    scan(catalogue, (replace(A, artist="X", title="Y"), LATER))
    assert thought_of(catalogue, A.uri)


def test_counts_of_two_that_become_one_add_up_and_the_judgement_of_the_one_that_stays_counts(catalogue):
    copy = replace(A, uri="copy.flac")
    scan(catalogue, (A, STAMP), (copy, STAMP))
    for uri, at_unix in ((A.uri, 5.0), (copy.uri, 3.0), (copy.uri, 4.0)):
        catalogue.add_play(uri, "", "", at_unix)
    catalogue.add_feedback(A.uri, False, 5.0)
    scan(catalogue, (copy, STAMP))
    assert catalogue.tally(copy.uri) == PlayTally(3, 0, 5.0, 0.0, 0)
    other = replace(A, uri="other.flac")
    scan(catalogue, (copy, STAMP), (other, STAMP))
    catalogue.add_feedback(other.uri, True, 6.0)
    scan(catalogue, (other, STAMP))
    assert catalogue.tally(other.uri) == PlayTally(3, 0, 5.0, 0.0, 2)


def test_a_broken_file_that_is_gone_is_no_problem_any_more(catalogue):
    catalogue.upsert([], [Problem("bad.mp3", "holds no sound")], NOW)
    scan(catalogue, (A, STAMP))
    assert catalogue.problems() == ()


def test_a_like_finds_a_break_while_a_big_drive_goes_and_comes_back(catalogue, monkeypatch):
    files = [(f"{number}.flac", 1, 1) for number in range(3 * TURN)]
    catalogue.upsert([(track(uri), STAMP) for uri, *_ in files])
    breaks = []

    def like(seconds):
        catalogue.add_feedback("0.flac", True, NOW)
        breaks.append(seconds)

    monkeypatch.setattr(time, "sleep", like)
    for present in ([], files):
        catalogue.compare(present)
        catalogue.settle(now_unix=NOW)
    assert len(breaks) == 4
    assert min(breaks) > 0
    assert len(catalogue.tracks()) == 3 * TURN
