"""Who is alive: every loop beats, and the watchdog is fed only while none is late."""

from __future__ import annotations

import threading

from device.ports import Beat, Clock


class Beats:
    """Last beat of each loop; thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}
        self._deadline_seconds: dict[str, float] = {}

    def loop(self, name: str, deadline_seconds: float) -> Beat:
        """Take in a loop that must beat at least every `deadline_seconds`; returns what it calls to do so."""
        self._deadline_seconds[name] = deadline_seconds
        self._beat(name)
        return lambda: self._beat(name)

    def late(self) -> tuple[str, ...]:
        """Names of the loops whose last beat is too long ago."""
        now = self._clock()
        with self._lock:
            return tuple(name for name, at in self._last.items() if now - at > self._deadline_seconds[name])

    def _beat(self, name: str) -> None:
        with self._lock:
            self._last[name] = self._clock()
