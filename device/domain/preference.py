"""What a house enjoys in each mood, learned from what it hears out and what it skips: few numbers, open to reading.

Three things are learned, each starts from a prior and returns to it as evidence fades:

- per mood, where on the plane songs are enjoyed, as against where the mood alone would aim (a regression of enjoyment
  on the offset, whose curvature is learned too: its top is where to aim);
- per mood, how often an artist, and of it a recording, is enjoyed (Beta posteriors; a recording leans on its artist,
  an artist on the mood's average; what is known from other moods counts, but never for more than a few songs);
- which sounds are enjoyed (a regression on the timbre, mostly from the mood itself).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from device.domain.labels import MIXED, UNKNOWN, Affect, affect_of
from device.domain.shelf import HEARD, Rows, Shelf
from device.domain.tracks import TIMBRE_SIZE

DAY_SECONDS: Final = 86400.0
NOISE: Final = 0.2
"""Variance of one song's enjoyment (1 heard out, 0 skipped) about its mean: that of a coin which falls 7 : 3."""
FARTHEST_SONG: Final = 1.2
"""Songs farther than this from the aim speak as if they lay here: beyond, a song can only be skipped once, too."""
LEAST_CURVATURE: Final = 0.4
TIMBRE_UNIT: Final = 32.0
"""A timbre's byte for one standard deviation."""


Numbers = NDArray[np.float64]
Fade = Callable[[Numbers], Numbers]
"""What evidence of some times is worth now."""


class OutcomeKind(Enum):
    """What became of a song."""

    LIKED = "liked"
    DISLIKED = "disliked"
    SKIPPED_EARLY = "skipped_early"
    NOT_IN_THIS_MOOD = "not_in_this_mood"
    HEARD_OUT = "heard_out"


KINDS: Final = tuple(OutcomeKind)
"""Order of the counts in a tally."""
ENJOYED: Final = frozenset({OutcomeKind.LIKED, OutcomeKind.HEARD_OUT})
SAID: Final = frozenset({OutcomeKind.LIKED, OutcomeKind.NOT_IN_THIS_MOOD})
"""Said in so many words about a song in a mood: speaks of the place twice as loud as what a person merely does."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a person did about a song, and when."""

    kind: OutcomeKind
    mood: str
    affect: Affect
    """The song's."""
    recording: int
    """Key as in a shelf's record; 0 counts for no recording."""
    artist: int
    """Key as in a shelf's record; 0 counts for no artist."""
    timbre: bytes = b""
    aimed: Affect | None = None
    """What the mood asked for before anything learned moved it; None stands for the mood's own affect."""
    at_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class PreferenceSettings:
    """How much a song's outcome counts, and how much of it is needed to change the choice."""

    half_life_days: float = field(default=60.0, metadata={"range": (0.1, 36500.0)})
    """After this, an outcome counts half."""
    least_weight: float = field(default=0.05, metadata={"range": (0.0, 1.0)})
    most_weight: float = field(default=2.0, metadata={"range": (1.0, 100.0)})
    usual_enjoyment: float = field(default=0.7, metadata={"range": (0.05, 0.95)})
    """Share of songs heard out in a house nobody knows yet."""
    mood_songs: float = field(default=20.0, metadata={"range": (0.1, 10000.0)})
    """As many songs as `usual_enjoyment` is believed for, per mood."""
    artist_songs: float = field(default=10.0, metadata={"range": (0.1, 10000.0)})
    """As many songs as an artist is believed to be like the mood's average for."""
    recording_songs: float = field(default=8.0, metadata={"range": (0.1, 10000.0)})
    """As many plays as a recording is believed to be like its artist for."""
    other_moods_songs: float = field(default=1.0, metadata={"range": (0.0, 10000.0)})
    """All that another mood knows of an artist or a recording counts for no more songs than this."""
    other_moods_timbre: float = field(default=0.3, metadata={"range": (0.0, 1.0)})
    """How much a song of another mood counts for the timbre."""
    like_songs: float = field(default=3.0, metadata={"range": (1.0, 100.0)})
    """A like counts for this many songs heard out."""
    not_now_songs: float = field(default=6.0, metadata={"range": (1.0, 100.0)})
    """"Not in this mood" counts for this many skips of the song in this mood, and for none in another."""
    dislike_songs: float = field(default=20.0, metadata={"range": (1.0, 1000.0)})
    """A dislike counts for this many skips of the song in every mood."""
    aim_spread: float = field(default=0.3, metadata={"range": (0.0, 2.0)})
    """How far from the mood's own affect houses want their songs, one standard deviation; 0 keeps the aim."""
    aim_curvature: float = field(default=1.5, metadata={"range": (0.4, 20.0)})
    """Believed at first: a song at a distance d from the best place is enjoyed less by half of this times d²."""
    farthest_aim: float = field(default=1.0, metadata={"range": (0.0, 2.0)})
    """The aim is moved no farther."""
    timbre_spread: float = field(default=0.08, metadata={"range": (0.0, 1.0)})
    """By how much enjoyment differs along one standard deviation of a timbre number; 0 leaves timbre out."""
    most_tallies: int = field(default=4000, metadata={"range": (10, 1000000)})
    """Recordings (and artists) remembered, per mood each; the faintest go first."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How often each kind of outcome was seen, faded to a time."""

    counts: tuple[float, ...] = (0.0,) * len(KINDS)
    """In the order of `KINDS`."""
    at_seconds: float = 0.0
    artist: int = 0
    """Whose it is; 0 of a mood's."""


