"""Figures of merit of a classifier, from its posteriors and the true labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.domain.labels import LABELS

BINS = 15
LEAST_PROBABILITY = 1e-7


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


def score(posteriors: NDArray[np.float64], truth: NDArray[np.int64]) -> Scores:
    """Scores of `posteriors` [n, 7] against `truth` [n], indices into LABELS."""
    guesses = posteriors.argmax(axis=1)
    confusion = np.zeros((len(LABELS), len(LABELS)), dtype=int)
    np.add.at(confusion, (truth, guesses), 1)
    likelihood = np.maximum(posteriors[np.arange(len(truth)), truth], LEAST_PROBABILITY)
    return Scores(
        count=len(truth),
        accuracy=float(np.mean(guesses == truth)),
        macro_f1=_macro_f1(confusion),
        ece=_calibration_error(posteriors.max(axis=1), guesses == truth),
        nll=float(-np.log(likelihood).mean()),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
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


def agreement(posteriors: NDArray[np.float64], shares: NDArray[np.float64]) -> Agreement:
    """Of `posteriors` [n, 7] with the `shares` [n, 7] of the votes, each row summing to 1."""
    voted = shares[np.arange(len(shares)), posteriors.argmax(axis=1)]
    return Agreement(
        ece=_calibration_error(posteriors.max(axis=1), voted),
        nll=float(-(shares * np.log(np.maximum(posteriors, LEAST_PROBABILITY))).sum(axis=1).mean()),
        brier=float(((posteriors - shares) ** 2).sum(axis=1).mean()),
    )


def confusion_text(scores: Scores) -> str:
    """The confusion matrix as a table: rows are true, columns guessed, in percent of the row."""
    lines = ["true \\ guessed  " + "".join(f"{label:>9}" for label in LABELS)]
    for label, row in zip(LABELS, scores.confusion, strict=True):
        total = sum(row)
        cells = "".join(f"{100 * count / total:8.1f}%" if total else "        –" for count in row)
        lines.append(f"{label:<15}{cells}  of {total}")
    return "\n".join(lines)


def _macro_f1(confusion: NDArray[np.int_]) -> float:
    hits = np.diag(confusion)
    occurrences = confusion.sum(axis=1)
    sums = occurrences + confusion.sum(axis=0)
    present = occurrences > 0
    return float(np.mean(2 * hits[present] / sums[present]))


def _calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_] | NDArray[np.float64]) -> float:
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [
        np.mean(bins == index) * abs(right[bins == index].mean() - confidence[bins == index].mean())
        for index in range(BINS)
        if np.any(bins == index)
    ]
    return float(sum(gaps))
