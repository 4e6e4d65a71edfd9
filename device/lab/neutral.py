"""Whether learning a neutral face helps: on the voices of real held-out speakers, and on made-up faces.

    python -m device.lab.neutral --data DIR

FER-2013 names nobody, so the method is tried where people are known: half of a speaker's neutral clips teach, all other
clips are read before and after. For faces there is only a simulation: all faces of one made-up person are bent
in the same way, as by drooping corners of the mouth or low brows; some neutral ones teach, others are read.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from device.adapters.cards import VoiceCard, read_card
from device.adapters.tflite import TfliteClassifier
from device.config import Config
from device.domain.neutral import LOOK_SECONDS, NEUTRAL, Baseline, against_neutral, baseline, corrected
from device.domain.reading import Modality, Posterior
from device.errors import run_command
from device.lab.evaluate import Clip, nemo_test, ravdess_test, read_archive, read_clip, with_progress
from device.sensing.crop import normalise_crop
from device.sensing.logmel import voice_input

SPLITS = 20
"""Halves of a speaker's neutral clips are drawn so often."""
TAUGHT_FACES = 20
READ_FACES = 400
PRIVATE_TEST = 2
Grey = NDArray[np.uint8]

MOUTH_CORNERS, BROWS = ((15.0, 36.0), (33.0, 36.0)), ((14.0, 16.0), (34.0, 16.0))
"""Where they lie on most 48×48 faces of FER-2013, pixels."""
MADE_UP = {
    "as they are": ((), 0.0),
    "mouth droops 2 px": (MOUTH_CORNERS, 2.0),
    "mouth droops 4 px": (MOUTH_CORNERS, 4.0),
    "brows 2 px lower": (BROWS, 2.0),
    "brows 4 px lower": (BROWS, 4.0),
}
BEND_WIDTH = 4.0


@dataclass(frozen=True, slots=True)
class Effect:
    """Before and after the baseline, shares 0 … 1."""

    who: str
    read: int
    accuracy: tuple[float, float]
    balanced: tuple[float, float]
    """Mean recall of the labels."""
    neutral: tuple[float, float]
    """Recall of neutral."""
    strongest: float
    """Most log-odds that were taken off."""


def taught(posteriors: Sequence[Posterior]) -> Baseline:
    """What twenty seconds spread over these posteriors teach."""
    return baseline(np.mean([against_neutral(posterior) for posterior in posteriors], axis=0).tolist(), LOOK_SECONDS)


def effect(who: str, taught_by: Sequence[Posterior], read: Sequence[Posterior], labels: Sequence[int]) -> Effect:
    """What the baseline of some neutral posteriors does to others."""
    off = taught(taught_by)
    truth = np.array(labels)
    before = _shares(np.array([np.argmax(posterior.values) for posterior in read]), truth)
    after = _shares(np.array([np.argmax(corrected(posterior, off).values) for posterior in read]), truth)
    accuracy, balanced, neutral = zip(before, after, strict=True)
    return Effect(who, len(read), accuracy, balanced, neutral, max(off))


def _shares(answers: NDArray[np.int64], truth: NDArray[np.int64]) -> tuple[float, float, float]:
    right = answers == truth
    recalls = {label: float(right[truth == label].mean()) for label in np.unique(truth).tolist()}
    return float(right.mean()), float(np.mean(list(recalls.values()))), recalls[NEUTRAL]


def mean_effect(effects: Sequence[Effect]) -> Effect:
    """Of several halves or people."""

    def pair(name: str) -> tuple[float, float]:
        before, after = np.mean([getattr(each, name) for each in effects], axis=0)
        return float(before), float(after)

    strongest = float(np.mean([each.strongest for each in effects]))
    return Effect(effects[0].who, effects[0].read, pair("accuracy"), pair("balanced"), pair("neutral"), strongest)


