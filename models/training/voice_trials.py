"""Recipes measured on voices and corpora they have not heard, never on the test part: by these they are chosen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.training.voice_corpora import CORPORA, Corpora
from models.training.voice_folds import steps_of, trials
from models.training.voice_hearing import Heard
from models.training.voice_recipe import Recipe, answers, train

RECIPES = {
    "ships": Recipe(),
    "plain": Recipe(variants=1),
    "own-manner": Recipe(style_share=0.0),
    "crowd": Recipe(crowd=0.5),
    "plain-heads": Recipe(manners=("plain",)),
    "narrow": Recipe(units=64),
    "dropped": Recipe(dropouts=(0.5, 0.5)),
}
"""Each told in `models/voice_training.md`."""


def run(heard: Heard, names: Sequence[str], steps: int, only: str) -> None:
    """Print a JSON line for each recipe and trial with `only` in its name."""
    for name in names:
        for fold in trials(heard.corpora):
            if only in fold.name:
                recipe = replace(RECIPES[name], steps=steps_of(fold, heard.corpora, steps))
                logits = answers(train(heard, fold.train, recipe), heard, fold.test)
                line = {"recipe": name, "trial": fold.name, **accuracies(logits, heard.corpora, fold.test)}
                print(json.dumps(line), flush=True)


def accuracies(logits: np.ndarray, corpora: Corpora, rows: np.ndarray) -> dict[str, float]:
    """Accuracy of each corpus."""
    right, corpus = logits.argmax(axis=1) == corpora.label[rows], corpora.corpus[rows]
    return {name: round(float(right[corpus == i].mean()), 4) for i, name in enumerate(CORPORA) if (corpus == i).any()}
