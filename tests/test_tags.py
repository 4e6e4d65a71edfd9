"""Tags of every usual format become the same track, and nothing a file holds can do harm."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import mutagen
import pytest
from mutagen.apev2 import APEv2
from mutagen.id3 import ID3, POPM, RVA2, TALB, TCMP, TCON, TDRC, TIT2, TMOO, TPE1, TPE2, TXXX, UFID
from mutagen.mp4 import MP4, MP4FreeForm

from device.adapters.audio_identity import identity
from device.adapters.tags_mutagen import UnreadableTrack, mood_words, read_track
from device.domain.tags import stars_of_byte
from device.domain.tracks import Origin
from device.library import load_lexicon
from tests.mpd_server import write_tone
from tests.songs import SUFFIXES, make_song

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


def tagged(path: Path, **texts) -> Path:
    """Tag under free names, as the format keeps them."""
    file = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    for name, value in texts.items():
        values = [value] if isinstance(value, str) else value
        if isinstance(file.tags, ID3):
            file.tags.add(TXXX(desc=name, text=values))
        elif isinstance(file, MP4):
            file[f"----:com.apple.iTunes:{name}"] = [MP4FreeForm(text.encode()) for text in values]
        else:
            file[name] = values
    file.save()
    return path


FREE_FORM = [suffix for suffix in SUFFIXES if suffix != ".wma"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", ["MOOD", "Mood", "mood"])
def test_moods_under_their_free_name_in_every_format(tmp_path, suffix, name):
    name = f"WM/{name}" if suffix == ".wma" else name
    track = read(tagged(make_song(tmp_path / f"x{suffix}"), **{name: ["Happy; Laid-back", "sunny"]}))
    assert track.moods == ("happy", "laid-back", "sunny")
    assert track.affect.valence > 0.4 and track.origin is Origin.TAG
    assert track.duration_seconds == pytest.approx(2, abs=0.3)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_usual_free_names_in_every_format(tmp_path, suffix):
    names = {
        "MUSICBRAINZ_TRACKID" if suffix != ".wma" else "MusicBrainz/Track Id": "1a",
        "MUSICBRAINZ_ALBUMID" if suffix != ".mp3" else "MusicBrainz Album Id": "2b",
        "replaygain_track_gain": "-7.30 dB",
        "REPLAYGAIN_ALBUM_GAIN": "+1,25 dB",
        "ITUNESADVISORY": "1",
        "ALBUMARTIST" if suffix != ".wma" else "WM/AlbumArtist": "The Band",
        "COMPILATION" if suffix != ".wma" else "WM/IsCompilation": "1",
        "FMPS_RATING": "0.8",
    }
    track = read(tagged(make_song(tmp_path / f"x{suffix}"), **names))
    assert (track.recording_id, track.release_id) == ("1a", "2b")
    assert (track.track_gain_db, track.album_gain_db) == (-7.3, 1.25)
    assert (track.explicit, track.compilation, track.album_artist, track.rating) == (True, True, "The Band", 4)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_song_without_tags_claims_nothing(tmp_path, suffix):
    track = read(make_song(tmp_path / f"x{suffix}"))
    assert (track.recording_id, track.release_id, track.album_artist) == ("", "", "")
    assert (track.explicit, track.compilation, track.rating, track.album_gain_db) == (False, False, 0, None)
    assert track.track_gain_db == (-6.5 if suffix == ".mpc" else None)
    assert (track.moods, track.affect) == ((), None)
    assert track.identity == identity(tmp_path / f"x{suffix}")


@pytest.mark.parametrize("suffix", [".mp3", ".wav", ".aiff"])
def test_id3_frames_of_their_own(tmp_path, suffix):
    path = make_song(tmp_path / f"x{suffix}")
    file = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    for frame in (
        UFID(owner="http://www.cddb.com/id3", data=b"no"),
        UFID(owner="http://musicbrainz.org", data=b"1a"),
        UFID(owner="http://xyz.org", data=b"no"),
        TXXX(desc="MusicBrainz Track Id", text="other"),
        TPE2(text="The Band"),
        TCMP(text="1"),
        RVA2(desc="track", channel=1, gain=-3.5, peak=0),
        RVA2(desc="album", channel=1, gain=-2.25, peak=0),
        RVA2(desc="Track", channel=2, gain=-9, peak=0),
        POPM(email="Windows Media Player 9 Series", rating=196, count=0),
    ):
        file.tags.add(frame)
    file.save()
    track = read(path)
    assert (track.recording_id, track.album_artist, track.compilation) == ("1a", "The Band", True)
    assert (track.track_gain_db, track.album_gain_db, track.rating) == (-3.5, -2.25, 4)


def test_txxx_gains_go_before_rva2(tmp_path):
    path = make_song(tmp_path / "x.mp3")
    file = mutagen.File(path)
    file.add_tags()
    file.tags.add(RVA2(desc="track", channel=1, gain=-3.5, peak=0))
    file.tags.add(TXXX(desc="REPLAYGAIN_TRACK_GAIN", text="-8.0 dB"))
    file.save()
    assert read(path).track_gain_db == -8.0


def test_an_mp3_takes_from_its_apev2_tag_what_its_id3_tag_lacks(tmp_path):
    path = tag_id3(make_song(tmp_path / "x.mp3"), TMOO(text="calm"))
    tags = APEv2()
    tags["REPLAYGAIN_TRACK_GAIN"], tags["Mood"], tags["Title"] = "-4.2 dB", "sad", "Other"
    tags.save(path)
    track = read(path)
    assert (track.track_gain_db, track.moods, track.title) == (-4.2, ("calm",), "Song")


@pytest.mark.parametrize(("rtng", "explicit"), [(0, False), (1, True), (2, False), (4, True)])
def test_mp4_atoms_of_their_own(tmp_path, rtng, explicit):
    path = make_song(tmp_path / "x.m4a")
    file = MP4(path)
    file["aART"], file["cpil"], file["rtng"] = "The Band", True, [rtng]
    file.save()
    track = read(path)
    assert (track.album_artist, track.compilation, track.explicit) == ("The Band", True, explicit)


def test_an_mp4_that_is_no_compilation(tmp_path):
    path = make_song(tmp_path / "x.m4a")
    file = MP4(path)
    file["cpil"] = False
    file.save()
    assert not read(path).compilation


@pytest.mark.parametrize(("shared", "stars"), [("0", 0), ("1", 1), ("25", 2), ("50", 3), ("75", 4), ("99", 5)])
def test_stars_as_windows_writes_them(tmp_path, shared, stars):
    assert read(tagged(make_song(tmp_path / "x.wma"), **{"WM/SharedUserRating": shared})).rating == stars


@pytest.mark.parametrize(
    ("byte", "stars"), [(0, 0), (1, 1), (31, 1), (64, 2), (128, 3), (196, 4), (223, 4), (224, 5), (255, 5)]
)
def test_stars_by_the_popularimeter_byte(byte, stars):
    assert stars_of_byte(byte) == stars


@pytest.mark.parametrize(
    ("text", "stars"),
    [("", 0), ("0", 0), ("1", 1), ("3", 3), ("5", 5), ("0.6", 3), ("1.0", 5), ("8", 4), ("60", 3), ("100", 5),
     ("196", 4), ("-3", 0), ("good", 0)],
)  # fmt: skip
def test_stars_by_a_plain_rating(tmp_path, text, stars):
    assert read(tagged(make_song(tmp_path / "x.flac"), RATING=text)).rating == stars


def test_an_opus_gain_is_told_on_the_scale_of_replaygain(tmp_path):
    track = read(tagged(make_song(tmp_path / "x.opus"), R128_TRACK_GAIN="-1152", R128_ALBUM_GAIN="512"))
    assert (track.track_gain_db, track.album_gain_db) == (0.5, 7.0)


@pytest.mark.parametrize("text", ["", "loud", "99 dB", "dB -3"])
def test_a_gain_that_cannot_be_is_none(tmp_path, text):
    assert read(tagged(make_song(tmp_path / "x.flac"), REPLAYGAIN_TRACK_GAIN=text)).track_gain_db is None


def test_various_artists_make_a_compilation(tmp_path):
    assert read(tagged(make_song(tmp_path / "x.flac"), **{"Album Artist": "Various Artists"})).compilation


HAPPY = {"happy": 0.93, "sad": 0.1, "aggressive": 0.05, "relaxed": 0.5, "party": 0.8}


@pytest.mark.parametrize("suffix", FREE_FORM)
@pytest.mark.parametrize("name", ["ab:hi:mood_{0}:{0}", "mood_{0}", "MOOD_{0}", "mood_{0}_probability", "Mood {0}"])
def test_shares_as_acousticbrainz_plugins_write_them(tmp_path, suffix, name):
    texts = {name.format(mood): str(share) for mood, share in HAPPY.items()}
    track = read(tagged(make_song(tmp_path / f"x{suffix}"), **texts))
    assert set(track.moods) == {"happy", "not sad", "not aggressive", "relaxed", "party"}
    assert track.affect.valence > 0.35 and track.affect.arousal > 0.15
    assert track.origin is Origin.TAG


def test_a_surer_measurement_counts_for_more(tmp_path):
    sure = read(tagged(make_song(tmp_path / "x.flac"), mood_happy="0.95", mood_sad="0.6")).affect
    torn = read(tagged(make_song(tmp_path / "y.flac"), mood_happy="0.6", mood_sad="0.95")).affect
    assert sure.valence > 0.4 and torn.valence < -0.2


def test_a_coin_toss_says_nothing_and_a_weak_guess_little(tmp_path):
    assert read(tagged(make_song(tmp_path / "x.flac"), mood_happy="0.5")).affect is None
    assert 0 < read(tagged(make_song(tmp_path / "y.flac"), mood_happy="0.55")).affect.valence < 0.1


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"mood_happy": "happy", "mood_sad": "not_sad"}, ("happy", "not sad")),
        ({"mood_happy": "not_happy", "mood_happy_probability": "0.97"}, ("not happy",)),
        ({"ab:hi:mood_happy:not_happy": "0.9"}, ("not happy",)),
        ({"ab:hi:mood_happy:happy": "0.1", "ab:hi:mood_happy:not_happy": "0.9"}, ("not happy",)),
        ({"ab:mood": ["Happy", "Not sad", "Not acoustic"]}, ("happy", "not sad", "not acoustic")),
        ({"AB:MOOD": ["Happy", "Party"], "ab:hi:mood_happy:happy": "0.6"}, ("happy", "party")),
        ({"high_mood_sad_value": "non_sad", "high_mood_sad_probability": "0.8"}, ("not sad",)),
        ({"AB:MOOD": "Happy", "ab:hi:mood_happy:happy": "0.4"}, ("not happy",)),
        ({"mood_happy": "glorbish"}, ()),
        ({"mood_happy": "7"}, ()),
        ({"mood_swings": "0.9"}, ()),
    ],
)
def test_answers_as_acousticbrainz_plugins_write_them(tmp_path, texts, words):
    assert read(tagged(make_song(tmp_path / "x.flac"), **texts)).moods == words


def test_what_somebody_wrote_goes_before_what_was_measured(tmp_path):
    track = read(tagged(make_song(tmp_path / "x.flac"), MOOD="sad", mood_happy="0.99"))
    assert track.moods == ("sad",) and track.affect.valence < 0


def test_a_written_word_without_feeling_leaves_it_to_what_was_measured(tmp_path):
    track = read(tagged(make_song(tmp_path / "x.flac"), MOOD="glorbish", mood_happy="0.99"))
    assert track.moods == ("glorbish", "happy") and track.affect.valence > 0.7
