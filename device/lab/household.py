"""Lets made-up households listen for weeks, and counts what they skip under several ways of choosing:

    python -m device.lab.household [--weeks 6] [--houses 2] [--seed 1] [--jobs 1] [--json] [--plot FILE]

Nothing here is a real person's. What a listener likes is hidden from the chooser and of another form than what it can
learn: enjoyment falls off with the distance as an exponential, not as a parabola; boredom, misread moods and wrong tags
stand between. Two of the eight listeners want what the chooser cannot express at all, see `LISTENERS`.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from device.domain.labels import Affect, affect_of
from device.domain.preference import Outcome, OutcomeKind, Preference, PreferenceSettings, aim, learn, weights
from device.domain.selection import Play, SelectionSettings, Wish, choose
from device.domain.shelf import Rows, Shelf, shelve
from device.domain.tracks import TIMBRE_SIZE, Origin, Track

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
SKIPPED_AFTER_SECONDS: Final = 20.0
Numbers = NDArray[np.float64]


# --- the music -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Library:
    """A made-up catalogue: the shelf as the speaker knows it, and beside it how the songs really are."""

    shelf: Shelf
    felt: Numbers
    """[n, 2]: how each song really feels; its tags are off by some 0.2, and one in twenty is plainly wrong."""
    artist: Rows
    """[n]: number of the artist, the most productive first."""
    timbre: Numbers
    """[n, 12], in standard deviations."""

    @property
    def artists(self) -> int:
        """How many artists there are."""
        return int(self.artist.max()) + 1


def make_library(rng: np.random.Generator, tracks: int = 2000, artists: int = 150, genres: int = 10) -> Library:
    """Songs of artists of genres: each has its place and its sound about that of the one above; few make most."""
    sizes = 1 / np.arange(1, artists + 1) ** 0.8
    artist = np.sort(np.append(np.arange(artists), rng.choice(artists, tracks - artists, p=sizes / sizes.sum())))
    genre = rng.integers(0, genres, artists)
    place = rng.uniform(-0.6, 0.6, (genres, 2))[genre] + rng.normal(0, 0.25, (artists, 2))
    felt = np.clip(place[artist] + rng.normal(0, 0.35, (tracks, 2)), -1, 1)
    sound = rng.normal(0, 0.7, (genres, TIMBRE_SIZE))[genre] + rng.normal(0, 0.4, (artists, TIMBRE_SIZE))
    timbre = sound[artist] + rng.normal(0, 0.5, (tracks, TIMBRE_SIZE))
    timbre[:, 0] += 0.8 * felt[:, 1] - 0.5 * felt[:, 0]
    tagged = felt + rng.normal(0, 0.2, (tracks, 2))
    wrong = rng.random(tracks) < 0.05
    tagged[wrong] = rng.uniform(-1, 1, (int(wrong.sum()), 2))
    tagged = np.clip(tagged, -1, 1)
    heard = np.clip(timbre * 32, -127, 127).astype(np.int8)
    albums = rng.integers(0, 1 + np.bincount(artist) // 10, artists)[artist] + rng.integers(0, 3, tracks)
    shelf = shelve(
        [
            Track(
                uri=f"{artist[n]}/{n}.ogg",
                title=f"song {n}",
                artist=f"artist {artist[n]}",
                album=f"album {albums[n]}",
                duration_seconds=min(400.0, max(90.0, float(rng.normal(210, 40)))),
                moods=(),
                affect=Affect(float(tagged[n, 0]), float(tagged[n, 1])),
                origin=Origin.TAG,
                timbre=heard[n].tobytes(),
            )
            for n in range(tracks)
        ]
    )
    return Library(shelf, felt, artist, timbre)


# --- the listeners ---------------------------------------------------------------------------------------------------

Want = Callable[[str, float], tuple[Affect, ...]]
"""Where, in a mood at an hour of the day, songs are wanted; of several places the nearest counts."""


@dataclass(frozen=True, eq=False)
class Listener:
    """What somebody likes, hidden from the chooser."""

    name: str
    want: Want
    of_song: Numbers
    """[n]: liking of each song for its artist and sound, whatever the mood."""
    artist_boredom: float = 0.3
    """Liking lost just after the artist was heard."""
    artist_boredom_seconds: float = HOUR

    def liking(self, library: Library, mood: str, now_seconds: float, memory: Memory) -> Numbers:
        """[n]: how much each song would be liked now; 0 is neither here nor there."""
        wanted = self.want(mood, now_seconds % DAY / HOUR)
        offsets = [library.felt - (place.valence, place.arousal) for place in wanted]
        distance = np.min([np.hypot(*offset.T) for offset in offsets], axis=0)
        since_song, since_artist = now_seconds - memory.songs, now_seconds - memory.artists[library.artist]
        bored = 1.5 * np.exp(-since_song / (6 * HOUR)) + 0.4 * np.exp(-since_song / (5 * DAY))
        bored += self.artist_boredom * np.exp(-since_artist / self.artist_boredom_seconds)
        liking: Numbers = 1.6 * np.exp(-distance / 0.7) - 0.45 + self.of_song - bored
        return liking


@dataclass(slots=True)
class Memory:
    """When each song and artist was last heard, in seconds."""

    songs: Numbers
    artists: Numbers


def heard_out(liking: Numbers | float) -> Numbers:
    """The chance that a song is heard out."""
    return np.asarray(0.03 + 0.94 / (1 + np.exp(-np.asarray(liking) / 0.25)))


def _as_felt(mood: str, _hour: float) -> tuple[Affect, ...]:
    return (affect_of(mood),)


def _wallower(library: Library, _rng: np.random.Generator) -> Listener:
    return Listener("wallower", _as_felt, np.zeros(len(library.artist)))


def _lifter(library: Library, _rng: np.random.Generator) -> Listener:
    def want(mood: str, _hour: float) -> tuple[Affect, ...]:
        return (Affect(0.35, 0.1),) if mood in ("sad", "fear", "disgust") else (affect_of(mood),)

    return Listener("lifter", want, np.zeros(len(library.artist)))


def _calmer(library: Library, _rng: np.random.Generator) -> Listener:
    def want(mood: str, _hour: float) -> tuple[Affect, ...]:
        return (Affect(0.2, -0.5),) if mood in ("angry", "fear", "surprise") else (affect_of(mood),)

    return Listener("calmer", want, np.zeros(len(library.artist)))


def _explorer(library: Library, _rng: np.random.Generator) -> Listener:
    return Listener("explorer", _as_felt, np.zeros(len(library.artist)), 1.2, 8 * HOUR)


def _fan(library: Library, rng: np.random.Generator) -> Listener:
    taste = np.full(library.artists, -0.15)
    taste[rng.choice(library.artists, 12, replace=False)] = 0.5
    region = library.timbre[rng.integers(len(library.artist))]
    near = np.exp(-((library.timbre - region) ** 2).mean(axis=1))
    return Listener("fan", _as_felt, taste[library.artist] + 0.8 * (near - near.mean()))


def _picky_parent(library: Library, _rng: np.random.Generator) -> Listener:
    harsh = library.timbre[:, 0] > 0.3
    return Listener("picky parent", _as_felt, np.where(harsh, -1.0, 0.1))


def _by_the_clock(library: Library, _rng: np.random.Generator) -> Listener:
    def want(_mood: str, hour: float) -> tuple[Affect, ...]:
        return (Affect(0.5, 0.6),) if hour < 12 else (Affect(0.3, -0.1),) if hour < 19 else (Affect(0.0, -0.6),)

    return Listener("by the clock", want, np.zeros(len(library.artist)))


def _two_minded(library: Library, _rng: np.random.Generator) -> Listener:
    def want(mood: str, _hour: float) -> tuple[Affect, ...]:
        there = affect_of(mood)
        return (there, Affect(-there.valence, -there.arousal))

    of_pairs = np.where(np.sign(library.timbre[:, 1]) == np.sign(library.timbre[:, 2]), -0.4, 0.3)
    return Listener("two-minded", want, of_pairs)


LISTENERS: Final[dict[str, Callable[[Library, np.random.Generator], Listener]]] = {
    "wallower": _wallower,
    "lifter": _lifter,
    "calmer": _calmer,
    "explorer": _explorer,
    "fan": _fan,
    "picky parent": _picky_parent,
    "by the clock": _by_the_clock,
    "two-minded": _two_minded,
}
"""The wallower wants songs as the mood is; the lifter is cheered up when low, the calmer calmed when upset; the
explorer is soon tired of an artist; the fan loves twelve artists and a sound; the picky parent cannot stand what is
harsh.

