"""`moodify library` on a real folder: what it tells, what it keeps and how it ends when it is stopped."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys

import mutagen
import pytest

from device.adapters.catalogue_sqlite import Catalogue
from device.domain.hearing import Heard
from device.domain.labels import Affect
from tests.mpd_server import wait_until, write_tone
from tests.songs import make_song
from tests.speaker import ROOT
from tests.test_cli import config, moodify  # noqa: F401 - a fixture


@pytest.fixture
def library(config, tmp_path):  # noqa: F811
    """Runs `moodify library …` on a folder with two songs and a broken file."""
    song(tmp_path / "music" / "a.flac", title="Sun", artist="Somebody", mood="happy; zorpy; acoustic")
    song(tmp_path / "music" / "b.flac", 330, title="Rain", artist="Nobody")
    (tmp_path / "music" / "bad.mp3").write_bytes(b"not music")

    def run(*arguments, status=0):
        return moodify("library", *arguments, "--config", config, status=status)

    run("scan")
    return run


def song(path, pitch_hz=220, **tags):
    file = mutagen.File(write_tone(path, 0.2, pitch_hz))
    file.update(tags)
    file.save()


def catalogue(tmp_path):
    return Catalogue(tmp_path / "state" / "catalogue.sqlite")


def test_a_list_says_who_said_how_each_track_feels(library):
    first, second, total = library("list").splitlines()
    assert re.match(r"\+0\.80 \+0\.50  tag +Somebody – Sun  \[happy, zorpy, acoustic\]  a\.flac$", first)
    assert re.match(r" +\?  +none +Nobody – Rain  \[\]  b\.flac$", second)
    assert total == "2 tracks, 1 with a known mood"
    assert [track["origin"] for track in json.loads(library("list", "--json"))] == ["tag", "none"]


def test_every_mood_word_is_listed_with_its_count_and_place(library):
    told = library("moods")
    assert re.search(r"^ +1  \+0\.80 \+0\.50  happy +\S", told, re.MULTILINE)
    assert re.search(r"^ +1 +\? +zorpy +unknown$", told, re.MULTILINE)
    assert "3 mood words, 1 of them unknown" in told
    known = {word["word"]: (word["known"], word["affect"] is None) for word in json.loads(library("moods", "--json"))}
    assert known == {"happy": (True, False), "zorpy": (False, True), "acoustic": (True, True)}


def test_a_person_corrects_a_track_and_takes_it_back(library):
    assert library("correct", "b.flac", "sad", "calm").split()[2] == "person"
    assert json.loads(library("correct", "b.flac", "--valence", "-0.5", "--arousal", "0.25", "--json"))["affect"] == {
        "valence": -0.5,
        "arousal": 0.25,
    }
    assert re.search(r"^feels +-0\.50 \+0\.25  by person", library("show", "b.flac"), re.MULTILINE)
    library("scan")
    assert json.loads(library("show", "b.flac", "--json"))["correction"]["affect"]["valence"] == -0.5
    assert library("correct", "b.flac", "--forget").split()[1] == "none"
    assert "nobody corrected it" in library("correct", "b.flac", "--forget", status=78)


def test_songs_that_lacked_a_decoder_are_heard_once_it_is_there(library, tmp_path, monkeypatch):
    make_song(tmp_path / "music" / "c.m4a", seconds=20.0)
    library("scan")
    with monkeypatch.context() as without:
        without.setenv("PATH", str(tmp_path))
        assert "2 could not be heard" in library("analyse")  # b.flac is too short
        assert "need ffmpeg: apt install ffmpeg" in library("problems")
    told = library("analyse")
    assert "1 could not be heard" in told
    assert re.search(r"^feels +[-+]0\.\d+ [-+]0\.\d+  by analysis", library("show", "c.m4a"), re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("b.flac", "zorpy"), "zorpy: nobody knows this word"),
        (("b.flac",), "Name mood words"),
        (("b.flac", "--valence", "0.5"), "Name mood words"),
        (("nowhere.flac", "sad"), "no such track"),
    ],
)
def test_a_correction_that_cannot_be_is_one_line(library, arguments, told):
    assert told in library("correct", *arguments, status=78)


def test_all_that_is_known_of_a_track_is_shown(library, tmp_path):
    with catalogue(tmp_path) as known:
        stamp = known.stamps()["a.flac"]
        heard = Heard(Affect(-0.1, 0.2), 0.4, bytes([255] * 12), {"tempo_bpm": 120.0}, "ears-1")
        known.write_heard("a.flac", stamp, heard)
        known.add_play("a.flac", "", "", 1e9)
        known.add_feedback("a.flac", False, 1e9)
    told = library("show", "a.flac")
    for line in (
        r"title +Sun",
        r"feels +\+0\.80 \+0\.50  by tag",
        r"  the tags +\+0\.80 \+0\.50  \[happy, zorpy, acoustic\]",
        r"  the analysis +-0\.10 \+0\.20  ± 0\.40, ears-1",
        r"measured +tempo_bpm 120",
        r"played +1 times, last 2001-09-0",
        r"judged +disliked",
    ):
        assert re.search(f"^{line}", told, re.MULTILINE), line
    plain = json.loads(library("show", "a.flac", "--json"))
    assert plain["heard"]["timbre"] == [-1] * 12 and plain["tally"]["like"] == 0
    assert "no such track" in library("show", "nowhere", status=78)


def test_copies_are_listed_side_by_side(library, tmp_path):
    song(tmp_path / "music" / "best of" / "c.flac", title="sun", artist="SOMEBODY")
    library("scan")
    assert library("list", "--duplicates").splitlines() == [
        "Somebody – Sun",
        "    a.flac",
        "    best of/c.flac",
        "1 recordings in more than one file",
    ]
    ((first, second),) = json.loads(library("list", "--duplicates", "--json"))
    assert (first["uri"], second["uri"]) == ("a.flac", "best of/c.flac")
    assert re.search(r"^also in +a\.flac", library("show", "best of/c.flac"), re.MULTILINE)


def test_what_cannot_be_read_or_heard_is_listed(library, tmp_path):
    with catalogue(tmp_path) as known:
        known.analysis_failed("b.flac", known.stamps()["b.flac"], "no sound", "ears-1")
    told = library("problems")
    assert told.startswith("bad.mp3: ") and "b.flac: cannot be heard: no sound" in told
    kinds = [(problem["uri"], problem["cannot_be"]) for problem in json.loads(library("problems", "--json"))]
    assert kinds == [("bad.mp3", "read"), ("b.flac", "heard")]


def test_a_scan_that_is_stopped_keeps_what_it_has_read(config, tmp_path):  # noqa: F811
    first = write_tone(tmp_path / "music" / "0000.wav", 0.1)
    for number in range(1, 6000):
        os.link(first, tmp_path / "music" / f"{number:04}.wav")
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "device", "library", "scan", "--config", config]
    process = subprocess.Popen(command, cwd=ROOT, stderr=end, stdout=subprocess.DEVNULL)
    os.close(end)
    os.set_blocking(terminal, False)
    told = b""

    def progress():
        nonlocal told
        with contextlib.suppress(OSError):
            told += os.read(terminal, 4096)
        return re.search(rb"[1-9]\d* of 6,000 files", told)

    wait_until(progress, "progress to be shown", 90)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    with catalogue(tmp_path) as known:
        assert 0 < known.counts().tracks < 6000
    moodify("library", "scan", "--config", config)
    with catalogue(tmp_path) as known:
        assert known.counts().tracks == 6000
