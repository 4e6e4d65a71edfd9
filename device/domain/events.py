"""Everything that can happen to the conductor, each with its monotonic time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from device.domain.goal import Goal
from device.domain.player import PlayerStatus, Sticker
from device.domain.reading import Modality, Reading
from device.domain.shelf import Shelf


@dataclass(frozen=True, slots=True)
class SetOverride:
    """A person says what the mood is, for a while."""

    mood: str
    """One of LABELS."""
    duration_seconds: float
    """More than 0, at most a day."""


@dataclass(frozen=True, slots=True)
class ClearOverride:
    """Back to what is seen and heard."""


@dataclass(frozen=True, slots=True)
class PressPlay:
    """Play."""


@dataclass(frozen=True, slots=True)
class PressPause:
    """Pause."""


@dataclass(frozen=True, slots=True)
class PressNext:
    """Next song."""


@dataclass(frozen=True, slots=True)
class SetVolume:
    """Volume in percent, 0 … 100."""

    percent: int


@dataclass(frozen=True, slots=True)
class SwitchSense:
    """Camera or microphone on or off."""

    modality: Modality
    on: bool


@dataclass(frozen=True, slots=True)
class RateSong:
    """Feedback on the song that plays."""

    liked: bool
    uri: str = ""
    """The song that is meant, in case another one begins meanwhile; empty: whatever plays. Likewise below."""


@dataclass(frozen=True, slots=True)
class CorrectMood:
    """A person says how the song that plays feels."""

    mood: str
    """One of LABELS."""
    uri: str = ""


@dataclass(frozen=True, slots=True)
class NotNow:
    """The song that plays does not go with this mood: another one."""

    uri: str = ""


@dataclass(frozen=True, slots=True)
class SetGoal:
    """What the music is for."""

    goal: Goal


@dataclass(frozen=True, slots=True)
class TurnDownOffer:
    """No way out of low music is wanted now."""


@dataclass(frozen=True, slots=True)
class ForgetTaste:
    """Forget what was learned of this house's taste."""

    mood: str
    """In this mood only, one of LABELS; empty: in all."""


@dataclass(frozen=True, slots=True)
class LearnNeutral:
    """Look for twenty seconds: this is our neutral face."""


@dataclass(frozen=True, slots=True)
class ForgetNeutral:
    """Forget the neutral face, or stop learning it."""


Command = (
    SetOverride
    | ClearOverride
    | PressPlay
    | PressPause
    | PressNext
    | SetVolume
    | SwitchSense
    | RateSong
    | CorrectMood
    | NotNow
    | SetGoal
    | TurnDownOffer
    | ForgetTaste
    | LearnNeutral
    | ForgetNeutral
)


class SenseState(Enum):
    """How a sense is doing."""

    OFF = "off"
    """Switched off by a person or absent by configuration."""
    STARTING = "starting"
    ON = "on"
    LOST = "lost"
    """Wanted, but the peripheral is not there; it is tried again."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; about once a second."""

    at_seconds: float
    unix_seconds: float | None = None
    """The wall clock's; None where there is none."""
    minute_of_day: int | None = None
    """Local time, in minutes since midnight."""


@dataclass(frozen=True, slots=True)
class Perceived:
    """A face was seen or speech was heard."""

    reading: Reading
    at_seconds: float


@dataclass(frozen=True, slots=True)
class SenseChanged:
    """A sense came up, went down or was lost."""

    modality: Modality
    state: SenseState
    detail: str
    """One line for a person; empty when all is well."""
    at_seconds: float


@dataclass(frozen=True, slots=True)
class PlayerChanged:
    """MPD said what it is doing; also the sign that it is (again) connected."""

    status: PlayerStatus
    at_seconds: float


@dataclass(frozen=True, slots=True)
class PlayerLost:
    """MPD cannot be reached."""

    detail: str
    at_seconds: float


@dataclass(frozen=True, slots=True)
class PlayerUpdated:
    """MPD has read its music folder anew: it may know songs that it did not know before."""

    at_seconds: float


@dataclass(frozen=True, slots=True)
class PlayerRefused:
    """MPD is there but did not do what it was told (no such song, say)."""

    detail: str
    uri: str
    """The track concerned; empty when none is."""
    at_seconds: float


@dataclass(frozen=True, slots=True)
class StickersRead:
    """What MPD's clients noted on tracks was read."""

    stickers: tuple[Sticker, ...]
    at_seconds: float


@dataclass(frozen=True, slots=True)
class HeraldChanged:
    """The broker was reached or lost."""

    connected: bool
    detail: str
    at_seconds: float


@dataclass(frozen=True, slots=True)
class CatalogueChanged:
    """The catalogue was read, or there is something to tell of it."""

    shelf: Shelf | None
    """What can be chosen from; None: as before."""
    track_count: int
    detail: str
    """What is wrong with it (empty folder, unreadable files) or being done about it; or empty."""
    at_seconds: float
    disliked: frozenset[str] | None = None
    """Songs whose last rating was bad, under the names they have now; None: as before."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A person or a hub asks for something."""

    command: Command
    origin: str
    """Where from: "page", "mqtt", "cli"."""
    at_seconds: float


Event = (
    Tick
    | Perceived
    | SenseChanged
    | PlayerChanged
    | PlayerLost
    | PlayerUpdated
    | PlayerRefused
    | StickersRead
    | HeraldChanged
    | CatalogueChanged
    | Asked
)