The last two want what cannot be learned here: one goes by the hour, which the chooser does not look at; the other wants
either the mood or its very opposite, and sounds of which two numbers differ in sign (one aim and a straight line in the
timbre can say neither)."""


# --- the days --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spell:
    """A while of listening in one mood."""

    from_seconds: float
    to_seconds: float
    mood: str
    sensed: str
    """What the speaker takes it for; wrong once in eight times."""


MOOD_SHARES: Final = {
    "neutral": 0.34,
    "happy": 0.3,
    "sad": 0.14,
    "angry": 0.09,
    "fear": 0.05,
    "surprise": 0.05,
    "disgust": 0.03,
}


def make_days(rng: np.random.Generator, days: int) -> list[Spell]:
    """Two to four hours a day, in the morning and in the evening; a mood lasts half an hour or so (a Markov chain)."""
    moods, shares = list(MOOD_SHARES), list(MOOD_SHARES.values())
    spells: list[Spell] = []
    mood = "neutral"
    for day in range(days):
        for start, end in ((rng.uniform(6.5, 9), rng.uniform(0.5, 1)), (rng.uniform(16.5, 20), rng.uniform(1.5, 3))):
            now, until = day * DAY + start * HOUR, day * DAY + (start + end) * HOUR
            while now < until:
                mood = str(rng.choice(moods, p=shares)) if rng.random() < 0.8 else mood
                sensed = mood if rng.random() < 7 / 8 else str(rng.choice(moods))
                to = min(until, now + float(rng.uniform(15, 50)) * 60)
                spells.append(Spell(now, to, mood, sensed))
                now = to
    return spells


# --- the ways of choosing --------------------------------------------------------------------------------------------


class Strategy(Protocol):
    """A way of choosing."""

    aimed: Affect
    """Where the last choice aimed."""

    def next_track(self, mood: str, now_seconds: float) -> int:
        """The row to play now, in what the speaker takes for the mood."""

    def learn(self, row: int, outcome: Outcome) -> None:
        """What became of it."""


class ByChance:
    """Any song."""

    def __init__(self, library: Library, seed: int, _selection: SelectionSettings) -> None:
        self.aimed = affect_of("unknown")
        self._library = library
        self._rng = np.random.default_rng(seed)

    def next_track(self, mood: str, _now_seconds: float) -> int:
        """Any."""
        self.aimed = affect_of(mood)
        return int(self._rng.integers(len(self._library.shelf)))

    def learn(self, row: int, outcome: Outcome) -> None:
        """Nothing."""


class Nearest:
    """One of the songs nearest to the mood, whenever they last played; only never the same song twice in a row."""

    def __init__(self, library: Library, seed: int, selection: SelectionSettings) -> None:
        self.aimed = affect_of("unknown")
        self._among = selection.draw_among
        self._affects = library.shelf.records["affect"].astype(float)
        self._rng = np.random.default_rng(seed)
        self._last: int | None = None

    def next_track(self, mood: str, _now_seconds: float) -> int:
        """One of as many as the speaker draws among."""
        self.aimed = affect_of(mood)
        squared = np.sum((self._affects - (self.aimed.valence, self.aimed.arousal)) ** 2, axis=1)
        if self._last is not None:
            squared[self._last] = np.inf
        self._last = int(self._rng.choice(np.argsort(squared)[: self._among]))
        return self._last

    def learn(self, row: int, outcome: Outcome) -> None:
        """Nothing."""


class Speaker:
    """As the speaker chooses: near to the mood and rested; and, when it `learns`, what is enjoyed."""

    def __init__(self, library: Library, seed: int, selection: SelectionSettings, learns: bool = True) -> None:
        self.aimed = affect_of("unknown")
        self._shelf, self._seed, self._learns = library.shelf, seed, learns
        self._selection, self._settings = selection, PreferenceSettings()
        self._preference = Preference()
        self._plays: list[Play] = []
        self._disliked: frozenset[str] = frozenset()
        self._liked: tuple[bytes, ...] = ()
        self._draws = 0

    def next_track(self, mood: str, now_seconds: float) -> int:
        """A row by `choose`."""
        self._draws += 1
        seed = self._seed * 1_000_003 + self._draws
        self.aimed = affect_of(mood)
        if self._learns:
            self.aimed = aim(self._preference, mood, self.aimed, self._settings)
        row = self._choose(mood, now_seconds, seed)
        record = self._shelf.records[row]
        keys = int(record["recording"]), int(record["artist"]), int(record["album"])
        self._plays = [*self._plays, Play(self._shelf.uri(row), "", "", now_seconds, *keys)][-PLAYS_KEPT:]
        return row

    def learn(self, row: int, outcome: Outcome) -> None:
        """What was skipped rests longer, what is disliked stays away, and tastes show."""
        if outcome.kind in (OutcomeKind.SKIPPED_EARLY, OutcomeKind.NOT_IN_THIS_MOOD):
            self._plays[-1] = replace(self._plays[-1], skipped=True)
        if outcome.kind is OutcomeKind.DISLIKED:
            self._disliked |= {self._shelf.uri(row)}
        if not self._learns:
            return
        if outcome.kind is OutcomeKind.LIKED:
            self._liked = (*self._liked, outcome.timbre)[-LIKED_KEPT:]
        self._preference = learn(self._preference, outcome, self._settings)

    def _choose(self, mood: str, now_seconds: float, seed: int) -> int:
        """The one place that knows how `choose` is called."""
        rng = np.random.default_rng([seed, 1])

        def favour(shelf: Shelf, rows: Rows) -> NDArray[np.float32]:
            return weights(self._preference, mood, shelf, rows, self._settings, rng)

        playing = self._shelf.row_of(self._plays[-1].uri) if self._plays and self._learns else None
        sounds = (*self._liked, *([] if playing is None else [self._shelf.timbre(playing)]))
        wish = Wish(self.aimed, sounds_like=sounds, exclude=self._disliked)
        pick = choose(
            self._shelf, wish, self._plays, now_seconds, seed, self._selection, favour if self._learns else None
        )
        assert pick is not None, "a library of this size always has a song"
        return pick.row


PLAYS_KEPT: Final = 500
LIKED_KEPT: Final = 5

STRATEGIES: Final[dict[str, Callable[[Library, int, SelectionSettings], Strategy]]] = {
    "by chance": ByChance,
    "nearest": Nearest,
    "near and fresh": lambda library, seed, selection: Speaker(library, seed, selection, learns=False),
    "learning": Speaker,
}


# --- what comes of it ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one way of choosing for one listener."""

    listener: str
    strategy: str
    house: int
    songs: int
    skips_of_100: float
    skips_of_100_late: float
    """In the last two weeks."""
    possible_of_100: float
    """What who knows the listener's heart would have had skipped, of the songs that had rested."""
    liking: float
    """Mean hidden liking of the songs that were played."""
    top_artist_percent: float
    """Of the artist played most."""
    top_artist_fair_percent: float
    """Its fair share: see `_fair`."""
    artists_above: int
    """Artists above their fair share, beyond what chance explains (three standard deviations)."""
    artists_far_above: int
    """The same, for one and a half times the fair share."""
    repeats: int
    """Songs that came back within the rest."""
    turns_per_hour: float
    """Of two long steps in a row between songs, the second leading back."""
    skips_by_week: tuple[float, ...]
    """Of 100 songs."""


