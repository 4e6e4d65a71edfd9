"""FER+: what ten people each called a face of FER-2013 (Barsoum et al., "Training deep networks for facial expression
recognition with crowd-sourced label distribution", ICMI 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.domain.labels import LABELS

VOTE_COLUMNS = (4, 5, 6, 1, 3, 2, 0)
"""Columns of the votes in the order of LABELS; contempt, "unknown" and "no face" have none."""
WRONG_VOTES = (5274, 33200)
"""Rows whose votes belong to another picture."""
NOBODY = -1

Votes = NDArray[np.uint8]


def read_votes(archive: Mapping[str, Any]) -> Votes:
    """The votes of all rows of `fer2013.npz`, uint8 [N, 10]; none where they are known to belong elsewhere."""
    votes = np.array(archive["ferplus_votes"], dtype=np.uint8)
    votes[[row for row in WRONG_VOTES if row < len(votes)]] = 0
    return votes


def for_labels(votes: Votes) -> NDArray[np.float64]:
    """Only the votes for LABELS, in their order, float64 [N, 7]."""
    return votes[:, VOTE_COLUMNS].astype(np.float64)


def most_voted(votes: Votes) -> NDArray[np.int64]:
    """The label with the most votes, int64 [N]; of equals the first column's.

    NOBODY's where contempt, "unknown" or "no face" has the most, or nobody voted.
    """
    return np.where(votes.any(axis=1), _label_of_column()[votes.argmax(axis=1)], NOBODY)


def one_leads(votes: Votes) -> NDArray[np.bool_]:
    """Whether one column has more votes than any other, bool [N]."""
    first_two = np.sort(votes, axis=1)[:, -2:]
    return np.asarray(first_two[:, 1] > first_two[:, 0])


def majority(votes: Votes) -> NDArray[np.int64]:
    """The label with more than half of the votes, int64 [N]; NOBODY's where there is none.

    By the rule of those who made FER+: what only one of the ten said does not count.
    """
    counted = np.where(votes > 1, votes, 0).astype(np.int64)
    clear = 2 * counted.max(axis=1) > counted.sum(axis=1)
    return np.where(clear, _label_of_column()[counted.argmax(axis=1)], NOBODY)


def _label_of_column() -> NDArray[np.int64]:
    labels = np.full(10, NOBODY, np.int64)
    labels[list(VOTE_COLUMNS)] = np.arange(len(LABELS))
    return labels
