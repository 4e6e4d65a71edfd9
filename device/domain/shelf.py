"""The catalogue in the shape that choosing needs: a few numbers a track, side by side, so that a million fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from device.domain.labels import Affect
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

GRID = 40
CELL = 2 / GRID
DIAGONAL = CELL * 2**0.5
CENTRES = np.stack(np.meshgrid(*[np.arange(-1 + CELL / 2, 1, CELL)] * 2, indexing="ij")).reshape(2, -1)
"""[2, GRID²]: the plane in small squares."""
MOST_AT_ONCE = 2
"""Of very many in one place, so many times what was asked for are enough."""

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
        keys, rows = self._by_uri
        key = np.uint32(uri_key(uri))
        first, last = np.searchsorted(keys, key, "left"), np.searchsorted(keys, key, "right")
        return next((int(row) for row in rows[first:last] if self.uri(int(row)) == uri), None)

    def rows(self, name: str, key: int) -> Rows:
        """Rows whose `name` ("artist", "album" or "recording") has this key; none for the key 0 of no name."""
        return np.flatnonzero(self.records[name] == np.uint32(key)) if key else np.empty(0, np.intp)

    def nearest(self, affect: Affect, count: int, draw: int = 0, highest_arousal: float = 1.0) -> Rows:
        """At least the `count` rows nearest to `affect`; all, when there are no more. None is above `highest_arousal`.

        Where very many lie as near, every n-th of them, beginning elsewhere with each `draw`.
        """
        if count >= len(self):
            return np.flatnonzero(self._under(highest_arousal))
        order, starts = self._cells if highest_arousal >= 1 else self._cells_under(highest_arousal)
        if count >= len(order):
            return np.sort(order).astype(np.intp)
        reach = np.hypot(*(CENTRES - np.array([[affect.valence], [affect.arousal]])))
        nearest_first = np.argsort(reach)
        crowd = np.cumsum(np.diff(starts)[nearest_first])
        last = nearest_first[np.searchsorted(crowd, count)]
        cells = np.flatnonzero(reach <= reach[last] + DIAGONAL)
        rows: Rows = np.concatenate([order[starts[cell] : starts[cell + 1]] for cell in cells]).astype(np.intp)
        step = -(-len(rows) // (MOST_AT_ONCE * count))
        return rows[draw % step :: step]

    def affect(self, row: int) -> Affect:
        """Where a track lies."""
        valence, arousal = self.records["affect"][row]
        return Affect(float(valence), float(arousal))

    def timbre(self, row: int) -> bytes:
        """A track's timbre; empty where it is not known."""
        record = self.records[row]
        return record["timbre"].tobytes() if record["flags"] & HEARD else b""

    @cached_property
    def _cells(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Rows in the order of the cells they lie in, and where each cell begins, [GRID² + 1]."""
        columns = np.clip((self.records["affect"] + 1) / CELL, 0, GRID - 1).astype(np.int16)
        cell = columns[:, 0] * GRID + columns[:, 1]
        crowd = np.bincount(cell, minlength=GRID * GRID)
        return np.argsort(cell, kind="stable").astype(np.int32), np.concatenate([[0], np.cumsum(crowd)])

    def _under(self, highest_arousal: float) -> NDArray[np.bool_]:
        """[n]: which rows lie no higher."""
        under: NDArray[np.bool_] = self.records["affect"][:, 1] <= highest_arousal + 1e-6
        return under

    def _cells_under(self, highest_arousal: float) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The same without the rows that lie higher."""
        order, starts = self._cells
        kept = self._under(highest_arousal)[order]
        return order[kept], np.concatenate([[0], np.cumsum(kept)])[starts]

    @cached_property
    def _by_uri(self) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
        """The keys of all uris in order, and their rows."""
        rows = np.argsort(self.records["uri"], kind="stable").astype(np.int32)
        return self.records["uri"][rows], rows


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