LONG_STEP: Final = 0.2


@dataclass(slots=True)
class Log:
    """What happened, song by song."""

    rows: list[int] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    skipped: list[bool] = field(default_factory=list)
    liking: list[float] = field(default_factory=list)
    possible: list[float] = field(default_factory=list)
    fair: list[Numbers] = field(default_factory=list)


def listen(
    library: Library,
    listener: Listener,
    strategy: Strategy,
    days: Sequence[Spell],
    rng: np.random.Generator,
    selection: SelectionSettings,
) -> Log:
    """Play the days through; every song is heard out or skipped early, a few are liked, disliked or sent away."""
    log = Log()
    memory = Memory(np.full(len(library.shelf), -math.inf), np.full(library.artists, -math.inf))
    now = 0.0
    for spell in days:
        now = max(now, spell.from_seconds)
        while now < spell.to_seconds:
            row = strategy.next_track(spell.sensed, now)
            liking = listener.liking(library, spell.mood, now, memory)
            kinds = _kinds(float(liking[row]), rng.random(2))
            _note(log, library, strategy.aimed, row, now, liking, memory, selection)
            log.skipped.append(OutcomeKind.HEARD_OUT not in kinds)
            memory.songs[row] = memory.artists[library.artist[row]] = now
            now += SKIPPED_AFTER_SECONDS if log.skipped[-1] else float(library.shelf.records["seconds"][row])
            for kind in kinds:
                strategy.learn(row, _outcome(library.shelf, row, kind, spell.sensed, now))
    return log


