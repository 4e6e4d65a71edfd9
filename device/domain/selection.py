"""Chooses the next track: near in affect, like what plays, fresh and liked, drawn by chance among the best."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from device.domain.labels import Affect
from device.domain.shelf import EXPLICIT, HEARD, Rows, Shelf
from device.domain.tracks import text_key

Numbers = NDArray[np.float32]
Mask = NDArray[np.bool_]

Favour = Callable[[Shelf, Rows], Numbers]
"""How much each of some rows is liked here, as a factor around 1: see `device.domain.preference`."""


@dataclass(frozen=True, slots=True)
class SelectionSettings:
    """How near and how fresh a track must be."""

    affect_spread: float = field(default=0.35, metadata={"range": (0.05, 2.0)})
    """Distance in valence/arousal at which the score falls to 0.61 (a Gaussian's one sigma)."""
    timbre_share: float = field(default=0.5, metadata={"range": (0.0, 1.0)})
    """How much sounding like what plays and what is liked counts; 0: not at all."""
    song_rest_seconds: float = field(default=24 * 3600.0, metadata={"range": (1.0, 2592000.0)})
    """No song comes back sooner while there is another; one that was skipped rests four times as long."""
    artist_rest_seconds: float = field(default=1800.0, metadata={"range": (1.0, 2592000.0)})
    """An artist is fully rested after this; before, the score is scaled down, to a tenth just after."""
    album_rest_seconds: float = field(default=1800.0, metadata={"range": (1.0, 2592000.0)})
    """The same for an album; never below a fifth."""
    artist_gap_songs: int = field(default=3, metadata={"range": (0, 100)})
    """So many other songs lie between two of one artist, where the library allows it."""
    album_gap_songs: int = field(default=5, metadata={"range": (0, 100)})
    """The same for an album."""
    smallest_rating: int = field(default=0, metadata={"range": (0, 5)})
    """Songs with fewer stars are left out; those without stars are not."""
    allow_explicit: bool = True
    """False: songs whose tags mark them as explicit are left out."""
    draw_among: int = field(default=8, metadata={"range": (1, 1000)})
    """The draw is among this many best tracks, in proportion to their scores."""


@dataclass(frozen=True, slots=True)
class Play:
    """A track that was played."""

    uri: str
    artist: str
    album: str
    at_seconds: float
    recording: int = 0
    """Keys as on the shelf (`device.domain.tracks.text_key`); 0 where they are not known."""
    artist_key: int = 0
    album_key: int = 0
    skipped: bool = False
    """A person skipped it early."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the next track should be like."""

    affect: Affect
    highest_arousal: float = 1.0
    """Ceiling of quiet hours."""
    sounds_like: tuple[bytes, ...] = ()
    """Timbres of what plays and of what is liked; none: any."""
    exclude: frozenset[str] = frozenset()
    """Uris that must not be chosen."""
    disliked: frozenset[str] = frozenset()
    """Uris that must not be chosen, nor any copy of their recordings."""


@dataclass(frozen=True, slots=True)
class Pick:
    """The track that was chosen, and why."""

    row: int
    uri: str
    affect: Affect
    nearness: float
    """Each 0 … 1: against the nearest, the most alike, the freshest of the candidates."""
    likeness: float
    freshness: float
    favour: float
    """Around 1."""


POOL = 2_000
"""So many of the nearest tracks are looked at closely; four times as many as long as too few of them may be played."""
WIDER = 4
NEAR = 0.135
"""Two spreads farther than the nearest: what goes with the wish no longer."""
FRESH_AT_FIRST = 0.3
"""How fresh a song is at the end of its rest; it is as good as new after another."""
LEAST_WAITED = 1e-6
"""Where all have just been played, how near they are still decides."""
ABOVE_ITS_SHARE = 2.0
"""How steeply an artist gets rarer who had more than a fair share: the power of what was had over what was due."""
FEW_PLAYS = 3.0
"""One play more or less says little: so many are added to both."""
SKIP_REST = 4.0
"""A song that was skipped rests so many times longer, its artist half of that."""
TIMBRE_UNIT = 32.0
"""A timbre's byte for one standard deviation."""
UNHEARD_LIKENESS = 0.5
"""What a song whose timbre nobody knows counts as."""


def choose(
    shelf: Shelf,
    wish: Wish,
    plays: Sequence[Play],
    now_seconds: float,
    seed: int,
    settings: SelectionSettings,
    favour: Favour | None = None,
) -> Pick | None:
    """Draw a track; None when none may be played.

    What a person or a filter ruled out stays out. Rests and gaps give way where nothing that goes with the wish is
    free: a small library repeats, the longer rested the likelier, but it never falls silent. Nor does one where
    nothing lies under the ceiling: then the nearest to it will do.
    """
    aimed = Affect(wish.affect.valence, min(wish.affect.arousal, wish.highest_arousal))
    wish = replace(wish, affect=aimed)
    pick = _choose(shelf, wish, plays, now_seconds, seed, settings, favour)
    if pick or wish.highest_arousal >= 1:
        return pick
    return _choose(shelf, replace(wish, highest_arousal=1.0), plays, now_seconds, seed, settings, favour)


def _choose(
    shelf: Shelf,
    wish: Wish,
    plays: Sequence[Play],
    now_seconds: float,
    seed: int,
    settings: SelectionSettings,
    favour: Favour | None,
) -> Pick | None:
    """Draw a track under the ceiling; None when none there may be played."""
    excluded, disliked = _rows_of(shelf, wish.exclude), _recordings_of(shelf, wish.disliked)
    size = POOL
    while True:
        rows = shelf.nearest(wish.affect, size, seed, wish.highest_arousal)
        were_all = len(rows) < size
        rows = rows[_permitted(shelf, rows, excluded, disliked, settings)]
        candidates = _Candidates(shelf, rows, wish.affect, plays, now_seconds, settings)
        allowed, freshness = candidates.best()
        if allowed.sum() >= settings.draw_among or were_all:
            break
        size *= WIDER
    if not allowed.any():
        return None
    likeness = _likeness(shelf, rows[allowed], wish.sounds_like)
    liked = favour(shelf, rows[allowed]) if favour else np.ones(len(likeness), np.float32)
    nearness, freshness = candidates.nearness[allowed], freshness[allowed]
    drawn = _draw(
        nearness * (1 - settings.timbre_share * (1 - likeness)) * freshness * liked,
        settings.draw_among,
        np.random.default_rng(seed),
    )
    row = int(rows[allowed][drawn])
    values = (float(factor[drawn]) for factor in (nearness, likeness, freshness, liked))
    return Pick(row, shelf.uri(row), shelf.affect(row), *values)


def fits(affect: Affect, target: Affect, settings: SelectionSettings) -> bool:
    """Whether a track of `affect` still goes with `target`: within two spreads."""
    distance = math.hypot(affect.valence - target.valence, affect.arousal - target.arousal)
    return distance <= 2 * settings.affect_spread


def with_keys(play: Play, shelf: Shelf) -> Play:
    """`play` with the keys its track has on the shelf; those of its names where it is not there."""
    row = shelf.row_of(play.uri)
    if row is None:
        artist = text_key(play.artist)
        return Play(play.uri, play.artist, play.album, play.at_seconds, 0, artist, 0, play.skipped)
    record = shelf.records[row]
    keys = int(record["recording"]), int(record["artist"]), int(record["album"])
    return Play(play.uri, play.artist, play.album, play.at_seconds, *keys, play.skipped)


def _rows_of(shelf: Shelf, uris: Iterable[str]) -> list[int]:
    return [row for uri in uris if (row := shelf.row_of(uri)) is not None]


def _recordings_of(shelf: Shelf, uris: Iterable[str]) -> list[int]:
    return [int(shelf.records["recording"][row]) for row in _rows_of(shelf, uris)]


def _permitted(
    shelf: Shelf, rows: Rows, excluded: Sequence[int], disliked: Iterable[int], settings: SelectionSettings
) -> Mask:
    """Not ruled out for good."""
    records = shelf.records[rows]
    permitted: Mask = ~np.isin(rows, np.array(excluded, np.intp)) & ~_among(records["recording"], disliked)
    if settings.smallest_rating:
        permitted &= (records["rating"] == 0) | (records["rating"] >= settings.smallest_rating)
    if not settings.allow_explicit:
        permitted &= records["flags"] & EXPLICIT == 0
    return permitted


class _Candidates:
    """Some rows, how near they are and how well rested."""

    def __init__(
        self,
        shelf: Shelf,
        rows: Rows,
        aimed: Affect,
        plays: Sequence[Play],
        now_seconds: float,
        settings: SelectionSettings,
    ) -> None:
        records = shelf.records[rows]
        self.nearness = _nearness(records, aimed, settings)
        songs = ((play.recording, _waited(play, now_seconds, 1)) for play in plays)
        artists = ((play.artist_key, _waited(play, now_seconds, 2)) for play in plays)
        albums = ((play.album_key, _waited(play, now_seconds, 2)) for play in plays)
        artist = np.clip(_since(records["artist"], artists) / settings.artist_rest_seconds, 0.1, 1.0)
        album = np.clip(_since(records["album"], albums) / settings.album_rest_seconds, 0.2, 1.0)
        self._rest = _since(records["recording"], songs) / settings.song_rest_seconds
        self._company = artist * album * _due(records["artist"], self.nearness >= NEAR, plays)
        lately = [play for play in plays if now_seconds - play.at_seconds < settings.song_rest_seconds]
        self._gap = _among(records["artist"], [play.artist_key for play in _last(lately, settings.artist_gap_songs)])
        self._gap |= _among(records["album"], [play.album_key for play in _last(lately, settings.album_gap_songs)])

    def best(self) -> tuple[Mask, Numbers]:
        """Which rows to draw among, and how fresh all are: 0 … 1."""
        near: Mask = (self.nearness >= NEAR) & (self._rest >= 1)
        fresh = self._company * (FRESH_AT_FIRST + (1 - FRESH_AT_FIRST) * np.clip(self._rest - 1, 0, 1))
        for allowed in (near & ~self._gap, near):
            if allowed.any():
                return allowed, fresh.astype(np.float32)
        # A library too small for its rest rests for as long as it can: until its fitting songs have all had their turn.
        longest = self._rest[self.nearness >= NEAR].max(initial=1e-9)
        waited = np.clip(self._rest / min(longest, 1.0), LEAST_WAITED, 1)
        tired = np.sqrt(self._company * waited).astype(np.float32)
        return np.ones(len(tired), np.bool_), tired


def _last(plays: Sequence[Play], count: int) -> Sequence[Play]:
    return plays[len(plays) - count :] if 0 < count < len(plays) else plays if count else ()


def _due(keys: NDArray[np.uint32], near: Mask, plays: Sequence[Play]) -> NDArray[np.float64]:
    """1 for artists that had no more plays than their fair share of all, below it the more they were above.

    Fair is the share of the songs that go with the wish, or that of one among their artists, whichever is more.
    """
    artists, slot, songs = np.unique(keys[near], return_inverse=True, return_counts=True)
    share = np.maximum(songs / max(songs.sum(), 1), 1 / max(len(artists), 1))
    counts = Counter(play.artist_key for play in plays)
    had = np.array([counts[int(key)] if key else 0 for key in artists])
    due = np.ones(len(keys))
    above = (FEW_PLAYS + had) / (FEW_PLAYS + share * len(plays) + 1)
    due[near] = (np.maximum(above, 1.0) ** -ABOVE_ITS_SHARE)[slot]
    return due


def _waited(play: Play, now_seconds: float, patience: int) -> float:
    """Seconds since a play; fewer count where it was skipped."""
    waited = max(0.0, now_seconds - play.at_seconds)
    return waited * patience / SKIP_REST if play.skipped else waited


def _since(keys: NDArray[np.uint32], waits: Iterable[tuple[int, float]]) -> NDArray[np.float64]:
    """Seconds since each key was last played; infinite for what was not."""
    shortest: dict[int, float] = {}
    for key, wait in waits:
        if key:
            shortest[key] = min(wait, shortest.get(key, math.inf))
    known = np.array(sorted(shortest), np.uint32)
    if not len(known):
        return np.full(len(keys), math.inf)
    seconds = np.array([shortest[int(key)] for key in known])
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[place] == keys, seconds[place], math.inf)


