"""Trains the voice model on TESS, RAVDESS and nEMO, quantises it to int8 and measures the file that ships.

    python -m models.training.voice --data DIR [--steps N]
    python -m models.training.voice --data DIR --protocols [--steps N] [--only TEXT]

`DIR` holds `tess/`, `ravdess/`, `nemo/` (16 kHz mono) and `esc10/` (noise). With `--protocols` the recipe is trained
anew for every fold, beside a classic baseline, and `models/voice_protocols.md` is written; nothing ships. What has been
made is kept in `build/voice/`, so that a run that was stopped goes on where it was. PyTorch trains, on a graphics card
if there is one, also on another machine (`models.training.voice_lab`); TensorFlow only converts.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from device.domain.labels import LABELS
from device.sensing.logmel import standardise
from device.sensing.logmel_spec import LogMelSpec
from models.training import voice_protocols
from models.training.card_writer import write_card
from models.training.int8 import int8_file
from models.training.measuring import calibration_error, fit_temperature, int8_logits
from models.training.voice_corpora import (
    CORPORA,
    LICENCES,
    SPLIT_TEXT,
    TEST,
    TITLES,
    TRAIN,
    VALIDATION,
    Corpora,
)
from models.training.voice_keras import twin
from models.training.voice_recipe import SHIPPED, Recipe, Trained, answers, best_device, stock, train
from models.training.voice_recordings import read_corpora
from models.training.voice_shelf import keep, kept, name_of

SEED = 7
EXAMPLES = 400
"""Inputs that set the ranges of the int8 file."""
BUILD = Path("build/voice")
MODEL = Path("models/voice.tflite")


def ship(corpora: Corpora, recipe: Recipe, model: Path) -> dict[str, Any]:
    """Write the int8 file of the best network and its card; what was measured."""
    rows = {part: corpora.rows(lambda clip, part=part: clip.part == part) for part in (TRAIN, VALIDATION, TEST)}
    here = stock(corpora, "cpu")
    seed, trained = best(corpora, recipe, rows)
    some = np.random.default_rng(SEED).choice(rows[TRAIN], EXAMPLES, replace=False)
    model.write_bytes(int8_file(twin(trained.weights, trained.shape), inputs_of(corpora, some, trained.spec)))
    logits = {part: int8_logits(model, inputs_of(corpora, rows[part], trained.spec)) for part in (VALIDATION, TEST)}
    temperature = fit_temperature(
        logits[VALIDATION], corpora.label[rows[VALIDATION]], even_weights(corpora.corpus[rows[VALIDATION]])
    )
    plain = answers(trained, here, rows[TEST])
    measured: dict[str, Any] = {
        "validation": accuracies(logits[VALIDATION], corpora, rows[VALIDATION]),
        **{f"{k}_test": {"accuracy": v} for k, v in accuracies(logits[TEST], corpora, rows[TEST]).items()},
        "ece": round(calibration_error(logits[TEST], corpora.label[rows[TEST]], temperature), 4),
        "float": {f"{k}_test": v for k, v in accuracies(plain, corpora, rows[TEST]).items()},
    }
    parameters = sum(weight.size for name, weight in trained.weights.items() if name != "lstm.bias_hh_l0")
    write_card(model, facts(trained.spec, parameters, corpora, temperature, recipe.steps, seed, measured))
    return measured


def best(corpora: Corpora, recipe: Recipe, rows: dict[str, np.ndarray]) -> tuple[int, Trained]:
    """The network, and its seed, that reads validation's unheard speakers best, of those that `voice_lab` has left.

    If there are none, one is trained now.
    """
    found = {}
    for name, trained in kept(BUILD / "ship").items():
        seed = int(name.split("--", maxsplit=1)[0].removeprefix("seed_"))
        if name == name_of(f"seed_{seed}", recipe):
            found[seed] = trained
    if not found:
        found[SEED] = train(stock(corpora, best_device()), rows[TRAIN], recipe, SEED)
        keep(name_of(f"seed_{SEED}", recipe), found[SEED], BUILD / "ship", "here")
    here, validation = stock(corpora, "cpu"), rows[VALIDATION]
    weight = even_weights(corpora.corpus[validation])

    def score(trained: Trained) -> float:
        right = answers(trained, here, validation).argmax(axis=1) == corpora.label[validation]
        return float((weight * right).sum())

    seed = max(found, key=lambda seed: score(found[seed]))
    return seed, found[seed]


def inputs_of(corpora: Corpora, rows: np.ndarray, spec: LogMelSpec) -> np.ndarray:
    """The clips as they are, float32 [n, frames, bands]."""
    return standardise(corpora.levels[rows].astype(np.float32), spec)


def even_weights(corpus: np.ndarray) -> np.ndarray:
    """Weights with which the corpora of unheard speakers count the same, and TESS nothing.

    Both of its speakers are in the training part, so its words say nothing about how sure to be of a stranger.
    """
    sizes = np.bincount(corpus, minlength=len(CORPORA))
    return np.where(corpus == CORPORA.index("tess"), 0.0, 1 / sizes[corpus])


def accuracies(logits: np.ndarray, corpora: Corpora, rows: np.ndarray) -> dict[str, float]:
    """Accuracy of each corpus."""
    right, corpus = logits.argmax(axis=1) == corpora.label[rows], corpora.corpus[rows]
    return {name: round(float(right[corpus == i].mean()), 4) for i, name in enumerate(CORPORA) if (corpus == i).any()}


def facts(
    spec: LogMelSpec,
    parameters: int,
    corpora: Corpora,
    temperature: float,
    steps: int,
    seed: int,
    measured: dict[str, Any],
) -> dict[str, Any]:
    """What the card says about this model."""
    return {
        "name": "moodify-voice",
        "modality": "voice",
        "version": "3.0.0",
        "labels": list(LABELS),
        "input": {
            "shape": [1, spec.frames, spec.bands],
            "dtype": "int8",
            "normalisation": "log-mel in dB, standardised per band with the training part's mean and deviation, "
            "clipped to ±4",
        },
        "output": {"shape": [1, len(LABELS)], "dtype": "int8", "meaning": "logits"},
        "heads": [{"name": "label", "temperature": round(temperature, 4)}],
        "features": asdict(spec),
        "parameters": int(parameters),
        "training": {
            "data": [
                {
                    "name": TITLES[corpus],
                    "clips": sum(clip.corpus == corpus and clip.part == TRAIN for clip in corpora.clips),
                    "licence": LICENCES[corpus],
                }
                for corpus in CORPORA
            ],
            "command": f"scripts/train voice --data DIR --steps {steps}",
            "seed": seed,
            "steps": steps,
            "split": SPLIT_TEXT,
        },
        "measured": measured,
        "licence_note": "The weights are our own work. The data sets are licensed for non-commercial use, which limits "
        "what the weights may be used for: research and private use.",
    }


def main() -> None:
    """Train and measure the file that ships, or the recipe by the protocols."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--steps", type=int, default=Recipe().steps, help="fewer for folds without all corpora")
    parser.add_argument("--model", type=Path, default=MODEL, help="the file to write, its card beside it")
    parser.add_argument("--protocols", action="store_true", help="train and measure every fold instead")
    parser.add_argument("--only", default="", metavar="TEXT", help="protocols with this in their name")
    arguments = parser.parse_args()
    if arguments.protocols:
        recipe = replace(Recipe(), steps=arguments.steps)
        voice_protocols.run(arguments.data, recipe, arguments.only, BUILD, SEED)
    else:
        recipe = replace(SHIPPED, steps=arguments.steps)
        print(json.dumps(ship(read_corpora(arguments.data, BUILD), recipe, arguments.model), indent=1))


if __name__ == "__main__":
    main()
