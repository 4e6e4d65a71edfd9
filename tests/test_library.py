"""A scan takes in what changed, leaves out what is broken and says so, and may stop at any time."""

from __future__ import annotations

import os

import mutagen
import pytest

from device.adapters.catalogue_sqlite import Catalogue
from device.domain.labels import Affect
from device.domain.lexicon import parse_lexicon
from device.errors import SetupError
from device.library import BATCH, load_lexicon, remark, scan
from tests.mpd_server import write_tone


@pytest.fixture
def music(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    return folder


@pytest.fixture
def catalogue(tmp_path):
    with Catalogue(tmp_path / "catalogue.sqlite") as catalogue:
        yield catalogue


def song(path, mood=""):
    write_tone(path, seconds=0.2)
    if mood:
        file = mutagen.File(path)
        file["MOOD"] = mood
        file.save()
    return path


def uris(catalogue):
    return [track.uri for track in catalogue.tracks()]


def test_a_first_scan_reads_all_and_a_second_one_nothing(music, catalogue):
    song(music / "a.flac", "happy")
    song(music / "deep" / "er" / "ü b.FLAC", "sad")
    song(music / "c.wav")
    (music / "cover.jpg").write_bytes(b"x")
    first = scan(music, catalogue)
    assert (first.read, first.unchanged, first.removed, first.quarantined) == (3, 0, 0, ())
    assert (first.track_count, first.without_mood) == (3, 1)
    assert uris(catalogue) == ["a.flac", "c.wav", "deep/er/ü b.FLAC"]
    second = scan(music, catalogue)
    assert (second.read, second.unchanged) == (0, 3)


@pytest.mark.parametrize("year", [1600, 2300])
def test_a_file_whose_time_is_centuries_off_is_taken_in_like_any_other(music, catalogue, year):
    far = song(music / "far.flac", "happy")
    os.utime(far, ((year - 1970) * 31_556_952,) * 2)
    assert scan(music, catalogue).track_count == 1
    assert scan(music, catalogue).unchanged == 1


def test_changed_new_and_removed_files_are_noticed(music, catalogue):
    changed, gone = song(music / "changed.flac", "happy"), song(music / "gone.flac", "happy")
    scan(music, catalogue)
    gone.unlink()
    song(music / "new.flac", "calm")
    song(changed, "sad; calm; dark")
    report = scan(music, catalogue)
    assert (report.read, report.unchanged, report.removed) == (2, 0, 1)
    assert [(track.uri, track.moods) for track in catalogue.tracks()] == [
        ("changed.flac", ("sad", "calm", "dark")),
        ("new.flac", ("calm",)),
    ]


def test_a_file_that_is_moved_and_tagged_anew_keeps_what_a_person_said(music, catalogue):
    path, other = song(music / "a.flac", "happy"), song(music / "b.wav")
    write_tone(other, 0.2, 330)
    scan(music, catalogue)
    for uri in ("a.flac", "b.wav"):
        catalogue.correct(uri, Affect(-0.9, 0.9))
        catalogue.add_play(uri, "", "", 1.0)
    (music / "deep").mkdir()
    song_again = mutagen.File(path.rename(music / "deep" / "c.flac"))
    song_again["MOOD"] = "sad"
    song_again.save()
    other.rename(music / "deep" / "d.wav")
    report = scan(music, catalogue)
    assert (report.read, report.removed) == (2, 2)
    for track in catalogue.tracks():
        assert track.affect == Affect(-0.9, 0.9)
        assert catalogue.tally(track.uri).play_count == 1
    assert catalogue.track("deep/c.flac").moods == ("sad",)
    assert catalogue.counts().gone == 0


def test_two_files_that_change_names_change_what_a_person_said(music, catalogue):
    write_tone(music / "a.flac", 0.2, 220)
    write_tone(music / "b.flac", 0.3, 330)
    scan(music, catalogue)
    catalogue.correct("a.flac", Affect(-0.9, 0.9))
    (music / "a.flac").rename(music / "x")
    (music / "b.flac").rename(music / "a.flac")
    (music / "x").rename(music / "b.flac")
    scan(music, catalogue)
    assert catalogue.track("a.flac").affect is None
    assert catalogue.track("b.flac").affect == Affect(-0.9, 0.9)


def test_a_folder_that_was_away_is_taken_back_without_reading(music, catalogue):
    song(music / "drive" / "a.flac", "happy")
    scan(music, catalogue)
    (music / "drive").rename(music / ".away")
    assert scan(music, catalogue).track_count == 0
    (music / ".away").rename(music / "drive")
    report = scan(music, catalogue)
    assert (report.read, report.unchanged, report.track_count) == (0, 1, 1)


def test_broken_files_are_named_and_the_others_read(music, catalogue):
    song(music / "good.flac", "happy")
    (music / "broken.mp3").write_bytes(b"no music")
    (music / "empty.ogg").touch()
    report = scan(music, catalogue)
    assert [problem.uri for problem in report.quarantined] == ["broken.mp3", "empty.ogg"]
    assert all(problem.reason for problem in report.quarantined)
    assert uris(catalogue) == ["good.flac"]
    assert "2 files could not be read" in remark(report, music)


def test_a_repaired_file_leaves_the_quarantine_even_with_its_old_stamp(music, catalogue):
    path = song(music / "a.flac", "happy")
    facts, whole = path.stat(), path.read_bytes()
    path.write_bytes(b"x" * len(whole))
    os.utime(path, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
    assert len(scan(music, catalogue).quarantined) == 1
    path.write_bytes(whole)
    os.utime(path, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
    assert scan(music, catalogue).quarantined == ()
    assert uris(catalogue) == ["a.flac"]


def test_names_that_cannot_be_passed_on_are_quarantined(music, catalogue):
    song(music / "two\nlines.wav")
    os.rename(song(music / "x.wav"), os.fsencode(music) + b"/caf\xe9.wav")  # noqa: PTH104 - the name is no text
    report = scan(music, catalogue)
    assert sorted(problem.reason for problem in report.quarantined) == [
        "its name contains a control character",
        "its name is not valid UTF-8",
    ]
    assert not any("\n" in problem.uri for problem in report.quarantined)
    assert uris(catalogue) == []


def test_hidden_files_and_folders_are_skipped(music, catalogue):
    song(music / ".hidden.flac")
    song(music / ".trash" / "old.flac")
    song(music / "seen.flac")
    scan(music, catalogue)
    assert uris(catalogue) == ["seen.flac"]


def test_links_are_followed_and_loops_are_not(music, catalogue, tmp_path):
    song(tmp_path / "elsewhere" / "far.flac")
    song(music / "a" / "near.flac")
    (music / "link").symlink_to(tmp_path / "elsewhere")
    (music / "a" / "loop").symlink_to(music)
    (music / "again").symlink_to(music / "a")
    (music / "dangling.flac").symlink_to(tmp_path / "nothing")
    (music / "one.flac").symlink_to(tmp_path / "elsewhere" / "far.flac")
    report = scan(music, catalogue)
    assert uris(catalogue) == ["a/near.flac", "link/far.flac", "one.flac"]
    assert [problem.uri for problem in report.quarantined] == ["dangling.flac"]


def test_words_nobody_knows_are_reported_at_every_scan(music, catalogue):
    song(music / "a.flac", "happy; glorbish")
    song(music / "b.flac", "glorbish; odd; acoustic")
    for _ in range(2):
        assert scan(music, catalogue).unknown_words == ("glorbish", "odd")


def test_another_lexicon_has_all_files_read_again(music, catalogue):
    song(music / "a.flac", "glorbish")
    scan(music, catalogue)
    report = scan(music, catalogue, lexicon=parse_lexicon("[words]\nglorbish = [0.5, 0.5]"))
    assert (report.read, report.without_mood) == (1, 0)
    assert catalogue.tracks()[0].affect.valence == 0.5


def test_an_interrupted_scan_keeps_what_it_has_read(music, catalogue):
    first = song(music / "000.wav")
    for number in range(1, BATCH + 10):
        os.link(first, music / f"{number:03}.wav")

    def interrupt(done, _total):
        if done == BATCH + 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(music, catalogue, interrupt)
    assert len(catalogue.tracks()) == BATCH
    report = scan(music, catalogue)
    assert (report.read, report.unchanged) == (10, BATCH)


def test_progress_goes_from_nothing_to_all(music, catalogue):
    for name in "abc":
        song(music / f"{name}.wav")
    seen = []
    scan(music, catalogue, lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_wrong_music_folder_is_named_with_what_to_do(tmp_path, catalogue, kind):
    folder = tmp_path / "nowhere"
    if kind == "file":
        folder.touch()
    with pytest.raises(SetupError) as refused:
        scan(folder, catalogue)
    assert "library.music_folder" in str(refused.value) and str(folder) in str(refused.value)


def test_an_empty_library_says_what_to_do(music, catalogue):
    report = scan(music, catalogue)
    assert report.track_count == 0
    assert str(music) in remark(report, music)


def test_a_library_without_mood_tags_says_so(music, catalogue):
    song(music / "a.wav")
    assert "mood" in remark(scan(music, catalogue), music)


def test_a_library_that_is_well_has_nothing_to_remark(music, catalogue):
    song(music / "a.flac", "happy")
    assert remark(scan(music, catalogue), music) == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_named(music, catalogue):
    song(music / "locked" / "a.wav")
    (music / "locked").chmod(0)
    try:
        assert "permission denied" in scan(music, catalogue).quarantined[0].reason
    finally:
        (music / "locked").chmod(0o755)


def test_a_missing_lexicon_is_a_wrong_set_up(tmp_path):
    with pytest.raises(SetupError, match=r"gone\.toml"):
        load_lexicon(tmp_path / "gone.toml")
