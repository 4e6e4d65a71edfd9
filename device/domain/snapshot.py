"""What the world is told: one immutable picture of the speaker, for the page, MQTT and the history."""

from __future__ import annotations

from dataclasses import dataclass

from device.domain.events import SenseState
from device.domain.goal import Goal
from device.domain.labels import Affect
from device.domain.player import PlayState
from device.domain.reading import Modality, Posterior


@dataclass(frozen=True, slots=True)
class OverrideView:
    """The override in force."""

    mood: str
    ends_in_seconds: float


@dataclass(frozen=True, slots=True)
class NeutralView:
    """Whether the home's neutral face is known, and how learning it goes."""

    learned: bool = False
    seconds_left: float | None = None
    """Of looking; None while it does not look."""
    detail: str = ""
    """Why the last try came to nothing; empty when it did not."""


@dataclass(frozen=True, slots=True)
class SenseView:
    """How a sense is doing and what it last said."""

    modality: Modality
    state: SenseState
    detail: str
    label: str
    """Label of the last reading that has not expired, or "unknown"."""
    probability: float
    weight: float
    """Its weight in the fusion now; 0 when nothing is perceived."""


@dataclass(frozen=True, slots=True)
class PlayerView:
    """What plays, and what is next."""

    connected: bool
    detail: str
    """Why it is not connected, or what it refused; empty when all is well."""
    state: PlayState
    uri: str
    title: str
    artist: str
    album: str
    duration_seconds: float
    elapsed_seconds: float
    next_title: str
    next_artist: str
    volume_percent: int | None
    why: str
    """Why this song: "chosen for happy", or "queued by hand"."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The speaker at one time."""

    sequence: int
    """Grows by one with each snapshot."""
    at_seconds: float
    """Monotonic time."""
    mood: str
    """One of MOODS; the override's while one is in force."""
    sensed_mood: str
    """What the senses alone say."""
    overridden: bool
    confidence: float
    """Probability of `mood` in the smoothed posterior; 1 for an override, 0 for mixed and unknown."""
    posterior: Posterior
    affect: Affect
    """Where the music goes: of the override, or of the smoothed posterior."""
    reason: str
    """For people: "face happy 0.71, voice ignored: own music"."""
    since_seconds: float
    """How long the mood has lasted."""
    override: OverrideView | None
    senses: tuple[SenseView, ...]
    """Face and voice, in this order."""
    player: PlayerView
    broker_connected: bool
    broker_detail: str
    track_count: int
    catalogue_detail: str
    goal: Goal = Goal.MATCH
    """What the music is for."""
    offer: Goal | None = None
    """A way out of low music that is offered now."""
    people: int = 0
    """How many faces are in view, at most five."""
    disagreement: float = 0.0
    """How much they differ, smoothed: 0 not at all … 1."""
    neutral: NeutralView = NeutralView()
    quiet: bool = False
    """These are quiet hours."""