def speakers(models: Path, data: Path) -> list[Effect]:
    """The effect on each speaker of the fixed test part, over halves of the neutral clips."""
    card = read_card(models, Modality.VOICE)
    classifier = TfliteClassifier(card)
    by_speaker: dict[str, list[Clip]] = {}
    for clip in ravdess_test(data):
        by_speaker.setdefault(f"RAVDESS {clip.path.stem.split('-')[-1]}", []).append(clip)
    for clip in nemo_test(data):
        by_speaker.setdefault(f"nEMO {clip.path.stem.split('_')[0]}", []).append(clip)
    return [_speaker(who, clips, classifier, card) for who, clips in by_speaker.items()]


def _speaker(who: str, clips: list[Clip], classifier: TfliteClassifier, card: VoiceCard) -> Effect:
    posteriors = [
        classifier.classify(voice_input(read_clip(clip.path), card.features)) for clip in with_progress(clips, who)
    ]
    labels = [clip.label for clip in clips]
    rng = np.random.default_rng(1)
    neutral = np.flatnonzero(np.array(labels) == NEUTRAL)
    effects = []
    for _ in range(SPLITS):
        teach = set(rng.permutation(neutral)[: len(neutral) // 2].tolist())
        rest = [index for index in range(len(clips)) if index not in teach]
        effects.append(
            effect(who, [posteriors[i] for i in teach], [posteriors[i] for i in rest], [labels[i] for i in rest])
        )
    return mean_effect(effects)


def faces(models: Path, data: Path) -> list[Effect]:
    """The effect on made-up people: PrivateTest's faces, each of a person bent alike."""
    card = read_card(models, Modality.FACE)
    classifier = TfliteClassifier(card)
    archive = read_archive(data / "fer2013.npz")
    images, labels = archive["images"], archive["label"].astype(int)
    rows = np.random.default_rng(1).permutation(np.flatnonzero(archive["split"] == PRIVATE_TEST))
    teach = rows[labels[rows] == NEUTRAL][:TAUGHT_FACES]
    read = [row for row in rows if row not in set(teach.tolist())][:READ_FACES]
    effects = []
    for who, (points, pixels) in MADE_UP.items():
        taught_by = _read_faces(classifier, (bent(images[row], points, pixels) for row in teach))
        answers = _read_faces(classifier, (bent(images[row], points, pixels) for row in read))
        effects.append(effect(who, taught_by, answers, labels[read].tolist()))
    return effects


def _read_faces(classifier: TfliteClassifier, images: Iterable[Grey]) -> list[Posterior]:
    return [classifier.classify(normalise_crop(image)) for image in images]


def bent(image: Grey, points: Sequence[tuple[float, float]], pixels: float) -> Grey:
    """`image` [48, 48] with the skin around each point moved down by so many pixels."""
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    pull = sum((np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * BEND_WIDTH**2)) for px, py in points), np.zeros_like(x))
    moved = cv2.remap(image, x, (y - pixels * pull).astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, dtype=np.uint8)


def table(effects: Sequence[Effect]) -> str:
    """One line each: before → after, in percent."""
    lines = [f"{'':<20}{'read':>6}{'accuracy':>16}{'balanced':>16}{'neutral':>16}{'log-odds':>10}"]
    for each in effects:
        shares = "".join(
            f"{100 * before:>8.1f} → {100 * after:>5.1f}"
            for before, after in (each.accuracy, each.balanced, each.neutral)
        )
        lines.append(f"{each.who:<20}{each.read:>6}{shares}{each.strongest:>10.2f}")
    return "\n".join(lines)


def main() -> None:
    """Print what the baseline does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--models", type=Path, default=Config().paths.models)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    voices = speakers(options.models, options.data)
    everybody = mean_effect(voices)
    made_up = faces(options.models, options.data)
    if options.json:
        told = {"speakers": voices, "made_up_faces": made_up}
        print(json.dumps({name: [asdict(each) for each in effects] for name, effects in told.items()}, indent=2))
        return
    print("voices of held-out speakers (the mean of all last)")
    print(table([*voices, Effect("mean", sum(e.read for e in voices), *list(asdict(everybody).values())[2:])]))
    print("\nmade-up faces (a simulation)")
    print(table(made_up))


if __name__ == "__main__":
    sys.exit(run_command("neutral", main))
