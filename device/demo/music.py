"""Makes the demo's music library: 28 tagged pieces over the four quadrants of valence and arousal, in three formats."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mutagen
import soundfile
from mutagen.id3 import ID3, TALB, TCON, TDRC, TIT2, TMOO, TPE1, TXXX

from device.demo.composer import CALM, HAPPY, SAD, TENSE, Style, compose
from device.demo.synth import RATE_HZ, Sound, render

VERSION = 1
"""Grows when the pieces change, so that libraries made before are made anew."""
MANIFEST = ".moodify-demo.json"
BLOCK_FRAMES = 16_384
"""libsndfile's Vorbis encoder overflows its stack when it is given minutes at once."""

Progress = Callable[[int, int], None]
"""Called with the number of pieces done and of all."""


@dataclass(frozen=True, slots=True)
class Album:
    """What several pieces share."""

    title: str
    artist: str
    genre: str
    year: int


MORNING = Album("Kitchen Radio", "The Window Boxes", "Pop", 2021)
FAIR = Album("Saturday Market", "Marigold & Sons", "Folk", 2019)
WIRE = Album("Red Signal", "Static Harbour", "Rock", 2022)
FURNACE = Album("Night Shift", "Cinder Works", "Electronic", 2020)
RAIN = Album("Letters Unsent", "Ada Verlaine", "Chamber", 2018)
EMPTY = Album("The Last Ferry", "Low Tide Quartet", "Chamber", 2023)
LAKE = Album("Still Water", "Hollow Reed", "Ambient", 2020)
SLEEP = Album("Slow Light", "Juniper Vale", "Ambient", 2024)


@dataclass(frozen=True, slots=True)
class Entry:
    """One piece of the library."""

    title: str
    style: Style
    album: Album
    moods: tuple[str, ...]
    """Words of the lexicon, in the quadrant of the style."""
    format: str
    """"ogg", "flac" or "mp3"."""
    seed: int

    @property
    def path(self) -> str:
        """Relative to the music folder."""
        return f"{self.album.artist}/{self.album.title}/{self.title}.{self.format}"


ENTRIES = (
    Entry("Marmalade", HAPPY, MORNING, ("happy", "cheerful"), "ogg", 101),
    Entry("Two Left Shoes", HAPPY, MORNING, ("playful", "happy"), "flac", 102),
    Entry("Open the Shutters", HAPPY, MORNING, ("joyful", "uplifting"), "mp3", 103),
    Entry("Balloon Seller", HAPPY, FAIR, ("upbeat", "fun"), "ogg", 104),
    Entry("Race You Home", HAPPY, FAIR, ("excited", "lively"), "mp3", 105),
    Entry("Lemonade Stand", HAPPY, FAIR, ("sunny", "carefree", "happy"), "flac", 106),
    Entry("Confetti", HAPPY, FAIR, ("festive", "energetic"), "ogg", 107),
    Entry("Short Fuse", TENSE, WIRE, ("angry", "furious"), "ogg", 201),
    Entry("Third Rail", TENSE, WIRE, ("aggressive", "intense"), "flac", 202),
    Entry("Slammed Doors", TENSE, WIRE, ("angry", "tense"), "mp3", 203),
    Entry("Countdown", TENSE, FURNACE, ("tense", "anxious"), "ogg", 204),
    Entry("Teeth of the Gears", TENSE, FURNACE, ("menacing", "aggressive"), "mp3", 205),
    Entry("Corridor", TENSE, FURNACE, ("fearful", "nervous"), "flac", 206),
    Entry("Sparks", TENSE, FURNACE, ("restless", "agitated"), "ogg", 207),
    Entry("Unanswered", SAD, RAIN, ("sad", "lonely"), "ogg", 301),
    Entry("Grey Coat", SAD, RAIN, ("melancholic", "sad"), "flac", 302),
    Entry("Half the Bed", SAD, RAIN, ("heartbroken", "sorrowful"), "mp3", 303),
    Entry("November", SAD, RAIN, ("gloomy", "melancholy"), "ogg", 304),
    Entry("Harbour Lights Out", SAD, EMPTY, ("mournful", "desolate"), "mp3", 305),
    Entry("Chairs on Tables", SAD, EMPTY, ("lonely", "somber"), "flac", 306),
    Entry("What the Gulls Said", SAD, EMPTY, ("sorrowful", "sad"), "ogg", 307),
    Entry("Mooring", CALM, LAKE, ("calm", "peaceful"), "ogg", 401),
    Entry("Reed Bed", CALM, LAKE, ("serene", "quiet"), "flac", 402),
    Entry("First Frost", CALM, LAKE, ("tranquil", "airy"), "mp3", 403),
    Entry("Long Shadows", CALM, LAKE, ("relaxed", "mellow"), "ogg", 404),
    Entry("Lamplight", CALM, SLEEP, ("gentle", "soothing"), "mp3", 405),
    Entry("Breathing Out", CALM, SLEEP, ("meditative", "calm"), "flac", 406),
    Entry("Paper Boats", CALM, SLEEP, ("dreamy", "soft"), "ogg", 407),
)


