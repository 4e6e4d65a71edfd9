"""Measures our eyes as device/lab/peer_fer.py measures the peers: `python -m device.lab.peer_ours FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np

from device.adapters.cards import read_card
from device.adapters.faces_mediapipe import MediapipeFaceFinder
from device.adapters.tflite import TfliteClassifier
from device.config import Config
from device.domain.reading import Modality
from device.lab.peer_gauge import gauge
from device.ports import Frame, Image
from device.sensing.crop import normalise_crop
from device.sensing.eyes import Eyes


def main() -> None:
    """What the eyes make of the frames, and the face model of the bare faces."""
    folder, config = Path(sys.argv[1]), Config()
    card = read_card(config.paths.models, Modality.FACE)
    eyes = Eyes(MediapipeFaceFinder(config.camera.detector), TfliteClassifier(card), card.crop)
    told = gauge(sorted(folder.glob("*.png")), _load, lambda rgb: _look(eyes, rgb))
    # The answer to what FER-2013 asks; the speaker itself goes by the first one.
    classifier = TfliteClassifier(card, head="label")
    faces = [int(classifier.logits(normalise_crop(face)).argmax()) for face in np.load(folder / "faces.npy")]
    print(json.dumps({**told, "faces": faces}))


def _look(eyes: Eyes, rgb: Image) -> int:
    eyes.forget()  # each frame shows somebody else
    reading = eyes.look(Frame(rgb, 0.0))
    return int(np.argmax(reading.posterior.values)) if reading else -1


def _load(path: Path) -> Image:
    return np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), dtype=np.uint8)


if __name__ == "__main__":
    main()