def _kinds(liking: float, chances: Numbers) -> tuple[OutcomeKind, ...]:
    if chances[0] < heard_out(liking):
        return (OutcomeKind.HEARD_OUT, *([OutcomeKind.LIKED] if liking > 0.6 and chances[1] < 0.06 else []))
    if liking < -0.7 and chances[1] < 0.03:
        return (OutcomeKind.DISLIKED,)
    return (OutcomeKind.NOT_IN_THIS_MOOD if chances[1] > 0.95 else OutcomeKind.SKIPPED_EARLY,)


def _outcome(shelf: Shelf, row: int, kind: OutcomeKind, mood: str, now_seconds: float) -> Outcome:
    record = shelf.records[row]
    keys = int(record["recording"]), int(record["artist"])
    return Outcome(kind, mood, shelf.affect(row), *keys, shelf.timbre(row), None, now_seconds)


def _note(
    log: Log,
    library: Library,
    aimed: Affect,
    row: int,
    now_seconds: float,
    liking: Numbers,
    memory: Memory,
    settings: SelectionSettings,
) -> None:
    rested = liking[now_seconds - memory.songs >= settings.song_rest_seconds]
    log.rows.append(row)
    log.starts.append(now_seconds)
    log.liking.append(float(liking[row]))
    log.possible.append(float(heard_out(np.partition(rested, -settings.draw_among)[-settings.draw_among :]).mean()))
    log.fair.append(_fair(library, aimed, settings))


