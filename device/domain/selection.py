"""Chooses the next track: near in affect, fresh in song, artist and album, drawn by chance among the best."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from device.domain.labels import Affect
from device.domain.tracks import Track


@dataclass(frozen=True, slots=True)
class SelectionSettings:
    """How near and how fresh a track must be."""

    affect_spread: float = field(default=0.35, metadata={"range": (0.05, 2.0)})
    """Distance in valence/arousal at which the score falls to 0.61 (a Gaussian's one sigma)."""
    song_rest_seconds: float = field(default=4 * 3600.0, metadata={"range": (1.0, 2592000.0)})
    """A song is rested after this; before, its score is scaled down, to 0 just after it played."""
    artist_rest_seconds: float = field(default=1800.0, metadata={"range": (1.0, 2592000.0)})
    """The same for its artist; never below a tenth."""
    album_rest_seconds: float = field(default=1800.0, metadata={"range": (1.0, 2592000.0)})
    """The same for its album; never below a fifth."""
    draw_among: int = field(default=5, metadata={"range": (1, 1000)})
    """The draw is among this many best tracks, in proportion to their scores."""


@dataclass(frozen=True, slots=True)
class Play:
    """A track that was played or queued."""

    uri: str
    artist: str
    album: str
    at_seconds: float


@dataclass(frozen=True, slots=True)
class Shelf:
    """The catalogue in the shape that choosing needs: tracks with an affect, and the affects as an array."""

    tracks: tuple[Track, ...]
    affects: NDArray[np.float64]
    """[n, 2]: valence, arousal."""
    rows_of_uri: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Rows of `tracks` by uri; so a choice costs little in a library of many thousands."""
    rows_of_artist: Mapping[str, Sequence[int]] = field(default_factory=dict)
    rows_of_album: Mapping[str, Sequence[int]] = field(default_factory=dict)


def shelve(tracks: Sequence[Track]) -> Shelf:
    """Keep the tracks that have an affect."""
    kept = tuple(track for track in tracks if track.affect is not None)
    points = [(track.affect.valence, track.affect.arousal) for track in kept if track.affect]
    return Shelf(
        kept,
        np.array(points, dtype=np.float64).reshape(-1, 2),
        _rows(track.uri for track in kept),
        _rows(track.artist for track in kept),
        _rows(track.album for track in kept),
    )


def choose(
    shelf: Shelf,
    target: Affect,
    plays: Sequence[Play],
    now_seconds: float,
    seed: int,
    settings: SelectionSettings,
    exclude: frozenset[str] = frozenset(),
) -> Track | None:
    """Draw a track near `target`; None when the shelf is empty or all of it is excluded.

    When everything near has just played, the longest rested wins: a small library repeats, but never falls silent.
    """
    scores = _nearness(shelf, target, settings) * _freshness(shelf, plays, now_seconds, settings)
    for uri in exclude:
        scores[list(shelf.rows_of_uri.get(uri, ()))] = -1.0
    best = [int(i) for i in np.argsort(-scores, kind="stable")[: settings.draw_among] if scores[i] >= 0]
    if not best:
        return None
    weights = [float(scores[i]) + 1e-12 for i in best]
    return shelf.tracks[random.Random(seed).choices(best, weights)[0]]


def fits(affect: Affect, target: Affect, settings: SelectionSettings) -> bool:
    """Whether a track of `affect` still goes with `target`: within two spreads."""
    distance = math.hypot(affect.valence - target.valence, affect.arousal - target.arousal)
    return distance <= 2 * settings.affect_spread


def _rows(names: Iterable[str]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        if name:
            rows.setdefault(name, []).append(row)
    return rows


def _nearness(shelf: Shelf, target: Affect, settings: SelectionSettings) -> NDArray[np.float64]:
    """A Gaussian of the distance, 1 for the nearest track: so even where all are far, the nearest stand out."""
    offsets = shelf.affects - np.array([target.valence, target.arousal])
    squared: NDArray[np.float64] = np.sum(offsets**2, axis=1)
    least = squared.min() if len(squared) else 0.0
    nearness: NDArray[np.float64] = np.exp((least - squared) / (2 * settings.affect_spread**2))
    return nearness


def _freshness(
    shelf: Shelf, plays: Sequence[Play], now_seconds: float, settings: SelectionSettings
) -> NDArray[np.float64]:
    """1 for what has rested: the product over song, artist and album, only of what has not."""
    freshness = np.ones(len(shelf.tracks))
    for last, rows_of, rest_seconds, least in (
        ({play.uri: play.at_seconds for play in plays}, shelf.rows_of_uri, settings.song_rest_seconds, 0.0),
        ({play.artist: play.at_seconds for play in plays}, shelf.rows_of_artist, settings.artist_rest_seconds, 0.1),
        ({play.album: play.at_seconds for play in plays}, shelf.rows_of_album, settings.album_rest_seconds, 0.2),
    ):
        for name, at_seconds in last.items():
            if name in rows_of and now_seconds - at_seconds < rest_seconds:
                freshness[rows_of[name]] *= _rested(at_seconds, now_seconds, rest_seconds, least)
    return freshness


def _rested(last_seconds: float, now_seconds: float, rest_seconds: float, least: float) -> float:
    return least + (1 - least) * min(1.0, max(0.0, now_seconds - last_seconds) / rest_seconds)
