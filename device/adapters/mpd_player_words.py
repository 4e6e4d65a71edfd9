"""What MPD says of its queue, in our words."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from typing import Any

from device.domain.player import PlayerStatus, PlayState, QueuedSong
from device.domain.text import cleaned

UPCOMING_SONGS = 5
MOST_LETTERS = 250
"""Of a title, an artist or an album: tags may hold a book."""


def upcoming_songs(client: Any, said: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """The songs that follow, never the whole queue; with random on, only the next one is certain."""
    if said.get("random") == "1" and said.get("state") != PlayState.STOP.value:
        return list(client.playlistid(said["nextsongid"])) if "nextsongid" in said else []
    first = 0 if said.get("state") == PlayState.STOP.value else int(said.get("song", -1)) + 1
    return list(client.playlistinfo((first, first + UPCOMING_SONGS)))


def status_of(
    said: Mapping[str, str],
    current: Mapping[str, Any],
    upcoming: Iterable[Mapping[str, Any]],
    at_seconds: float,
    own: Container[int] = (),
) -> PlayerStatus:
    """`own` holds MPD's ids of what the speaker queued."""
    state = PlayState(said.get("state", "stop"))
    volume = volume_in(said)
    return PlayerStatus(
        state=state,
        song=_song(current, own) if current and state is not PlayState.STOP else None,
        upcoming=tuple(_song(song, own) for song in upcoming),
        elapsed_seconds=float(said.get("elapsed", 0.0)),
        at_seconds=at_seconds,
        volume_percent=volume if volume >= 0 else None,
    )


def volume_in(said: Mapping[str, str]) -> int:
    """In percent; -1 where MPD has no mixer."""
    return int(said.get("volume", -1))


def _song(said: Mapping[str, Any], own: Container[int]) -> QueuedSong:
    song_id = int(said.get("id", -1))
    uri = one_of(said.get("file"))
    stem = uri.rpartition("/")[2].rpartition(".")[0]
    return QueuedSong(
        song_id=song_id,
        uri=uri,
        title=_shown(one_of(said.get("title")) or one_of(said.get("name")) or stem or uri),
        artist=_shown(one_of(said.get("artist"))),
        album=_shown(one_of(said.get("album"))),
        duration_seconds=float(one_of(said.get("duration")) or one_of(said.get("time")) or 0.0),
        ours=song_id in own,
    )


def _shown(text: str) -> str:
    """For people, and for a hub whose broker takes no message of any length."""
    text = cleaned(text)
    return text if len(text) <= MOST_LETTERS else text[: MOST_LETTERS - 1] + "…"


def one_of(value: str | list[str] | None) -> str:
    """A tag that may be there several times, or not at all."""
    return ", ".join(value) if isinstance(value, list) else value or ""


def songs_of(status: PlayerStatus) -> tuple[QueuedSong, ...]:
    return (status.song, *status.upcoming) if status.song else status.upcoming


def uri_in(error: str, songs: Iterable[QueuedSong]) -> str:
    """The song that an error of MPD is about: it names the uri, or the path that ends in it."""
    named = (song.uri for song in songs if re.search(rf"(^|[/'\" ]){re.escape(song.uri)}($|['\";])", error))
    return max(named, key=len, default="")
