"""Quiet hours: when the volume has a cap and the music a calmer ceiling."""

from __future__ import annotations

from dataclasses import dataclass, field

CLOCK_TIME = r"([01]\d|2[0-3]):[0-5]\d"
EXAMPLE = 'a time like "22:00"'
ROUNDING_PERCENT = 5
"""A mixer of ten steps comes only so near to what it is asked for."""


@dataclass(frozen=True, slots=True)
class QuietSettings:
    """[quiet]: hours in which others sleep."""

    enabled: bool = False
    begins: str = field(default="22:00", metadata={"pattern": CLOCK_TIME, "example": EXAMPLE})
    """Local time."""
    ends: str = field(default="07:00", metadata={"pattern": CLOCK_TIME, "example": EXAMPLE})
    volume_percent: int = field(default=35, metadata={"range": (0, 100)})
    """The volume goes no higher."""
    highest_arousal: float = field(default=0.0, metadata={"range": (-1.0, 1.0)})
    """No song is more excited than this, where the library allows it."""


def is_quiet(minute_of_day: int | None, settings: QuietSettings) -> bool:
    """Whether a local time, in minutes since midnight, lies in the quiet hours; None is a clock nobody set."""
    if not settings.enabled or minute_of_day is None:
        return False
    begins, ends = _minutes(settings.begins), _minutes(settings.ends)
    if begins <= ends:
        return begins <= minute_of_day < ends
    return minute_of_day >= begins or minute_of_day < ends


def _minutes(clock_time: str) -> int:
    hours, minutes = clock_time.split(":")
    return int(hours) * 60 + int(minutes)
