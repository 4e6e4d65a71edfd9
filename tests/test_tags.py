"""Tags of every usual format become the same track, and nothing a file holds can do harm."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import mutagen
import pytest
from mutagen.apev2 import APEv2
from mutagen.id3 import TALB, TCON, TDRC, TIT2, TMOO, TPE1, TXXX
from mutagen.mp4 import MP4, MP4FreeForm

from device.adapters.tags_mutagen import UnreadableTrack, mood_words, read_track
from device.domain.tracks import Origin
from device.library import load_lexicon
from tests.mpd_server import write_tone

LEXICON = load_lexicon()


def by_ffmpeg(path: Path) -> Path:
    if not shutil.which("ffmpeg"):
        pytest.skip(f"ffmpeg is missing: needed to make a {path.suffix} file")
    tone = write_tone(path.with_suffix(".wav"), seconds=1)
    subprocess.run(["ffmpeg", "-v", "error", "-i", tone, path], check=True, stdin=subprocess.DEVNULL, timeout=60)
    return path


def read(path: Path, uri: str = "some/song"):
    return read_track(path, uri, LEXICON)


def tag_id3(path: Path, *moods) -> Path:
    file = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    for frame in (TIT2(text="Song"), TPE1(text="Singer"), TALB(text="Record"), TCON(text="(17)"), TDRC(text="1987-05")):
        file.tags.add(frame)
    for frame in moods:
        file.tags.add(frame)
    file.save()
    return path


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".opus"])
def test_vorbis_comments_in_any_case_and_number(tmp_path, suffix):
    path = write_tone(tmp_path / f"x{suffix}", seconds=1)
    file = mutagen.File(path)
    file["TITLE"], file["Artist"], file["album"], file["DATE"] = "Song", ["Singer", "Other"], "Record", "1987-05-01"
    file["Mood"] = ["Happy; Party", "laid-back/Sunny"]
    file["GENRE"] = "Rock"
    file.save()
    track = read(path)
    assert (track.title, track.artist, track.album, track.genre, track.year) == (
        "Song",
        "Singer, Other",
        "Record",
        "Rock",
        1987,
    )
    assert track.moods == ("happy", "party", "laid-back", "sunny")
    assert track.affect.valence > 0.5 and track.origin is Origin.TAG
    assert track.duration_seconds == pytest.approx(1, abs=0.2)
    assert track.uri == "some/song"


@pytest.mark.parametrize("suffix", [".mp3", ".wav", ".aiff"])
@pytest.mark.parametrize(
    "mood",
    [TMOO(text=["Sad", "calm"]), TXXX(desc="MOOD", text="sad, calm"), TXXX(desc="mood", text=["sad", "Calm"])],
    ids=["TMOO", "TXXX:MOOD", "TXXX:mood"],
)
def test_id3_moods_in_every_spelling(tmp_path, suffix, mood):
    track = read(tag_id3(write_tone(tmp_path / f"x{suffix}", seconds=1), mood))
    assert track.moods == ("sad", "calm")
    assert (track.title, track.artist, track.album, track.genre, track.year) == (
        "Song",
        "Singer",
        "Record",
        "Rock",
        1987,
    )


def test_both_id3_moods_together_count_once(tmp_path):
    path = write_tone(tmp_path / "x.mp3", seconds=1)
    assert read(tag_id3(path, TMOO(text="Sad"), TXXX(desc="Mood", text="SAD; dark"))).moods == ("sad", "dark")


def test_apev2_behind_an_mp3(tmp_path):
    path = write_tone(tmp_path / "x.mp3", seconds=1)
    tags = APEv2()
    tags["Title"], tags["MOOD"] = "Song", ["Calm", "Warm"]
    tags.save(path)
    track = read(path)
    assert (track.title, track.moods) == ("Song", ("calm", "warm"))


def test_wavpack(tmp_path):
    path = by_ffmpeg(tmp_path / "x.wv")
    file = mutagen.File(path)
    file["Mood"] = ["Calm", "Warm"]
    file.save()
    assert read(path).moods == ("calm", "warm")


@pytest.mark.parametrize("key", ["----:com.apple.iTunes:MOOD", "----:com.apple.iTunes:Mood", "----:org.other:mood"])
def test_mp4_free_form_moods(tmp_path, key):
    path = by_ffmpeg(tmp_path / "x.m4a")
    file = MP4(path)
    file["©nam"], file["©ART"], file["©alb"], file["©day"], file["©gen"] = "Song", "Singer", "Record", "1987", "Rock"
    file[key] = [MP4FreeForm(b"Happy"), MP4FreeForm("fröhlich".encode())]
    file["trkn"] = [(1, 2)]
    file.save()
    track = read(path)
    assert track.moods == ("happy", "fröhlich")
    assert (track.title, track.artist, track.album, track.genre, track.year) == (
        "Song",
        "Singer",
        "Record",
        "Rock",
        1987,
    )


def test_wma_mood(tmp_path):
    path = by_ffmpeg(tmp_path / "x.wma")
    file = mutagen.File(path)
    file["Title"], file["Author"], file["WM/AlbumTitle"], file["WM/Mood"] = "Song", "Singer", "Record", ["Dark", "Sad"]
    file["WM/Year"] = "1987"
    file.save()
    track = read(path)
    assert (track.title, track.artist, track.album, track.year) == ("Song", "Singer", "Record", 1987)
    assert track.moods == ("dark", "sad")


def test_a_file_without_tags_has_its_name_as_title_and_no_affect(tmp_path):
    track = read(write_tone(tmp_path / "Plain song.wav", seconds=1))
    assert (track.title, track.artist, track.moods, track.affect) == ("Plain song", "", (), None)
    assert track.origin is Origin.NONE


def test_unknown_mood_words_are_kept_and_give_no_affect(tmp_path):
    path = write_tone(tmp_path / "x.flac", seconds=1)
    file = mutagen.File(path)
    file["MOOD"] = "glorbish"
    file.save()
    track = read(path)
    assert (track.moods, track.affect, track.origin) == (("glorbish",), None, Origin.NONE)


def test_control_characters_in_tags_are_replaced(tmp_path):
    path = write_tone(tmp_path / "x.flac", seconds=1)
    file = mutagen.File(path)
    file["TITLE"], file["MOOD"] = "So\x1b[31mng\nline", "hap\x07py"
    file.save()
    track = read(path)
    assert track.title == "So\N{REPLACEMENT CHARACTER}[31mng line"
    assert track.moods == ("hap\N{REPLACEMENT CHARACTER}py",)


@pytest.mark.parametrize("uri", ["a\nkill", "a\x00b", "a\x85b", "bad\udcff"])
def test_a_name_that_cannot_be_passed_on_is_refused(tmp_path, uri):
    with pytest.raises(UnreadableTrack, match="its name"):
        read(write_tone(tmp_path / "x.wav", seconds=1), uri)


def test_mood_words_are_bounded():
    words = mood_words(["; ".join(f"word{n}" for n in range(500)), "x" * 10_000])
    assert len(words) == 32 and max(map(len, words)) <= 64


@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".ogg", ".opus", ".m4a", ".wma", ".wav", ".aiff", ".ape", ".wv"])
@pytest.mark.parametrize("content", [b"", b"not music at all " * 100, bytes(5000)], ids=["empty", "text", "zeros"])
def test_what_is_not_music_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with pytest.raises(UnreadableTrack) as refused:
        read(path)
    assert str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".ogg", ".opus", ".wav", ".aiff"])
def test_a_file_cut_anywhere_is_read_or_refused(tmp_path, suffix):
    path = write_tone(tmp_path / f"x{suffix}", seconds=0.3)
    whole = path.read_bytes()
    for length in [*range(0, min(len(whole), 300), 7), *range(300, len(whole), max(1, len(whole) // 40))]:
        path.write_bytes(whole[:length])
        try:
            assert read(path).duration_seconds > 0
        except UnreadableTrack as refused:
            assert str(refused)


def test_a_missing_file_is_refused_with_the_reason(tmp_path):
    with pytest.raises(UnreadableTrack, match="no such file"):
        read(tmp_path / "gone.flac")
