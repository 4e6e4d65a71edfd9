"""Plays a scene through the senses and the brain, faster than real time, and tells what was shown and recognised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.adapters.scene import Expectation, Scene
from device.domain.brain import BrainSettings, State, handle
from device.domain.events import Event, Perceived, SenseChanged, SenseState, Tick
from device.domain.labels import LABELS, UNKNOWN
from device.domain.reading import Modality, Reading
from device.errors import PeripheralError
from device.ports import Chunk, Frame, Waveform
from device.sensing.ears import Ears
from device.sensing.eyes import Eyes

STEP_SECONDS = 0.1
SMALLEST_EVIDENCE = 1e-12

Hear = Callable[[float, float], Waveform]
"""What the microphone gives between two times of the scene."""


@dataclass(slots=True)
class Evidence:
    """Posteriors gathered over a span, each with its weight."""

    total: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(LABELS)))

    def add(self, posterior: Sequence[float], weight: float) -> None:
        """Count one posterior in."""
        self.total += weight * np.asarray(posterior)

    @property
    def label(self) -> str:
        """What the span says as a whole; unknown when nothing was perceived."""
        return LABELS[int(self.total.argmax())] if self.total.any() else UNKNOWN

    @property
    def shares(self) -> list[float]:
        """What each of LABELS has of the evidence, 0 … 1; all 0 when nothing was perceived."""
        return [round(float(share), 4) for share in self.total / max(self.total.sum(), SMALLEST_EVIDENCE)]


@dataclass(slots=True)
class Recognised:
    """What was expected of one span of a scene, and what was recognised in it."""

    scene: str
    expected: Expectation
    face: Evidence = field(default_factory=Evidence)
    voice: Evidence = field(default_factory=Evidence)
    fused: Evidence = field(default_factory=Evidence)
    mood: str = UNKNOWN
    """The slow state at the end of the span."""

    @property
    def answers(self) -> dict[str, str]:
        """The labels of face, voice, fused and mood."""
        return {"face": self.face.label, "voice": self.voice.label, "fused": self.fused.label, "mood": self.mood}

    @property
    def wanted(self) -> dict[str, str]:
        """The labels that were expected, under the same names; empty where nothing was."""
        asked = self.expected
        return {
            "face": asked.face,
            "voice": asked.voice,
            "fused": asked.mood if asked.mood in LABELS else "",
            "mood": asked.mood,
        }

    @property
    def evidence(self) -> dict[str, list[float]]:
        """The shares that face, voice and fused have of each label."""
        return {"face": self.face.shares, "voice": self.voice.shares, "fused": self.fused.shares}

    def take_in(self, event: Event, state: State) -> None:
        """Count an event in that happened within the span."""
        self.mood = state.mood.label
        if not isinstance(event, Perceived):
            return
        evidence = self.face if event.reading.modality is Modality.FACE else self.voice
        evidence.add(event.reading.posterior.values, event.reading.confidence)
        if state.fused:
            self.fused.add(state.fused.posterior.values, state.fused.support)


def replay(
    scene: Scene, eyes: Eyes, ears: Ears, settings: BrainSettings, rate_hz: float, hear: Hear | None = None
) -> tuple[Recognised, ...]:
    """Run the whole scene; one result per [[expect]] entry, or one for all of it when there is none.

    `hear` stands in for the scene's own sound when it was played and recorded for real.
    """
    expectations = scene.expectations or (Expectation(0.0, scene.length_seconds),)
    spans = tuple(Recognised(scene.title, expected) for expected in expectations)
    eyes.forget()
    state = State()
    for event in events_of(scene, eyes, ears, rate_hz, hear or scene.sound_between):
        state, _ = handle(state, event, settings)
        for span in spans:
            if span.expected.from_seconds <= event.at_seconds <= span.expected.to_seconds:
                span.take_in(event, state)
    return spans


def events_of(scene: Scene, eyes: Eyes, ears: Ears, rate_hz: float, hear: Hear) -> Iterator[Event]:
    """What the senses would have told the conductor, in order; times are the scene's."""
    look_every = max(1, round(1 / rate_hz / STEP_SECONDS))
    seeing = hearing = SenseState.OFF
    for step in range(1, round(scene.length_seconds / STEP_SECONDS) + 1):
        now = step * STEP_SECONDS
        if step % look_every == 0:
            seeing, events = _sense(Modality.FACE, seeing, now, lambda at: eyes.look(Frame(scene.frame_at(at), at)))
            yield from events
        hearing, events = _sense(
            Modality.VOICE, hearing, now, lambda at: ears.hear(Chunk(hear(at - STEP_SECONDS, at), at))
        )
        yield from events
        yield Tick(now)


def table(spans: Sequence[Recognised]) -> str:
    """Shown and recognised, a line per span; ✓ where it was as expected."""
    lines = [f"{'scene':<26}{'seconds':<13}{'shown face/voice':<20}{'face':<11}{'voice':<11}{'fused':<11}{'mood':<11}"]
    for span in spans:
        shown = f"{span.expected.face or '–'}/{span.expected.voice or '–'}"
        times = f"{span.expected.from_seconds:.1f}–{span.expected.to_seconds:.1f}"
        marks = "".join(
            f"{answer + (' ✓' if answer == span.wanted[name] else ''):<11}" for name, answer in span.answers.items()
        )
        lines.append(f"{span.scene[:25]:<26}{times:<13}{shown:<20}{marks}".rstrip())
    return "\n".join(lines)


def plain(spans: Sequence[Recognised]) -> dict[str, Any]:
    """For JSON, and for another box to compare with."""
    told = [
        {"scene": span.scene, "wanted": span.wanted, "answers": span.answers, "evidence": span.evidence}
        for span in spans
    ]
    return {"spans": told, "right": right_answers(spans)}


def right_answers(spans: Sequence[Recognised]) -> dict[str, tuple[int, int]]:
    """Per face, voice, fused and mood: how many spans were recognised as expected, of how many with an expectation."""
    result = {}
    for name in ("face", "voice", "fused", "mood"):
        asked = [span for span in spans if span.wanted[name]]
        result[name] = (sum(span.answers[name] == span.wanted[name] for span in asked), len(asked))
    return result


def _sense(
    modality: Modality, before: SenseState, now: float, perceive: Callable[[float], Reading | None]
) -> tuple[SenseState, list[Event]]:
    """The state after one look or chunk, and the events it makes."""
    reading: Reading | None = None
    after, detail = SenseState.ON, ""
    try:
        reading = perceive(now)
    except PeripheralError as error:
        after, detail = SenseState.LOST, str(error)
    events: list[Event] = [] if after is before else [SenseChanged(modality, after, detail, now)]
    return after, [*events, Perceived(reading, now)] if reading else events
