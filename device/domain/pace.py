"""How often the eyes look: often while somebody moves, seldom in an empty room or when the board is hot.

A glance compares a tiny picture with the one before and costs next to nothing; a look finds and reads faces.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

STILL_AFTER_SECONDS = 0.5
"""Nothing has moved for so long: glances suffice, and the next movement is looked at at once."""
LINGER_SECONDS = 10.0
"""Somebody seen so lately is taken to be there still; what moves that long without a face is a curtain or a screen."""
STILL_LOOK_SECONDS = 1.0
"""Longest time between two looks at somebody who sits still: well within what a reading is good for."""
EMPTY_LOOK_SECONDS = 5.0
"""Time between two looks in an empty room: whoever comes moves, and is looked at at once."""
COOLER_CELSIUS = 5.0
"""So far below the limit the board has to be again before it counts as cool."""
LATE_SHARE = 0.1
"""A look is due a little early: glances do not come to the millisecond."""
LONG_AGO = float("-inf")


@dataclass(frozen=True, slots=True)
class PaceSettings:
    """Part of [camera]"""

    rate_hz: float = 5.0
    """Looks a second while somebody moves."""
    glance_rate_hz: float = 8.0
    """Glances a second while nobody does."""
    slow_look_seconds: float = 3.0
    """Time between two looks when the board is hot."""
    hottest_celsius: float = 75.0


@dataclass(frozen=True, slots=True)
class Pace:
    """What the pace depends on; times are those of the frames."""

    stirred_seconds: float = LONG_AGO
    """When the latest spell of movement began."""
    moved_seconds: float = LONG_AGO
    """When something moved last."""
    looked_seconds: float = LONG_AGO
    seen_seconds: float = LONG_AGO
    """When somebody was seen last."""
    hot: bool = False


def glanced(pace: Pace, at_seconds: float, moved: bool) -> Pace:
    """After a glance."""
    if not moved:
        return pace
    fresh = at_seconds - pace.moved_seconds > STILL_AFTER_SECONDS
    return replace(pace, moved_seconds=at_seconds, stirred_seconds=at_seconds if fresh else pace.stirred_seconds)


def looked(pace: Pace, at_seconds: float, seen: bool) -> Pace:
    """After a look."""
    return replace(pace, looked_seconds=at_seconds, seen_seconds=at_seconds if seen else pace.seen_seconds)


def warmed(pace: Pace, celsius: float | None, settings: PaceSettings) -> Pace:
    """After the board's temperature was read; None: it does not say."""
    limit = settings.hottest_celsius - (COOLER_CELSIUS if pace.hot else 0.0)
    return replace(pace, hot=celsius is not None and celsius > limit)


def wants_look(pace: Pace, at_seconds: float) -> bool:
    """Whether the frame of `at_seconds` is worth a look."""
    if pace.hot or _lively(pace, at_seconds):
        return True
    longest = STILL_LOOK_SECONDS if _company(pace, at_seconds) else EMPTY_LOOK_SECONDS
    return at_seconds - pace.looked_seconds >= (1 - LATE_SHARE) * longest


def wait_seconds(pace: Pace, at_seconds: float, settings: PaceSettings) -> float:
    """From this frame to the next."""
    if pace.hot:
        return settings.slow_look_seconds
    return 1.0 / (settings.rate_hz if _lively(pace, at_seconds) else settings.glance_rate_hz)


def _lively(pace: Pace, at_seconds: float) -> bool:
    """Whether somebody moves, or something that may turn out to be somebody."""
    moving = at_seconds - pace.moved_seconds <= STILL_AFTER_SECONDS
    return moving and (_company(pace, at_seconds) or at_seconds - pace.stirred_seconds <= LINGER_SECONDS)


def _company(pace: Pace, at_seconds: float) -> bool:
    return at_seconds - pace.seen_seconds <= LINGER_SECONDS
