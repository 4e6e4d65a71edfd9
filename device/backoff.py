"""How long to wait before trying again: full jitter under a doubling ceiling (Brooker, AWS Architecture Blog 2015)."""

from __future__ import annotations

from random import Random


class Backoff:
    """Delays drawn evenly between 0 and a ceiling that doubles from `first_seconds` to `cap_seconds`."""

    def __init__(self, first_seconds: float, cap_seconds: float, rng: Random) -> None:
        if not 0 < first_seconds <= cap_seconds:
            raise ValueError(f"0 < first_seconds <= cap_seconds needed, not {first_seconds} and {cap_seconds}")
        self._first_seconds = first_seconds
        self._cap_seconds = cap_seconds
        self._rng = rng
        self._ceiling_seconds = first_seconds

    def next_delay(self) -> float:
        """Seconds to wait before the next attempt."""
        delay = self._rng.uniform(0.0, self._ceiling_seconds)
        self._ceiling_seconds = min(self._cap_seconds, self._ceiling_seconds * 2)
        return delay

    def reset(self) -> None:
        """It works again: the next trouble starts from the beginning."""
        self._ceiling_seconds = self._first_seconds
