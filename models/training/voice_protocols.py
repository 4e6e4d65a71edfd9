"""The recipe trained anew for every fold and measured as int8, beside the classic baseline on the same clips."""

from __future__ import annotations

import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from device.sensing.logmel import standardise
from models.training.int8 import int8_file
from models.training.measuring import int8_logits
from models.training.voice_baseline import keep_functionals, right_answers
from models.training.voice_corpora import Corpora
from models.training.voice_folds import Fold, folds, steps_of
from models.training.voice_keras import twin
from models.training.voice_recipe import Recipe, Trained, answers, best_device, stock, train
from models.training.voice_recordings import read_corpora
from models.training.voice_shelf import keep, kept, name_of

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


def run(data: Path, recipe: Recipe, only: str, build: Path, seed: int) -> None:
    """Measure what is missing of every protocol with `only` in its name, as many folds at once as there are cores.

    Networks that `voice_lab` has left in `build` are not trained again. The table is written anew after each fold, from
    all of this recipe that were ever measured in `build`.
    """
    corpora = read_corpora(data, build)
    planned: dict[str, list[Fold]] = {}
    for fold in folds(corpora, seed):
        planned.setdefault(fold.protocol, []).append(fold)
    results = build / "results"
    results.mkdir(parents=True, exist_ok=True)
    keep_functionals(corpora, build)
    with _workers() as workers:
        running = {}
        for fold in (fold for protocol, some in planned.items() if only in protocol for fold in some):
            shorter = replace(recipe, steps=steps_of(fold, corpora, recipe.steps))
            path = results / f"{name_of(fold.stem, shorter)}.json"
            if not path.exists():
                running[workers.submit(_measure_alone, data, fold, shorter, path, build, seed)] = path
        for done in as_completed(running):
            running[done].write_text(json.dumps(asdict(done.result()), indent=1))
            print(f"{running[done].stem}: done", flush=True)
            known = [Result(**json.loads(found.read_text())) for found in results.glob(f"*--{recipe.mark}.json")]
            TABLE.write_text(table(known, {name: len(some) for name, some in planned.items()}), encoding="utf-8")


def _workers() -> ProcessPoolExecutor:
    """A process for each core and fold; one that ends gives back what TensorFlow would keep."""
    return ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn"), max_tasks_per_child=1)


def _measure_alone(data: Path, fold: Fold, recipe: Recipe, path: Path, build: Path, seed: int) -> Result:
    """`measure` in a process of its own, on one thread."""
    import tensorflow as tf
    import torch

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    torch.set_num_threads(1)
    corpora = read_corpora(data, build)
    return measure(_trained(corpora, fold, recipe, build, seed), corpora, fold, recipe.steps, path, build, seed)


def _trained(corpora: Corpora, fold: Fold, recipe: Recipe, build: Path, seed: int) -> Trained:
    """The fold's network from `build`, or trained now."""
    name, folder = name_of(fold.stem, recipe), build / "folds"
    found = kept(folder).get(name)
    if found is None:
        found = train(stock(corpora, best_device()), fold.train, recipe, seed)
        keep(name, found, folder, name)
    return found


def measure(trained: Trained, corpora: Corpora, fold: Fold, steps: int, path: Path, build: Path, seed: int) -> Result:
    """Convert a fold's network, beside `path`, and count what it and the baseline read right."""
    some = np.random.default_rng(seed).choice(fold.train, EXAMPLES, replace=False)
    examples = standardise(corpora.levels[some].astype(np.float32), trained.spec)
    file = path.with_suffix(".tflite")
    file.write_bytes(int8_file(twin(trained.weights, trained.shape), examples))
    tested = standardise(corpora.levels[fold.test].astype(np.float32), trained.spec)
    truth = corpora.label[fold.test]
    return Result(
        fold.protocol,
        fold.name,
        len(fold.train),
        len(fold.test),
        steps,
        int((answers(trained, stock(corpora, "cpu"), fold.test).argmax(axis=1) == truth).sum()),
        int((int8_logits(file, tested).argmax(axis=1) == truth).sum()),
        right_answers(corpora, fold, build),
    )


def table(results: list[Result], planned: dict[str, int]) -> str:
    """Markdown: a row for each protocol and length, of the clips of all its folds that were run."""
    lines = [
        "# The recipe on voices it has not heard",
        "",
        "Each fold is trained anew, with nothing chosen on it, converted to int8 and measured beside the classic",
        "baseline (eGeMAPS and a support vector machine) on the same clips. Accuracy over the clips of the folds run.",
        "The folds are trained without teachers; the file that ships has three.",
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
