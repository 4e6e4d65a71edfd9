"""The slow state of the room: smoothed evidence that must hold for the dwell before it counts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from device.domain.fusion import Fused
from device.domain.labels import LABELS, MIXED, UNKNOWN
from device.domain.reading import UNIFORM, Posterior


@dataclass(frozen=True, slots=True)
class MoodSettings:
    """How slowly the mood follows the evidence."""

    smoothing_seconds: float = field(default=3.0, metadata={"range": (0.01, 600.0)})
    """Time constant of the exponential smoothing."""
    dwell_seconds: float = field(default=6.0, metadata={"range": (0.0, 3600.0)})
    """A candidate must lead this long before it becomes the mood."""
    margin: float = field(default=0.08, metadata={"range": (0.0, 1.0)})
    """By how much a candidate's probability must exceed that of the mood it replaces."""
    smallest_top: float = field(default=0.38, metadata={"range": (0.15, 1.0)})
    """Below this probability of the best label the answer is `unknown`."""
    mixed_above: float = field(default=0.4, metadata={"range": (0.05, 1.0)})
    """When the people seen differ more than this, the answer is `mixed`; by the margin less, and it no longer is."""


@dataclass(frozen=True, slots=True)
class Mood:
    """The mood at a time, with what is on its way to replace it."""

    label: str = UNKNOWN
    since_seconds: float = 0.0
    smoothed: Posterior = UNIFORM
    at_seconds: float | None = None
    """Time of the last step; None before the first."""
    candidate: str = UNKNOWN
    candidate_since_seconds: float = 0.0
    disagreement: float = 0.0
    """How much people differ, smoothed, 0 … 1."""


def step(mood: Mood, fused: Fused | None, now_seconds: float, settings: MoodSettings) -> Mood:
    """Advance the mood to `now_seconds` with the fused evidence of that time (None: nothing seen or heard)."""
    mood = replace(_smooth(mood, fused, now_seconds, settings), at_seconds=now_seconds)
    return _settle(mood, _candidate(mood, settings), now_seconds, settings)


def _smooth(mood: Mood, fused: Fused | None, now_seconds: float, settings: MoodSettings) -> Mood:
    target = fused.posterior if fused else UNIFORM
    differ = fused.disagreement if fused else 0.0
    elapsed = 0.0 if mood.at_seconds is None else max(0.0, now_seconds - mood.at_seconds)
    pull = 1.0 - math.exp(-elapsed / settings.smoothing_seconds)
    pairs = zip(mood.smoothed.values, target.values, strict=True)
    smoothed = Posterior(tuple(old + pull * (new - old) for old, new in pairs))
    return replace(mood, smoothed=smoothed, disagreement=mood.disagreement + pull * (differ - mood.disagreement))


def _candidate(mood: Mood, settings: MoodSettings) -> str:
    """The label the evidence speaks for: the present one unless another leads by the margin."""
    best = mood.smoothed
    if mood.disagreement > settings.mixed_above - (settings.margin if mood.label == MIXED else 0.0):
        return MIXED
    if best.top < settings.smallest_top:
        return UNKNOWN
    if mood.label in (MIXED, UNKNOWN, best.label):
        return best.label
    present = best.values[LABELS.index(mood.label)]
    return best.label if best.top - present >= settings.margin else mood.label


def _settle(mood: Mood, candidate: str, now_seconds: float, settings: MoodSettings) -> Mood:
    if candidate == mood.label:
        return replace(mood, candidate=candidate, candidate_since_seconds=now_seconds)
    if candidate != mood.candidate:
        return replace(mood, candidate=candidate, candidate_since_seconds=now_seconds)
    if now_seconds - mood.candidate_since_seconds < settings.dwell_seconds:
        return mood
    return replace(mood, label=candidate, since_seconds=now_seconds)
