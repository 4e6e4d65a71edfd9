"""Reads a music file's tags with mutagen, whatever the format, into a Track."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mutagen
from mutagen.apev2 import APEv2, APEv2File
from mutagen.asf import ASF
from mutagen.id3 import ID3
from mutagen.mp4 import MP4

from device.adapters.audio_identity import identity
from device.domain import tags as said
from device.domain.labels import Affect
from device.domain.lexicon import Lexicon, affect_of_words, weighted_affect
from device.domain.tags import mood_words
from device.domain.text import cleaned, flaw_in
from device.domain.tracks import Origin, Track
from device.errors import MoodifyError

READER_VERSION = 2
"""Grows when the same file would give another Track, so that catalogues are read anew."""

SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        "flac mp3 ogg oga opus m4a mp4 m4b wma asf wav aif aiff ape wv mpc".split()  # noqa: SIM905 - a list to read
    )
)
"""Names that end so, in any case, are music."""

_ID3 = {
    "TIT2": "title",
    "TPE1": "artist",
    "TALB": "album",
    "TPE2": "album artist",
    "TDRC": "date",
    "TMOO": "mood",
    "TCMP": "compilation",
}
_MP4 = {
    "©nam": "title",
    "©ART": "artist",
    "©alb": "album",
    "aART": "album artist",
    "©gen": "genre",
    "©day": "date",
    "cpil": "compilation",
    "rtng": "itunesadvisory",
}
_MUSICBRAINZ = "http://musicbrainz.org"
_MASTER_VOLUME = 1

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
        fields = {} if file is None else said.gathered(_pairs(file, path))
        seconds = 0.0 if file is None else float(file.info.length)
        sound = "" if file is None else identity(path)
    except _TROUBLE as error:
        raise UnreadableTrack(f"cannot be read: {_reason(error)}") from None
    if file is None:
        raise UnreadableTrack("is not a music file, whatever its name says")
    if not 0 < seconds < float("inf"):
        raise UnreadableTrack("holds no sound")
    return _track(path, uri, seconds, fields, sound, lexicon)


def _track(path: Path, uri: str, seconds: float, fields: said.Fields, sound: str, lexicon: Lexicon) -> Track:
    moods, affect = _moods(fields, lexicon)
    year = re.search(r"\d{4}", said.line(fields, "date"))
    return Track(
        uri=uri,
        title=said.line(fields, "title") or cleaned(path.stem),
        artist=said.line(fields, "artist"),
        album=said.line(fields, "album"),
        duration_seconds=seconds,
        moods=moods,
        affect=affect,
        origin=Origin.TAG if affect else Origin.NONE,
        genre=said.line(fields, "genre"),
        year=int(year[0]) if year else None,
        album_artist=said.line(fields, "albumartist"),
        compilation=said.is_compilation(fields),
        recording_id=said.first(fields, "musicbrainztrackid"),
        release_id=said.first(fields, "musicbrainzalbumid"),
        explicit=said.is_explicit(fields),
        rating=said.stars(fields),
        track_gain_db=said.gain_db(fields, "track"),
        album_gain_db=said.gain_db(fields, "album"),
        identity=sound,
    )


def _moods(fields: said.Fields, lexicon: Lexicon) -> tuple[tuple[str, ...], Affect | None]:
    """What somebody wrote; only where that says nothing about the feeling, what a program measured."""
    written = mood_words(fields.get("mood", ()))
    affect = affect_of_words(written, lexicon)
    measured = said.measured_moods(fields)
    if affect or not measured:
        return written, affect
    return tuple(dict.fromkeys((*written, *measured))), weighted_affect(measured, lexicon)


def _pairs(file: Any, path: Path) -> list[tuple[str, str]]:
    """A file's tags as names and texts; numbers in a format's own fields as texts."""
    if isinstance(file.tags, ID3):
        pairs = list(_from_id3(file.tags))
        names = {said.folded_name(name) for name, _ in pairs}
        return pairs + [(name, text) for name, text in _ape_tags(path) if said.folded_name(name) not in names]
    if isinstance(file, APEv2File):
        return _from_ape(file.tags or {}) + list(_from_musepack(file.info))
    if file.tags is None:
        return _ape_tags(path)
    if isinstance(file, MP4):
        return list(_from_mp4(file.tags))
    if isinstance(file, ASF):
        return [(key, str(value)) for key, value in file.tags]
    return list(file.tags)


def _from_id3(tags: Any) -> Iterator[tuple[str, str]]:
    """Frames under our names, TXXX under its own; RVA2 counts where no TXXX gives the gain."""
    for frame in sorted(tags.values(), key=lambda frame: frame.FrameID == "RVA2"):
        if frame.FrameID == "TXXX":
            yield from ((frame.desc, str(text)) for text in frame.text)
        elif frame.FrameID == "TCON":
            yield from (("genre", text) for text in frame.genres)
        elif frame.FrameID == "UFID" and frame.owner == _MUSICBRAINZ:
            yield "musicbrainz track id", frame.data.decode("ascii", "replace")
        elif frame.FrameID == "POPM":
            yield "popularimeter", str(frame.rating)
        elif frame.FrameID == "RVA2" and frame.channel == _MASTER_VOLUME:
            yield f"replaygain {frame.desc} gain", str(frame.gain)
        elif frame.FrameID in _ID3:
            yield from ((_ID3[frame.FrameID], str(text)) for text in frame.text)


def _from_mp4(tags: Any) -> Iterator[tuple[str, str]]:
    """Atoms under our names, free-form ones under their own."""
    for key, values in tags.items():
        name = key.split(":", 2)[2] if key.startswith("----:") and key.count(":") >= 2 else _MP4.get(key)
        if name:
            for value in values if isinstance(values, list) else [values]:
                text = bytes(value).decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
                yield name, text


def _ape_tags(path: Path) -> list[tuple[str, str]]:
    """The APEv2 tag that some programs put behind an MP3."""
    try:
        return _from_ape(APEv2(path))  # type: ignore[no-untyped-call]
    except mutagen.MutagenError:
        return []


def _from_ape(tags: Any) -> list[tuple[str, str]]:
    """An APEv2 tag's text values, one by one."""
    return [(key, text) for key, value in tags.items() if value.kind == 0 for text in value]


def _from_musepack(info: Any) -> Iterator[tuple[str, str]]:
    """The gains that Musepack keeps in its header, behind the tags."""
    for name, part in (("title_gain", "track"), ("album_gain", "album")):
        if getattr(info, name, None):
            yield f"replaygain {part} gain", str(getattr(info, name))


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError | RecursionError):
        return "it is damaged"
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return cleaned(str(error))[:200] or type(error).__name__
