"""Shows on a terminal how far a long work is, and how long it still takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Self, TextIO

REDRAW_SECONDS = 0.2
"""As often as an eye follows."""
FIRST_GUESS_SECONDS = 2.0
"""Before, nobody can say how long it takes."""


class Meter:
    """Call it with what is done and what there is; silent where nobody watches."""

    def __init__(self, what: str, out: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._out = out or sys.stderr
        self._clock = clock
        self._watched = self._out.isatty()
        self._began = clock()
        self._drawn_at = float("-inf")
        self._width = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the line, also when the work was stopped."""
        if self._width:
            print(file=self._out, flush=True)
            self._width = 0

    def __call__(self, done: int, total: int) -> None:
        """Show it, unless that was just done."""
        now = self._clock()
        if not self._watched or total == 0 or (done < total and now - self._drawn_at < REDRAW_SECONDS):
            return
        self._drawn_at = now
        line = f"{done:,} of {total:,} {self._what}{self._time_left(now, done, total)}"
        print(f"\r{line.ljust(self._width)}", end="", file=self._out, flush=True)
        self._width = len(line)

    def _time_left(self, now: float, done: int, total: int) -> str:
        took = now - self._began
        if done in (0, total) or took < FIRST_GUESS_SECONDS:
            return ""
        return f", {in_words(took * (total - done) / done)} left"


def in_words(seconds: float) -> str:
    """A length of time as a person says it: 50 s, 4 min, 2 h 5 min."""
    minutes = round(seconds / 60)
    if seconds < 59.5:
        return f"{round(seconds)} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
