"""A Controls that stands for the conductor: records what is asked and shows what a test gives it."""

from __future__ import annotations

import threading
from dataclasses import replace

from device.domain.events import Command, SenseState
from device.domain.labels import LABELS, affect_of
from device.domain.player import PlayState
from device.domain.reading import Modality, normalised
from device.domain.snapshot import OverrideView, PlayerView, SenseView, Snapshot
from device.ports import LibraryReport


def a_snapshot(mood: str = "happy", **changes) -> Snapshot:
    """A plausible snapshot of `mood`, changed as the test needs it."""
    posterior = normalised([0.62 if label == mood else 0.05 + 0.01 * i for i, label in enumerate(LABELS)])
    known = mood in LABELS
    snapshot = Snapshot(
        sequence=1,
        at_seconds=100.0,
        mood=mood,
        sensed_mood=mood,
        overridden=False,
        confidence=posterior.values[LABELS.index(mood)] if known else 0.0,
        posterior=posterior,
        affect=posterior.affect if known else affect_of(mood),
        reason=f"face {mood} 0.71, voice ignored: own music" if known else "nobody seen or heard",
        since_seconds=252.0,
        override=None,
        senses=(
            SenseView(Modality.FACE, SenseState.ON, "", mood, 0.71, 0.42),
            SenseView(Modality.VOICE, SenseState.ON, "", "unknown", 0.0, 0.0),
        ),
        player=PlayerView(
            connected=True,
            detail="",
            state=PlayState.PLAY,
            uri="a/morning.flac",
            title="Morning on the Balcony",
            artist="The Kitchen Quartet",
            album="Small Hours",
            duration_seconds=204.0,
            elapsed_seconds=71.0,
            next_title="Lemon Tree Rag",
            next_artist="Ida Holm",
            volume_percent=40,
            why=f"chosen for {mood}",
        ),
        broker_connected=True,
        broker_detail="",
        track_count=24,
        catalogue_detail="",
    )
    return replace(snapshot, **changes)


def overridden(mood: str, ends_in_seconds: float) -> Snapshot:
    """A person set `mood`."""
    return replace(
        a_snapshot("sad"),
        mood=mood,
        overridden=True,
        confidence=1.0,
        affect=affect_of(mood),
        override=OverrideView(mood, ends_in_seconds),
        reason="set by hand; face sad 0.64, voice ignored: own music",
    )


class FakeControls:
    """Thread-safe, as the conductor is."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self._changed = threading.Condition()
        self._snapshot = snapshot or a_snapshot()
        self._asked: list[tuple[Command, str]] = []

    @property
    def snapshot(self) -> Snapshot:
        with self._changed:
            return self._snapshot

    @property
    def asked(self) -> list[tuple[Command, str]]:
        """Every command so far, with its origin."""
        with self._changed:
            return list(self._asked)

    def push(self, snapshot: Snapshot) -> Snapshot:
        """Make this the newest snapshot, with the next sequence."""
        with self._changed:
            self._snapshot = replace(snapshot, sequence=self._snapshot.sequence + 1)
            self._changed.notify_all()
            return self._snapshot

    def ask(self, command: Command, origin: str) -> None:
        with self._changed:
            self._asked.append((command, origin))
            self._changed.notify_all()

    def wait_for_change(self, after_sequence: int, timeout_seconds: float) -> Snapshot | None:
        with self._changed:
            grown = self._changed.wait_for(lambda: self._snapshot.sequence > after_sequence, timeout_seconds)
            return self._snapshot if grown else None

    def wait_for_command(self, command: Command, timeout_seconds: float = 20.0) -> bool:
        """Whether `command` was asked for in time."""
        with self._changed:
            return self._changed.wait_for(lambda: command in [c for c, _ in self._asked], timeout_seconds)


class FakeLibrary:
    """A LibraryView with a bit of everything."""

    shown = LibraryReport(
        by_origin={"person": 1, "tag": 12, "analysis": 7, "none": 4},
        listened=7,
        to_listen=11,
        seconds_left=95.0,
        listening_detail="",
        problems=(("broken/<b>song.mp3", "holds no sound"),),
        problem_count=1,
        unknown_words=("zesty",),
    )

    def report(self) -> LibraryReport:
        return self.shown
