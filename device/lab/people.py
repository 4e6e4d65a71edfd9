"""How often two people are called mixed when they look alike, and when they do not: on pairs of FER-2013's faces.

    python -m device.lab.people --data DIR [--split public]

Two faces drawn at random sit side by side and are watched for half a minute. Each look shows a face a little otherwise:
moved, nearer, tilted, in other light, with other grain. What the looks say goes the speaker's own way, from tracks to
the mood. "Clear" are faces whose label is also what most of ten people say they look like (FER+).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from device.adapters.cards import read_card
from device.adapters.tflite import TfliteClassifier
from device.config import Config
from device.domain.fusion import FusionSettings, fuse
from device.domain.labels import LABELS, MIXED
from device.domain.mood import Mood, MoodSettings, step
from device.domain.people import Sighting, Track, follow, reading_of
from device.domain.reading import Modality, Reading
from device.errors import run_command
from device.lab.degrade import FRAME, NEAR_PIXELS, Grey
from device.lab.evaluate import read_archive, with_progress
from device.lab.ferplus import most_voted, read_votes
from device.ports import Classifier, FaceBox
from device.sensing.crop import CROP_PIXELS, normalise_crop
from device.sensing.eyes import LEAST_QUALITY
from device.sensing.quality import face_quality

SPLITS = {"public": 1, "private": 2}
FACES, LOOKS, PAIRS = 1000, 10, 2000
"""Faces, different looks at each, and pairs of them; half of the pairs have the same label."""
LOOKS_HZ = 2.0
"""Between the five a second at somebody who moves and the one at somebody who sits still."""
SECONDS = (7, 10, 15, 20, 30)
"""How long they have been watched when the mood is asked."""
THRESHOLDS = (0.3, 0.4, 0.5, 0.6)
SEATS = (FRAME[1] / 4, 3 * FRAME[1] / 4)

UNPLEASANT = {LABELS.index(label) for label in ("angry", "disgust", "fear", "sad")}
HAPPY = LABELS.index("happy")
KINDS: Mapping[str, Callable[[int, int], bool]] = {
    "same label": lambda one, other: one == other,
    "other label": lambda one, other: one != other,
    "happy and unpleasant": lambda one, other: HAPPY in (one, other) and bool(UNPLEASANT & {one, other}),
}


@dataclass(frozen=True, slots=True)
class Watched:
    """What came of watching two people."""

    first: float
    """How much they differed at the first look."""
    last: float
    """… and in the end, smoothed as the mood is."""
    mixed: tuple[bool, ...]
    """Whether the mood was mixed after each of SECONDS."""


def another_look(face: Grey, chance: np.random.Generator) -> Grey:
    """The face, uint8 [48, 48], as another frame shows it: a little moved, nearer, tilted, in other light, grainy."""
    middle = (CROP_PIXELS - 1) / 2
    tilt = cv2.getRotationMatrix2D((middle, middle), chance.normal(0, 3), chance.uniform(0.94, 1.08))
    place = tilt + np.pad(chance.normal(0, 1.2, (2, 1)), ((0, 0), (2, 0)))
    moved = cv2.warpAffine(face, place, face.shape[::-1], borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    lit = 255 * chance.uniform(0.7, 1.2) * (moved / 255) ** chance.uniform(0.8, 1.25)
    from_the_side = 1 + chance.uniform(-0.2, 0.2) * np.linspace(-1, 1, CROP_PIXELS)
    grainy = lit * from_the_side + chance.normal(0, chance.uniform(1, 6), face.shape)
    return np.asarray(np.clip(np.rint(grainy), 0, 255), dtype=np.uint8)


def sighted(crop: Grey, classifier: Classifier) -> Sighting:
    """What the eyes make of a crop of somebody a metre away, in the middle of the frame."""
    x, y = FRAME[1] / 2, FRAME[0] / 2
    box = FaceBox(x - NEAR_PIXELS / 2, y - NEAR_PIXELS / 2, NEAR_PIXELS, NEAR_PIXELS, 1.0)
    quality, note = face_quality(crop, box, FRAME)
    return Sighting(x, y, NEAR_PIXELS, classifier.classify(normalise_crop(crop)), quality, note)


def watch(one: Sequence[Sighting], other: Sequence[Sighting], chance: np.random.Generator) -> Watched:
    """Half a minute of looks at two people side by side, drawn from those that there are."""
    tracks: tuple[Track, ...] = ()
    reading: Reading | None = None
    first, mood, mixed = 0.0, Mood(), []
    for number in range(round(SECONDS[-1] * LOOKS_HZ) + 1):
        now = number / LOOKS_HZ
        drawn = [looks[chance.integers(len(looks))] for looks in (one, other)]
        seated = [replace(sighting, x=seat) for sighting, seat in zip(drawn, SEATS, strict=True)]
        sightings = [sighting for sighting in seated if sighting.quality >= LEAST_QUALITY]
        tracks = follow(tracks, sightings, now)
        reading = reading_of(tracks, now) if sightings else reading
        first = reading.disagreement if reading and number == 0 else first
        mood = step(mood, fuse([reading] if reading else [], now, FusionSettings()), now, MoodSettings())
        if now in SECONDS:
            mixed.append(mood.label == MIXED)
    return Watched(first, mood.disagreement, tuple(mixed))


def drawn_pairs(labels: NDArray[np.int64], chance: np.random.Generator) -> NDArray[np.int64]:
    """Pairs of rows, [n, 2]: half with the same label, half with another."""
    pairs = chance.integers(0, len(labels), (40 * PAIRS, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    same = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    return np.concatenate([pairs[same][: PAIRS // 2], pairs[~same][: PAIRS // 2]])


def table(watched: Sequence[Watched], labels: NDArray[np.int64], clear: NDArray[np.bool_]) -> str:
    """Shares called mixed per kind of pair; `labels` [n, 2], `clear` [n]."""
    columns = ["a look", *(f"{seconds} s" for seconds in SECONDS), *(f"> {least}" for least in THRESHOLDS)]
    lines = [f"{'':<29}{'pairs':>6}" + "".join(f"{column:>8}" for column in columns)]
    usual = MoodSettings().mixed_above
    answers = np.array(
        [[w.first > usual, *w.mixed, *(w.last > least for least in THRESHOLDS)] for w in watched], dtype=np.float64
    )
    for prefix, known in (("", np.ones_like(clear)), ("clear, ", clear)):
        for name, belongs in KINDS.items():
            rows = known & np.array([belongs(one, other) for one, other in labels.tolist()])
            shares = [f"{100 * share:>6.1f} %" for share in answers[rows].mean(axis=0)] if rows.any() else ["      –"]
            lines.append(f"{prefix + name:<29}{rows.sum():>6}" + "".join(shares))
    return "\n".join(lines)


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--models", type=Path, default=Config().paths.models)
    parser.add_argument("--split", choices=SPLITS, default="private")
    options = parser.parse_args()
    classifier = TfliteClassifier(read_card(options.models, Modality.FACE))
    archive = read_archive(options.data / "fer2013.npz")
    chance = np.random.default_rng(1)
    rows = chance.permutation(np.flatnonzero(archive["split"] == SPLITS[options.split]))[:FACES]
    labels = archive["label"][rows].astype(np.int64)
    clear = most_voted(read_votes(archive))[rows] == labels
    looks = [
        [sighted(another_look(face, chance), classifier) for _ in range(LOOKS)]
        for face in with_progress(list(archive["images"][rows]), "looks")
    ]
    pairs = drawn_pairs(labels, chance)
    watched = [watch(looks[i], looks[j], chance) for i, j in with_progress(pairs.tolist(), "pairs")]
    print(table(watched, labels[pairs], clear[pairs].all(axis=1)))


if __name__ == "__main__":
    sys.exit(run_command("people", main))
