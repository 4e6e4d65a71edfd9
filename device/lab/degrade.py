"""Shows faces worse and worse on the speaker's own way from a frame to an answer: does it know when it cannot know?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from device.domain.fusion import FusionSettings, fuse
from device.domain.labels import UNKNOWN
from device.domain.mood import MoodSettings
from device.domain.reading import Modality, Reading
from device.ports import Classifier, FaceBox, FaceFinder
from device.sensing.crop import CROP_PIXELS, CropGeometry, crop_face, normalise_crop
from device.sensing.eyes import LEAST_QUALITY
from device.sensing.quality import face_quality

Grey = NDArray[np.uint8]
Chance = np.random.Generator

FRAME = (480, 640)
NEAR_PIXELS = 130
"""Side of a face that is shown well: somebody a metre away."""
HALF = CROP_PIXELS // 2
WHOLE = slice(None)
HALVES = {
    "left half": (WHOLE, slice(HALF)),
    "right half": (WHOLE, slice(HALF, None)),
    "upper half": (slice(HALF), WHOLE),
    "lower half": (slice(HALF, None), WHOLE),
}
"""Of the picture."""
SEED = 23


@dataclass(frozen=True, slots=True)
class Degradation:
    """One way in which a face is seen badly."""

    name: str
    spoil: Callable[[Grey, Chance], Grey]
    """From a face, uint8 [48, 48], to the same one seen badly."""
    side_pixels: int = NEAR_PIXELS
    """How large it is in the frame."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the speaker made of one face."""

    label: str
    """One of LABELS, or unknown."""
    guess: str
    """The model's, however unsure; a face below the least quality is not asked about otherwise."""
    quality: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of all faces under one degradation; `right`, `wrong` and `unknown` sum to 1."""

    count: int
    right: float
    wrong: float
    """Share that got an answer, and a wrong one."""
    unknown: float
    wrong_without_quality: float
    """Share that would get a wrong answer if every picture were trusted."""
    quality: float
    """Median."""
    found: float
    """Share that the face finder still finds, of those that it finds when they are shown well …"""
    found_and_wrong: float
    """… and share of them that get a wrong answer all the way, at the place that it gives."""


def blurred(width: float, face: Grey, _: Chance) -> Grey:
    """Out of focus: a Gaussian of this width in pixels."""
    return _grey(cv2.GaussianBlur(face, (0, 0), width))


def moved(pixels: int, face: Grey, _: Chance) -> Grey:
    """Moved sideways by so much while the picture was taken."""
    return _grey(cv2.filter2D(face, -1, np.full((1, pixels), 1 / pixels)))


def in_light(light: float, noise: float, face: Grey, chance: Chance) -> Grey:
    """With this share of the light, and a sensor's noise of so many grey levels."""
    return _grey(face * light + chance.normal(0, noise, face.shape))


def covered(half: str, face: Grey, _: Chance) -> Grey:
    """With something plain and as light as the face before this half of it."""
    spoilt = face.copy()
    spoilt[HALVES[half]] = round(float(face.mean()))
    return spoilt


def patterned(half: str, face: Grey, chance: Chance) -> Grey:
    """With something patterned before this half: folds as wide as a finger, of the face's own contrast."""
    folds = cv2.GaussianBlur(chance.normal(0, 1, face.shape), (0, 0), 2.0)
    spoilt = face.copy()
    spoilt[HALVES[half]] = _grey(face.mean() + face.std() * folds / folds.std())[HALVES[half]]
    return spoilt


def as_it_is(face: Grey, _: Chance) -> Grey:
    """Shown well."""
    return face


CLEAN = Degradation("shown well", as_it_is)
DEGRADATIONS = (
    CLEAN,
    *(Degradation(f"blur {width:g} px", partial(blurred, width)) for width in (1.0, 1.5, 2.0, 3.0)),
    *(Degradation(f"motion {pixels} px", partial(moved, pixels)) for pixels in (5, 9)),
    *(Degradation(f"light {light:.0%}", partial(in_light, light, 4.0)) for light in (0.3, 0.15, 0.06)),
    *(Degradation(f"grain {noise}", partial(in_light, 1.0, noise)) for noise in (20, 35)),
    *(Degradation(f"{half} covered", partial(covered, half)) for half in HALVES),
    *(Degradation(f"{half} patterned", partial(patterned, half)) for half in ("left half", "lower half")),
    *(Degradation(f"face {pixels} px", as_it_is, pixels) for pixels in (32, 24, 16)),
)
"""Pixels of blur and motion, and grey levels of grain, are those of the 48 × 48 face."""


