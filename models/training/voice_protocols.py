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


def run(corpora: Corpora, steps: int, most: int, build: Path, seed: int) -> None:
    """Measure the folds that have not been measured, at most `most` of each protocol, and write the table."""
    planned: dict[str, list[Fold]] = {}
    for fold in folds(corpora, seed):
        planned.setdefault(fold.protocol, []).append(fold)
    results = []
    for protocol, some in planned.items():
        for fold in some[:most]:
            kept = build / "folds" / f"{_file_name(protocol)}--{_file_name(fold.name)}--{steps}.json"
            if not kept.exists():
                print(f"{protocol}: {fold.name}", flush=True)
                kept.parent.mkdir(parents=True, exist_ok=True)
                result = measure(corpora, fold, steps, build, seed)
                kept.write_text(json.dumps(asdict(result), indent=1))
            results.append(Result(**json.loads(kept.read_text())))
            TABLE.write_text(table(results, {name: len(all_) for name, all_ in planned.items()}), encoding="utf-8")


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
    """Markdown: a row for each protocol, of the clips of all its folds that were run."""
    lines = [
        "# The recipe on voices it has not heard",
        "",
        "Each fold is trained anew, with nothing chosen on it, converted to int8 and measured beside the classic",
        "baseline (eGeMAPS and a support vector machine) on the same clips. Accuracy over the clips of the folds run.",
        "",
        "| protocol | folds run | clips tested | steps | ours, int8 | ours, float | baseline |",
        "|---|---|---|---|---|---|---|",
    ]
    for protocol in dict.fromkeys(result.protocol for result in results):
        some = [result for result in results if result.protocol == protocol]
        tested = sum(result.tested_on for result in some)
        shares = [
            f"{100 * sum(getattr(result, name) for result in some) / tested:.1f} %"
            for name in ("right_int8", "right_float", "right_baseline")
        ]
        steps = "/".join(str(value) for value in sorted({result.steps for result in some}))
        cells = [protocol, f"{len(some)} of {planned[protocol]}", f"{tested:,}", steps, *shares]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", "Made by `scripts/train voice --data DIR --protocols`.", ""])
