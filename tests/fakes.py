"""One hand-written fake per seam, with switches to make it fail; for tests of what stands behind the seam."""

from __future__ import annotations

import threading

from device.domain.brain import Wishes
from device.domain.labels import Affect
from device.domain.listening import Ending
from device.domain.player import PlayerAction
from device.domain.preference import Outcome
from device.domain.selection import Play
from device.domain.snapshot import Snapshot


class FakePlayer:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.actions: list[PlayerAction] = []

    def start(self) -> None: ...

    def submit(self, action: PlayerAction) -> None:
        self.actions.append(action)

    def close(self) -> None: ...


class FakeHerald:
    """Keeps what it published."""

    def __init__(self) -> None:
        self.published: list[Snapshot] = []

    def start(self) -> None: ...

    def publish(self, snapshot: Snapshot) -> None:
        self.published.append(snapshot)

    def close(self) -> None: ...


class FakeDiary:
    """Keeps what was written down."""

    def __init__(self) -> None:
        self.uses = 0
        self.plays: list[Play] = []
        self.ratings: list[tuple[str, bool]] = []
        self.outcomes: list[tuple[str, Outcome]] = []
        self.corrections: list[tuple[str, str, Affect]] = []
        self.forgotten: list[str] = []
        self.endings: list[Ending] = []

    def record_use(self) -> None:
        self.uses += 1

    def record_play(self, play: Play) -> None:
        self.plays.append(play)

    def record_rating(self, uri: str, liked: bool) -> None:
        self.ratings.append((uri, liked))

    def record_ending(self, ending: Ending) -> None:
        self.endings.append(ending)

    def record_outcome(self, uri: str, outcome: Outcome) -> None:
        self.outcomes.append((uri, outcome))

    def record_correction(self, uri: str, mood: str, affect: Affect) -> None:
        self.corrections.append((uri, mood, affect))

    def forget_taste(self, mood: str) -> None:
        self.forgotten.append(mood)


class FakeMemory:
    """Keeps the wishes it was given last."""

    def __init__(self) -> None:
        self.saved = Wishes()

    def save(self, wishes: Wishes) -> None:
        self.saved = wishes


class FakeSense:
    """Knows whether it is on, and which thread said so last."""

    def __init__(self) -> None:
        self.on = True
        self.switched_by = ""

    def switch(self, on: bool) -> None:
        self.on = on
        self.switched_by = threading.current_thread().name
