"""A sense opens, paces, loses and regains its hardware, and lets go of it at once when switched off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from random import Random

import pytest

from device.backoff import Backoff
from device.domain.events import Event, Perceived, SenseChanged, SenseState
from device.domain.reading import UNIFORM, Modality, Reading
from device.sensing import sense as sense_module
from device.sensing.sense import SenseLoop
from tests.fakes_eyes import FakeSource

PATIENCE_SECONDS = 20.0


def reading_of(item: int) -> Reading:
    return Reading(Modality.FACE, UNIFORM, 1.0, float(item))


def until(fact: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not fact():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


class Bench:
    """A sense loop on a fake source, and everything it said."""

    def __init__(self, perceive: Callable[[int], Reading | None] = reading_of, **settings: object) -> None:
        self.source = FakeSource()
        self.events: list[Event] = []
        self.beats = 0
        interval_seconds = settings.pop("interval_seconds", 0.01)
        settings = {"wait_seconds": lambda: interval_seconds, "read_timeout_seconds": 0.3, **settings}
        self.loop: SenseLoop[int] = SenseLoop(
            Modality.FACE, lambda: self.source, perceive, self.events.append, time.monotonic, self.beat, **settings
        )

    def beat(self) -> None:
        self.beats += 1

    @property
    def states(self) -> list[SenseState]:
        return [event.state for event in self.events if isinstance(event, SenseChanged)]

    @property
    def last(self) -> SenseChanged:
        return [event for event in self.events if isinstance(event, SenseChanged)][-1]

    @property
    def readings(self) -> int:
        return sum(isinstance(event, Perceived) for event in self.events)


class Unlucky(Random):
    """Always draws the longest delay."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Recorder(Random):
    """Draws no delay, and keeps the ceilings under which it was asked to draw."""

    def __init__(self) -> None:
        super().__init__()
        self.ceilings: list[float] = []

    def uniform(self, a: float, b: float) -> float:
        self.ceilings.append(b)
        return 0.0


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Bench]]:
    """Benches with short retries; all are closed at the end."""
    monkeypatch.setattr(sense_module, "FIRST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(sense_module, "LONGEST_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(sense_module, "BEAT_SECONDS", 0.05)
    made: list[Bench] = []

    def build(*arguments: object, **settings: object) -> Bench:
        made.append(Bench(*arguments, **settings))
        return made[-1]

    yield build
    for bench in made:
        bench.source.stuck.set()
        bench.loop.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "face"]


