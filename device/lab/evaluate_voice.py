"""Measures the shipped voice model on the fixed test parts of TESS, RAVDESS and nEMO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.adapters.cards import VoiceCard, read_card
from device.adapters.tflite import TfliteClassifier
from device.domain.labels import LABELS
from device.domain.reading import Modality
from device.lab.evaluate import (
    Clip,
    Report,
    confusion_text,
    model_facts,
    nemo_test,
    plain,
    ravdess_test,
    read_clip,
    report_text,
    tess_test,
    with_progress,
)
from device.lab.metrics import certainty, coverage, score
from device.sensing.logmel import voice_input


def evaluate_voice(models: Path, data: Path, runtime: str = "auto") -> Report:
    """Accuracy and calibration of each corpus and of all together, and what is right of the surest answers."""
    card = read_card(models, Modality.VOICE)
    classifier = TfliteClassifier(card, runtime=runtime)
    parts = {"tess_test": tess_test(data), "ravdess_test": ravdess_test(data), "nemo_test": nemo_test(data)}
    answers = {name: _asked(classifier, card, clips, name) for name, clips in parts.items()}
    truths = {name: np.array([clip.label for clip in clips], dtype=np.int64) for name, clips in parts.items()}
    answers["all"] = np.concatenate(list(answers.values()))
    truths["all"] = np.concatenate(list(truths.values()))
    scores = {name: score(posteriors, truths[name]) for name, posteriors in answers.items()}
    figures: dict[str, Any] = {
        **{name: plain(scores[name]) for name in parts},
        "all": plain(scores["all"]),
        "ece": round(scores["all"].ece, 4),
        "coverage": {
            name: plain(coverage(certainty(posteriors), posteriors.argmax(axis=1) == truths[name]))
            for name, posteriors in answers.items()
        },
        "model": model_facts(card),
    }
    return Report(figures, _text(figures))


def _asked(classifier: TfliteClassifier, card: VoiceCard, clips: list[Clip], name: str) -> NDArray[np.float64]:
    """Posteriors [N, 7]."""
    inputs = (voice_input(read_clip(clip.path), card.features) for clip in with_progress(clips, name))
    return np.array([classifier.classify(values).values for values in inputs], dtype=np.float64)


def _text(figures: dict[str, Any]) -> str:
    return "\n".join(
        [report_text(figures), "", f"labels: {', '.join(LABELS)}", confusion_text(figures["all"]["confusion"])]
    )
