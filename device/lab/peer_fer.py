"""Measures the package `fer` on frames and faces from a folder; runs in the peers' own environment, without ours.

    .venv-peers/bin/python device/lab/peer_fer.py haar|mtcnn FOLDER

Prints one line of JSON: see device/lab/peers.py.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import cv2
import numpy as np
from fer import FER

# Run as a file: its folder is where Python looks first.
from peer_gauge import gauge

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
BATCH = 256


def main() -> None:
    """Measure one of its detectors."""
    detector, folder = sys.argv[1], Path(sys.argv[2])
    fer = FER(mtcnn=detector == "mtcnn")
    # OpenCV's order of colours is what it wants.
    told = gauge(sorted(folder.glob("*.png")), lambda path: cv2.imread(str(path)), lambda frame: look(fer, frame))
    faces = np.load(folder / "faces.npy")
    print(json.dumps({**told, "faces": classify(fer, faces)}))


def look(fer: Any, frame: Any) -> int:
    """The label of the largest face, -1 when none is found."""
    found = fer.detect_emotions(frame)
    if not found:
        return -1
    largest = max(found, key=lambda face: face["box"][2] * face["box"][3])
    return LABELS.index(max(largest["emotions"], key=largest["emotions"].get))


def classify(fer: Any, faces: Any) -> list[int]:
    """Labels of bare faces [N, 48, 48], prepared as the package prepares a face that it has cut out."""
    prepared = np.stack([cv2.resize(face, (64, 64)) for face in faces]).astype(np.float32) / 255.0 * 2.0 - 1.0
    batches = (prepared[start : start + BATCH] for start in range(0, len(prepared), BATCH))
    answers = np.concatenate([np.asarray(fer._classify_emotions(batch)) for batch in batches])
    return [int(label) for label in answers.argmax(axis=1)]


if __name__ == "__main__":
    main()
