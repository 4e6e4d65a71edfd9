"""How often two people are called mixed when they look alike, and when they do not: on pairs of FER-2013's faces.

    python -m device.lab.people --data DIR [--split public]

One look each, two equally weighty faces drawn at random; the labels are FER-2013's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.adapters.cards import read_card
from device.adapters.tflite import TfliteClassifier
from device.config import Config
from device.domain.labels import LABELS
from device.domain.people import disagreement
from device.domain.reading import Modality, Person, Posterior
from device.lab.evaluate import read_archive
from device.sensing.crop import normalise_crop

SPLITS = {"public": 1, "private": 2}
FACES, PAIRS = 600, 4000
UNPLEASANT = {LABELS.index(label) for label in ("angry", "disgust", "fear", "sad")}
HAPPY = LABELS.index("happy")
THRESHOLDS = (0.2, 0.3, 0.4, 0.5)
KINDS: Mapping[str, Callable[[int, int], bool]] = {
    "same label": lambda one, other: one == other,
    "other label": lambda one, other: one != other,
    "happy and unpleasant": lambda one, other: HAPPY in (one, other) and bool(UNPLEASANT & {one, other}),
}


def called_mixed(
    posteriors: list[Posterior], labels: NDArray[np.int64], seed: int = 1
) -> dict[str, tuple[int, dict[float, float]]]:
    """Per kind of pair: how many were drawn, and the share above each threshold."""
    pairs = np.random.default_rng(seed).integers(0, len(posteriors), (PAIRS, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    differ = np.array([disagreement([Person(posteriors[i], 1.0), Person(posteriors[j], 1.0)]) for i, j in pairs])
    told = {}
    for name, belongs in KINDS.items():
        of_kind = differ[[belongs(int(labels[i]), int(labels[j])) for i, j in pairs]]
        told[name] = (len(of_kind), {least: float((of_kind > least).mean()) for least in THRESHOLDS})
    return told


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--models", type=Path, default=Config().paths.models)
    parser.add_argument("--split", choices=SPLITS, default="private")
    options = parser.parse_args()
    classifier = TfliteClassifier(read_card(options.models, Modality.FACE))
    archive = read_archive(options.data / "fer2013.npz")
    images, labels = archive["images"], archive["label"].astype(np.int64)
    rows = np.random.default_rng(1).permutation(np.flatnonzero(archive["split"] == SPLITS[options.split]))[:FACES]
    posteriors = [classifier.classify(normalise_crop(images[row])) for row in rows]
    print(f"{'called mixed above':<24}{'pairs':>6}" + "".join(f"{least:>8}" for least in THRESHOLDS))
    for name, (count, shares) in called_mixed(posteriors, labels[rows]).items():
        print(f"{name:<24}{count:>6}" + "".join(f"{100 * share:>6.1f} %" for share in shares.values()))


if __name__ == "__main__":
    main()
