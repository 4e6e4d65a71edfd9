"""The home's neutral face: what a face at rest is mistaken for, learned in twenty seconds, is taken off readings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from device.domain.labels import LABELS
from device.domain.people import reading_with
from device.domain.reading import Posterior, Reading, normalised

LOOK_SECONDS = 20.0
LEAST_SECONDS = 8.0
"""A face must be seen well for so much of the time."""
LONGEST_GAP_SECONDS = 3.5
"""A look stands for the time since the one before, at most this."""
GOOD_QUALITY = 0.5
SHRINK_SECONDS = 4.0
"""So much time counts for "nothing to take off": the less was seen, the less is believed."""
RIVAL_ODDS = 0.25
"""A resting face is read well when no label is more than this beside neutral."""
MOST_LOG_ODDS = 1.5
"""No more is ever taken off a label: a strong expression still shows."""
SMALLEST_PROBABILITY = 1e-3
LIVELY = ("happy", "surprise")
"""A face of which these are plainly seen is not at rest."""
NEUTRAL = LABELS.index("neutral")

Baseline = tuple[float, ...]
"""Log-odds to take off each of the seven labels, 0 … MOST_LOG_ODDS; 0 for neutral."""


@dataclass(frozen=True, slots=True)
class Looking:
    """Twenty seconds of looking, so far."""

    from_seconds: float
    seen_seconds: float = 0.0
    """For so long a face was seen well."""
    log_odds: tuple[float, ...] = (0.0,) * len(LABELS)
    """Of each label against neutral: the sum over looks, times the seconds each stands for."""
    last_seconds: float | None = None
    """Time of the last look."""

    def is_over(self, now_seconds: float) -> bool:
        """Whether the time is up."""
        return now_seconds - self.from_seconds >= LOOK_SECONDS


def take_look(looking: Looking, reading: Reading) -> Looking:
    """Count a reading of the face in."""
    before = looking.from_seconds if looking.last_seconds is None else looking.last_seconds
    looking = replace(looking, last_seconds=reading.at_seconds)
    if reading.quality < GOOD_QUALITY:
        return looking
    lasting = min(LONGEST_GAP_SECONDS, max(0.0, reading.at_seconds - before))
    pairs = zip(looking.log_odds, against_neutral(reading.posterior), strict=True)
    return replace(
        looking,
        seen_seconds=looking.seen_seconds + lasting,
        log_odds=tuple(total + lasting * new for total, new in pairs),
    )


def learn(looking: Looking) -> tuple[Baseline | None, str]:
    """What the looks teach, or None and why not, in words for a person."""
    if looking.seen_seconds == 0:
        return None, "nobody was seen well enough; come nearer, or make it lighter"
    if looking.seen_seconds < LEAST_SECONDS:
        share = f"{looking.seen_seconds:.0f} of {LOOK_SECONDS:.0f} seconds"
        return None, f"a face was seen well for only {share}; look at the camera a little longer"
    mean = [total / looking.seen_seconds for total in looking.log_odds]
    usual = normalised(math.exp(value) for value in mean)
    if usual.label in LIVELY and usual.top > 0.5:
        return None, f"that looked like {usual.label}; try again with a face at rest"
    return baseline(mean, looking.seen_seconds), ""


def baseline(log_odds: Sequence[float], seen_seconds: float) -> Baseline:
    """By how much each mean log-odds against neutral exceeds a well-read resting face's, shrunk and capped."""
    trust = seen_seconds / (seen_seconds + SHRINK_SECONDS)
    excess = (trust * (value - math.log(RIVAL_ODDS)) for value in log_odds)
    capped = [min(MOST_LOG_ODDS, max(0.0, value)) for value in excess]
    capped[NEUTRAL] = 0.0
    return tuple(capped)


def corrected(posterior: Posterior, off: Baseline) -> Posterior:
    """`posterior` with the baseline taken off its log-odds."""
    pairs = zip(posterior.values, off, strict=True)
    return normalised(value * math.exp(-less) for value, less in pairs)


def at_home(reading: Reading, off: Baseline | None) -> Reading:
    """A face's reading as this home's faces are to be read."""
    if off is None:
        return reading
    if not reading.people:
        return replace(reading, posterior=corrected(reading.posterior, off))
    return reading_with(
        reading, tuple(replace(person, posterior=corrected(person.posterior, off)) for person in reading.people)
    )


def is_baseline(values: object) -> bool:
    """Whether what was read from a file can be one."""
    return (
        isinstance(values, list | tuple)
        and len(values) == len(LABELS)
        and all(isinstance(v, int | float) and 0 <= v <= MOST_LOG_ODDS for v in values)
    )


def against_neutral(posterior: Posterior) -> list[float]:
    """Log-odds of each label against neutral."""
    logs = [math.log(max(value, SMALLEST_PROBABILITY)) for value in posterior.values]
    return [value - logs[NEUTRAL] for value in logs]