@dataclass(frozen=True, slots=True)
class Line:
    """A Bayesian linear regression of enjoyment (0 … 1) on k numbers, kept as sums faded to a time."""

    gram: tuple[float, ...]
    """[(k + 1)²], of the k numbers after a 1."""
    moment: tuple[float, ...]
    """[k + 1]."""
    at_seconds: float = 0.0


@dataclass(frozen=True)
class Preference:
    """Everything learned; without evidence, the prior."""

    at_seconds: float = 0.0
    """Of the latest outcome: evidence fades up to here, not while nobody listens."""
    moods: Mapping[str, Tally] = field(default_factory=dict)
    artists: Mapping[tuple[str, int], Tally] = field(default_factory=dict)
    """By mood and artist."""
    recordings: Mapping[tuple[str, int], Tally] = field(default_factory=dict)
    """By mood and recording."""
    places: Mapping[str, Line] = field(default_factory=dict)
    """By mood: on valence, arousal and the squared length of the song's offset from the aim."""
    sounds: Mapping[str, Line] = field(default_factory=dict)
    """By mood: on the timbre."""

    @cached_property
    def _judgements(self) -> dict[tuple[str, PreferenceSettings], _Judgement]:
        """What was worked out for choosing, once per mood."""
        return {}


def learn(preference: Preference, outcome: Outcome, settings: PreferenceSettings) -> Preference:
    """Take in what became of one song."""
    return learn_all((outcome,), settings, preference)


def learn_all(
    outcomes: Iterable[Outcome], settings: PreferenceSettings, preference: Preference | None = None
) -> Preference:
    """Take in many outcomes, in any order; the same comes of any order, up to rounding."""
    pupil = _Pupil(preference or Preference(), settings)
    for outcome in outcomes:
        pupil.take_in(outcome)
    return pupil.preference()


