"""What an analysis of the sound says about a track."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from device.domain.labels import Affect


@dataclass(frozen=True, slots=True)
class Heard:
    """The outcome of listening to one file."""

    affect: Affect | None
    """None when it could not tell."""
    uncertainty: float
    """How far the affect may be off, as a radius on the plane."""
    timbre: bytes
    """TIMBRE_SIZE signed bytes; empty when it could not tell."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """What else was measured: tempo_bpm, loudness_lufs, …"""
    model: str = ""
    """Name and version of the analysis."""
