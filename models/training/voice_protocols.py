"""The recipe trained anew for every fold and measured as int8, beside the classic baseline on the same clips."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from device.sensing.logmel import standardise
from models.training.measuring import int8_logits
from models.training.voice_baseline import right_answers
from models.training.voice_corpora import Corpora
from models.training.voice_folds import Fold, folds
from models.training.voice_network import quantise
from models.training.voice_recipe import train

TABLE = Path("models/voice_protocols.md")
EXAMPLES = 200
"""Inputs that set the ranges of the int8 files."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came out of a fold; counts of clips."""

    protocol: str
    name: str
    trained_on: int
    tested_on: int
    steps: int
    right_float: int
    right_int8: int
    right_baseline: int


def run(corpora: Corpora, steps: int, most: int, only: str, build: Path, seed: int) -> None:
    """Measure the folds that have not been measured, at most `most` of each protocol with `only` in its name.

    The table is written from all that were ever measured in `build`.
    """
    planned: dict[str, list[Fold]] = {}
    for fold in folds(corpora, seed):
        planned.setdefault(fold.protocol, []).append(fold)
    kept = build / "folds"
    kept.mkdir(parents=True, exist_ok=True)
    for fold in (fold for name, some in planned.items() if only in name for fold in some[:most]):
        path = kept / f"{_file_name(fold.protocol)}--{_file_name(fold.name)}--{steps}.json"
        if not path.exists():
            print(f"{fold.protocol}: {fold.name}", flush=True)
            path.write_text(json.dumps(asdict(measure(corpora, fold, steps, build, seed)), indent=1))
        known = [Result(**json.loads(found.read_text())) for found in kept.glob("*.json")]
        TABLE.write_text(table(known, {name: len(some) for name, some in planned.items()}), encoding="utf-8")


def _file_name(text: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in text.lower())


def measure(corpora: Corpora, fold: Fold, steps: int, build: Path, seed: int) -> Result:
    """Train the recipe and the baseline on a fold's clips and count what they read right in its test."""
    network, spec = train(corpora, fold.train, steps, seed)
    some = np.random.default_rng(seed).choice(fold.train, EXAMPLES, replace=False)
    path = build / "fold.tflite"
    path.write_bytes(quantise(network, spec, standardise(corpora.levels[some].astype(np.float32), spec)))
    tested = standardise(corpora.levels[fold.test].astype(np.float32), spec)
    truth = corpora.label[fold.test]
    return Result(
        fold.protocol,
        fold.name,
        len(fold.train),
        len(fold.test),
        steps,
        int((network.predict(tested, verbose=0).argmax(axis=1) == truth).sum()),
        int((int8_logits(path, tested).argmax(axis=1) == truth).sum()),
        right_answers(corpora, fold.train, fold.test, build),
    )


def table(results: list[Result], planned: dict[str, int]) -> str:
    """Markdown: a row for each protocol and length, of the clips of all its folds that were run."""
    lines = [
        "# The recipe on voices it has not heard",
        "",
        "Each fold is trained anew, with nothing chosen on it, converted to int8 and measured beside the classic",
        "baseline (eGeMAPS and a support vector machine) on the same clips. Accuracy over the clips of the folds run.",
        "",
        "| protocol | folds run | clips tested | steps | ours, int8 | ours, float | baseline |",
        "|---|---|---|---|---|---|---|",
    ]
    order = list(planned)
    groups = {(order.index(result.protocol), result.steps) for result in results if result.protocol in planned}
    for number, steps in sorted(groups):
        name = order[number]
        some = [result for result in results if (result.protocol, result.steps) == (name, steps)]
        tested = sum(result.tested_on for result in some)
        shares = [
            f"{100 * sum(getattr(result, counted) for result in some) / tested:.1f} %"
            for counted in ("right_int8", "right_float", "right_baseline")
        ]
        cells = [name, f"{len(some)} of {planned[name]}", f"{tested:,}", f"{steps:,}", *shares]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", "Made by `scripts/train voice --data DIR --protocols`.", ""])