def make_library(folder: Path, progress: Progress = lambda _done, _all: None) -> None:
    """Fill `folder` with the pieces; what an earlier run of this version finished is left as it is."""
    done = _finished(folder)
    for number, entry in enumerate(ENTRIES):
        progress(number, len(ENTRIES))
        path = folder / entry.path
        if path.is_file() and done.get(entry.path) == path.stat().st_size:
            continue
        done[entry.path] = _make(entry, path)
        _remember(folder, done)
    progress(len(ENTRIES), len(ENTRIES))


def play(entry: Entry) -> Sound:
    """The piece's sound, [n, 2] at RATE_HZ."""
    piece = compose(entry.style, entry.seed)
    return render(piece.notes, piece.seconds, piece.room, entry.seed)


def _finished(folder: Path) -> dict[str, int]:
    """Sizes in bytes of the files that were finished; nothing when they are of another version."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return dict(manifest["files"]) if manifest["version"] == VERSION else {}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _remember(folder: Path, done: dict[str, int]) -> None:
    draft = folder / f"{MANIFEST}.new"
    draft.write_text(json.dumps({"version": VERSION, "files": done}, indent=1), encoding="utf-8")
    draft.replace(folder / MANIFEST)


def _make(entry: Entry, path: Path) -> int:
    """Compose, play, encode and tag; the file appears under its name only when it is whole. Its size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.stem}.new.{entry.format}")
    _encode(play(entry), draft, entry.format)
    if entry.format == "mp3":
        _tag_mp3(entry, draft)
    else:
        _tag_comments(entry, draft)
    draft.replace(path)
    return path.stat().st_size


def _encode(sound: Sound, path: Path, form: str) -> None:
    kinds = {"ogg": ("OGG", "VORBIS"), "flac": ("FLAC", "PCM_16"), "mp3": ("MP3", "MPEG_LAYER_III")}
    container, coding = kinds[form]
    with soundfile.SoundFile(path, "w", RATE_HZ, 2, coding, format=container) as file:
        for start in range(0, len(sound), BLOCK_FRAMES):
            file.write(sound[start : start + BLOCK_FRAMES])


def _tag_comments(entry: Entry, path: Path) -> None:
    """Vorbis comments, for Ogg and FLAC; one MOOD for each word."""
    file = mutagen.File(path)
    album = entry.album
    file["title"], file["artist"], file["album"] = entry.title, album.artist, album.title
    file["genre"], file["date"], file["mood"] = album.genre, str(album.year), list(entry.moods)
    file.save()


def _tag_mp3(entry: Entry, path: Path) -> None:
    """ID3; the mood both as TMOO and as TXXX:MOOD, as players read one or the other."""
    tags: Any = ID3()  # type: ignore[no-untyped-call]
    album = entry.album
    for frame, text in (
        (TIT2, entry.title),
        (TPE1, album.artist),
        (TALB, album.title),
        (TCON, album.genre),
        (TDRC, str(album.year)),
        (TMOO, list(entry.moods)),
    ):
        tags.add(frame(encoding=3, text=text))
    tags.add(TXXX(encoding=3, desc="MOOD", text=list(entry.moods)))  # type: ignore[no-untyped-call]
    tags.save(path)
