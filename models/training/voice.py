"""Trains the voice model on TESS, RAVDESS and nEMO, quantises it to int8 and measures the file that ships.

    python -m models.training.voice --data DIR [--steps N]
    python -m models.training.voice --data DIR --protocols [--steps N] [--only TEXT]
    python -m models.training.voice --data DIR --trials [NAME ...] [--only TEXT]

`DIR` holds `tess/`, `ravdess/`, `nemo/` (16 kHz mono) and `esc10/` (noise). With `--protocols` the recipe is trained
anew for every fold, beside a classic baseline, and `models/voice_protocols.md` is written; with `--trials` recipes are
measured on voices they have not heard, never on the test part; nothing ships then. What has been made is kept in
`build/voice/` (6 GB), so that a run that was stopped goes on where it was. PyTorch trains, TensorFlow only converts.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from device.domain.labels import LABELS
from device.errors import run_command
from models.training import voice_protocols, voice_trials
from models.training.card_writer import write_card
from models.training.measuring import calibration_error, fit_temperature, int8_logits
from models.training.voice_corpora import (
    CORPORA,
    LICENCES,
    SPEC,
    SPLIT_TEXT,
    TEST,
    TITLES,
    TRAIN,
    VALIDATION,
    Corpora,
)
from models.training.voice_encoder import PLACES
from models.training.voice_folds import trials
from models.training.voice_hearing import Heard, listen
from models.training.voice_keras import write_int8
from models.training.voice_protocols import inputs_of
from models.training.voice_recipe import Recipe, answers
from models.training.voice_shelf import kept_or_trained
from models.training.voice_trials import accuracies
from models.training.voice_weights import CREDIT, pretrained

SEED = 7
"""Of the folds and of the clips that set the ranges; the heads begin from their recipe's."""
EXAMPLES = 400
"""Inputs that set the ranges of the int8 file."""
BUILD = Path("build/voice")
MODEL = Path("models/voice.tflite")


def ship(heard: Heard, recipe: Recipe, model: Path) -> dict[str, Any]:
    """Write the int8 file and its card; what was measured."""
    corpora = heard.corpora
    rows = {part: corpora.rows(lambda clip, part=part: clip.part == part) for part in (TRAIN, VALIDATION, TEST)}
    trained = kept_or_trained("ships", heard, rows[TRAIN], recipe)
    encoder = pretrained(PLACES)
    some = np.random.default_rng(SEED).choice(rows[TRAIN], EXAMPLES, replace=False)
    write_int8(model, encoder, trained, inputs_of(corpora, some))
    logits = {part: int8_logits(model, inputs_of(corpora, rows[part])) for part in (VALIDATION, TEST)}
    temperature = temperature_for_strangers(heard, recipe)
    plain = answers(trained, heard, rows[TEST])
    measured: dict[str, Any] = {
        "validation": accuracies(logits[VALIDATION], corpora, rows[VALIDATION]),
        **{f"{k}_test": {"accuracy": v} for k, v in accuracies(logits[TEST], corpora, rows[TEST]).items()},
        "ece": round(calibration_error(logits[TEST], corpora.label[rows[TEST]], temperature), 4),
        "float": {f"{k}_test": v for k, v in accuracies(plain, corpora, rows[TEST]).items()},
    }
    members = trained.members.values()
    learned = [w for member in members for name, w in member.items() if not name.startswith("lstm.bias_hh")]
    parameters = sum(weight.size for weight in (*encoder.values(), *learned))
    write_card(model, facts(parameters, corpora, temperature, recipe, measured))
    return measured


def temperature_for_strangers(heard: Heard, recipe: Recipe) -> float:
    """How unsure to be of a strange voice: what fits the answers of the trials' heads to voices they have not heard.

    They are asked about every variant; none of it is of the test part. Of the corpora's temperatures it is the highest,
    as a household is in none of them.
    """
    corpora = heard.corpora
    parts = []
    for fold in trials(corpora):
        if fold.protocol == "strangers":
            trained = kept_or_trained(fold.stem, heard, fold.train, recipe)
            for variant in range(len(heard.variants)):
                said = answers(trained, heard, fold.test, variant)
                parts.append((said, corpora.label[fold.test], corpora.corpus[fold.test]))
    logits, label, corpus = (np.concatenate(part) for part in zip(*parts, strict=True))
    return max(fit_temperature(logits[corpus == one], label[corpus == one]) for one in np.unique(corpus))


def facts(
    parameters: int,
    corpora: Corpora,
    temperature: float,
    recipe: Recipe,
    measured: dict[str, Any],
) -> dict[str, Any]:
    """What the card says about this model."""
    return {
        "name": "moodify-voice",
        "modality": "voice",
        "version": "5.1.0",
        "labels": list(LABELS),
        "input": {
            "shape": [1, SPEC.frames, SPEC.bands],
            "dtype": "int8",
            "normalisation": "log-mel in dB, plus 65, over 40, as Whisper has it",
        },
        "output": {"shape": [1, len(LABELS)], "dtype": "int8", "meaning": "logits"},
        "heads": [{"name": "label", "temperature": round(temperature, 4)}],
        "features": asdict(SPEC),
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
            "command": f"scripts/train voice --data DIR --steps {recipe.steps}",
            "pretrained": CREDIT,
            "seed": recipe.seed,
            "steps": recipe.steps,
            "split": SPLIT_TEXT,
        },
        "measured": measured,
        "licence_note": "The heads are our own work; the encoder before them is others' (MIT). The data "
        "sets are licensed for non-commercial use, which limits what the weights may be used for: to research and "
        "private use.",
    }


def main() -> None:
    """Train and measure the file that ships, or the recipe by the protocols or trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--steps", type=int, default=Recipe().steps, help="fewer for folds without all corpora")
    parser.add_argument("--model", type=Path, default=MODEL, help="the file to write, its card beside it")
    parser.add_argument("--protocols", action="store_true", help="train and measure every fold instead")
    parser.add_argument(
        "--trials",
        nargs="*",
        metavar="NAME",
        choices=voice_trials.RECIPES,
        help="measure these recipes instead, or all",
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="protocols or trials with this in their name")
    arguments = parser.parse_args()
    recipe = replace(Recipe(), steps=arguments.steps)
    if arguments.protocols:
        voice_protocols.run(arguments.data, recipe, arguments.only, BUILD, SEED)
        return
    heard = listen(arguments.data, BUILD)
    if arguments.trials is not None:
        voice_trials.run(heard, arguments.trials or list(voice_trials.RECIPES), arguments.steps, arguments.only)
    else:
        print(json.dumps(ship(heard, recipe, arguments.model), indent=1))


if __name__ == "__main__":
    sys.exit(run_command("train voice", main))
