"""Trains the music model on the 4Q songs, measures its recipe in folds kept apart by artist, and writes file and card.

    python -m models.training.music --data DIR [--tries]

`DIR` holds `music4q.csv` and `music4q/`. The features are measured once and kept in `build/music/`. The shipped model
learns from all songs; the figures in its card are those of the same recipe in ten folds. `--tries` measures the other
recipes too and ships nothing.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from device.analysis import feeling, hearing
from device.errors import run_command
from device.lab.music import CACHE, FOLDS, RECIPE, SEED, Recipe, Songs, figures_of, fit, folds, measure, read_songs
from models.training.card_writer import write_card

MODEL = Path("models/music.npz")
EVERYTHING = tuple(name for name in hearing.GROUPS if name != "loudness")
SEEDS = (0, 1, 2)
"""Of the folds, when recipes are compared."""

RECIPES: dict[str, Recipe] = {
    "shipped": RECIPE,
    **{f"one machine, {'+'.join(view)}": replace(RECIPE, views=(view,)) for view in RECIPE.views},
    "one machine, with the loudness": replace(RECIPE, views=(("loudness", *EVERYTHING),)),
    "wider kernel (gamma 0.1, C 10)": replace(RECIPE, gamma=0.1, cost=10.0),
    "narrower kernel (gamma 0.5, C 2)": replace(RECIPE, gamma=0.5, cost=2.0),
}

OTHERS: dict[str, Any] = {
    "logistic regression": lambda: LogisticRegression(C=0.003, max_iter=500),
    "linear discriminant, shrunk": lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.4),
    "small network, 48 units": lambda: MLPClassifier(
        (48,), alpha=20, learning_rate_init=1e-3, max_iter=40, random_state=0
    ),
    "extra trees, 400": lambda: ExtraTreesClassifier(400, min_samples_leaf=2, max_features=0.15, random_state=0),
    "gradient boosting": lambda: HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.06, max_leaf_nodes=6, l2_regularization=5, max_features=0.2, random_state=0
    ),
}
"""Kinds of model that were tried beside the machines, each on everything but the loudness."""


def measure_other(songs: Songs, make: Any, seed: int) -> dict[str, Any]:
    """Figures of a scikit-learn classifier in the same folds."""
    columns = np.array([group != "loudness" for group in hearing.feature_groups()])
    posteriors = np.zeros((len(songs.quadrant), 4))
    for learn, ask in folds(songs.quadrant, songs.artist, FOLDS, seed):
        model: ClassifierMixin = make_pipeline(StandardScaler(), make())
        model.fit(songs.features[learn][:, columns], songs.quadrant[learn])
        posteriors[ask] = model.predict_proba(songs.features[ask][:, columns])
    return figures_of(posteriors, songs.quadrant)


def compare(songs: Songs) -> None:
    """Print the figures of every recipe and every other kind, as a mean over SEEDS."""
    for name, recipe in RECIPES.items():
        _tell(name, [measure(songs, recipe, seed) for seed in SEEDS])
    for name, make in OTHERS.items():
        _tell(name, [measure_other(songs, make, seed) for seed in SEEDS])


def _tell(name: str, runs: list[dict[str, Any]]) -> None:
    keys = ("quadrant_f1", "arousal_accuracy", "valence_accuracy", "nll")
    f1, arousal, valence, nll = (float(np.mean([run[key] for run in runs])) for key in keys)
    print(f"| {name} | {100 * f1:.1f} | {100 * arousal:.1f} | {100 * valence:.1f} | {nll:.3f} |", flush=True)


def ship(songs: Songs) -> None:
    """Write the model that learned from all songs, and its card."""
    figures = measure(songs)
    model = fit(songs, np.arange(len(songs.quadrant)))
    np.savez_compressed(MODEL, **feeling.packed(model))
    card = write_card(
        MODEL,
        {
            "name": "moodify-music",
            "modality": "music",
            "version": "1.0.0",
            "quadrants": list(feeling.QUADRANTS),
            "window_seconds": hearing.WINDOW_SECONDS,
            "features": list(hearing.feature_names()),
            "training": {
                "data": [
                    {
                        "name": "4Q audio emotion (Panda 2018)",
                        "clips": len(songs.quadrant),
                        "licence": "none stated; commercial previews",
                    }
                ],
                "command": "scripts/train music --data DIR",
                "seed": SEED,
            },
            "measured": {"grouped_cross_validation": figures},
            "licence_note": "The weights are our own work: statistics of sound, from which no clip can be rebuilt. The "
            "clips are previews of commercial recordings, published for research without a licence, so the data set "
            "limits what the weights may be used for: research and private use.",
        },
    )
    print(f"{MODEL}: {MODEL.stat().st_size:,} bytes; {card}")
    for key in ("quadrant_f1", "quadrant_accuracy", "arousal_accuracy", "valence_accuracy", "nll", "folds"):
        print(f"{key}: {figures[key]}")


def main() -> None:
    """Train or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with the data sets")
    parser.add_argument("--tries", action="store_true", help="measure the other recipes too; ship nothing")
    options = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    songs = read_songs(options.data)
    if options.tries:
        compare(songs)
    else:
        ship(songs)


if __name__ == "__main__":
    sys.exit(run_command("train music", main))
