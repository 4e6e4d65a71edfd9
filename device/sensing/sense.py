"""One sense's thread: opens the hardware, paces it, perceives, and keeps trying when the hardware is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from random import Random
from typing import Generic, TypeVar

from device.backoff import Backoff
from device.domain.events import Perceived, SenseChanged, SenseState
from device.domain.reading import Modality, Reading
from device.errors import PeripheralError
from device.ports import Beat, Clock, Post, Source

Item = TypeVar("Item")

FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 30.0
HEALTHY_SECONDS = 10.0
"""Hardware that was well for so long is tried again at once when it is lost; a loose plug is not."""
BEAT_SECONDS = 1.0
"""Longest wait between two beats while all is well."""
JOIN_SECONDS = 10.0


class SenseLoop(Generic[Item]):
    """Turns a source's items into Perceived events, and says how the sense is doing with SenseChanged.

    A bug in `perceive` is not caught: it ends the thread through `threading.excepthook`.
    """

    def __init__(
        self,
        modality: Modality,
        open_source: Callable[[], Source[Item]],
        perceive: Callable[[Item], Reading | None],
        post: Post,
        clock: Clock,
        beat: Beat,
        *,
        wait_seconds: Callable[[], float] = lambda: 0.0,
        forget: Callable[[], None] = lambda: None,
        read_timeout_seconds: float = 2.0,
        enabled: bool = True,
        rng: Random | None = None,
    ) -> None:
        """`wait_seconds`: asked after each item for the least time until the next is taken; 0 takes every one.

        `forget` is called when the hardware was closed: nothing of what it gave may stay behind. `open_source` is
        called anew for every attempt. A read that takes longer than `read_timeout_seconds` is a loss.
        """
        self._modality = modality
        self._open_source = open_source
        self._perceive = perceive
        self._post = post
        self._clock = clock
        self._beat = beat
        self._wait_seconds = wait_seconds
        self._forget = forget
        self._read_timeout_seconds = read_timeout_seconds
        self._backoff = Backoff(FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS, rng or Random())
        self._on = enabled
        self._closing = False
        self._wishes = threading.Condition()
        self._said: tuple[SenseState, str] | None = None
        self._thread = threading.Thread(target=self._run, name=modality.value, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def switch(self, on: bool) -> None:
        """On or off, at once: off ends the read in progress's `with` block and closes the hardware. Any thread."""
        with self._wishes:
            self._on = on
            self._wishes.notify_all()

    def close(self) -> None:
        """Close the hardware and end the thread."""
        with self._wishes:
            self._closing = True
            self._wishes.notify_all()
        if self._thread.is_alive():
            self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        while not self._closing:
            if self._on:
                self._attempt()
            else:
                self._say(SenseState.OFF)
                self._rest(None, while_on=False)

    def _attempt(self) -> None:
        """Sense until switched off or until the hardware is lost."""
        if not self._said or self._said[0] is not SenseState.LOST:
            self._say(SenseState.STARTING)
        self._beat()
        try:
            with ExitStack() as opened:
                opened.callback(self._forget)
                self._follow(opened.enter_context(self._open_source()))
        except PeripheralError as error:
            if self._wanted():
                self._say(SenseState.LOST, str(error))
                self._rest(self._backoff.next_delay(), while_on=True)

    def _follow(self, source: Source[Item]) -> None:
        began = due = self._clock()
        while self._wanted():
            self._beat()
            item = source.read(self._read_timeout_seconds)
            if not self._wanted():
                return
            if self._clock() - began >= HEALTHY_SECONDS:
                self._backoff.reset()
            self._say(SenseState.ON)
            self._take_in(item)
            due = max(due + self._wait_seconds(), self._clock())
            self._rest(due - self._clock(), while_on=True)

    def _take_in(self, item: Item) -> None:
        reading = self._perceive(item)
        if reading and self._wanted():
            self._post(Perceived(reading, self._clock()))

    def _wanted(self) -> bool:
        return self._on and not self._closing

    def _rest(self, seconds: float | None, while_on: bool) -> None:
        """Sleep, beating, for `seconds` (None: without end), while the switch stays as it is and nobody closes."""
        ends = None if seconds is None else self._clock() + seconds
        while self._on is while_on and not self._closing:
            left = BEAT_SECONDS if ends is None else ends - self._clock()
            if left <= 0:
                return
            self._beat()
            with self._wishes:
                self._wishes.wait_for(lambda: self._on is not while_on or self._closing, min(left, BEAT_SECONDS))

    def _say(self, state: SenseState, detail: str = "") -> None:
        """Post how the sense is doing, if that is news."""
        if self._said != (state, detail):
            self._said = (state, detail)
            self._post(SenseChanged(self._modality, state, detail, self._clock()))
