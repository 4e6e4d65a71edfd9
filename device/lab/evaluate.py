"""Measures the shipped int8 models on the fixed test parts of the public data sets."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from device.adapters.cards import Card, read_card
from device.adapters.tflite import TfliteClassifier
from device.domain.labels import LABELS
from device.domain.reading import Modality
from device.errors import SetupError
from device.lab.metrics import Scores, agreement, confusion_text, score
from device.ports import SAMPLE_RATE_HZ, Waveform
from device.sensing.crop import normalise_crop
from device.sensing.logmel import voice_input

PRIVATE_TEST = 2
VOTE_COLUMNS = (4, 5, 6, 1, 3, 2, 0)
"""Columns of the FER+ votes in the order of LABELS; contempt, unknown and no-face have none."""

TESS_LABELS = {"angry": 0, "disgust": 1, "fear": 2, "happy": 3, "sad": 4, "ps": 5, "neutral": 6}
RAVDESS_LABELS = {"01": 6, "02": 6, "03": 3, "04": 4, "05": 0, "06": 2, "07": 1, "08": 5}
"""Calm counts as neutral."""
NEMO_LABELS = {"anger": 0, "fear": 2, "happiness": 3, "sadness": 4, "surprised": 5, "neutral": 6}
RAVDESS_TEST_ACTORS = range(21, 25)
NEMO_TEST_SPEAKERS = ("MP0", "WR0")


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation found, as JSON and as text."""

    figures: dict[str, Any]
    text: str


@dataclass(frozen=True, slots=True)
class Clip:
    """One test recording."""

    path: Path
    label: int


def evaluate_face(models: Path, data: Path, runtime: str = "auto") -> Report:
    """Accuracy and calibration on FER-2013's PrivateTest: of the label, and of what most people voted (FER+)."""
    archive = read_archive(data / "fer2013.npz")
    rows = np.flatnonzero(archive["split"] == PRIVATE_TEST)
    card = read_card(models, Modality.FACE)
    images = archive["images"][rows]
    answers = {name: _asked(card, name, list(images), runtime) for name in ("votes", "label")}
    truth = archive["label"][rows].astype(np.int64)
    fresh = ~archive["dup_of_earlier_split"][rows].astype(bool)
    private = score(answers["label"], truth)
    votes = archive["ferplus_votes"][rows]
    clear = votes.argmax(axis=1)
    shared = np.isin(clear, VOTE_COLUMNS) & (votes.sum(axis=1) > 0)
    majority = np.array([VOTE_COLUMNS.index(column) for column in clear[shared]], dtype=np.int64)
    counts = votes[shared][:, VOTE_COLUMNS].astype(np.float64)
    shares = counts / counts.sum(axis=1, keepdims=True)
    ferplus = score(answers["votes"][shared], majority)
    figures = {
        "fer2013_private": {
            **_plain(private),
            "accuracy_without_duplicates": score(answers["label"][fresh], truth[fresh]).accuracy,
        },
        "ferplus": {**_plain(ferplus), "votes": asdict(agreement(answers["votes"][shared], shares))},
        "model": _model(card),
    }
    return Report(figures, _text(figures, private))


def _asked(card: Card, head: str, images: Sequence[NDArray[np.uint8]], runtime: str) -> NDArray[np.float64]:
    """Posteriors [N, 7] of one of the model's answers."""
    classifier = TfliteClassifier(card, runtime=runtime, head=head)
    return _posteriors(images, lambda image: classifier.classify(normalise_crop(image)).values, head)


def evaluate_voice(models: Path, data: Path, runtime: str = "auto") -> Report:
    """Accuracy and calibration on the fixed test parts of TESS, RAVDESS and nEMO."""
    card = read_card(models, Modality.VOICE)
    classifier = TfliteClassifier(card, runtime=runtime)
    parts = {"tess_test": tess_test(data), "ravdess_test": ravdess_test(data), "nemo_test": nemo_test(data)}
    figures: dict[str, Any] = {}
    gathered: list[tuple[NDArray[np.float64], NDArray[np.int64]]] = []
    for name, clips in parts.items():
        posteriors = _posteriors(
            [clip.path for clip in clips],
            lambda path: classifier.classify(voice_input(read_clip(path), card.features)).values,
            name,
        )
        truth = np.array([clip.label for clip in clips], dtype=np.int64)
        figures[name] = _plain(score(posteriors, truth))
        gathered.append((posteriors, truth))
    whole = score(np.concatenate([p for p, _ in gathered]), np.concatenate([t for _, t in gathered]))
    figures = {**figures, "ece": whole.ece, "model": _model(card)}
    return Report(figures, _text(figures, whole))


