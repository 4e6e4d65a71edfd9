"""Late fusion: readings of both modalities, weighted by confidence and age, become one posterior."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from device.domain.labels import LABELS
from device.domain.reading import Modality, Posterior, Reading, divergence, normalised

SMALLEST_PROBABILITY = 1e-4
TOO_OLD = "too old"
STEPPING_BACK = 1.5
"""What differs from the reading that counts most has its share of that one's count to this power × their distance."""


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """How readings age and when they are worth listening to."""

    half_life_seconds: float = field(default=4.0, metadata={"range": (0.1, 600.0)})
    """A reading of this age has half its weight."""
    expiry_seconds: float = field(default=12.0, metadata={"range": (0.5, 3600.0)})
    """An older reading says nothing."""
    smallest_weight: float = field(default=0.01, metadata={"range": (0.0, 1.0)})
    """A reading with less weight is ignored."""
    voice_trust: float = field(default=0.3, metadata={"range": (0.05, 1.0)})
    """What a voice counts beside a face of the same weight; one alone always has its own say."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one modality contributed."""

    modality: Modality
    label: str
    probability: float
    weight: float
    """Quality × (1 − normalised entropy) × age; 0 … 1."""
    ignored: str = ""
    """Why it was not used; empty when it was."""
    people: tuple[str, ...] = ()
    """What each of several people looks like, who counts most first."""


@dataclass(frozen=True, slots=True)
class Fused:
    """The answer of both modalities together."""

    posterior: Posterior
    support: float
    """Evidence behind it: the sum of the weights used, at most 1."""
    shares: tuple[Share, ...]
    disagreement: float = 0.0
    """How much the people seen differ, 0 … 1."""


def weight_of(reading: Reading, now_seconds: float, settings: FusionSettings) -> float:
    """Confidence, halved every half-life; 0 after the expiry."""
    age = max(0.0, now_seconds - reading.at_seconds)
    if age > settings.expiry_seconds:
        return 0.0
    return reading.confidence * math.pow(0.5, age / settings.half_life_seconds)


def fuse(readings: Sequence[Reading], now_seconds: float, settings: FusionSettings) -> Fused | None:
    """Pool the readings log-linearly, the one that counts most with exponent 1 (Genest & Zidek 1986).

    Uniform, and without support, when none has enough weight; None when there is none, or all have expired.
    """
    shares = tuple(_share(reading, now_seconds, settings) for reading in readings)
    if all(share.ignored == TOO_OLD for share in shares):
        return None
    used = [(r, s) for r, s in zip(readings, shares, strict=True) if not s.ignored]
    posteriors = [reading.posterior for reading, _ in used]
    exponents = _exponents(posteriors, [_count(share, settings) for _, share in used])
    pooled = normalised(
        math.exp(
            sum(
                exponent * math.log(max(posterior.values[i], SMALLEST_PROBABILITY))
                for exponent, posterior in zip(exponents, posteriors, strict=True)
            )
        )
        for i in range(len(LABELS))
    )
    differ = max((reading.disagreement for reading, _ in used), default=0.0)
    return Fused(pooled, min(1.0, sum(share.weight for _, share in used)), shares, differ)


def _exponents(posteriors: Sequence[Posterior], counts: Sequence[float]) -> list[float]:
    """1 for the reading that counts most, and for those that agree with it, as for independent witnesses.

    The more another differs from it, by the Jensen-Shannon distance (Endres & Schindelin 2003), the more it steps back.
    """
    if not counts:
        return []
    most = max(counts)
    leading = posteriors[counts.index(most)]
    distances = (math.sqrt(divergence((leading, posterior), (1, 1))) for posterior in posteriors)
    return [(count / most) ** (STEPPING_BACK * distance) for count, distance in zip(counts, distances, strict=True)]


def _count(share: Share, settings: FusionSettings) -> float:
    """What a reading counts beside others."""
    return share.weight * (settings.voice_trust if share.modality is Modality.VOICE else 1.0)


def explain(shares: Sequence[Share]) -> str:
    """The reason in a person's words: "face happy 0.71, voice ignored: own music"."""
    return ", ".join(_words(share) for share in shares)


def _words(share: Share) -> str:
    name = share.modality.value
    if share.ignored:
        return f"{name} ignored: {share.ignored}"
    if len(set(share.people)) > 1:
        return f"{name}s differ: {', '.join(share.people)}"
    several = f" ({len(share.people)} people)" if share.people else ""
    return f"{name} {share.label} {share.probability:.2f}{several}"


def _share(reading: Reading, now_seconds: float, settings: FusionSettings) -> Share:
    weight = weight_of(reading, now_seconds, settings)
    expired = now_seconds - reading.at_seconds > settings.expiry_seconds
    ignored = ""
    if expired or weight <= 0 or weight < settings.smallest_weight:
        ignored = TOO_OLD if expired else reading.note or "not sure"
    people = tuple(person.posterior.label for person in reading.people) if len(reading.people) > 1 else ()
    return Share(reading.modality, reading.posterior.label, reading.posterior.top, weight, ignored, people)
