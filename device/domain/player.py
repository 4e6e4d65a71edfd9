"""What the music player is doing, and what it can be told to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class PlayState(Enum):
    """MPD's three states."""

    PLAY = "play"
    PAUSE = "pause"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class QueuedSong:
    """A song in MPD's queue."""

    song_id: int
    """MPD's id of the queue entry: survives moves, unlike its position."""
    uri: str
    title: str
    artist: str
    album: str
    duration_seconds: float
    """0 when MPD does not know it."""
    ours: bool = False
    """The speaker queued it; False for what a person queued in any client."""


@dataclass(frozen=True, slots=True)
class PlayerStatus:
    """MPD's state at one time."""

    state: PlayState
    song: QueuedSong | None
    """The song that plays or is paused."""
    upcoming: tuple[QueuedSong, ...]
    """Up to the next five entries behind the song, in order; in the stop state those from the queue's start."""
    elapsed_seconds: float
    at_seconds: float
    """Monotonic time at which MPD said so."""
    volume_percent: int | None
    """None where MPD has no mixer."""
    failed: bool = False
    """MPD has just said that something went wrong: if it plays no more, nobody stopped it."""


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Add a track at the queue's end; start playing it when `start`."""

    uri: str
    start: bool = False


@dataclass(frozen=True, slots=True)
class Remove:
    """Take a queue entry out; one that is gone already is no error."""

    song_id: int


@dataclass(frozen=True, slots=True)
class Resume:
    """Play, from pause or stop."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Hold the song."""


@dataclass(frozen=True, slots=True)
class SkipNext:
    """End the song now and play the next of the queue."""


@dataclass(frozen=True, slots=True)
class ChangeVolume:
    """Set the mixer."""

    percent: int


@dataclass(frozen=True, slots=True)
class TurnTo:
    """Add a track, fade the volume out, play it, and fade in to the volume there was."""

    uri: str


@dataclass(frozen=True, slots=True)
class CountPlay:
    """Note on a track that it was played."""

    uri: str
    at_unix: int


@dataclass(frozen=True, slots=True)
class CountSkip:
    """Note on a track that it was skipped."""

    uri: str
    at_unix: int


@dataclass(frozen=True, slots=True)
class SetLike:
    """Note on a track what a person thinks of it."""

    uri: str
    like: int
    """0 dislike, 1 neutral, 2 like."""


@dataclass(frozen=True, slots=True)
class Sticker:
    """What all of MPD's clients together noted on a track."""

    uri: str
    play_count: int = 0
    skip_count: int = 0
    last_played_unix: int = 0
    """0: never."""
    last_skipped_unix: int = 0
    like: int | None = None
    """0 dislike, 1 neutral, 2 like; None where nobody said."""


PlayerAction = Enqueue | Remove | Resume | Pause | SkipNext | ChangeVolume | TurnTo | CountPlay | CountSkip | SetLike