def forget(
    preference: Preference, mood: str | None = None, artist: int | None = None, recording: int | None = None
) -> Preference:
    """Forget what matches all that is given, or everything when nothing is given.

    A mood takes all with it that was learned in it. An artist or a recording takes its tallies; what its songs taught
    about a mood's aim, average and timbre stays mixed into those. Who wants that gone too, drops the outcomes and
    learns from the others anew.
    """

    def kept(key: tuple[str, int], tally: Tally, of_recording: int | None) -> bool:
        pairs = (mood, key[0]), (artist, tally.artist), (recording, of_recording)
        return any(wanted not in (None, given) for wanted, given in pairs)

    artists = {key: tally for key, tally in preference.artists.items() if kept(key, tally, None)}
    recordings = {key: tally for key, tally in preference.recordings.items() if kept(key, tally, key[1])}
    preference = replace(preference, artists=artists, recordings=recordings)
    if artist is not None or recording is not None:
        return preference
    return replace(
        preference,
        moods={name: tally for name, tally in preference.moods.items() if mood not in (None, name)},
        places={name: line for name, line in preference.places.items() if mood not in (None, name)},
        sounds={name: line for name, line in preference.sounds.items() if mood not in (None, name)},
    )


def aim(
    preference: Preference,
    mood: str,
    affect: Affect,
    settings: PreferenceSettings,
    rng: np.random.Generator | None = None,
) -> Affect:
    """Where to aim instead of `affect` in this mood; with `rng`, drawn from what it may be."""
    valence, arousal = _judgement(preference, mood, settings).place.top(settings.farthest_aim, rng)
    return Affect(
        min(1.0, max(-1.0, affect.valence + float(valence))), min(1.0, max(-1.0, affect.arousal + float(arousal)))
    )


def weights(
    preference: Preference,
    mood: str,
    shelf: Shelf,
    rows: Rows,
    settings: PreferenceSettings,
    rng: np.random.Generator | None = None,
) -> NDArray[np.float32]:
    """How much likelier each row is enjoyed than this mood's other songs, as a ratio of odds within bounds; [rows].

    1 where nothing is known. With `rng`, drawn from the posteriors instead of their means (Thompson 1933).
    """
    judged = _judgement(preference, mood, settings)
    column = shelf.records
    names = column["artist"][rows]
    artists, recordings = judged.artists.slots(names), judged.recordings.slots(column["recording"][rows])
    mean = judged.artists.enjoyed_share(artists, judged.base, settings.artist_songs, rng, names)
    mean = judged.recordings.enjoyed_share(recordings, mean, settings.recording_songs, rng)
    log_odds = _log_odds(mean) - _log_odds(judged.base_without(recordings))
    if judged.sound:
        heard = (column["flags"][rows] & HEARD) != 0
        gain = judged.sound.gain(column["timbre"][rows] / np.float32(TIMBRE_UNIT), rng)
        log_odds += np.where(heard, gain / (judged.base * (1 - judged.base)), 0.0)
    bounds = math.log(max(settings.least_weight, 1e-6)), math.log(settings.most_weight)
    return np.exp(np.clip(log_odds, *bounds)).astype(np.float32)


def explain(
    preference: Preference, mood: str, recording: int, artist: int, settings: PreferenceSettings | None = None
) -> str:
    """What is known of a song in this mood, in a few words; empty when nothing is.

    Counts are of what has not faded: a like of long ago is no longer mentioned.
    """
    settings = settings or PreferenceSettings()
    half_life_seconds = settings.half_life_days * DAY_SECONDS
    parts = []
    here = preference.recordings.get((mood, recording))
    if here:
        fade = _fade(here.at_seconds, preference.at_seconds, half_life_seconds)
        deeds = [_deed(kind, round(count * fade)) for kind, count in zip(KINDS, here.counts, strict=True)]
        parts = [f"{', '.join(filter(None, deeds))} {_when(mood)}"] if any(deeds) else []
    judged = _judgement(preference, mood, settings)
    artists = judged.artists.slots(np.array([artist], np.uint32))
    share = judged.artists.enjoyed_share(artists, judged.base, settings.artist_songs)
    better = float(_log_odds(share)[0] - _log_odds(judged.base))
    if artist and abs(better) >= STANDS_OUT:
        parts.append(f"this artist is {'welcome' if better > 0 else 'often skipped'} {_when(mood)}")
    return "; ".join(parts)


