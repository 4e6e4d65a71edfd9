"""The catalogue in the shape that choosing needs: a few numbers a track, side by side, so that a million fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from device.domain.tracks import TIMBRE_SIZE, Track, recording_key, text_key, uri_key

EXPLICIT = 1
HEARD = 2
"""Flags of a record: marked as explicit; its timbre is known."""

RECORD = np.dtype(
    [
        ("affect", "<f4", 2),
        ("uri", "<u4"),
        ("artist", "<u4"),
        ("album", "<u4"),
        ("recording", "<u4"),
        ("seconds", "<u2"),
        ("spread", "u1"),
        ("rating", "u1"),
        ("flags", "u1"),
        ("timbre", "i1", TIMBRE_SIZE),
    ]
)
"""One track: valence and arousal, keys of its names (`text_key`), length, uncertainty × 100, stars, flags, timbre."""

Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Shelf:
    """Tracks whose affect is known, one record each, and their uris end to end."""

    records: NDArray[np.void]
    """[n] of RECORD."""
    uri_text: bytes
    """All uris, UTF-8, end to end."""
    uri_ends: NDArray[np.int64]
    """[n]: where each uri ends in `uri_text`."""

    def __len__(self) -> int:
        return len(self.records)

    def uri(self, row: int) -> str:
        """The uri of a track."""
        start = int(self.uri_ends[row - 1]) if row else 0
        return self.uri_text[start : int(self.uri_ends[row])].decode("utf-8", "surrogatepass")

    def row_of(self, uri: str) -> int | None:
        """The row of `uri`; None when it is not on the shelf."""
        return next((int(row) for row in self.rows("uri", uri_key(uri)) if self.uri(int(row)) == uri), None)

    def rows(self, name: str, key: int) -> Rows:
        """Rows whose `name` ("uri", "artist", "album" or "recording") has this key; none for the key 0 of no name."""
        if not key:
            return np.empty(0, np.intp)
        column, order = self.records[name], self._orders[name]
        first, last = (np.searchsorted(column, np.uint32(key), side, sorter=order) for side in ("left", "right"))
        return order[first:last].astype(np.intp)

    @cached_property
    def affects(self) -> NDArray[np.float32]:
        """[n, 2]: valence, arousal."""
        return np.ascontiguousarray(self.records["affect"])

    @cached_property
    def _orders(self) -> dict[str, NDArray[np.int32]]:
        names = ("uri", "artist", "album", "recording")
        return {name: np.argsort(self.records[name], kind="stable").astype(np.int32) for name in names}


def record_of(track: Track) -> NDArray[np.void]:
    """The record of a track with an affect; shape [], dtype RECORD."""
    assert track.affect is not None
    record = np.zeros((), RECORD)
    record["affect"] = track.affect.valence, track.affect.arousal
    record["uri"] = uri_key(track.uri)
    record["artist"] = text_key(track.artist)
    record["album"] = text_key(track.album, "" if track.compilation else track.album_artist or track.artist)
    if not track.album:
        record["album"] = 0
    record["recording"] = recording_key(track)
    record["seconds"] = min(max(round(track.duration_seconds), 0), 65535)
    record["spread"] = min(max(round(track.uncertainty * 100), 0), 255)
    record["rating"] = track.rating
    record["flags"] = (EXPLICIT if track.explicit else 0) | (HEARD if track.timbre else 0)
    if track.timbre:
        record["timbre"] = np.frombuffer(track.timbre, np.int8)
    return record


def shelve(tracks: Sequence[Track]) -> Shelf:
    """Put the tracks that have an affect on a shelf, in their order."""
    kept = [track for track in tracks if track.affect is not None]
    uris = [track.uri.encode("utf-8", "surrogatepass") for track in kept]
    return shelf_of(b"".join(record_of(track).tobytes() for track in kept), uris)


def shelf_of(records: bytes, uris: Sequence[bytes]) -> Shelf:
    """A shelf from packed records and the uris of their tracks."""
    ends = np.cumsum(np.fromiter(map(len, uris), np.int64, len(uris)))
    return Shelf(np.frombuffer(records, RECORD), b"".join(uris), ends)
