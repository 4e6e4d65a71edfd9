"""What the votes of FER+ are taken for: what most people said, and what more than half of them did."""

from __future__ import annotations

import numpy as np
import pytest

from device.domain.labels import LABELS
from device.lab.ferplus import NOBODY, WRONG_VOTES, for_labels, majority, most_voted, one_leads, read_votes

VOTED = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt", "unknown", "no face")
"""The columns of FER+."""


def votes(**counts: int) -> np.ndarray:
    return np.array([[counts.get(name.replace(" ", "_"), 0) for name in VOTED]], np.uint8)


@pytest.mark.parametrize(
    ("told", "most", "more_than_half"),
    [
        (votes(happy=10), "happy", "happy"),
        (votes(sad=4, neutral=3, angry=3), "sad", None),
        (votes(sad=5, neutral=5), "neutral", None),
        (votes(fear=5, surprise=5), "surprise", None),
        # Five of ten, but five of eight when what only one said does not count.
        (votes(angry=5, neutral=3, sad=1, disgust=1), "angry", "angry"),
        (votes(contempt=7, angry=3), None, None),
        (votes(no_face=9, neutral=1), None, None),
        (votes(unknown=4, happy=6), "happy", "happy"),
        (votes(), None, None),
        (votes(happy=1, sad=1, fear=1), "happy", None),
    ],
)
def test_what_most_say_and_what_more_than_half_say(told, most, more_than_half) -> None:
    def name(index: int) -> str | None:
        return None if index == NOBODY else LABELS[index]

    assert name(most_voted(told)[0]) == most
    assert name(majority(told)[0]) == more_than_half


def test_one_label_leads_unless_another_has_as_many_votes() -> None:
    told = [
        votes(sad=4, neutral=3, angry=3),
        votes(sad=5, neutral=5),
        votes(contempt=5, happy=5),
        votes(happy=10),
        votes(),
    ]
    assert one_leads(np.concatenate(told)).tolist() == [True, False, False, True, False]


def test_votes_for_labels_come_in_the_labels_order() -> None:
    told = votes(angry=1, disgust=2, fear=3, happy=4, sad=5, surprise=6, neutral=7, contempt=9, unknown=9, no_face=9)
    assert for_labels(told).tolist() == [[1, 2, 3, 4, 5, 6, 7]]


def test_votes_that_belong_to_another_picture_are_not_read() -> None:
    told = np.repeat(votes(happy=10), max(WRONG_VOTES) + 1, axis=0)
    read = read_votes({"ferplus_votes": told})
    assert np.flatnonzero(read.sum(axis=1) == 0).tolist() == sorted(WRONG_VOTES)
    assert told.sum() == told.shape[0] * 10, "what was given stays as it is"


def test_a_short_archive_is_read_whole() -> None:
    assert read_votes({"ferplus_votes": votes(sad=10)}).sum() == 10