def degraded(
    faces: Sequence[Grey], labels: Sequence[str], classifier: Classifier, geometry: CropGeometry, finder: FaceFinder
) -> dict[str, Outcome]:
    """What becomes of `faces`, each uint8 [48, 48], whose true label is known, under every degradation.

    The face's place is given, as if the finder had found it; what the finder makes of it is told apart.
    """
    known = list(zip(faces, labels, strict=True))
    findable = [_found(finder, *shown(face, CLEAN.side_pixels, geometry)) is not None for face in faces]
    return {kind.name: _outcome(kind, known, findable, classifier, geometry, finder) for kind in DEGRADATIONS}


def shown(face: Grey, side_pixels: int, geometry: CropGeometry) -> tuple[Grey, FaceBox]:
    """A frame [480, 640] with the face on a wall as light as its rim, and the box whose crop is that face."""
    rim = np.concatenate([face[0], face[-1], face[:, 0], face[:, -1]])
    frame = np.full(FRAME, round(float(rim.mean())), np.uint8)
    left, top = (FRAME[1] - side_pixels) // 2, (FRAME[0] - side_pixels) // 2
    method = cv2.INTER_AREA if side_pixels < CROP_PIXELS else cv2.INTER_CUBIC
    frame[top : top + side_pixels, left : left + side_pixels] = cv2.resize(
        face, (side_pixels, side_pixels), interpolation=method
    )
    side = side_pixels / geometry.scale
    centre_x, centre_y = (
        left + side_pixels / 2 - geometry.shift_x * side,
        top + side_pixels / 2 - geometry.shift_y * side,
    )
    return frame, FaceBox(centre_x - side / 2, centre_y - side / 2, side, side, 1.0)


def answer_to(frame: Grey, box: FaceBox, classifier: Classifier, geometry: CropGeometry) -> Answer:
    """What the speaker says about a face that it sees long enough, and hears nothing meanwhile."""
    crop = crop_face(frame, box, geometry)
    quality, note = face_quality(crop, box, frame.shape)
    reading = Reading(Modality.FACE, classifier.classify(normalise_crop(crop)), quality, 0.0, note)
    return Answer(label_of(reading) if quality >= LEAST_QUALITY else UNKNOWN, reading.posterior.label, quality)


def label_of(reading: Reading) -> str:
    """The label that the room's mood settles on when there is this reading only."""
    fused = fuse((reading,), reading.at_seconds, FusionSettings())
    sure = fused is not None and fused.posterior.top >= MoodSettings().smallest_top
    return fused.posterior.label if fused and sure else UNKNOWN


def _outcome(
    kind: Degradation,
    known: Sequence[tuple[Grey, str]],
    findable: Sequence[bool],
    classifier: Classifier,
    geometry: CropGeometry,
    finder: FaceFinder,
) -> Outcome:
    chance = np.random.default_rng(SEED)
    views = [shown(kind.spoil(face, chance), kind.side_pixels, geometry) for face, _ in known]
    answers = [answer_to(frame, box, classifier, geometry) for frame, box in views]
    pairs = [(answer, label) for answer, (_, label) in zip(answers, known, strict=True)]
    unknown = [answer.label == UNKNOWN for answer, _ in pairs]
    right = [answer.label == label for answer, label in pairs]
    found, found_and_wrong = _all_the_way(
        [(view, label) for view, (_, label), could in zip(views, known, findable, strict=True) if could],
        classifier, geometry, finder,
    )  # fmt: skip
    return Outcome(
        count=len(known),
        right=float(np.mean(right)),
        wrong=float(1 - np.mean(right) - np.mean(unknown)),
        unknown=float(np.mean(unknown)),
        wrong_without_quality=float(np.mean([answer.guess != label for answer, label in pairs])),
        quality=float(np.median([answer.quality for answer in answers])),
        found=found,
        found_and_wrong=found_and_wrong,
    )


def _all_the_way(
    known: Sequence[tuple[tuple[Grey, FaceBox], str]],
    classifier: Classifier,
    geometry: CropGeometry,
    finder: FaceFinder,
) -> tuple[float, float]:
    """Shares of `known`: what the finder finds, and what it finds and then gets a wrong answer."""
    boxes = [(frame, _found(finder, frame, place), label) for (frame, place), label in known]
    found = [(answer_to(frame, box, classifier, geometry), label) for frame, box, label in boxes if box]
    wrong = sum(answer.label not in (UNKNOWN, label) for answer, label in found)
    return len(found) / max(1, len(known)), wrong / max(1, len(known))


def _found(finder: FaceFinder, frame: Grey, place: FaceBox) -> FaceBox | None:
    """The face whose middle lies in the one that is shown."""
    return next(
        (
            box
            for box in finder.find(np.repeat(frame[:, :, np.newaxis], 3, axis=2))
            if abs(box.x + box.width / 2 - place.x - place.width / 2) < place.width / 2
            and abs(box.y + box.height / 2 - place.y - place.height / 2) < place.height / 2
        ),
        None,
    )


def _grey(values: NDArray[np.generic]) -> Grey:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)