def _fair(library: Library, aimed: Affect, settings: SelectionSettings) -> Numbers:
    """[artists]: what is due to each when a song is chosen: its share of the songs that fit, within two spreads of the
    aim, or the share of one artist among those that have such songs, whichever is more.

    The second, since artists take turns: between two songs of one there are some of others, so those with few songs
    get more than their songs alone would give them.
    """
    offsets = library.shelf.records["affect"].astype(float) - (aimed.valence, aimed.arousal)
    fitting = np.hypot(*offsets.T) <= 2 * settings.affect_spread
    counts = np.bincount(library.artist[fitting], minlength=library.artists)
    due: Numbers = np.maximum(counts / max(1, counts.sum()), (counts > 0) / max(1, np.count_nonzero(counts)))
    return due


def report(
    listener: str,
    strategy: str,
    house: int,
    library: Library,
    days: Sequence[Spell],
    log: Log,
    selection: SelectionSettings,
) -> Report:
    """Sum up a log."""
    starts, skipped = np.array(log.starts), np.array(log.skipped)
    week = (starts // (7 * DAY)).astype(int)
    by_week = tuple(float(100 * skipped[week == number].mean()) for number in range(week.max() + 1))
    plays = np.bincount(library.artist[log.rows], minlength=library.artists)
    fair = np.sum(log.fair, axis=0)
    top = int(plays.argmax())
    hours = sum(spell.to_seconds - spell.from_seconds for spell in days) / HOUR
    return Report(
        listener=listener,
        strategy=strategy,
        house=house,
        songs=len(skipped),
        skips_of_100=float(100 * skipped.mean()),
        skips_of_100_late=float(100 * skipped[week >= week.max() - 1].mean()),
        possible_of_100=float(100 * (1 - np.mean(log.possible))),
        liking=float(np.mean(log.liking)),
        top_artist_percent=float(100 * plays[top] / plays.sum()),
        top_artist_fair_percent=float(100 * fair[top] / plays.sum()),
        artists_above=int(np.sum(plays > fair + 3 * np.sqrt(fair) + 1)),
        artists_far_above=int(np.sum(plays > 1.5 * fair + 3 * np.sqrt(fair) + 1)),
        repeats=_repeats(log, selection.song_rest_seconds),
        turns_per_hour=_turns(library, log) / hours,
        skips_by_week=by_week,
    )


def _repeats(log: Log, rest_seconds: float) -> int:
    last: dict[int, float] = {}
    repeats = 0
    for row, start in zip(log.rows, log.starts, strict=True):
        repeats += start - last.get(row, -math.inf) < rest_seconds
        last[row] = start
    return repeats


def _turns(library: Library, log: Log) -> int:
    steps = np.diff(library.felt[log.rows], axis=0)
    long = np.hypot(*steps.T) >= LONG_STEP
    back = np.sum(steps[1:] * steps[:-1], axis=1) < 0
    return int(np.sum(long[1:] & long[:-1] & back))


def live(
    house: int,
    seed: int,
    days: int,
    selection: SelectionSettings,
    listeners: Sequence[str] = tuple(LISTENERS),
    tracks: int = 2000,
) -> list[Report]:
    """Some listeners in one house, each with every strategy on the same days."""
    reports = []
    for name in listeners:
        seeds = [seed, house, list(LISTENERS).index(name)]
        library = make_library(np.random.default_rng([*seeds, 0]), tracks)
        listener = LISTENERS[name](library, np.random.default_rng([*seeds, 1]))
        spells = make_days(np.random.default_rng([*seeds, 2]), days)
        for strategy, make in STRATEGIES.items():
            chooser = make(library, seed + house, selection)
            log = listen(library, listener, chooser, spells, np.random.default_rng([*seeds, 3]), selection)
            reports.append(report(name, strategy, house, library, spells, log, selection))
    return reports


def fall(reports: Sequence[Report], against: str, listener: str = "", late: bool = False) -> tuple[float, float, float]:
    """By how many percent "learning" is skipped less than another strategy, and the bounds of 95 % of a bootstrap.

    Drawn anew are the pairs of listener and house.
    """
    pairs = {
        strategy: np.array(
            [
                each.skips_of_100_late if late else each.skips_of_100
                for each in reports
                if each.strategy == strategy and listener in ("", each.listener)
            ]
        )
        for strategy in ("learning", against)
    }
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(pairs[against]), (2000, len(pairs[against])))
    falls = 100 * (1 - pairs["learning"][drawn].mean(axis=1) / pairs[against][drawn].mean(axis=1))
    low, high = np.percentile(falls, [2.5, 97.5])
    return float(100 * (1 - pairs["learning"].mean() / pairs[against].mean())), float(low), float(high)


