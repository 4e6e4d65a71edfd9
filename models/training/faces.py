"""FER-2013 and FER+ as training sees them: the official parts, the targets, and varied batches."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from device.sensing.crop import CROP_PIXELS, normalise_crop

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
VOTE_COLUMNS = (4, 5, 6, 1, 3, 2, 0)
"""Columns of the FER+ votes in the order of LABELS; contempt, unknown and no-face are left out."""
WRONG_VOTES = (5274, 33200)
"""Rows whose FER+ votes belong to another image."""
SMOOTHING = 0.05
LABEL_SHARE = 0.85
"""Weight of the FER label in what the label's head aims at; the rest is the FER+ votes'."""
TAUGHT_SHARE = 0.6
"""Weight of the teachers in it, where there are any."""


@dataclass(frozen=True, slots=True)
class Faces:
    """One part of the data set, with what training aims at."""

    images: np.ndarray
    """uint8 [N, 48, 48]."""
    label: np.ndarray
    """int64 [N], index into LABELS."""
    votes: np.ndarray
    """float32 [N, 7], shares of the FER+ votes; the label where there are none."""
    majority: np.ndarray
    """int64 [N], what most of the ten people voted; -1 where that is none of LABELS."""
    taught: np.ndarray | None = None
    """What teachers answer, float32 [N, 14]: both heads' shares."""

    def target(self) -> np.ndarray:
        """What training aims at, float32 [N, 14]: the votes, and the smoothed label with some of them.

        Barsoum et al., "Training deep networks for facial expression recognition with crowd-sourced label
        distribution", ICMI 2016, trains on the votes. With teachers, most of it is their answer (Hinton et al.,
        "Distilling the knowledge in a neural network", 2015).
        """
        label = LABEL_SHARE * smoothed(self.label) + (1 - LABEL_SHARE) * self.votes
        people = np.concatenate([self.votes, label], axis=1)
        return people if self.taught is None else (1 - TAUGHT_SHARE) * people + TAUGHT_SHARE * self.taught


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
    votes = vote_shares(label, archive["ferplus_votes"])
    majority = most_voted(archive["ferplus_votes"])
    pixels = [image.tobytes() for image in images]
    tested = {content for content, part in zip(pixels, split, strict=True) if part != 0}
    copied = np.array([part == 0 and content in tested for content, part in zip(pixels, split, strict=True)])
    blank = images.reshape(len(images), -1).std(axis=1) < 1

    def part(rows: np.ndarray) -> Faces:
        return Faces(images[rows], label[rows], votes[rows], majority[rows])

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


def vote_shares(label: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """Shares of the FER+ votes over LABELS, the smoothed label where there are none; float32 [N, 7]."""
    counts = votes[:, VOTE_COLUMNS].astype(np.float32)
    counts[list(WRONG_VOTES)] = 0
    total = counts.sum(axis=1, keepdims=True)
    return np.where(total > 0, counts / np.maximum(total, 1), smoothed(label)).astype(np.float32)


def most_voted(votes: np.ndarray) -> np.ndarray:
    """The label with the most FER+ votes, int64 [N]; -1 where contempt, "unknown" or "no face" has them, or none."""
    label_of = np.full(votes.shape[1], -1)
    label_of[list(VOTE_COLUMNS)] = np.arange(len(LABELS))
    return np.where(votes.sum(axis=1) > 0, label_of[votes.argmax(axis=1)], -1)


def tensors(images: np.ndarray) -> np.ndarray:
    """Normalised crops, float32 [N, S, S, 1]."""
    return np.stack([normalise_crop(image) for image in images])


def vary(image: np.ndarray, pixels: int, rng: np.random.Generator) -> np.ndarray:
    """One face as another camera, head and lamp could have given it; uint8 [pixels, pixels]."""
    if rng.random() < 0.1:
        image = _far(image, rng)
    if rng.random() < 0.2:
        image = _grain(image, rng)
    image = _warp(image, pixels, rng)
    if rng.random() < 0.4:
        image = _gamma(image, float(np.exp(rng.uniform(-0.4, 0.4))))
    if rng.random() < 0.25:
        image = _side_light(image, rng)
    if rng.random() < 0.12:
        image = cv2.GaussianBlur(image, (0, 0), pixels / CROP_PIXELS * rng.uniform(0.4, 0.9))
    return image


def _far(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As a camera with 20 … 40 pixels for it would have seen it."""
    side = int(rng.integers(20, 40))
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _grain(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A sensor's noise, up to two fifths of the face's own contrast: little light leaves little contrast."""
    noise = rng.normal(0, rng.uniform(0.03, 0.4) * image.std(), image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _warp(image: np.ndarray, pixels: int, rng: np.random.Generator) -> np.ndarray:
    """Turn by up to 10°, scale by up to 10 %, shift by up to 8 %; mirror one in two."""
    scale = pixels / CROP_PIXELS * np.exp(rng.uniform(-0.1, 0.1))
    matrix = cv2.getRotationMatrix2D(((CROP_PIXELS - 1) / 2,) * 2, rng.uniform(-10, 10), scale)
    matrix[:, 2] += (pixels - CROP_PIXELS) / 2 + rng.uniform(-0.08, 0.08, 2) * pixels
    warped = cv2.warpAffine(image, matrix, (pixels, pixels), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return warped[:, ::-1] if rng.random() < 0.5 else warped


def _gamma(image: np.ndarray, gamma: float) -> np.ndarray:
    return cv2.LUT(image, (np.linspace(0, 1, 256) ** gamma * 255).astype(np.uint8))


def _side_light(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brighter on one side than on the other."""
    ramp = np.linspace(-1, 1, image.shape[0], dtype=np.float32)
    across, down = rng.uniform(-0.35, 0.35, 2).astype(np.float32)
    return np.clip(image * (1 + across * ramp[np.newaxis, :] + down * ramp[:, np.newaxis]), 0, 255).astype(np.uint8)


def _erase(tensor: np.ndarray, rng: np.random.Generator) -> None:
    """Blank a random rectangle of every third face, in place."""
    if rng.random() < 0.35:
        side = tensor.shape[0]
        height, width = rng.integers(side // 6, side // 2.4, 2)
        top, left = rng.integers(0, side - height), rng.integers(0, side - width)
        tensor[top : top + height, left : left + width] = rng.uniform(-1, 1)


def batches(faces: Faces, pixels: int, size: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One epoch of varied batches (float32 [size, S, S, 1], float32 [size, 14]), made ahead by a thread."""
    ready: queue.Queue[tuple[np.ndarray, np.ndarray] | None] = queue.Queue(maxsize=6)
    order = rng.permutation(len(faces.images))
    target = faces.target()

    def fill() -> None:
        for start in range(0, len(order) - size + 1, size):
            rows = order[start : start + size]
            made = np.stack([normalise_crop(vary(faces.images[row], pixels, rng)) for row in rows])
            for tensor in made:
                _erase(tensor, rng)
            ready.put((made, target[rows]))
        ready.put(None)

    threading.Thread(target=fill, daemon=True).start()
    while (batch := ready.get()) is not None:
        yield batch
