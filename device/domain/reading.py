"""One modality's posterior at one time, and how much it can be trusted."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from device.domain.labels import AFFECT_OF_LABEL, LABELS, Affect

SUM_TOLERANCE = 1e-3


class Modality(Enum):
    """What a reading was made from."""

    FACE = "face"
    VOICE = "voice"


@dataclass(frozen=True, slots=True)
class Posterior:
    """Calibrated probabilities of the seven `LABELS`, summing to 1."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.values) != len(LABELS):
            raise ValueError(f"a posterior has {len(LABELS)} values, not {len(self.values)}")
        if min(self.values) < 0 or not math.isclose(sum(self.values), 1.0, abs_tol=SUM_TOLERANCE):
            raise ValueError(f"a posterior is at least 0 and sums to 1: {self.values}")

    @property
    def label(self) -> str:
        """The most probable label."""
        return LABELS[self.values.index(max(self.values))]

    @property
    def top(self) -> float:
        """The probability of the most probable label."""
        return max(self.values)

    @property
    def normalised_entropy(self) -> float:
        """0 certain … 1 uniform (Shannon entropy over log 7)."""
        entropy = -sum(p * math.log(p) for p in self.values if p > 0)
        return min(1.0, entropy / math.log(len(LABELS)))

    @property
    def affect(self) -> Affect:
        """The expected valence and arousal."""
        points = [AFFECT_OF_LABEL[label] for label in LABELS]
        return Affect(
            sum(p * point.valence for p, point in zip(self.values, points, strict=True)),
            sum(p * point.arousal for p, point in zip(self.values, points, strict=True)),
        )


UNIFORM = Posterior((1 / len(LABELS),) * len(LABELS))


@dataclass(frozen=True, slots=True)
class Person:
    """One of those a reading was made from; nobody in particular."""

    posterior: Posterior
    weight: float
    """How much they count beside the others; only the ratio matters."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one modality says at one time."""

    modality: Modality
    posterior: Posterior
    quality: float
    """0 useless … 1 as good as the training data."""
    at_seconds: float
    """Monotonic time of the frame or of the window's end."""
    note: str = ""
    """Why the quality is what it is, in a word or two: "own music", "dark"."""
    people: tuple[Person, ...] = ()
    """Whom it was made from, who counts most first; empty where nobody can be told apart (voice)."""
    disagreement: float = 0.0
    """How much they differ: 0 not at all … 1 (`divergence`)."""

    @property
    def confidence(self) -> float:
        """Quality × (1 − normalised entropy)."""
        return self.quality * (1.0 - self.posterior.normalised_entropy)


def normalised(weights: Iterable[float]) -> Posterior:
    """Scale non-negative weights, one per label, to a posterior; all zero gives the uniform one."""
    values = tuple(weights)
    total = sum(values)
    return Posterior(tuple(value / total for value in values)) if total > 0 else UNIFORM


def divergence(posteriors: Sequence[Posterior], weights: Sequence[float]) -> float:
    """How much posteriors differ, each with its weight, in bits: the Jensen-Shannon divergence (Lin 1991).

    0 all alike … 1 two of the same weight that exclude each other; no more than 1 for any number of them.
    """
    total = sum(weights)
    shares = [weight / total for weight in weights]
    pooled = [sum(map(operator.mul, shares, label)) for label in zip(*(one.values for one in posteriors), strict=True)]
    own = sum(share * _bits(one.values) for share, one in zip(shares, posteriors, strict=True))
    return min(1.0, max(0.0, _bits(pooled) - own))


def _bits(probabilities: Sequence[float]) -> float:
    """Shannon entropy."""
    return -sum(p * math.log2(p) for p in probabilities if p > 0)


def calibrate(logits: Sequence[float], temperature: float) -> Posterior:
    """Softmax of `logits` [7] over `temperature` (temperature scaling, Guo et al. 2017)."""
    highest = max(logits)
    return normalised(math.exp((logit - highest) / temperature) for logit in logits)