# --- telling ---------------------------------------------------------------------------------------------------------


COLUMNS: Final = {
    "skips": "skips_of_100",
    "late": "skips_of_100_late",
    "liking": "liking",
    "top %": "top_artist_percent",
    "fair %": "top_artist_fair_percent",
    "above": "artists_above",
    "far above": "artists_far_above",
    "repeats": "repeats",
    "turns/h": "turns_per_hour",
}


def table(reports: Sequence[Report]) -> str:
    """Per strategy over all listeners, then per listener, then how far skips fall; "late" are the last two weeks."""
    lines = [f"{'strategy':16}" + "".join(f"{head:>10}" for head in COLUMNS)]
    for strategy in STRATEGIES:
        some = [each for each in reports if each.strategy == strategy]
        lines.append(f"{strategy:16}" + "".join(f"{_mean(some, name):10.2f}" for name in COLUMNS.values()))
    lines += ["", f"{'late, of 100':16}" + "".join(f"{name:>16}" for name in (*STRATEGIES, "possible"))]
    for listener in sorted({each.listener for each in reports}, key=list(LISTENERS).index):
        some = [each for each in reports if each.listener == listener]
        late = [_mean([each for each in some if each.strategy == name], "skips_of_100_late") for name in STRATEGIES]
        late.append(_mean([each for each in some if each.strategy == "learning"], "possible_of_100"))
        lines.append(f"{listener:16}" + "".join(f"{value:16.1f}" for value in late))
    lines += ["", f"{'fewer skips':24}{'all weeks':>26}{'last two weeks':>26}"]
    for against in [name for name in STRATEGIES if name != "learning"]:
        falls = [fall(reports, against, late=late) for late in (False, True)]
        bounds = "".join(f"{f'{middle:.1f} % [{low:.1f}, {high:.1f}]':>26}" for middle, low, high in falls)
        lines.append(f"{'than ' + against:24}{bounds}")
    return "\n".join(lines)


