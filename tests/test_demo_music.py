"""The demo's music: four quadrants that differ to the ear, tagged in the lexicon's words, made once."""

from __future__ import annotations

import math
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile

from device.demo import composer, music
from device.demo.synth import LIMIT, LOUDNESS_DB, RATE_HZ, weighted_level_db
from device.domain.lexicon import affect_of_words, folded, parse_lexicon

LEXICON = parse_lexicon((Path(__file__).parent.parent / "device" / "lexicon.toml").read_text(encoding="utf-8"))
QUADRANTS = {"happy": composer.HAPPY, "tense": composer.TENSE, "sad": composer.SAD, "calm": composer.CALM}
SIGNS = {"happy": (1, 1), "tense": (-1, 1), "sad": (-1, -1), "calm": (1, -1)}


def entries_of(style: composer.Style) -> list[music.Entry]:
    return [entry for entry in music.ENTRIES if entry.style is style]


def brightness_hz(sound: np.ndarray) -> float:
    """The spectrum's centre of gravity."""
    power = np.abs(np.fft.rfft(sound.mean(axis=1)))
    return float((power * np.fft.rfftfreq(len(sound), 1 / RATE_HZ)).sum() / power.sum())


@pytest.fixture(scope="module")
def sounds() -> dict[str, np.ndarray]:
    """One piece of each quadrant."""
    return {name: music.play(entries_of(style)[0]) for name, style in QUADRANTS.items()}


@pytest.fixture
def small_library(monkeypatch: pytest.MonkeyPatch) -> tuple[music.Entry, ...]:
    """One piece of each format."""
    entries = tuple(next(e for e in music.ENTRIES if e.format == form) for form in ("ogg", "flac", "mp3"))
    monkeypatch.setattr(music, "ENTRIES", entries)
    return entries


def test_there_are_24_pieces_or_more_and_six_or_more_in_each_quadrant() -> None:
    assert len(music.ENTRIES) >= 24
    assert all(len(entries_of(style)) >= 6 for style in QUADRANTS.values())
    assert len({entry.path for entry in music.ENTRIES}) == len(music.ENTRIES)


@pytest.mark.parametrize("name", QUADRANTS)
def test_every_mood_word_is_in_the_lexicon_and_in_its_quadrant(name: str) -> None:
    for entry in entries_of(QUADRANTS[name]):
        assert all(folded(word) in LEXICON.affects for word in entry.moods), entry.title
        affect = affect_of_words(entry.moods, LEXICON)
        assert affect is not None
        assert (math.copysign(1, affect.valence), math.copysign(1, affect.arousal)) == SIGNS[name], entry.title


def test_every_piece_is_another_piece() -> None:
    pieces = [composer.compose(entry.style, entry.seed) for entry in music.ENTRIES]
    openings = {tuple((note.voice, note.pitch) for note in piece.notes) for piece in pieces}
    assert len(openings) == len(pieces)
    assert len({piece.key for piece in pieces}) >= 10


def test_every_piece_lasts_from_half_a_minute_to_a_minute() -> None:
    assert all(30 <= composer.compose(e.style, e.seed).seconds <= 60 for e in music.ENTRIES)


def test_the_same_seed_gives_the_same_piece() -> None:
    once, again = (composer.compose(composer.CALM, 7) for _ in range(2))
    assert once == again
    assert composer.compose(composer.CALM, 8) != once


