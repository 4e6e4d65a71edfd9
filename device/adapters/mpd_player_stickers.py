"""What MPD's clients note on songs: its stickers, under the names that myMPD gave them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from device.domain.player import CountPlay, CountSkip, SetLike, Sticker
from device.domain.text import flaw_in

Noting = CountPlay | CountSkip | SetLike

PLAY_COUNT, SKIP_COUNT = "playCount", "skipCount"
LAST_PLAYED, LAST_SKIPPED = "lastPlayed", "lastSkipped"
LIKE = "like"
NAMES = (PLAY_COUNT, SKIP_COUNT, LAST_PLAYED, LAST_SKIPPED, LIKE)
WINDOW_SONGS = 2000
"""So many songs' stickers at a time, where MPD can do that."""
SINCE_WINDOWS = (0, 24)
"""The protocol that has windows on stickers, and a count of its own."""


class Stickers:
    """What was read or written last, so that only what another client changed is news."""

    def __init__(self) -> None:
        self._known: dict[str, Sticker] = {}

    def read(self, client: Any) -> tuple[Sticker, ...]:
        """The stickers that changed since the last time, in all of MPD's library."""
        noted: dict[str, dict[str, str]] = {}
        for name in NAMES:
            for uri, value in _find(client, name):
                noted.setdefault(uri, {})[name] = value
        before, self._known = self._known, {uri: _sticker(uri, values) for uri, values in noted.items()}
        removed = tuple(Sticker(uri) for uri in before if uri not in self._known)
        return removed + tuple(sticker for uri, sticker in self._known.items() if before.get(uri) != sticker)

    def note(self, client: Any, action: Noting) -> None:
        """Write it to MPD; what it then says of this song is no news later."""
        uri = action.uri
        match action:
            case CountPlay(at_unix=at_unix):
                _count(client, uri, PLAY_COUNT, LAST_PLAYED, at_unix)
            case CountSkip(at_unix=at_unix):
                _count(client, uri, SKIP_COUNT, LAST_SKIPPED, at_unix)
            case SetLike(like=like):
                client.sticker_set("song", uri, LIKE, like)
        self._known[uri] = _sticker(uri, client.sticker_list("song", uri))


def _count(client: Any, uri: str, counter: str, stamp: str, at_unix: int) -> None:
    windows = _has_windows(client)
    count = 0 if windows else _number(client.sticker_list("song", uri).get(counter))
    client.command_list_ok_begin()
    if windows:
        client.sticker_inc("song", uri, counter, 1)
    else:
        client.sticker_set("song", uri, counter, count + 1)
    client.sticker_set("song", uri, stamp, at_unix)
    client.command_list_end()


def _find(client: Any, name: str) -> Iterator[tuple[str, str]]:
    """(uri, value) of each song that has this sticker; what is no fit uri is left out."""
    first, windows = 0, _has_windows(client)
    while True:
        window = ("sort", "uri", "window", (first, first + WINDOW_SONGS)) if windows else ()
        found = client.sticker_find("song", "", name, *window)
        for song in found:
            if not flaw_in(song["file"]):
                yield song["file"], song["sticker"].partition("=")[2]
        if not windows or len(found) < WINDOW_SONGS:
            return
        first += WINDOW_SONGS


def _has_windows(client: Any) -> bool:
    return tuple(int(part) for part in re.findall(r"\d+", client.mpd_version)[:2]) >= SINCE_WINDOWS


def _sticker(uri: str, values: Mapping[str, str]) -> Sticker:
    like = values.get(LIKE, "")
    return Sticker(
        uri,
        play_count=_number(values.get(PLAY_COUNT)),
        skip_count=_number(values.get(SKIP_COUNT)),
        last_played_unix=_number(values.get(LAST_PLAYED)),
        last_skipped_unix=_number(values.get(LAST_SKIPPED)),
        like=int(like) if like in ("0", "1", "2") else None,
    )


def _number(value: str | None) -> int:
    """Any client may write anything: what is no sensible number counts as none."""
    return int(value) if value and re.fullmatch("[0-9]{1,12}", value) else 0
