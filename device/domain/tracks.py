"""A track as the catalogue knows it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum

from device.domain.labels import Affect
from device.domain.lexicon import folded


class Origin(Enum):
    """Where a track's affect comes from; a person's word wins over a tag, a tag over analysis."""

    PERSON = "person"
    TAG = "tag"
    ANALYSIS = "analysis"
    NONE = "none"


TIMBRE_SIZE = 12
"""Numbers in a timbre vector."""


@dataclass(frozen=True, slots=True)
class Track:
    """One playable file of the music folder."""

    uri: str
    """Path relative to MPD's music folder, with forward slashes, as MPD names it."""
    title: str
    artist: str
    album: str
    duration_seconds: float
    moods: tuple[str, ...]
    """The mood words as written in the tags, lower case."""
    affect: Affect | None
    """None when nobody said how it feels."""
    origin: Origin = Origin.NONE
    genre: str = ""
    year: int | None = None
    album_artist: str = ""
    compilation: bool = False
    """Part of an album by many: its artist gap counts, its album artist does not."""
    recording_id: str = ""
    """MusicBrainz recording id."""
    release_id: str = ""
    """MusicBrainz release id."""
    explicit: bool = False
    """Marked as explicit by its tags."""
    rating: int = 0
    """Stars by the tags, 1 … 5; 0 where there are none."""
    track_gain_db: float | None = None
    """ReplayGain."""
    album_gain_db: float | None = None
    uncertainty: float = 0.0
    """How far the affect may be off, as a radius on the plane; 0 for a person's word."""
    timbre: bytes = b""
    """TIMBRE_SIZE signed bytes, near for songs that sound alike; empty until the song was analysed."""
    identity: str = ""
    """What stays the same when the file is renamed, moved or tagged: see `device.adapters.audio_identity`."""


def text_key(*texts: str) -> int:
    """A 32-bit number for names that are the same but for case, accents and hyphens; 0 when all are empty.

    Two names of a library share a number once in 2³² pairs: then they rest together, which nobody will notice.
    """
    joined = "\n".join(folded(text) for text in texts)
    return _key(joined) if joined.strip() else 0


def uri_key(uri: str) -> int:
    """A 32-bit number for a uri, in which case counts; two uris may share one."""
    return _key(uri)


def recording_key(track: Track) -> int:
    """The same for copies of one recording: by artist and title, else by MusicBrainz id, identity or uri."""
    if track.artist and track.title:
        return text_key(track.artist, track.title)
    return text_key(track.recording_id or track.identity or track.uri)


def _key(text: str) -> int:
    """Never 0, which stands for no name."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "little") or 1
