"""A track as the catalogue knows it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from device.domain.labels import Affect


class Origin(Enum):
    """Where a track's affect comes from; a person's word wins over a tag."""

    PERSON = "person"
    TAG = "tag"
    NONE = "none"


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