STANDS_OUT: Final = 0.5
"""In log odds: by how much an artist differs from the average before a word is said of it."""


def _deed(kind: OutcomeKind, times: int) -> str:
    if times == 0:
        return ""
    words = {
        OutcomeKind.LIKED: "liked",
        OutcomeKind.DISLIKED: "disliked",
        OutcomeKind.SKIPPED_EARLY: "skipped",
        OutcomeKind.NOT_IN_THIS_MOOD: "not wanted",
        OutcomeKind.HEARD_OUT: "heard out",
    }
    return f"{words[kind]} {({1: 'once', 2: 'twice'}).get(times, f'{times} times')}"


def _when(mood: str) -> str:
    words = {
        "disgust": "when disgusted",
        "fear": "when afraid",
        "surprise": "when surprised",
        "neutral": "when nothing stirs",
        MIXED: "in mixed company",
        UNKNOWN: "when the mood is unknown",
    }
    return words.get(mood, f"when {mood}")


Key = TypeVar("Key")


class _Pupil:
    """A preference open to change, while it learns."""

    def __init__(self, preference: Preference, settings: PreferenceSettings) -> None:
        self._most = settings.most_tallies
        self._half_life_seconds = settings.half_life_days * DAY_SECONDS
        self._at_seconds = preference.at_seconds if preference.moods else -math.inf
        self._moods = dict(preference.moods)
        self._artists = dict(preference.artists)
        self._recordings = dict(preference.recordings)
        self._places = dict(preference.places)
        self._sounds = dict(preference.sounds)

    def take_in(self, outcome: Outcome) -> None:
        """Add one outcome to all that it speaks of."""
        self._at_seconds = max(self._at_seconds, outcome.at_seconds)
        self._count(self._moods, outcome.mood, outcome)
        if outcome.artist:
            self._count(self._artists, (outcome.mood, outcome.artist), outcome, outcome.artist)
        if outcome.recording:
            self._count(self._recordings, (outcome.mood, outcome.recording), outcome, outcome.artist)
        self._regress(self._places, outcome, _offset(outcome))
        if outcome.timbre and outcome.kind is not OutcomeKind.NOT_IN_THIS_MOOD:
            self._regress(self._sounds, outcome, np.frombuffer(outcome.timbre, np.int8) / TIMBRE_UNIT)

    def preference(self) -> Preference:
        """What was learned; the faintest tallies are dropped."""
        at_seconds = 0.0 if math.isinf(self._at_seconds) else self._at_seconds
        artists, recordings = self._clearest(self._artists), self._clearest(self._recordings)
        return Preference(at_seconds, self._moods, artists, recordings, self._places, self._sounds)

    def _count(self, tallies: MutableMapping[Key, Tally], key: Key, outcome: Outcome, artist: int = 0) -> None:
        before = tallies.get(key, Tally(at_seconds=outcome.at_seconds))
        at_seconds, old, new = self._fades(before.at_seconds, outcome.at_seconds)
        counts = [count * old for count in before.counts]
        counts[KINDS.index(outcome.kind)] += new
        tallies[key] = Tally(tuple(counts), at_seconds, artist)

    def _regress(self, lines: MutableMapping[str, Line], outcome: Outcome, numbers: Numbers) -> None:
        row = np.concatenate(([1.0], numbers))
        empty = Line((0.0,) * len(row) ** 2, (0.0,) * len(row), outcome.at_seconds)
        before = lines.get(outcome.mood, empty)
        at_seconds, old, new = self._fades(before.at_seconds, outcome.at_seconds)
        new *= 2.0 if outcome.kind in SAID else 1.0
        gram = np.array(before.gram) * old + new * np.outer(row, row).ravel()
        moment = np.array(before.moment) * old + new * (outcome.kind in ENJOYED) * row
        lines[outcome.mood] = Line(tuple(gram.tolist()), tuple(moment.tolist()), at_seconds)

    def _fades(self, before_seconds: float, now_seconds: float) -> tuple[float, float, float]:
        """The later of two times, and what each of them is worth then."""
        later = max(before_seconds, now_seconds)
        half = self._half_life_seconds
        return later, _fade(before_seconds, later, half), _fade(now_seconds, later, half)

    def _clearest(self, tallies: dict[tuple[str, int], Tally]) -> dict[tuple[str, int], Tally]:
        if len(tallies) <= self._most:
            return tallies

        def clearness(key: tuple[str, int]) -> float:
            return sum(tallies[key].counts) * _fade(tallies[key].at_seconds, self._at_seconds, self._half_life_seconds)

        return {key: tallies[key] for key in sorted(tallies, key=clearness, reverse=True)[: self._most]}


