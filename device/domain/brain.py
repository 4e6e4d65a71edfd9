"""The conductor's mind: one pure function from state and event to the next state and what is to be done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BrainSettings:
    """[music]: when music starts and what is queued."""

    autoplay: bool = True
    """Start music by itself when a mood is known and nobody stopped it."""
    seed: int = 1
    """Of the draw among the best tracks."""
    confirm_seconds: float = 5.0
    """How long a queued song may take to show up in MPD before it is queued again."""
    history_songs: int = 500
    """How many plays are remembered for freshness."""
