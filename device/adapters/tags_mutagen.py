"""Reads a music file's tags with mutagen, whatever the format, into a Track."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mutagen
from mutagen.apev2 import APEv2, APEv2File
from mutagen.asf import ASF
from mutagen.id3 import ID3
from mutagen.mp4 import MP4

from device.domain.lexicon import Lexicon, affect_of_words
from device.domain.text import cleaned, flaw_in
from device.domain.tracks import Origin, Track
from device.errors import MoodifyError

READER_VERSION = 1
"""Grows when the same file would give another Track, so that catalogues are read anew."""

SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        "flac mp3 ogg oga opus m4a mp4 m4b wma asf wav aif aiff ape wv mpc".split()  # noqa: SIM905 - a list to read
    )
)
"""Names that end so, in any case, are music."""

MOST_WORDS = 32
LONGEST_WORD = 64
LONGEST_TEXT = 500

Fields = dict[str, list[str]]
"""A file's tags under our names: title, artist, album, genre, date, mood."""

_ID3 = {"TIT2": "title", "TPE1": "artist", "TALB": "album", "TCON": "genre", "TDRC": "date", "TMOO": "mood"}
_MP4 = {"©nam": "title", "©ART": "artist", "©alb": "album", "©gen": "genre", "©day": "date"}
_ASF = {
    "title": "title",
    "author": "artist",
    "wm/albumtitle": "album",
    "wm/genre": "genre",
    "wm/year": "date",
    "wm/mood": "mood",
}
_COMMENTS = {name: name for name in ("title", "artist", "album", "genre", "date", "mood")} | {"year": "date"}

_TROUBLE = (
    mutagen.MutagenError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    ArithmeticError,
    TypeError,
    AttributeError,
    MemoryError,
    RecursionError,
    struct.error,
)
"""What parsers of foreign bytes raise when the bytes are not what they should be."""


class UnreadableTrack(MoodifyError):
    """A file that is not playable music, or whose name cannot be passed on; the message says why, without the path."""


def read_track(path: Path, uri: str, lexicon: Lexicon) -> Track:
    """Read the tags of `path`, which MPD calls `uri`; UnreadableTrack when it cannot be read or named."""
    flaw = flaw_in(uri)
    if flaw:
        raise UnreadableTrack(flaw)
    try:
        file = mutagen.File(path)
        fields = {} if file is None else _fields(file, path)
        seconds = 0.0 if file is None else float(file.info.length)
    except _TROUBLE as error:
        raise UnreadableTrack(f"cannot be read: {_reason(error)}") from None
    if file is None:
        raise UnreadableTrack("is not a music file, whatever its name says")
    if not 0 < seconds < float("inf"):
        raise UnreadableTrack("holds no sound")
    return _track(path, uri, seconds, fields, lexicon)


def mood_words(texts: Iterable[str]) -> tuple[str, ...]:
    """Split mood tags at ; , / | and NUL into lower-case words, each once, in order."""
    parts = (part for text in texts for part in re.split(r"[;,/|\0]", text))
    words = (" ".join(cleaned(part).lower().split())[:LONGEST_WORD] for part in parts)
    return tuple(dict.fromkeys(word for word in words if word))[:MOST_WORDS]


def _track(path: Path, uri: str, seconds: float, fields: Fields, lexicon: Lexicon) -> Track:
    moods = mood_words(fields.get("mood", ()))
    affect = affect_of_words(moods, lexicon)
    year = re.search(r"\d{4}", _text(fields, "date"))
    return Track(
        uri=uri,
        title=_text(fields, "title") or cleaned(path.stem),
        artist=_text(fields, "artist"),
        album=_text(fields, "album"),
        duration_seconds=seconds,
        moods=moods,
        affect=affect,
        origin=Origin.TAG if affect else Origin.NONE,
        genre=_text(fields, "genre"),
        year=int(year[0]) if year else None,
    )


def _text(fields: Fields, name: str) -> str:
    """All values of a tag as one line."""
    texts = (cleaned(part) for value in fields.get(name, ()) for part in value.split("\0"))
    return ", ".join(dict.fromkeys(text for text in texts if text))[:LONGEST_TEXT]


def _fields(file: Any, path: Path) -> Fields:
    if isinstance(file.tags, ID3):
        fields = _from_id3(file.tags)
        return fields if "mood" in fields else _from_comments(_ape_tags(path)) | fields
    if file.tags is None:
        return _from_comments(_ape_tags(path))
    if isinstance(file, MP4):
        return _from_mp4(file.tags)
    if isinstance(file, ASF):
        return _renamed(((key, str(value)) for key, value in file.tags), _ASF)
    return _from_comments(_pairs(file.tags) if isinstance(file, APEv2File) else file.tags)


def _from_id3(tags: Any) -> Fields:
    """TMOO and TXXX:MOOD mean the same; numbers in TCON are spelt out."""
    fields: Fields = {}
    for frame in tags.values():
        name = "mood" if frame.FrameID == "TXXX" and frame.desc.casefold() == "mood" else _ID3.get(frame.FrameID)
        if name:
            texts = frame.genres if name == "genre" else frame.text
            fields.setdefault(name, []).extend(str(text) for text in texts)
    return fields


def _from_mp4(tags: Any) -> Fields:
    """Text atoms, and the free-form atom whose name is MOOD in any case."""
    pairs = ((_mp4_name(key), value) for key, values in tags.items() if isinstance(values, list) for value in values)
    fields: Fields = {}
    for name, value in pairs:
        if name:
            text = bytes(value).decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            fields.setdefault(name, []).append(text)
    return fields


def _mp4_name(key: str) -> str | None:
    if key.startswith("----:") and key.rpartition(":")[2].casefold() == "mood":
        return "mood"
    return _MP4.get(key)


def _from_comments(pairs: Iterable[tuple[str, str]]) -> Fields:
    return _renamed(pairs, _COMMENTS)


def _ape_tags(path: Path) -> list[tuple[str, str]]:
    """The APEv2 tag that some programs put behind an MP3."""
    try:
        return _pairs(APEv2(path))  # type: ignore[no-untyped-call]
    except mutagen.MutagenError:
        return []


def _pairs(tags: Any) -> list[tuple[str, str]]:
    """An APEv2 tag's text values, one by one."""
    return [(key, text) for key, value in tags.items() if value.kind == 0 for text in value]


def _renamed(pairs: Iterable[tuple[str, str]], names: dict[str, str]) -> Fields:
    fields: Fields = {}
    for key, text in pairs:
        name = names.get(key.casefold())
        if name:
            fields.setdefault(name, []).append(text)
    return fields


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError | RecursionError):
        return "it is damaged"
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return cleaned(str(error))[:200] or type(error).__name__