def _fade(from_seconds: float, to_seconds: float, half_life_seconds: float) -> float:
    return math.exp2(-min(1000.0, (to_seconds - from_seconds) / half_life_seconds))


def _offset(outcome: Outcome) -> Numbers:
    """How far off the aim the song lay: valence, arousal, and the squared distance."""
    aimed = outcome.aimed or affect_of(outcome.mood)
    offset = np.array([outcome.affect.valence - aimed.valence, outcome.affect.arousal - aimed.arousal])
    distance = float(np.hypot(*offset))
    offset *= min(1.0, FARTHEST_SONG / distance) if distance else 1.0
    return np.append(offset, offset @ offset)


@dataclass(frozen=True, slots=True)
class _Ledger:
    """Evidence in songs, by key, for one mood; the key 0 of no name has none."""

    keys: NDArray[np.uint32]
    enjoyed: Numbers
    refused: Numbers
    here: Numbers
    """[keys, 2]: outcomes in this mood, all and those that were enjoyed, each counted once as in the mood's average."""

    def enjoyed_share(
        self,
        slots: Rows,
        prior: float | Numbers,
        prior_songs: float,
        rng: np.random.Generator | None = None,
        names: NDArray[np.uint32] | None = None,
    ) -> Numbers:
        """Of a Beta posterior per slot, the mean, or a draw, which equal `names` share; [slots]."""
        alpha = prior_songs * prior + self.enjoyed[slots]
        beta = prior_songs * (1 - prior) + self.refused[slots]
        if rng is None:
            share = alpha / (alpha + beta)
        elif names is not None:
            _, first, inverse = np.unique(names, return_index=True, return_inverse=True)
            share = rng.beta(alpha[first], beta[first])[inverse]
        else:
            share = rng.beta(alpha, beta)
        return np.asarray(np.clip(share, 1e-3, 1 - 1e-3), np.float64)

    def slots(self, keys: NDArray[np.uint32]) -> Rows:
        """Where each key stands; that of no name for one of which nothing is known."""
        slot = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        slot[self.keys[slot] != keys] = 0
        return slot


@dataclass(frozen=True, slots=True)
class _Slope:
    """The posterior of a regression's slope: Gaussian."""

    centre: Numbers
    """[k]: the mean of the numbers it was learned from."""
    mean: Numbers
    """[k]"""
    covariance: Numbers
    """[k, k]"""

    def gain(self, numbers: NDArray[np.float32], rng: np.random.Generator | None) -> Numbers:
        """How much more than at the centre is enjoyed; [n] of [n, k]."""
        gain: Numbers = (numbers - self.centre.astype(np.float32)) @ self._slope(rng).astype(np.float32)
        return gain

    def top(self, farthest: float, rng: np.random.Generator | None) -> Numbers:
        """Where most is enjoyed, of a slope on a place and its squared length; no farther off than `farthest`."""
        slope = self._slope(rng)
        top: Numbers = slope[:2] / max(LEAST_CURVATURE, -2 * float(slope[2]))
        return top * min(1.0, farthest / max(1e-9, float(np.hypot(*top))))

    def _slope(self, rng: np.random.Generator | None) -> Numbers:
        if rng is None:
            return self.mean
        drawn: Numbers = self.mean + np.linalg.cholesky(self.covariance) @ rng.standard_normal(len(self.mean))
        return drawn


