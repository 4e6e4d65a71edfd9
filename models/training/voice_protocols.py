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
from models.training.measuring import int8_logits
from models.training.voice_baseline import keep_functionals, right_answers
from models.training.voice_corpora import SPEC, Corpora
from models.training.voice_encoder import PLACES
from models.training.voice_folds import Fold, folds, steps_of
from models.training.voice_hearing import Heard, listen
from models.training.voice_keras import write_int8
from models.training.voice_recipe import Recipe, answers
from models.training.voice_recordings import read_corpora
from models.training.voice_shelf import kept_or_trained, name_of
from models.training.voice_weights import pretrained

TABLE = Path("models/voice_protocols.md")
EXAMPLES = 100
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

    Heads that are in `build` are not trained again. The table is written anew after each fold, from all of this recipe
    that were ever measured in `build`. A fold's name tells its recipe, not how its network is rounded: after a
    change to that, remove the folder `results` first.
    """
    corpora = read_corpora(data, build)
    planned: dict[str, list[Fold]] = {}
    for fold in folds(corpora, seed):
        planned.setdefault(fold.protocol, []).append(fold)
    keep_functionals(corpora, build)
    results = listen(data, build).folder / "results"
    results.mkdir(exist_ok=True)
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
    return measure(listen(data, build), fold, recipe, path, build, seed)


def measure(heard: Heard, fold: Fold, recipe: Recipe, path: Path, build: Path, seed: int) -> Result:
    """Train and convert a fold's network, beside `path`, and count what it and the baseline read right."""
    trained = kept_or_trained(fold.stem, heard, fold.train, recipe)
    corpora = heard.corpora
    some = np.random.default_rng(seed).choice(fold.train, EXAMPLES, replace=False)
    file = path.with_suffix(".tflite")
    write_int8(file, pretrained(PLACES), trained, inputs_of(corpora, some))
    truth = corpora.label[fold.test]
    return Result(
        fold.protocol,
        fold.name,
        len(fold.train),
        len(fold.test),
        recipe.steps,
        int((answers(trained, heard, fold.test).argmax(axis=1) == truth).sum()),
        int((int8_logits(file, inputs_of(corpora, fold.test)).argmax(axis=1) == truth).sum()),
        right_answers(corpora, fold, build),
    )


def inputs_of(corpora: Corpora, rows: np.ndarray) -> np.ndarray:
    """The clips as they are, as the network reads them: float32 [n, frames, bands]."""
    return standardise(corpora.levels[rows].astype(np.float32), SPEC)


def table(results: list[Result], planned: dict[str, int]) -> str:
    """Markdown: a row for each protocol and length, of the clips of all its folds that were run."""
    lines = [
        "# The recipe on voices it has not heard",
        "",
        "Each fold is trained anew, with nothing chosen on it, converted to int8 and measured beside the classic",
        "baseline (eGeMAPS and a support vector machine) on the same clips. Accuracy over the clips of the folds run.",
        "The encoder, whose weights are of others, is the same for all; the head learns from a fold's training clips.",
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
