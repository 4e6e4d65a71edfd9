"""Late fusion: readings of both modalities, weighted by confidence and age, become one posterior."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from device.domain.labels import LABELS
from device.domain.reading import Modality, Posterior, Reading, normalised

SMALLEST_PROBABILITY = 1e-4
TOO_OLD = "too old"
CERTAINTY_POWER = 0.25
"""Of certainty in what a reading counts beside others: an unsure posterior is flat, and so says little as it is."""


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """How readings age and when they are worth listening to."""

    half_life_seconds: float = field(default=4.0, metadata={"range": (0.1, 600.0)})
    """A reading of this age has half its weight."""
    expiry_seconds: float = field(default=12.0, metadata={"range": (0.5, 3600.0)})
    """An older reading says nothing."""
    smallest_weight: float = field(default=0.01, metadata={"range": (0.0, 1.0)})
    """A reading with less weight is ignored."""
    voice_trust: float = field(default=0.5, metadata={"range": (0.05, 1.0)})
    """What a voice counts beside a face of the same quality; one alone always has its own say."""


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
    return reading.confidence * _freshness(reading, now_seconds, settings)


def _freshness(reading: Reading, now_seconds: float, settings: FusionSettings) -> float:
    """1 when new, halved every half-life; 0 after the expiry."""
    age = max(0.0, now_seconds - reading.at_seconds)
    return math.pow(0.5, age / settings.half_life_seconds) if age <= settings.expiry_seconds else 0.0


def fuse(readings: Sequence[Reading], now_seconds: float, settings: FusionSettings) -> Fused | None:
    """Pool the readings log-linearly (Genest & Zidek 1986), each with what it counts beside the others as exponent.

    Uniform, and without support, when none has enough weight; None when there is none, or all have expired.
    """
    shares = tuple(_share(reading, now_seconds, settings) for reading in readings)
    if all(share.ignored == TOO_OLD for share in shares):
        return None
    used = [(r, s) for r, s in zip(readings, shares, strict=True) if not s.ignored]
    exponents = _exponents([_count(reading, now_seconds, settings) for reading, _ in used])
    pooled = normalised(
        math.exp(
            sum(
                exponent * math.log(max(reading.posterior.values[i], SMALLEST_PROBABILITY))
                for exponent, (reading, _) in zip(exponents, used, strict=True)
            )
        )
        for i in range(len(LABELS))
    )
    differ = max((reading.disagreement for reading, _ in used), default=0.0)
    return Fused(pooled, min(1.0, sum(share.weight for _, share in used)), shares, differ)


def _exponents(counts: Sequence[float]) -> list[float]:
    """Each one's share of the readings' effective number, 1 / Σ share² (Kish, Survey Sampling, 1965).

    One alone has 1, as beside what hardly counts; several that count alike have 1 each, as independent witnesses.
    """
    total = sum(counts)
    shares = [count / total for count in counts]
    effective = 1 / sum(share * share for share in shares) if shares else 0.0
    return [share * effective for share in shares]


def _count(reading: Reading, now_seconds: float, settings: FusionSettings) -> float:
    """What a reading counts beside others."""
    trust = settings.voice_trust if reading.modality is Modality.VOICE else 1.0
    certainty = 1.0 - reading.posterior.normalised_entropy
    freshness = _freshness(reading, now_seconds, settings)
    return trust * reading.quality * math.pow(certainty, CERTAINTY_POWER) * freshness


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