@dataclass(frozen=True, slots=True)
class _Judgement:
    """What was learned, ready for choosing in one mood."""

    all_here: Numbers
    """[2]: outcomes in this mood, all and those that were enjoyed, with the prior's."""
    artists: _Ledger
    recordings: _Ledger
    place: _Slope
    sound: _Slope | None

    @property
    def base(self) -> float:
        """Share of songs that is enjoyed in this mood."""
        return float(_bounded_share(self.all_here))

    def base_without(self, recordings: Rows) -> Numbers:
        """The same by all other songs, for each of n slots of recordings; [n].

        Held against an average that its own skips lower as well, a song of which much is known would gain by one more.
        """
        return _bounded_share(self.all_here - self.recordings.here[recordings])


def _bounded_share(counts: Numbers) -> Numbers:
    """Of counts [..., 2], all and those that were enjoyed."""
    return np.asarray(np.clip(counts[..., 1] / counts[..., 0], 0.02, 0.98))


def _judgement(preference: Preference, mood: str, settings: PreferenceSettings) -> _Judgement:
    known = preference._judgements
    if (mood, settings) not in known:
        known[mood, settings] = _judge(preference, mood, settings)
    return known[mood, settings]


def _judge(preference: Preference, mood: str, settings: PreferenceSettings) -> _Judgement:
    def fade(at_seconds: Numbers) -> Numbers:
        days = (preference.at_seconds - at_seconds) / DAY_SECONDS
        return np.asarray(np.exp2(-np.minimum(days / settings.half_life_days, 1000.0)))

    tally = preference.moods.get(mood, Tally())
    prior = settings.mood_songs * np.array([1.0, settings.usual_enjoyment])
    return _Judgement(
        np.array(tally.counts) * fade(np.array(tally.at_seconds)) @ ONCE + prior,
        _ledger(preference.artists, mood, fade, _artist_worth(settings), settings),
        _ledger(preference.recordings, mood, fade, _recording_worth(settings), settings),
        _place(preference.places.get(mood), fade, settings),
        _sound(preference.sounds, mood, fade, settings),
    )


ONCE: Final = np.array([(1.0, kind in ENJOYED) for kind in KINDS])
"""[5, 2]: what each kind of outcome counts in a mood's average, among all and among those that were enjoyed."""


def _recording_worth(settings: PreferenceSettings) -> Numbers:
    """What each kind of outcome counts, in songs; [5, 4]: enjoyed, refused, refused here only, refused everywhere."""
    worth = {
        OutcomeKind.LIKED: (settings.like_songs, 0, 0, 0),
        OutcomeKind.DISLIKED: (0, 0, 0, settings.dislike_songs),
        OutcomeKind.SKIPPED_EARLY: (0, 1, 0, 0),
        OutcomeKind.NOT_IN_THIS_MOOD: (0, 0, settings.not_now_songs, 0),
        OutcomeKind.HEARD_OUT: (1, 0, 0, 0),
    }
    return np.array([worth[kind] for kind in KINDS], float)


def _artist_worth(settings: PreferenceSettings) -> Numbers:
    """The same for the song's artist, who is not to pay for one song."""
    worth = _recording_worth(settings)
    worth[KINDS.index(OutcomeKind.DISLIKED)] = 0, 2, 0, 0
    worth[KINDS.index(OutcomeKind.NOT_IN_THIS_MOOD)] = 0, 0, 2, 0
    return worth