def test_a_sense_comes_on_with_its_first_item_and_perceives(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.loop.start()
    until(lambda: bench.readings >= 3)
    assert bench.states == [SenseState.STARTING, SenseState.ON]
    assert bench.last.detail == ""
    first = next(event for event in bench.events if isinstance(event, Perceived))
    assert first.reading.at_seconds == 1.0


@pytest.mark.parametrize(("healthy_seconds", "ceilings"), [(1000.0, [0.02, 0.04, 0.05, 0.05]), (0.0, [0.02] * 4)])
def test_hardware_that_was_well_for_a_while_is_tried_again_soon_and_a_loose_plug_is_not(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, healthy_seconds: float, ceilings: list[float]
) -> None:
    monkeypatch.setattr(sense_module, "HEALTHY_SECONDS", healthy_seconds)
    recorder = Recorder()
    bench = make(rng=recorder)
    bench.source.gives = 1
    bench.loop.start()
    until(lambda: len(recorder.ceilings) >= 4)
    assert recorder.ceilings[:4] == ceilings


def test_a_source_that_is_open_but_silent_is_not_on(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sense_module, "FIRST_RETRY_SECONDS", 1000.0)
    monkeypatch.setattr(sense_module, "LONGEST_RETRY_SECONDS", 1000.0)
    bench = make(rng=Unlucky())
    bench.source.stuck.clear()
    bench.loop.start()
    until(lambda: bench.states[-1:] == [SenseState.LOST])
    assert bench.states == [SenseState.STARTING, SenseState.LOST]
    assert bench.last.detail == "no item for 0.3 s"
    assert not bench.source.open


def test_an_item_without_a_reading_posts_nothing(make: Callable[..., Bench]) -> None:
    bench = make(lambda item: None)
    bench.loop.start()
    until(lambda: bench.source.items >= 5)
    assert bench.readings == 0 and bench.states[-1] is SenseState.ON


def test_switching_off_closes_the_hardware_and_takes_no_further_item(make: Callable[..., Bench]) -> None:
    bench = make(interval_seconds=1000.0)
    bench.loop.start()
    until(lambda: bench.readings)
    bench.loop.switch(False)
    until(lambda: bench.states[-1] is SenseState.OFF)
    assert not bench.source.open
    count, beats = bench.source.items, bench.beats
    until(lambda: bench.beats >= beats + 3)
    assert bench.source.items == count and bench.source.opened == 1


def test_a_reading_that_was_being_made_when_it_was_switched_off_is_dropped(make: Callable[..., Bench]) -> None:
    looking, go_on = threading.Event(), threading.Event()

    def perceive(item: int) -> Reading:
        looking.set()
        go_on.wait(PATIENCE_SECONDS)
        return reading_of(item)

    bench = make(perceive)
    bench.loop.start()
    assert looking.wait(PATIENCE_SECONDS)
    bench.loop.switch(False)
    go_on.set()
    until(lambda: bench.states[-1] is SenseState.OFF)
    assert bench.readings == 0


def test_switching_off_while_nothing_comes_is_no_loss(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.loop.start()
    until(lambda: bench.readings)
    bench.source.stuck.clear()
    until(lambda: bench.source.waiting)
    bench.loop.switch(False)
    until(lambda: bench.states[-1] is SenseState.OFF)
    assert bench.states == [SenseState.STARTING, SenseState.ON, SenseState.OFF]


def test_switching_on_again_reopens(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.loop.start()
    until(lambda: bench.readings)
    bench.loop.switch(False)
    until(lambda: bench.states[-1] is SenseState.OFF)
    bench.loop.switch(True)
    until(lambda: bench.states[-1] is SenseState.ON)
    assert bench.states == [
        SenseState.STARTING, SenseState.ON, SenseState.OFF, SenseState.STARTING, SenseState.ON
    ]  # fmt: skip
    assert bench.source.opened == 2


@pytest.mark.parametrize("how", ["enabled", "switch"])
def test_a_sense_that_starts_off_opens_nothing_but_keeps_beating(make: Callable[..., Bench], how: str) -> None:
    bench = make(enabled=how != "enabled")
    if how == "switch":
        bench.loop.switch(False)
    bench.loop.start()
    until(lambda: bench.beats >= 3)
    assert bench.states == [SenseState.OFF] and bench.source.opened == 0


def test_lost_hardware_is_said_once_and_tried_until_it_is_back(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.loop.start()
    until(lambda: bench.readings)
    bench.source.absent = "camera: unplugged"
    until(lambda: bench.states[-1] is SenseState.LOST)
    beats = bench.beats
    until(lambda: bench.beats >= beats + 10)
    assert bench.states == [SenseState.STARTING, SenseState.ON, SenseState.LOST]
    assert bench.last.detail == "camera: unplugged" and not bench.source.open
    bench.source.absent = "camera: permission denied"
    until(lambda: bench.last.detail == "camera: permission denied")
    bench.source.absent = ""
    until(lambda: bench.states[-1] is SenseState.ON)
    assert bench.states[-3:] == [SenseState.LOST, SenseState.LOST, SenseState.ON]


@pytest.mark.parametrize("end", ["switch", "close"])
def test_a_long_wait_for_lost_hardware_can_be_cut_short(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(sense_module, "FIRST_RETRY_SECONDS", 1000.0)
    monkeypatch.setattr(sense_module, "LONGEST_RETRY_SECONDS", 1000.0)
    bench = make(rng=Random(3))
    bench.source.absent = "camera: not there"
    bench.loop.start()
    until(lambda: bench.states[-1:] == [SenseState.LOST])
    if end == "switch":
        bench.loop.switch(False)
        until(lambda: bench.states[-1] is SenseState.OFF)
    else:
        bench.loop.close()
        assert bench.states[-1] is SenseState.LOST


def test_items_are_taken_at_the_given_rate(make: Callable[..., Bench]) -> None:
    taken: list[float] = []
    bench = make(lambda item: taken.append(time.monotonic()), interval_seconds=0.05)
    bench.loop.start()
    until(lambda: len(taken) >= 12)
    # The first may have been late by up to one interval.
    assert taken[11] - taken[0] >= 10 * 0.05


def test_a_slow_look_is_not_followed_by_a_burst(make: Callable[..., Bench]) -> None:
    began: list[float] = []

    def perceive(item: int) -> None:
        began.append(time.monotonic())
        if item == 2:
            time.sleep(0.5)

    bench = make(perceive, interval_seconds=0.05)
    bench.loop.start()
    until(lambda: len(began) >= 8)
    assert began[7] - began[2] >= 4 * 0.05


def test_without_an_interval_every_item_is_taken(make: Callable[..., Bench]) -> None:
    bench = make(interval_seconds=0.0)
    bench.loop.start()
    until(lambda: bench.readings >= 50)
    bench.loop.close()
    heard = [event.reading.at_seconds for event in bench.events if isinstance(event, Perceived)]
    assert heard == [float(item) for item in range(1, len(heard) + 1)]


@pytest.mark.parametrize("end", ["switch", "close", "lost"])
def test_what_the_hardware_gave_is_forgotten_when_it_is_closed(make: Callable[..., Bench], end: str) -> None:
    forgotten: list[bool] = []
    bench = make(forget=lambda: forgotten.append(bench.source.open))
    bench.loop.start()
    until(lambda: bench.readings)
    assert not forgotten
    if end == "lost":
        bench.source.absent = "camera: unplugged"
    elif end == "switch":
        bench.loop.switch(False)
    else:
        bench.loop.close()
    until(lambda: forgotten)
    assert forgotten[0] is False


def test_the_wait_may_change_from_item_to_item(make: Callable[..., Bench]) -> None:
    waits = iter([0.0] * 20 + [1000.0] * 2)
    bench = make(wait_seconds=lambda: next(waits))
    bench.loop.start()
    until(lambda: bench.source.items >= 21)
    beats = bench.beats
    until(lambda: bench.beats >= beats + 3)
    assert bench.source.items == 21


def test_a_look_that_never_ends_stops_the_beats(make: Callable[..., Bench]) -> None:
    looking, go_on = threading.Event(), threading.Event()

    def perceive(item: int) -> None:
        looking.set()
        go_on.wait(PATIENCE_SECONDS)

    bench = make(perceive)
    bench.loop.start()
    assert looking.wait(PATIENCE_SECONDS)
    beats = bench.beats
    time.sleep(4 * sense_module.BEAT_SECONDS)
    assert bench.beats == beats
    go_on.set()


def test_a_bug_in_perceiving_reaches_the_excepthook_and_closes_the_hardware(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda trouble: seen.append(trouble.exc_type))

    def perceive(item: int) -> None:
        raise ZeroDivisionError

    bench = make(perceive)
    bench.loop.start()
    until(lambda: seen)
    assert seen == [ZeroDivisionError] and not bench.source.open
    assert SenseState.LOST not in bench.states


def test_closing_a_sense_that_never_started_is_harmless() -> None:
    Bench().loop.close()


# --- back-off -----------------------------------------------------------------------------------------------------


def test_delays_are_spread_under_a_ceiling_that_doubles_to_the_cap() -> None:
    ceilings = [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    runs = []
    for seed in range(300):
        backoff = Backoff(0.5, 30.0, Random(seed))
        runs.append([backoff.next_delay() for _ in ceilings])
    for delays, ceiling in zip(zip(*runs, strict=True), ceilings, strict=True):
        assert 0 <= min(delays) < 0.1 * ceiling and 0.9 * ceiling < max(delays) <= ceiling


def test_after_a_reset_delays_are_short_again() -> None:
    backoff = Backoff(0.5, 30.0, Random(1))
    for _ in range(10):
        backoff.next_delay()
    backoff.reset()
    assert backoff.next_delay() <= 0.5