def tess_test(data: Path) -> list[Clip]:
    """TESS words whose sha1 is 0 modulo 10."""
    clips = []
    for path in _clips(data, "tess"):
        _, word, emotion = path.stem.split("_")
        if tess_word_group(word) == 0:
            clips.append(Clip(path, TESS_LABELS[emotion]))
    return clips


def tess_word_group(word: str) -> int:
    """0 … 9, the same for every recording of a word; 0 is the test part."""
    return int(hashlib.sha1(word.encode()).hexdigest(), 16) % 10


def ravdess_test(data: Path) -> list[Clip]:
    """RAVDESS speech of actors 21 to 24."""
    fields = [(path, path.stem.split("-")) for path in _clips(data, "ravdess")]
    return [Clip(path, RAVDESS_LABELS[f[2]]) for path, f in fields if int(f[-1]) in RAVDESS_TEST_ACTORS]


def nemo_test(data: Path) -> list[Clip]:
    """nEMO of speakers MP0 and WR0."""
    fields = [(path, path.stem.split("_")) for path in _clips(data, "nemo")]
    return [Clip(path, NEMO_LABELS[f[1]]) for path, f in fields if f[0] in NEMO_TEST_SPEAKERS]


def read_clip(path: Path) -> Waveform:
    """A recording as float32 [n] at 16 kHz mono; SetupError when it cannot be read or has another rate."""
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise SetupError(f"{path}: {error.error_string}; restore the data set") from None
    if rate != SAMPLE_RATE_HZ:
        raise SetupError(f"{path}: {rate} Hz; convert the data set to {SAMPLE_RATE_HZ} Hz")
    return np.ascontiguousarray(samples.mean(axis=1), dtype=np.float32)


def read_archive(path: Path) -> Any:
    """FER-2013 with the FER+ votes, as numpy.load gives it; SetupError when it is not there."""
    if not path.is_file():
        raise SetupError(f"{path}: not there; --data names the folder that holds the data sets")
    return np.load(path)


def _clips(data: Path, corpus: str) -> list[Path]:
    paths = sorted((data / corpus).glob("*.ogg"))
    if not paths:
        raise SetupError(f"{data / corpus}: no recordings; --data names the folder that holds the data sets")
    return paths


def _posteriors(
    inputs: Sequence[Any], classify: Callable[[Any], tuple[float, ...]], name: str = "faces"
) -> NDArray[np.float64]:
    return np.array([classify(value) for value in _with_progress(inputs, name)], dtype=np.float64)


def _with_progress(values: Sequence[Any], name: str) -> Iterator[Any]:
    """The values, with a line of progress on a terminal."""
    show = sys.stderr.isatty()
    for index, value in enumerate(values, start=1):
        yield value
        if show and (index % 50 == 0 or index == len(values)):
            print(f"\r{name}: {index} of {len(values)}", end="", file=sys.stderr, flush=True)
    if show:
        print(file=sys.stderr)


def _plain(scores: Scores) -> dict[str, Any]:
    return {
        "count": scores.count,
        "accuracy": round(scores.accuracy, 4),
        "macro_f1": round(scores.macro_f1, 4),
        "ece": round(scores.ece, 4),
        "nll": round(scores.nll, 4),
        "confusion": scores.confusion,
    }


def _model(card: Card) -> dict[str, Any]:
    facts = json.loads(card.path.read_text(encoding="utf-8"))
    return {
        "file": card.model.name,
        "version": card.version,
        "bytes": card.bytes,
        "macs": facts.get("macs"),
        "sha256": card.sha256,
    }


def _text(figures: dict[str, Any], scores: Scores) -> str:
    lines = []
    for name, part in figures.items():
        if isinstance(part, dict) and "accuracy" in part:
            extra = (
                f", {100 * part['accuracy_without_duplicates']:.2f} % without duplicates"
                if "accuracy_without_duplicates" in part
                else ""
            )
            lines.append(
                f"{name:<16} {100 * part['accuracy']:6.2f} %{extra}  macro-F1 {part['macro_f1']:.3f}  "
                f"ECE {part['ece']:.3f}  NLL {part['nll']:.3f}  ({part['count']})"
            )
    lines.append(f"model            {figures['model']['file']}, {figures['model']['bytes']:,} bytes")
    return "\n".join([*lines, "", f"labels: {', '.join(LABELS)}", confusion_text(scores)])