@pytest.mark.parametrize("name", QUADRANTS)
def test_a_piece_is_level_and_unclipped_and_fades_at_both_ends(name: str, sounds: dict[str, np.ndarray]) -> None:
    sound = sounds[name]
    assert np.isfinite(sound).all()
    assert abs(weighted_level_db(sound) - LOUDNESS_DB) < 1.0
    assert np.abs(sound).max() <= LIMIT + 0.03
    ends = np.abs(np.concatenate([sound[: RATE_HZ // 500], sound[-RATE_HZ // 500 :]]))
    assert ends.max() < 0.03


def test_tense_and_happy_are_faster_denser_and_brighter_than_sad_and_calm(sounds: dict[str, np.ndarray]) -> None:
    density, tempo = {}, {}
    for name, style in QUADRANTS.items():
        pieces = [composer.compose(style, entry.seed) for entry in entries_of(style)]
        density[name] = min(len(piece.notes) / piece.seconds for piece in pieces)
        tempo[name] = (min(p.tempo_bpm for p in pieces), max(p.tempo_bpm for p in pieces))
    assert max(tempo["sad"][1], tempo["calm"][1]) < tempo["happy"][0] <= tempo["happy"][1] <= tempo["tense"][0]
    assert min(density["happy"], density["tense"]) > 2 * max(density["sad"], density["calm"])
    bright = {name: brightness_hz(sound) for name, sound in sounds.items()}
    assert min(bright["happy"], bright["tense"]) > 1.3 * max(bright["sad"], bright["calm"])


def test_sad_and_tense_pieces_have_a_minor_third_and_the_others_a_major_one() -> None:
    thirds = {name: {composer.MODES[mode][2] for mode in style.modes} for name, style in QUADRANTS.items()}
    assert thirds == {"happy": {4}, "tense": {3}, "sad": {3}, "calm": {4}}


def test_the_melody_stays_in_the_scale() -> None:
    for entry in music.ENTRIES:
        piece = composer.compose(entry.style, entry.seed)
        key, mode = piece.key.rsplit(" ", 1)
        scale = {(composer.KEY_NAMES.index(key) + step) % 12 for step in composer.MODES[mode]}
        melodic = [n for n in piece.notes if n.voice in entry.style.leads]
        assert {note.pitch % 12 for note in melodic} <= scale


def test_files_carry_title_artist_album_genre_date_and_moods(
    tmp_path: Path, small_library: tuple[music.Entry, ...]
) -> None:
    music.make_library(tmp_path)
    for entry in small_library:
        path = tmp_path / entry.path
        assert soundfile.info(path).samplerate == RATE_HZ
        tags = mutagen.File(path).tags
        if entry.format == "mp3":
            assert list(tags["TMOO"].text) == list(tags["TXXX:MOOD"].text) == list(entry.moods)
            named = [str(tags[key]) for key in ("TIT2", "TPE1", "TALB", "TCON", "TDRC")]
        else:
            assert tags["mood"] == list(entry.moods)
            named = [tags[key][0] for key in ("title", "artist", "album", "genre", "date")]
        album = entry.album
        assert named == [entry.title, album.artist, album.title, album.genre, str(album.year)]


def test_what_is_finished_is_left_and_what_is_missing_or_cut_short_is_made_again(
    tmp_path: Path, small_library: tuple[music.Entry, ...]
) -> None:
    music.make_library(tmp_path)
    paths = [tmp_path / entry.path for entry in small_library]
    made_ns = [path.stat().st_mtime_ns for path in paths]
    sizes = [path.stat().st_size for path in paths]
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:1000])
    steps: list[tuple[int, int]] = []
    music.make_library(tmp_path, lambda done, of: steps.append((done, of)))
    assert steps[-1] == (3, 3)
    assert paths[2].stat().st_mtime_ns == made_ns[2]
    assert soundfile.info(paths[0]).frames and paths[1].stat().st_size == sizes[1]
    assert not list(tmp_path.rglob("*.new*"))


def test_a_library_of_another_version_is_made_anew(
    tmp_path: Path, small_library: tuple[music.Entry, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    music.make_library(tmp_path)
    path = tmp_path / small_library[0].path
    before_ns = path.stat().st_mtime_ns
    monkeypatch.setattr(music, "VERSION", music.VERSION + 1)
    music.make_library(tmp_path)
    assert path.stat().st_mtime_ns > before_ns
