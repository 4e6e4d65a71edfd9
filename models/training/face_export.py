"""Turns the trained face network into the int8 file that ships, measures it and writes its card; needs TensorFlow."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from device.lab.metrics import score
from device.sensing.crop import CROP_PIXELS
from models.training.card_writer import write_card
from models.training.face_calibration import turn
from models.training.face_keras import build, count_macs, for_the_box, take_weights
from models.training.face_learning import LABEL, VOTES, logits_of, right_shares
from models.training.face_networks import Lite
from models.training.faces import LABELS, Faces, Parts, tensors
from models.training.int8 import int8_file
from models.training.measuring import fit_temperature, fit_temperature_to_shares, int8_logits, posterior

EXAMPLES = 800
"""Faces that set the ranges of the int8 file."""
SEED = 20130
HEADS = ("votes", "label")
"""What the outputs answer, seven each."""
MODEL = Path("models/face.tflite")
CARD = MODEL.with_suffix(".card.json")


def export(parts: Parts, network: Lite, epochs: int, command: str, private: bool) -> dict[str, Any]:
    """Write `models/face.tflite` and its card; what was measured, on PrivateTest too if `private`."""
    turn(network, logits_of(network, parts.public), parts.public)
    twin = build(network.pixels)
    take_weights(twin, network)
    rows = np.random.default_rng(SEED).choice(len(parts.train.images), EXAMPLES, replace=False)
    MODEL.write_bytes(int8_file(for_the_box(twin, network.pixels), tensors(parts.train.images[rows])))
    logits = int8_logits(MODEL, tensors(parts.public.images))
    clear = parts.public.most_voted >= 0
    temperatures = {
        "votes": fit_temperature_to_shares(logits[clear][:, VOTES], parts.public.votes[clear]),
        "label": fit_temperature(logits[:, LABEL], parts.public.label),
    }
    measured = measure(parts.public, "public", network, temperatures, logits)
    if private:
        logits = int8_logits(MODEL, tensors(parts.private.images))
        measured |= measure(parts.private, "private", network, temperatures, logits)
        right = logits[:, LABEL].argmax(1) == parts.private.label
        fresh = round(float(right[~parts.private_is_copy].mean()), 4)
        measured["fer2013_private"]["accuracy_without_duplicates"] = fresh
    write_card(MODEL, facts(parts, network, count_macs(twin), temperatures, command, epochs, measured))
    return measured


def measure(
    faces: Faces, name: str, network: Lite, temperatures: dict[str, float], logits: np.ndarray
) -> dict[str, Any]:
    """Both heads on one part: the label's against the labels, the votes' against the clear majorities."""
    clear = faces.most_voted >= 0
    label, votes = (round(share, 4) for share in right_shares(logits_of(network, faces), faces))
    return {
        f"fer2013_{name}": measures(logits[:, LABEL], faces.label, temperatures["label"]) | {"float_accuracy": label},
        f"ferplus_{name}": measures(logits[clear][:, VOTES], faces.most_voted[clear], temperatures["votes"])
        | {"float_accuracy": votes},
    }


def measures(logits: np.ndarray, label: np.ndarray, temperature: float) -> dict[str, Any]:
    """Accuracy, macro F1, calibration error and recall per label."""
    scores = score(posterior(logits, temperature), label)
    recall = {
        name: round(row[i] / max(sum(row), 1), 4)
        for i, (name, row) in enumerate(zip(LABELS, scores.confusion, strict=True))
    }
    figures = {name: round(getattr(scores, name), 4) for name in ("accuracy", "macro_f1", "ece")}
    return {**figures, "recall": recall}


def facts(
    parts: Parts,
    network: Lite,
    macs: int,
    temperatures: dict[str, float],
    command: str,
    epochs: int,
    measured: dict[str, Any],
) -> dict[str, Any]:
    """What the card says about this model."""
    crop = json.loads(CARD.read_text(encoding="utf-8"))["crop"]
    rows = len(parts.train.images)
    return {
        "name": "moodify-face",
        "modality": "face",
        "version": "4.4.0",
        "labels": list(LABELS),
        "input": {
            "shape": [1, CROP_PIXELS, CROP_PIXELS, 1],
            "dtype": "int8",
            "normalisation": "per-crop standardisation, clipped to ±3",
        },
        "output": {"shape": [1, len(HEADS) * len(LABELS)], "dtype": "int8", "meaning": "logits, seven a head"},
        "heads": [{"name": name, "temperature": round(temperatures[name], 4)} for name in HEADS],
        "crop": crop,
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "macs": macs,
        "training": {
            "data": [
                {"name": "FER-2013", "rows": rows, "licence": "no licence by the makers found"},
                {"name": "FER+", "rows": rows, "licence": "MIT"},
                {
                    "name": "ImageNet-1k, through the weights of EfficientNet-Lite0 and, of teachers, Lite2",
                    "licence": "Apache-2.0 (weights)",
                },
            ],
            "command": command,
            "seed": SEED,
            "epochs": epochs,
            "removed_duplicates": parts.removed_duplicates,
        },
        "measured": measured,
        "licence_note": "The weights are our own work. The makers of FER-2013 published no licence, so the data sets "
        "limit what the weights may be used for: research and private use.",
    }
