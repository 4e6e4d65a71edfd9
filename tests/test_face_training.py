"""What the face network is trained on: no picture of a test part, and what people said of the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.training.faces import LABELS, Parts, read_parts

VOTED = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt", "unknown", "no face")
"""The columns of FER+."""
ROWS = 33_201
"""As many as hold the two rows whose votes are known to be wrong."""
KNOWN = slice(0, 6)
"""The rows that say something; of all others only the last is not blank."""


def votes(**counts: int) -> list[int]:
    return [counts.get(name.replace(" ", "_"), 0) for name in VOTED]


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Parts:
    folder: Path = tmp_path_factory.mktemp("fer")
    rng = np.random.default_rng(3)
    images = np.zeros((ROWS, 48, 48), np.uint8)
    images[KNOWN] = rng.integers(0, 255, (6, 48, 48))
    images[3], images[1] = images[4], images[5]  # two training pictures that also stand in a test part
    images[33_200] = rng.integers(0, 255, (48, 48))
    told = np.zeros((ROWS, 10), np.uint8)
    told[0] = votes(happy=6, neutral=2, unknown=2)
    told[2] = votes(contempt=7, angry=3)
    told[33_200] = votes(sad=10)
    np.savez(
        folder / "fer2013.npz",
        images=images,
        label=np.array([3, 0, 0, 4, 4, 5, *[6] * (ROWS - 6)], np.uint8),
        split=np.array([0, 0, 0, 0, 1, 2, *[0] * (ROWS - 6)], np.uint8),
        ferplus_votes=told,
        dup_of_earlier_split=np.array([0, 0, 0, 0, 1, 1, *[0] * (ROWS - 6)], np.uint8),
    )
    return read_parts(folder)


def test_no_picture_of_a_test_part_and_no_blank_one_is_trained_on(parts) -> None:
    assert len(parts.train.images) == 3  # rows 0, 2 and 33,200
    assert parts.removed_duplicates == 2
    tested = {image.tobytes() for part in (parts.public, parts.private) for image in part.images}
    assert not tested & {image.tobytes() for image in parts.train.images}
    assert len(parts.public.images) == len(parts.private.images) == 1
    assert parts.private_is_copy.all()


def test_votes_for_other_things_count_as_little_trust_not_as_a_label(parts) -> None:
    shares = dict(zip(LABELS, parts.train.votes[0], strict=True))
    assert shares["happy"] == pytest.approx(0.75)
    assert shares["neutral"] == pytest.approx(0.25)
    assert parts.train.trust[:2] == pytest.approx([0.8, 0.3])


def test_what_most_say_beyond_the_labels_is_none_of_them(parts) -> None:
    assert parts.train.most_voted[0] == LABELS.index("happy")
    assert parts.train.most_voted[1] == -1


def test_votes_that_belong_to_another_picture_give_way_to_the_label(parts) -> None:
    assert parts.train.votes[2].argmax() == LABELS.index("neutral")


def test_both_answers_aim_at_shares(parts) -> None:
    target = parts.train.target()
    assert target.shape == (3, 14)
    assert target.reshape(3, 2, 7).sum(axis=2) == pytest.approx(1)
    assert target[1, 7:].argmax() == LABELS.index("angry")
