"""`moodify bench runtimes`: the shipped models in each runtime that is installed, with more and fewer threads."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from device.adapters.cards import FaceCard, VoiceCard, read_card
from device.adapters.tflite import RUNTIMES, TfliteClassifier
from device.demo.portrait import photograph
from device.domain.reading import Modality
from device.errors import SetupError
from device.ports import SAMPLE_RATE_HZ
from device.sensing.crop import CROP_PIXELS, normalise_crop
from device.sensing.logmel import voice_input

THREADS = (1, 2, 4)
INPUTS = 100
"""Made-up inputs on which the runtimes' answers are compared."""

FACE_CENTRE = (322, 160)
"""Of the portrait, in pixels."""

Card = FaceCard | VoiceCard
Setting = tuple[str, int]
"""Runtime and number of threads."""
Classifiers = dict[Setting, TfliteClassifier]


@dataclass(frozen=True, slots=True)
class Row:
    """One model in one runtime."""

    model: str
    runtime: str
    threads: int
    median_milliseconds: float
    median_cpu_milliseconds: float
    """Of all its threads together."""
    same_label: float
    """Share of the inputs on which it gives the label that the first runtime gives."""
    farthest_logit: float
    """Largest difference to the first runtime's logits."""


def bench_runtimes(models: Path, repeats: int) -> tuple[Row, ...]:
    """Every model, runtime and number of threads, timed in turn; takes about a minute."""
    return (*_rows(read_card(models, Modality.FACE), _faces, repeats),
            *_rows(read_card(models, Modality.VOICE), _voices, repeats))  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """For people."""
    lines = [
        f"{'model':<7}{'runtime':<16}{'threads':>7}{'median':>10}{'CPU':>10}{'same label':>12}{'farthest logit':>16}"
    ]
    for row in rows:
        lines.append(
            f"{row.model:<7}{row.runtime:<16}{row.threads:>7}{row.median_milliseconds:>8.2f}ms"
            f"{row.median_cpu_milliseconds:>8.2f}ms{row.same_label:>11.1%} {row.farthest_logit:>15.2f}"
        )
    return "\n".join(lines)


def plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """For JSON."""
    return [asdict(row) for row in rows]


def _rows(card: Card, inputs_of: Callable[[Any], list[NDArray[np.float32]]], repeats: int) -> list[Row]:
    classifiers = {(runtime, threads): _open(card, threads, runtime) for runtime in RUNTIMES for threads in THREADS}
    there = {key: classifier for key, classifier in classifiers.items() if classifier}
    inputs = inputs_of(card)
    answers = {key: np.stack([classifier.logits(one) for one in inputs]) for key, classifier in there.items()}
    taken = _time(there, inputs[0], repeats)
    first = next(iter(answers.values()))
    return [
        Row(
            card.modality.value,
            runtime,
            threads,
            *taken[runtime, threads],
            float(np.mean(logits.argmax(axis=1) == first.argmax(axis=1))),
            float(np.abs(logits - first).max()),
        )
        for (runtime, threads), logits in answers.items()
    ]


def _time(
    classifiers: Classifiers, model_input: NDArray[np.float32], repeats: int
) -> dict[Setting, tuple[float, float]]:
    """Median milliseconds that a call takes, and of CPU that it costs. In turn: what else runs falls on all alike."""
    taken: dict[Setting, list[tuple[float, float]]] = {setting: [] for setting in classifiers}
    for _ in range(repeats):
        for setting, classifier in classifiers.items():
            began, worked = time.perf_counter(), time.process_time()
            classifier.logits(model_input)
            taken[setting].append((1000 * (time.perf_counter() - began), 1000 * (time.process_time() - worked)))
    return {
        setting: (statistics.median(wall for wall, _ in each), statistics.median(cpu for _, cpu in each))
        for setting, each in taken.items()
    }


def _open(card: Card, threads: int, runtime: str) -> TfliteClassifier | None:
    """None where this runtime is not installed."""
    try:
        return TfliteClassifier(card, threads, runtime)
    except SetupError:
        return None


def _faces(_card: Card) -> list[NDArray[np.float32]]:
    """The portrait's face and what is around it, cut out a little differently each time."""
    grey = cv2.cvtColor(photograph(), cv2.COLOR_RGB2GRAY)
    rng = np.random.default_rng(1)
    crops = []
    for _ in range(INPUTS):
        side = int(rng.integers(120, 220))
        left, top = (int(rng.integers(centre - 25, centre + 25)) - side // 2 for centre in FACE_CENTRE)
        cut = np.roll(grey, (-top, -left), axis=(0, 1))[:side, :side]
        crop = cv2.resize(cut, (CROP_PIXELS, CROP_PIXELS), interpolation=cv2.INTER_AREA)
        crops.append(normalise_crop(np.asarray(crop, dtype=np.uint8)))
    return crops


def _voices(card: VoiceCard) -> list[NDArray[np.float32]]:
    """Noise in syllables, of another pace and colour each time."""
    rng = np.random.default_rng(1)
    at = np.arange(card.features.window_samples) / SAMPLE_RATE_HZ
    windows = []
    for _ in range(INPUTS):
        rate_hz, colour = rng.uniform(2, 7), rng.uniform(0, 0.95)
        syllables = np.maximum(0.02, np.sin(2 * np.pi * rate_hz * at))
        sound = lfilter([1 - colour], [1, -colour], rng.standard_normal(len(at))) * syllables
        windows.append(voice_input((0.1 * sound).astype(np.float32), card.features))
    return windows
