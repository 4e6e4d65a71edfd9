"""The seams: what the daemon needs from the outside world, as protocols, and the values that cross them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from device.domain.brain import Wishes
from device.domain.events import Command, Event
from device.domain.labels import Affect
from device.domain.listening import Ending
from device.domain.player import PlayerAction
from device.domain.preference import Outcome
from device.domain.reading import Posterior
from device.domain.selection import Play
from device.domain.snapshot import Snapshot

Image = NDArray[np.uint8]
Waveform = NDArray[np.float32]

Post = Callable[[Event], None]
"""Puts an event into the conductor's inbox; never blocks; callable from any thread."""

Clock = Callable[[], float]
"""Monotonic seconds."""

Beat = Callable[[], None]
"""Tells the watchdog that the caller's loop is alive."""

SAMPLE_RATE_HZ = 16_000
"""Rate of every waveform behind the microphone."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One image of the camera."""

    rgb: Image
    """[H, W, 3], uint8."""
    at_seconds: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """A short span of sound."""

    samples: Waveform
    """[n] mono at SAMPLE_RATE_HZ, float32 in -1 … 1."""
    at_seconds: float
    """Monotonic time of the last sample."""


@dataclass(frozen=True, slots=True)
class FaceBox:
    """A face found in a frame, in pixels; may reach over the frame's edge."""

    x: float
    y: float
    width: float
    height: float
    score: float
    """The detector's own, 0 … 1."""
    key_points: tuple[tuple[float, float], ...] = ()
    """Six (x, y) in pixels, the sides being the person's: right eye, left eye, nose, mouth, right ear, left ear."""


Item_co = TypeVar("Item_co", covariant=True)


class Source(Protocol[Item_co]):
    """A camera, a microphone, or a scene that stands for one: open inside `with`, closed outside."""

    def __enter__(self) -> Self:
        """Open the hardware; PeripheralError when it is not there."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the hardware."""

    def read(self, timeout_seconds: float) -> Item_co:
        """The newest item; PeripheralError when none came in time or the hardware is gone."""


Camera = Source[Frame]
Microphone = Source[Chunk]


class FaceFinder(Protocol):
    """Finds faces."""

    def find(self, rgb: Image) -> tuple[FaceBox, ...]:
        """Faces in `rgb` [H, W, 3] uint8, the largest first."""


class Classifier(Protocol):
    """A model with its card: standardised input in, calibrated posterior out. One per thread."""

    def classify(self, model_input: NDArray[np.float32]) -> Posterior:
        """Run the model on one input of the card's shape without the batch axis."""


class SpeechGate(Protocol):
    """Tells speech from everything else."""

    def spoken(self, samples: Waveform) -> NDArray[np.bool_]:
        """Which of `samples` (16 kHz mono, [n]) are speech, bool [n]; they follow on those of the call before."""

    def forget(self) -> None:
        """What is heard next follows on nothing."""


class Player(Protocol):
    """The music player; its news come as PlayerChanged, PlayerLost, PlayerUpdated and PlayerRefused events."""

    def start(self) -> None:
        """Start connecting, for ever; returns at once."""

    def submit(self, action: PlayerAction) -> None:
        """Have it done soon, in order; returns at once. Dropped with a PlayerLost when there is no connection."""

    def close(self) -> None:
        """Disconnect and end the threads; the music plays on."""


class Herald(Protocol):
    """Tells the smart home; commands come back as Asked events."""

    def start(self) -> None:
        """Start connecting, for ever; returns at once."""

    def publish(self, snapshot: Snapshot) -> None:
        """Make this the retained state; returns at once."""

    def close(self) -> None:
        """Say goodbye (availability offline) and disconnect."""


class SenseSwitch(Protocol):
    """A sense that a person can switch off and on."""

    def switch(self, on: bool) -> None:
        """Takes effect at once: off closes the hardware."""


class Diary(Protocol):
    """Writes down what was played and what a person thought of it."""

    def record_use(self) -> None:
        """A person asked for something."""

    def record_play(self, play: Play) -> None:
        """A song began."""

    def record_ending(self, ending: Ending) -> None:
        """A song ended."""

    def record_rating(self, uri: str, liked: bool) -> None:
        """A person likes or dislikes a song."""

    def record_outcome(self, uri: str, outcome: Outcome) -> None:
        """What came of a song."""

    def record_correction(self, uri: str, mood: str, affect: Affect) -> None:
        """A person says how a song feels."""

    def forget_taste(self, mood: str) -> None:
        """Wipe the outcomes of a mood; empty: of all."""


@dataclass(frozen=True, slots=True)
class LibraryReport:
    """How the library is doing, for the page."""

    by_origin: Mapping[str, int]
    """Tracks by where their affect comes from (`Origin`'s values)."""
    listened: int
    """Songs without a mood that the analysis has heard."""
    to_listen: int
    """Of how many."""
    seconds_left: float | None
    """None while nobody can tell."""
    listening_detail: str
    """Why it rests; empty while it works."""
    problems: tuple[tuple[str, str], ...]
    """Files that could not be read, and why; at most the first 100."""
    problem_count: int
    unknown_words: tuple[str, ...]
    """Mood words in the tags that nobody knows; at most the first 100."""


class LibraryView(Protocol):
    """What the page shows of the library."""

    def report(self) -> LibraryReport:
        """How it is now."""


class Memory(Protocol):
    """Keeps what a person set, over a restart."""

    def save(self, wishes: Wishes) -> None:
        """Keep `wishes` instead of what was kept before."""


class Controls(Protocol):
    """What the page, MQTT and the CLI can see and do: the conductor's public face."""

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot."""

    def ask(self, command: Command, origin: str) -> None:
        """Queue a command; returns at once."""

    def wait_for_change(self, after_sequence: int, timeout_seconds: float) -> Snapshot | None:
        """The newest snapshot as soon as its sequence exceeds `after_sequence`; None after the timeout."""
