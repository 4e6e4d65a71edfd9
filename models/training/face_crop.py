"""Measures how the detector's boxes lie on faces framed as in FER-2013, and what the way from frame to label costs.

    python -m models.training.face_crop --data DIR [--faces N]

Runs with the box's own packages (MediaPipe, TFLite), not with the training ones. Faces are pasted into 640×480 frames,
found again, and compared with where they were put: on training faces for the geometry, on PublicTest for the accuracy.
Prints JSON; with `--write` the geometry goes into the model's card, from where the next training takes it over.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from device.adapters.cards import read_card
from device.adapters.faces_mediapipe import MediapipeFaceFinder
from device.adapters.tflite import TfliteClassifier
from device.domain.reading import Modality
from device.errors import run_command
from device.ports import FaceBox
from device.sensing.crop import CropGeometry, crop_face, normalise_crop

FRAME = (480, 640)
SIDES = (110, 200)
SEED = 7


@dataclass(frozen=True, slots=True)
class Pasted:
    """A frame with one face of the data set in it."""

    frame: NDArray[np.uint8]
    """uint8 [480, 640]."""
    left: int
    top: int
    side: int
    """Where the 48×48 image lies, in pixels."""


def paste(image: NDArray[np.uint8], rng: np.random.Generator) -> Pasted:
    """Put a face, 110 … 200 pixels wide, somewhere on a softly patterned wall as bright as its rim."""
    height, width = FRAME
    wall = cv2.resize(rng.normal(0, 18, (12, 16)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    rim = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    frame = np.clip(wall + rim.mean() + rng.normal(0, 3, FRAME), 0, 255).astype(np.uint8)
    side = int(rng.integers(*SIDES))
    left, top = int(rng.integers(20, width - side - 20)), int(rng.integers(20, height - side - 20))
    frame[top : top + side, left : left + side] = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    return Pasted(frame, left, top, side)


def find(finder: MediapipeFaceFinder, pasted: Pasted) -> FaceBox | None:
    """The box whose centre lies in the pasted image, if there is one."""
    for box in finder.find(np.repeat(pasted.frame[:, :, np.newaxis], 3, axis=2)):
        across = box.x + box.width / 2 - pasted.left
        down = box.y + box.height / 2 - pasted.top
        if 0 < across < pasted.side and 0 < down < pasted.side:
            return box
    return None


def geometry(finder: MediapipeFaceFinder, images: NDArray[np.uint8]) -> tuple[CropGeometry, dict[str, object]]:
    """The median scale and shift over the faces that are found, and how widely they spread."""
    rng = np.random.default_rng(SEED)
    rows = []
    for image in images:
        pasted = paste(image, rng)
        box = find(finder, pasted)
        if box is not None:
            side = float(np.sqrt(box.width * box.height))
            centre_x, centre_y = pasted.left + pasted.side / 2, pasted.top + pasted.side / 2
            shift_x = (centre_x - box.x) / box.width - 0.5
            rows.append((pasted.side / side, shift_x, (centre_y - box.y) / box.height - 0.5))
    quarters = np.percentile(rows, (25, 50, 75), axis=0).round(3)
    scale, shift_x, shift_y = quarters[1]
    spread = dict(zip(("scale", "shift_x", "shift_y"), quarters[[0, 2]].T.tolist(), strict=True))
    return CropGeometry(scale, shift_x, shift_y), {
        "found": round(len(rows) / len(images), 4),
        "quartiles": spread,
    }


def through(
    finder: MediapipeFaceFinder,
    classifier: TfliteClassifier,
    place: CropGeometry,
    images: NDArray[np.uint8],
    label: NDArray[np.uint8],
) -> dict[str, object]:
    """Accuracy of frame, box, crop and model together, beside that of the images as they are."""
    rng = np.random.default_rng(SEED + 1)
    direct, found, path = [], [], []
    for image, truth in zip(images, label, strict=True):
        direct.append(guess(classifier, image) == truth)
        pasted = paste(image, rng)
        box = find(finder, pasted)
        found.append(box is not None)
        if box is not None:
            path.append(guess(classifier, crop_face(pasted.frame, box, place)) == truth)
    return {
        "faces": len(images),
        "found": round(float(np.mean(found)), 4),
        "direct_all": round(float(np.mean(direct)), 4),
        "direct_of_found": round(float(np.mean(np.array(direct)[found])), 4),
        "path_of_found": round(float(np.mean(path)), 4),
    }


def guess(classifier: TfliteClassifier, crop: NDArray[np.uint8]) -> int:
    """Index of the likeliest label."""
    return int(np.argmax(classifier.classify(normalise_crop(crop)).values))


def keep(path: Path, geometry: dict[str, object]) -> None:
    """Put the geometry into the card at `path`."""
    card = json.loads(path.read_text(encoding="utf-8"))
    card["crop"] |= geometry
    path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Measure both detectors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with fer2013.npz")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--faces", type=int, default=500)
    parser.add_argument("--write", choices=("short", "full"), help="keep the geometry of this detector for the card")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    archive = np.load(arguments.data / "fer2013.npz")
    images, label, split = archive["images"], archive["label"], archive["split"]
    rng = np.random.default_rng(SEED)
    learnt = rng.choice(np.flatnonzero(split == 0), arguments.faces, replace=False)
    asked = rng.choice(np.flatnonzero(split == 1), arguments.faces, replace=False)
    classifier = TfliteClassifier(read_card(arguments.models, Modality.FACE), head="label")
    for detector in ("short", "full"):
        with MediapipeFaceFinder(detector) as finder:
            place, spread = geometry(finder, images[learnt])
            facts = {"scale": place.scale, "shift_x": place.shift_x, "shift_y": place.shift_y}
            figures = through(finder, classifier, place, images[asked], label[asked])
        print(json.dumps({"detector": detector, **facts, **spread, **figures}))
        if detector == arguments.write:
            named = {**facts, "detector": f"mediapipe 0.10.18 face_detection, {detector} range"}
            keep(arguments.models / "face.card.json", named)


if __name__ == "__main__":
    sys.exit(run_command("face_crop", main))
