"""The fixed test parts of the public data sets, and how a measurement on them is told."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import soundfile

from device.adapters.cards import Card
from device.domain.labels import LABELS
from device.errors import SetupError
from device.lab.metrics import Agreement, Coverage, Scores
from device.ports import SAMPLE_RATE_HZ, Waveform

Value = TypeVar("Value")

PRIVATE_TEST = 2

TESS_LABELS = {"angry": 0, "disgust": 1, "fear": 2, "happy": 3, "sad": 4, "ps": 5, "neutral": 6}
RAVDESS_LABELS = {"01": 6, "02": 6, "03": 3, "04": 4, "05": 0, "06": 2, "07": 1, "08": 5}
"""Calm counts as neutral."""
NEMO_LABELS = {"anger": 0, "fear": 2, "happiness": 3, "sadness": 4, "surprised": 5, "neutral": 6}
RAVDESS_TEST_ACTORS = range(21, 25)
NEMO_TEST_SPEAKERS = ("MP0", "WR0")
TRAINED_NOISE_FOLDS = ("1", "2", "3", "4")
"""Of ESC-10; in the noise of these the voice model is trained."""


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


def tess_test(data: Path, remainder: int = 0) -> list[Clip]:
    """TESS words whose sha1 has this remainder modulo 10; 1 is the validation part."""
    clips = []
    for path in recordings(data, "tess"):
        _, word, emotion = path.stem.split("_")
        if tess_word_group(word) == remainder:
            clips.append(Clip(path, TESS_LABELS[emotion]))
    return clips


def tess_word_group(word: str) -> int:
    """0 … 9, the same for every recording of a word; 0 is the test part."""
    return int(hashlib.sha1(word.encode()).hexdigest(), 16) % 10


def ravdess_test(data: Path, actors: range = RAVDESS_TEST_ACTORS) -> list[Clip]:
    """RAVDESS speech of these actors; 19 and 20 are the validation part."""
    fields = [(path, path.stem.split("-")) for path in recordings(data, "ravdess")]
    return [Clip(path, RAVDESS_LABELS[f[2]]) for path, f in fields if int(f[-1]) in actors]


def nemo_test(data: Path, speakers: tuple[str, ...] = NEMO_TEST_SPEAKERS) -> list[Clip]:
    """nEMO of these speakers; TP0 is the validation part."""
    fields = [(path, path.stem.split("_")) for path in recordings(data, "nemo")]
    return [Clip(path, NEMO_LABELS[f[1]]) for path, f in fields if f[0] in speakers]


def everyday_noises(data: Path, trained: bool) -> list[Path]:
    """ESC-10: what the voice model is trained in, or all else."""
    folds = ((path, path.stem.split("__")[1][0]) for path in recordings(data, "esc10"))
    return [path for path, fold in folds if (fold in TRAINED_NOISE_FOLDS) is trained]


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


def recordings(data: Path, corpus: str) -> list[Path]:
    """Files of a data set, sorted; SetupError when there are none."""
    paths = sorted((data / corpus).glob("*.ogg"))
    if not paths:
        raise SetupError(f"{data / corpus}: no recordings; --data names the folder that holds the data sets")
    return paths


def with_progress(values: Sequence[Value], name: str) -> Iterator[Value]:
    """The values, with a line of progress on a terminal."""
    show = sys.stderr.isatty()
    for index, value in enumerate(values, start=1):
        yield value
        if show and (index % 50 == 0 or index == len(values)):
            print(f"\r{name}: {index} of {len(values)}", end="", file=sys.stderr, flush=True)
    if show:
        print(file=sys.stderr)


def plain(measured: Scores | Agreement | Coverage) -> dict[str, Any]:
    """As JSON can hold it, rounded."""
    return {name: _rounded(value) for name, value in asdict(measured).items()}


def model_facts(card: Card) -> dict[str, Any]:
    """Which file was measured, how large it is and what it costs."""
    facts = json.loads(card.path.read_text(encoding="utf-8"))
    return {
        "file": card.model.name,
        "version": card.version,
        "bytes": card.bytes,
        "macs": facts.get("macs"),
        "sha256": card.sha256,
    }


def report_text(figures: dict[str, Any]) -> str:
    """A line for each part that has an accuracy, one for each coverage, and the model's."""
    parts = [_part_line(name, part) for name, part in figures.items() if isinstance(part, dict) and "accuracy" in part]
    kept = [_coverage_line(name, part) for name, part in figures["coverage"].items()]
    model = figures["model"]
    return "\n".join([*parts, *kept, f"{'model':<16} {model['file']}, {model['bytes']:,} bytes"])


def confusion_text(confusion: Sequence[Sequence[int]]) -> str:
    """The confusion matrix as a table: rows are true, columns guessed, in percent of the row."""
    lines = ["true \\ guessed  " + "".join(f"{label:>9}" for label in LABELS)]
    for label, row in zip(LABELS, confusion, strict=True):
        total = sum(row)
        cells = "".join(f"{100 * count / total:8.1f}%" if total else "        –" for count in row)
        lines.append(f"{label:<15}{cells}  of {total}")
    return "\n".join(lines)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return round(value, 4) if isinstance(value, float) else value


def _part_line(name: str, part: dict[str, Any]) -> str:
    fresh = part.get("accuracy_without_duplicates")
    extra = f", {100 * fresh:.2f} % without duplicates" if fresh else ""
    return (
        f"{name:<16} {100 * part['accuracy']:6.2f} %{extra}  macro-F1 {part['macro_f1']:.3f}  "
        f"ECE {part['ece']:.3f}  NLL {part['nll']:.3f}  ({part['count']})"
    )


def _coverage_line(name: str, part: dict[str, Any]) -> str:
    at = {round(100 * share): accuracy for share, accuracy in part["accuracy_at"]}
    told = ", ".join(f"{100 * at[share]:.1f} % of the surest {share} %" for share in (90, 75, 50))
    return f"{name:<16} right: {told}; AURC {part['aurc']:.3f}"