def _among(keys: NDArray[np.uint32], some: Iterable[int]) -> Mask:
    return np.isin(keys, np.array(sorted(set(some) - {0}), np.uint32))


def _draw(scores: Numbers, among: int, rng: np.random.Generator) -> int:
    """One of the `among` highest, in proportion."""
    best = np.argsort(-scores, kind="stable")[:among]
    reach = np.cumsum(scores[best].astype(np.float64) + 1e-12)
    return int(best[min(int(np.searchsorted(reach, rng.random() * reach[-1], "right")), len(best) - 1)])


def _nearness(records: NDArray[np.void], aimed: Affect, settings: SelectionSettings) -> Numbers:
    """A Gaussian of the distance, 1 for the nearest row: so even where all are far, the nearest stand out.

    A track whose affect is uncertain by u is matched as if it were spread out so far: variance s² + u², the density
    lower by s² / (s² + u²).
    """
    valence, arousal = records["affect"].T
    squared = (valence - np.float32(aimed.valence)) ** 2 + (arousal - np.float32(aimed.arousal)) ** 2
    own = np.float32(settings.affect_spread**2)
    variance = own + (records["spread"] / np.float32(100)) ** 2
    logarithm = -squared / (2 * variance) + np.log(own / variance)
    nearness: Numbers = np.exp(logarithm - logarithm.max(initial=-math.inf)).astype(np.float32)
    return nearness


def _likeness(shelf: Shelf, rows: Rows, sounds: Sequence[bytes]) -> Numbers:
    """How much rows sound like any of `sounds`: 1 the same, 0.61 one standard deviation away in each number."""
    known = [np.frombuffer(sound, np.int8) for sound in sounds if sound]
    if not known:
        return np.ones(len(rows), np.float32)
    timbres = shelf.records["timbre"][rows].astype(np.float32)
    squared = [(((timbres - sound.astype(np.float32)) / TIMBRE_UNIT) ** 2).mean(axis=1) for sound in known]
    likeness = np.exp(-np.min(squared, axis=0) / 2)
    heard = shelf.records["flags"][rows] & HEARD != 0
    return np.where(heard, likeness, UNHEARD_LIKENESS).astype(np.float32)