def _ledger(
    tallies: Mapping[tuple[str, int], Tally],
    mood: str,
    fade: Fade,
    worth: Numbers,
    settings: PreferenceSettings,
) -> _Ledger:
    """The mood's own evidence in full, and of each other mood no more than a few songs' worth.

    The discount is that of a random-effects mean: n songs of another mood say as much as n·c / (n + c) of this one.
    """
    keys = np.array([0, *(key for _, key in tallies)], np.uint32)
    here = np.array([True, *(other == mood for other, _ in tallies)])
    counts = np.array([Tally().counts, *(tally.counts for tally in tallies.values())])
    counts *= fade(np.array([0.0, *(tally.at_seconds for tally in tallies.values())]))[:, None]
    enjoyed, refused, refused_here, refused_everywhere = (counts @ worth).T
    limit = settings.other_moods_songs
    share = np.where(here, 1.0, limit / np.maximum(enjoyed + refused + limit, 1e-9))
    known, slot = np.unique(keys, return_inverse=True)
    return _Ledger(
        known,
        _summed(slot, enjoyed * share),
        _summed(slot, refused * share + refused_here * here + refused_everywhere),
        np.stack([_summed(slot, songs) for songs in (counts @ ONCE * here[:, None]).T], axis=1),
    )


def _summed(slot: Rows, songs: Numbers) -> Numbers:
    return np.bincount(slot, songs).astype(np.float64)


def _place(line: Line | None, fade: Fade, settings: PreferenceSettings) -> _Slope:
    gram, moment = _sums(line or Line((0.0,) * 16, (0.0,) * 4), fade)
    gram[0, 0] += settings.mood_songs
    moment[0] += settings.mood_songs * settings.usual_enjoyment
    curvature = settings.aim_curvature
    mean = np.array([0.0, 0.0, -curvature / 2])
    spread = np.array([curvature * settings.aim_spread, curvature * settings.aim_spread, curvature / 4])
    return _slope(*_centred(gram, moment), mean, spread)


def _sound(lines: Mapping[str, Line], mood: str, fade: Fade, settings: PreferenceSettings) -> _Slope | None:
    """One slope for all moods, each about its own centre, the other moods' songs at a discount."""
    if not lines or not settings.timbre_spread:
        return None
    parts = {other: _centred(*_sums(line, fade)) for other, line in lines.items()}
    shares = {other: 1.0 if other == mood else settings.other_moods_timbre for other in lines}
    size = TIMBRE_SIZE
    scatter = sum((parts[other][1] * share for other, share in shares.items()), np.zeros((size, size)))
    moment = sum((parts[other][2] * share for other, share in shares.items()), np.zeros(size))
    centre = parts[mood][0] if mood in parts else np.mean([part[0] for part in parts.values()], axis=0)
    return _slope(centre, scatter, moment, np.zeros(size), np.full(size, settings.timbre_spread))


def _sums(line: Line, fade: Fade) -> tuple[Numbers, Numbers]:
    size, worth = len(line.moment), fade(np.array(line.at_seconds))
    return np.array(line.gram).reshape(size, size) * worth, np.array(line.moment) * worth


def _centred(gram: Numbers, moment: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """The numbers' mean, and their sums of squares and products with enjoyment, about the means; [k], [k, k], [k]."""
    songs = max(float(gram[0, 0]), 1e-9)
    mean = gram[0, 1:] / songs
    return mean, gram[1:, 1:] - songs * np.outer(mean, mean), moment[1:] - mean * moment[0]


def _slope(
    centre: Numbers,
    scatter: Numbers,
    moment: Numbers,
    prior_mean: Numbers,
    prior_spread: Numbers,
) -> _Slope:
    precision = 1 / np.maximum(prior_spread, 1e-6) ** 2
    covariance: Numbers = np.linalg.inv(scatter / NOISE + np.diag(precision))
    mean = covariance @ (moment / NOISE + precision * prior_mean)
    return _Slope(centre, np.asarray(mean, np.float64), covariance)


def _log_odds(share: float | Numbers) -> Numbers:
    return np.asarray(np.log(share / (1 - share)))