def plot(reports: Sequence[Report], path: Path) -> None:
    """Skips week by week, one line per strategy, over all listeners."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.5), layout="constrained")
    for strategy in STRATEGIES:
        weekly = np.mean([each.skips_by_week for each in reports if each.strategy == strategy], axis=0)
        axes.plot(range(1, len(weekly) + 1), weekly, marker="o", label=strategy)
    axes.set(xlabel="week", ylabel="songs skipped early, of 100", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=120, metadata={"Software": None})
    pyplot.close(figure)


def _mean(reports: Sequence[Report], name: str) -> float:
    return float(np.mean([getattr(each, name) for each in reports]))


def simulate(houses: int, seed: int, weeks: int, selection: SelectionSettings, jobs: int = 1) -> list[Report]:
    """Every listener in so many houses."""
    parts = [(house, seed, 7 * weeks, selection, (name,)) for house in range(houses) for name in LISTENERS]
    if jobs == 1:
        return [each for part in parts for each in live(*part)]
    with ProcessPoolExecutor(jobs) as pool:
        return [each for some in pool.map(live, *zip(*parts, strict=True)) for each in some]


def main() -> None:
    """Print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weeks", type=int, default=6)
    parser.add_argument("--houses", type=int, default=2, help="so many of each listener")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--rest-hours", type=float, help="how long a song rests, instead of the speaker's default")
    parser.add_argument("--json", action="store_true", help="every figure instead of the table")
    parser.add_argument("--plot", type=Path, help="file for a picture of the skips per week")
    options = parser.parse_args()
    selection = SelectionSettings()
    if options.rest_hours:
        selection = replace(selection, song_rest_seconds=options.rest_hours * HOUR)
    reports = simulate(options.houses, options.seed, options.weeks, selection, options.jobs)
    print(json.dumps([asdict(each) for each in reports], indent=1) if options.json else table(reports))
    if options.plot:
        plot(reports, options.plot)


if __name__ == "__main__":
    main()
