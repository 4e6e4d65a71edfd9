"""FER-2013 and FER+ as training sees them: the official parts and what is aimed at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from device.domain.labels import LABELS
from device.lab.ferplus import Votes, for_labels, most_voted, read_votes
from device.sensing.crop import normalise_crop

SMOOTHING = 0.05
LABEL_SHARE = 0.85
"""Weight of the FER label in what the label's head aims at; the rest is the FER+ votes'."""
TAUGHT_SHARE = 0.75
"""Weight of the teachers in what the network that ships aims at; the rest is what people said."""
COVERED_SHARE = 0.6
"""Weight of "nobody can say" in what is aimed at when half of the face is covered."""


@dataclass(frozen=True, slots=True)
class Faces:
    """One part of the data set, with what training aims at."""

    images: np.ndarray
    """uint8 [N, 48, 48]."""
    label: np.ndarray
    """int64 [N], index into LABELS."""
    votes: np.ndarray
    """float32 [N, 7], shares of the FER+ votes; the label where there are none."""
    most_voted: np.ndarray
    """int64 [N], what most of the ten people voted; -1 where that is none of LABELS."""
    trust: np.ndarray
    """float32 [N], share of the ten votes that are for one of LABELS; the rest said contempt, unknown or no face."""

    def target(self) -> np.ndarray:
        """What training aims at, float32 [N, 14]: the votes, and the smoothed label with some of them.

        Barsoum et al., "Training deep networks for facial expression recognition with crowd-sourced label
        distribution", ICMI 2016, trains on the votes.
        """
        label = LABEL_SHARE * smoothed(self.label) + (1 - LABEL_SHARE) * self.votes
        return np.concatenate([self.votes, label], axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Parts:
    """The three official parts; `train` without the rows that also stand in the other two."""

    train: Faces
    public: Faces
    private: Faces
    private_is_copy: np.ndarray
    """bool [N]: pixels of this PrivateTest row also occur in an earlier part."""
    removed_duplicates: int


def read_parts(folder: Path) -> Parts:
    """Read FER-2013 and drop every training row whose pixels occur in either test part."""
    archive = np.load(folder / "fer2013.npz")
    images, label, split = archive["images"], archive["label"].astype(np.int64), archive["split"]
    votes = read_votes(archive)
    shares, voted, trust = vote_shares(label, votes), most_voted(votes), trusted(votes)
    pixels = [image.tobytes() for image in images]
    tested = {content for content, part in zip(pixels, split, strict=True) if part != 0}
    copied = np.array([part == 0 and content in tested for content, part in zip(pixels, split, strict=True)])
    blank = images.reshape(len(images), -1).std(axis=1) < 1

    def part(rows: np.ndarray) -> Faces:
        return Faces(images[rows], label[rows], shares[rows], voted[rows], trust[rows])

    return Parts(
        train=part((split == 0) & ~copied & ~blank),
        public=part(split == 1),
        private=part(split == 2),
        private_is_copy=archive["dup_of_earlier_split"][split == 2].astype(bool),
        removed_duplicates=int(copied.sum()),
    )


def smoothed(label: np.ndarray) -> np.ndarray:
    """One-hot labels with a little for every other label; float32 [N, 7]."""
    return np.eye(len(LABELS), dtype=np.float32)[label] * (1 - SMOOTHING) + np.float32(SMOOTHING / len(LABELS))


def vote_shares(label: np.ndarray, votes: Votes) -> np.ndarray:
    """Shares of the FER+ votes over LABELS, the smoothed label where there are none; float32 [N, 7]."""
    counts = for_labels(votes)
    total = counts.sum(axis=1, keepdims=True)
    return np.where(total > 0, counts / np.maximum(total, 1), smoothed(label)).astype(np.float32)


def trusted(votes: Votes) -> np.ndarray:
    """Share of the FER+ votes that are for one of LABELS, float32 [N]; a half where there are none."""
    ours, total = for_labels(votes).sum(axis=1), votes.sum(axis=1)
    return np.where(total > 0, ours / np.maximum(total, 1), 0.5).astype(np.float32)


def tensors(images: np.ndarray) -> np.ndarray:
    """Normalised crops, float32 [N, S, S, 1]."""
    return np.stack([normalise_crop(image) for image in images])
