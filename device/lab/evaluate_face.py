"""Measures the shipped face model on FER-2013's PrivateTest: how often right, how sure, and when it says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.adapters.cards import FaceCard, read_card
from device.adapters.faces_mediapipe import MediapipeFaceFinder
from device.adapters.tflite import TfliteClassifier
from device.domain.labels import LABELS
from device.domain.reading import Modality
from device.lab.degrade import NEAR_PIXELS, Grey, degraded, shown
from device.lab.evaluate import (
    PRIVATE_TEST,
    Report,
    confusion_text,
    model_facts,
    plain,
    read_archive,
    report_text,
    with_progress,
)
from device.lab.ferplus import NOBODY, for_labels, majority, most_voted, one_leads, read_votes
from device.lab.metrics import agreement, certainty, coverage, score
from device.sensing.crop import crop_face, normalise_crop
from device.sensing.quality import face_quality

DEGRADED_FACES = 300
"""About so many of the test faces are shown badly; every degradation costs as much as a whole test."""


@dataclass(frozen=True, slots=True)
class FaceTest:
    """FER-2013's PrivateTest: N faces, of n of which most people (FER+) say one of our labels."""

    images: NDArray[np.uint8]
    """[N, 48, 48]."""
    truth: NDArray[np.int64]
    """[N], what the labeller wrote: indices into LABELS."""
    fresh: NDArray[np.bool_]
    """[N], false where the same picture also stands in an earlier part."""
    shared: NDArray[np.bool_]
    """[N], true for the n."""
    most_voted: NDArray[np.int64]
    """[n], what most of ten people voted, however few these are; of equals one."""
    one_leads: NDArray[np.bool_]
    """[n], false where as many voted for another."""
    majority: NDArray[np.int64]
    """[n], what more than half of them voted; NOBODY where that is nothing."""
    shares: NDArray[np.float64]
    """[n, 7], of the votes for our labels."""


def face_test(data: Path) -> FaceTest:
    """The test part in the folder with the data sets."""
    archive = read_archive(data / "fer2013.npz")
    rows = np.flatnonzero(archive["split"] == PRIVATE_TEST)
    votes = read_votes(archive)[rows]
    voted = most_voted(votes)
    shared = voted != NOBODY
    counts = for_labels(votes[shared])
    return FaceTest(
        images=archive["images"][rows],
        truth=archive["label"][rows].astype(np.int64),
        fresh=~archive["dup_of_earlier_split"][rows].astype(bool),
        shared=shared,
        most_voted=voted[shared],
        one_leads=one_leads(votes[shared]),
        majority=majority(votes[shared]),
        shares=counts / counts.sum(axis=1, keepdims=True),
    )


def evaluate_face(models: Path, data: Path, runtime: str = "auto") -> Report:
    """Accuracy and calibration of the label and of what most people voted (FER+), coverage, and faces seen badly."""
    test = face_test(data)
    card = read_card(models, Modality.FACE)
    label = _asked(card, "label", list(test.images), runtime)
    voted = _asked(card, "votes", list(test.images), runtime)[test.shared]
    clear = test.majority != NOBODY
    trust = np.array([_quality(image, card) for image in test.images])
    fresh = plain(score(label[test.fresh], test.truth[test.fresh]))["accuracy"]
    figures = {
        "fer2013_private": {**plain(score(label, test.truth)), "accuracy_without_duplicates": fresh},
        "ferplus": {**plain(score(voted, test.most_voted)), "votes": plain(agreement(voted, test.shares))},
        "ferplus_without_ties": plain(score(voted[test.one_leads], test.most_voted[test.one_leads])),
        "ferplus_majority": plain(score(voted[clear], test.majority[clear])),
        "coverage": {
            "ferplus": _coverage(voted, trust[test.shared], test.most_voted),
            "fer2013_private": _coverage(label, trust, test.truth),
        },
        "degraded": _degraded(card, test.images[test.shared], test.most_voted, runtime),
        "model": model_facts(card),
    }
    return Report(figures, _text(figures))


def _asked(card: FaceCard, head: str, images: Sequence[Grey], runtime: str) -> NDArray[np.float64]:
    """Posteriors [N, 7] of one of the model's answers."""
    classifier = TfliteClassifier(card, runtime=runtime, head=head)
    asked = (classifier.classify(normalise_crop(image)) for image in with_progress(images, head))
    return np.array([posterior.values for posterior in asked], dtype=np.float64)


def _quality(image: Grey, card: FaceCard) -> float:
    """As the camera would see it a metre away."""
    frame, box = shown(image, NEAR_PIXELS, card.crop)
    return face_quality(crop_face(frame, box, card.crop), box, frame.shape)[0]


def _coverage(posteriors: NDArray[np.float64], trust: NDArray[np.float64], truth: NDArray[np.int64]) -> dict[str, Any]:
    """By the confidence that the fusion goes by: quality × (1 − normalised entropy)."""
    return plain(coverage(trust * certainty(posteriors), posteriors.argmax(axis=1) == truth))


def _degraded(card: FaceCard, images: NDArray[np.uint8], voted: NDArray[np.int64], runtime: str) -> dict[str, Any]:
    some = slice(None, None, max(1, round(len(images) / DEGRADED_FACES)))
    labels = [LABELS[index] for index in voted[some]]
    with MediapipeFaceFinder("both") as finder:
        outcomes = degraded(list(images[some]), labels, TfliteClassifier(card, runtime=runtime), card.crop, finder)
    return {name: {key: round(value, 4) for key, value in asdict(one).items()} for name, one in outcomes.items()}


def _text(figures: dict[str, Any]) -> str:
    return "\n".join(
        [
            report_text(figures),
            "",
            _degraded_text(figures["degraded"]),
            "",
            f"labels: {', '.join(LABELS)}",
            "the labeller's (FER-2013)",
            confusion_text(figures["fer2013_private"]["confusion"]),
            "what most people voted (FER+)",
            confusion_text(figures["ferplus"]["confusion"]),
        ]
    )


def _degraded_text(outcomes: dict[str, dict[str, Any]]) -> str:
    told = ("right", "wrong", "unknown", "wrong_without_quality", "found", "found_and_wrong")
    heads = ("right", "wrong", "unknown", "wrong if trusted", "found", "found and wrong")
    lines = ["".join([f"{'% of faces, shown so':<24}", *(f"{head:>17}" for head in heads)])]
    for name, one in outcomes.items():
        lines.append("".join([f"{name:<24}", *(f"{100 * one[key]:>17.1f}" for key in told)]))
    return "\n".join(lines)
