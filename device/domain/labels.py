"""The seven labels in FER-2013's order, and where each lies on the valence/arousal plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LABELS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Order of every posterior and of both models' outputs."""

UNKNOWN: Final = "unknown"
"""The mood when there is no evidence, or not enough of it: an answer like any other."""

MIXED: Final = "mixed"
"""The mood of a room whose people plainly differ."""

MOODS: Final = (*LABELS, MIXED, UNKNOWN)


@dataclass(frozen=True, slots=True)
class Affect:
    """A point on the circumplex (Russell 1980)."""

    valence: float
    """-1 unpleasant … 1 pleasant."""
    arousal: float
    """-1 calm … 1 excited."""


CALM: Final = Affect(0.1, -0.2)
"""Where a room is met that nobody knows anything about, or that does not agree: pleasant and unobtrusive."""

AFFECT_OF_LABEL: Final = {
    "angry": Affect(-0.6, 0.7),
    "disgust": Affect(-0.65, 0.3),
    "fear": Affect(-0.65, 0.65),
    "happy": Affect(0.8, 0.5),
    "sad": Affect(-0.7, -0.45),
    "surprise": Affect(0.3, 0.75),
    "neutral": CALM,
}
"""Coordinates after the circumplex and the affect norms of the labels' words, rounded to 0.05."""


def affect_of(mood: str) -> Affect:
    """The affect that stands for a mood; `unknown` and `mixed` are met calmly."""
    return AFFECT_OF_LABEL.get(mood, CALM)
