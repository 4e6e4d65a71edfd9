"""The recipe trained anew for every fold and measured as int8, beside the classic baseline on the same clips."""

from __future__ import annotations

import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from device.sensing.logmel import standardise
from models.training.measuring import int8_logits
from models.training.voice_baseline import keep_functionals, right_answers
from models.training.voice_corpora import CORPORA, Corpora, read_corpora
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


def run(data: Path, steps: int, only: str, build: Path, seed: int) -> None:
    """Measure what is missing of every protocol with `only` in its name, as many folds at once as there are cores.

    The table is written anew after each fold, from all that were ever measured in `build`.
    """
    corpora = read_corpora(data, build)
    planned: dict[str, list[Fold]] = {}
    for fold in folds(corpora, seed):
        planned.setdefault(fold.protocol, []).append(fold)
    kept = build / "folds"
    kept.mkdir(parents=True, exist_ok=True)
    missing: dict[Path, Fold] = {}
    for fold in (fold for protocol, some in planned.items() if only in protocol for fold in some):
        path = kept / f"{_file_name(fold.protocol)}--{_file_name(fold.name)}--{steps_of(fold, corpora, steps)}.json"
        if not path.exists():
            missing[path] = fold
    keep_functionals(corpora, build)
    with _workers() as workers:
        running = {
            workers.submit(
                _measure_alone, data, fold, steps_of(fold, corpora, steps), path.with_suffix(".tflite"), build, seed
            ): path
            for path, fold in missing.items()
        }
        for done in as_completed(running):
            running[done].write_text(json.dumps(asdict(done.result()), indent=1))
            print(f"{running[done].stem}: done", flush=True)
            known = [Result(**json.loads(found.read_text())) for found in kept.glob("*.json")]
            TABLE.write_text(table(known, {name: len(some) for name, some in planned.items()}), encoding="utf-8")


def steps_of(fold: Fold, corpora: Corpora, steps: int) -> int:
    """Steps with which every corpus is drawn as often as in `steps` steps over all of them."""
    return steps * len(np.unique(corpora.corpus[fold.train])) // len(CORPORA)


def _workers() -> ProcessPoolExecutor:
    """A process for each core and fold.

    Two folds side by side on one thread each take two thirds of the time of one after the other on two; a process that
    ends gives back what TensorFlow would keep.
    """
    return ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn"), max_tasks_per_child=1)


def _measure_alone(data: Path, fold: Fold, steps: int, file: Path, build: Path, seed: int) -> Result:
    """`measure` in a process of its own, on one thread."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return measure(read_corpora(data, build), fold, steps, file, build, seed)


def _file_name(text: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in text.lower())


def measure(corpora: Corpora, fold: Fold, steps: int, file: Path, build: Path, seed: int) -> Result:
    """Train the recipe, written to `file`, and the baseline on a fold's clips, and count what they read right."""
    network, spec = train(corpora, fold.train, steps, seed)
    some = np.random.default_rng(seed).choice(fold.train, EXAMPLES, replace=False)
    file.write_bytes(quantise(network, spec, standardise(corpora.levels[some].astype(np.float32), spec)))
    tested = standardise(corpora.levels[fold.test].astype(np.float32), spec)
    truth = corpora.label[fold.test]
    return Result(
        fold.protocol,
        fold.name,
        len(fold.train),
        len(fold.test),
        steps,
        int((network.predict(tested, verbose=0).argmax(axis=1) == truth).sum()),
        int((int8_logits(file, tested).argmax(axis=1) == truth).sum()),
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
