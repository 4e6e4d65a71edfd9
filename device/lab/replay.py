"""Plays a scene through the senses and the brain, faster than real time, and tells what was shown and recognised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from device.adapters.scene import Scene
from device.domain.brain import BrainSettings, State, handle
from device.domain.events import Event, Perceived, SenseChanged, SenseState, Tick
from device.domain.labels import UNKNOWN
from device.domain.reading import Modality, Reading
from device.errors import PeripheralError
from device.ports import Chunk, Frame
from device.sensing.ears import Ears
from device.sensing.eyes import Eyes

CHUNK_SECONDS = 0.1
STEP_SECONDS = 0.1


@dataclass(slots=True)
class Recognised:
    """What was recognised during one expectation of the scene."""

    expected: dict[str, str]
    from_seconds: float
    to_seconds: float
    face: Counter[str] = field(default_factory=Counter)
    voice: Counter[str] = field(default_factory=Counter)
    fused: Counter[str] = field(default_factory=Counter)
    mood: str = UNKNOWN
    """The mood at the end of the span."""

    def answer(self, modality: str) -> str:
        """The label said most often, or unknown when nothing was said."""
        counts: Counter[str] = getattr(self, modality)
        return counts.most_common(1)[0][0] if counts else UNKNOWN


def replay(scene: Scene, eyes: Eyes, ears: Ears, settings: BrainSettings, rate_hz: float) -> tuple[Recognised, ...]:
    """Run the whole scene; one result per [[expect]] entry, or one for all of it when there is none."""
    spans = [
        Recognised(
            {k: v for k, v in (("face", e.face), ("voice", e.voice), ("mood", e.mood)) if v},
            e.from_seconds,
            e.to_seconds,
        )
        for e in scene.expectations
    ] or [Recognised({}, 0.0, scene.length_seconds)]
    state = State()
    for event in events_of(scene, eyes, ears, rate_hz):
        state, _ = handle(state, event, settings)
        for span in spans:
            if span.from_seconds <= event.at_seconds <= span.to_seconds:
                _count(span, event, state)
    return tuple(spans)


def events_of(scene: Scene, eyes: Eyes, ears: Ears, rate_hz: float) -> Iterator[Event]:
    """What the senses would have told the conductor, in order; times are the scene's."""
    look_every = max(1, round(1 / rate_hz / STEP_SECONDS))
    seeing = hearing = SenseState.OFF
    for step in range(1, int(scene.length_seconds / STEP_SECONDS) + 1):
        now = step * STEP_SECONDS
        reading: Reading | None = None
        if step % look_every == 0:
            before = seeing
            try:
                frame = Frame(scene.frame_at(now), now)
                seeing, detail, reading = SenseState.ON, "", eyes.look(frame)
            except PeripheralError as error:
                seeing, detail = SenseState.LOST, str(error)
            if seeing is not before:
                yield SenseChanged(Modality.FACE, seeing, detail, now)
            if reading:
                yield Perceived(reading, now)
        before, reading = hearing, None
        try:
            chunk = Chunk(scene.sound_between(now - STEP_SECONDS, now), now)
            hearing, detail, reading = SenseState.ON, "", ears.hear(chunk)
        except PeripheralError as error:
            hearing, detail = SenseState.LOST, str(error)
        if hearing is not before:
            yield SenseChanged(Modality.VOICE, hearing, detail, now)
        if reading:
            yield Perceived(reading, now)
        if step % round(1 / STEP_SECONDS) == 0:
            yield Tick(now)


def table(spans: tuple[Recognised, ...]) -> str:
    """Shown and recognised, a line per span."""
    lines = [f"{'seconds':<14}{'shown face/voice':<22}{'face':<10}{'voice':<10}{'fused':<10}{'mood':<10}"]
    for span in spans:
        shown = f"{span.expected.get('face', '–')}/{span.expected.get('voice', '–')}"
        lines.append(
            f"{span.from_seconds:>5.1f}–{span.to_seconds:<8.1f}{shown:<22}{span.answer('face'):<10}"
            f"{span.answer('voice'):<10}{span.answer('fused'):<10}{span.mood:<10}"
        )
    return "\n".join(lines)


def right_answers(spans: tuple[Recognised, ...]) -> dict[str, tuple[int, int]]:
    """Per modality, fused and mood: how many spans were recognised as expected, of how many with an expectation."""
    wanted = {"face": "face", "voice": "voice", "fused": "mood", "mood": "mood"}
    result = {}
    for name, key in wanted.items():
        asked = [span for span in spans if key in span.expected]
        right = [s for s in asked if (s.mood if name == "mood" else s.answer(name)) == s.expected[key]]
        result[name] = (len(right), len(asked))
    return result


def _count(span: Recognised, event: Event, state: State) -> None:
    if isinstance(event, Perceived):
        counts = span.face if event.reading.modality is Modality.FACE else span.voice
        counts[event.reading.posterior.label] += 1
        if state.fused:
            span.fused[state.fused.posterior.label] += 1
    span.mood = state.mood.label
