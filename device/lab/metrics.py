"""Figures of merit of a classifier, from its posteriors and the true labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.domain.labels import LABELS

BINS = 15
LEAST_PROBABILITY = 1e-7
COVERAGES = tuple(step / 20 for step in range(20, 0, -1))
"""All, then 5 % fewer at a time."""


@dataclass(frozen=True, slots=True)
class Bin:
    """The answers whose confidence lies in one of the equal bins."""

    confidence: float
    """Mean probability of the guess."""
    accuracy: float
    """Share of them that is right."""
    share: float
    """Their share of all answers."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What was measured on one test part."""

    count: int
    accuracy: float
    macro_f1: float
    """Mean over the labels that occur."""
    ece: float
    """Expected calibration error, 15 equal bins (Guo et al. 2017)."""
    nll: float
    """Mean negative log likelihood, nats."""
    confusion: tuple[tuple[int, ...], ...]
    """[true][guessed], in the order of LABELS."""
    reliability: tuple[Bin, ...]
    """Behind `ece`; empty bins are left out."""


def score(posteriors: NDArray[np.float64], truth: NDArray[np.int64]) -> Scores:
    """Scores of `posteriors` [n, 7] against `truth` [n], indices into LABELS."""
    guesses = posteriors.argmax(axis=1)
    confusion = np.zeros((len(LABELS), len(LABELS)), dtype=int)
    np.add.at(confusion, (truth, guesses), 1)
    reliability = _reliability(posteriors.max(axis=1), guesses == truth)
    likelihood = np.maximum(posteriors[np.arange(len(truth)), truth], LEAST_PROBABILITY)
    return Scores(
        count=len(truth),
        accuracy=float(np.mean(guesses == truth)),
        macro_f1=_macro_f1(confusion),
        ece=_calibration_error(reliability),
        nll=float(-np.log(likelihood).mean()),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        reliability=reliability,
    )


@dataclass(frozen=True, slots=True)
class Agreement:
    """How posteriors agree with what several people voted."""

    ece: float
    """Expected gap between the probability of the guess and the share of people who voted for it, 15 equal bins."""
    nll: float
    """Mean cross-entropy to the shares, nats."""
    brier: float
    """Mean squared distance to the shares, 0 … 2 (Brier 1950)."""
    reliability: tuple[Bin, ...]
    """Behind `ece`; `accuracy` is the mean share of people who voted for the guess."""


def agreement(posteriors: NDArray[np.float64], shares: NDArray[np.float64]) -> Agreement:
    """Of `posteriors` [n, 7] with the `shares` [n, 7] of the votes, each row summing to 1."""
    voted = shares[np.arange(len(shares)), posteriors.argmax(axis=1)]
    reliability = _reliability(posteriors.max(axis=1), voted)
    return Agreement(
        ece=_calibration_error(reliability),
        nll=float(-(shares * np.log(np.maximum(posteriors, LEAST_PROBABILITY))).sum(axis=1).mean()),
        brier=float(((posteriors - shares) ** 2).sum(axis=1).mean()),
        reliability=reliability,
    )


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is right of the answers that are left when the least confident are dropped."""

    aurc: float
    """Area under the risk-coverage curve: mean share of wrong ones among the 1, 2, … n most confident; 0 is best
    (Geifman & El-Yaniv 2017)."""
    accuracy_at: tuple[tuple[float, float], ...]
    """Pairs of coverage and accuracy, from all answers down to one in twenty."""


def coverage(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> Coverage:
    """Of answers with these confidences [n], and whether each is right [n]; n at least 1."""
    hits = np.cumsum(right[np.argsort(-confidence, kind="stable")])
    accuracies = hits / np.arange(1, len(right) + 1)
    kept = (max(1, round(share * len(right))) for share in COVERAGES)
    curve = tuple((share, float(accuracies[count - 1])) for share, count in zip(COVERAGES, kept, strict=True))
    return Coverage(float(np.mean(1 - accuracies)), curve)


def certainty(posteriors: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 − normalised entropy of each of `posteriors` [n, 7]: [n], 0 uniform … 1 certain."""
    entropy = -(posteriors * np.log(np.maximum(posteriors, LEAST_PROBABILITY))).sum(axis=1)
    return np.asarray(1 - entropy / np.log(len(LABELS)), dtype=np.float64)


def _macro_f1(confusion: NDArray[np.int_]) -> float:
    hits = np.diag(confusion)
    occurrences = confusion.sum(axis=1)
    sums = occurrences + confusion.sum(axis=0)
    present = occurrences > 0
    return float(np.mean(2 * hits[present] / sums[present]))


def _reliability(confidence: NDArray[np.float64], right: NDArray[np.bool_] | NDArray[np.float64]) -> tuple[Bin, ...]:
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return tuple(
        Bin(float(confidence[inside].mean()), float(right[inside].mean()), float(inside.mean()))
        for inside in (bins == index for index in range(BINS))
        if np.any(inside)
    )


def _calibration_error(bins: tuple[Bin, ...]) -> float:
    return sum(one.share * abs(one.accuracy - one.confidence) for one in bins)
