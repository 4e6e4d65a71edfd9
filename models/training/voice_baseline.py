"""The classic way to hear a tone of voice: 88 eGeMAPS figures a clip (openSMILE) and a support vector machine.

F. Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set", IEEE Trans. Affective Computing 7(2), 2016.
"""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from device.lab.evaluate import read_clip
from device.ports import SAMPLE_RATE_HZ
from models.training.voice_corpora import Corpora
from models.training.voice_folds import Fold

COSTS = (0.1, 1.0, 10.0)
INNER_FOLDS = 3
FUNCTIONALS = 88
AT_ONCE = 400
"""Clips between two saves."""


def keep_functionals(corpora: Corpora, build: Path) -> None:
    """Make the eGeMAPSv02 functionals of every clip and keep them in `build`, unless they are there."""
    path = build / "egemaps.npy"
    kept = np.load(path) if path.exists() else np.empty((0, FUNCTIONALS), np.float32)
    paths = [clip.path for clip in corpora.clips[len(kept) :]]
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as workers:
        for start in range(0, len(paths), AT_ONCE):
            some = list(workers.map(_functionals, paths[start : start + AT_ONCE], chunksize=20))
            kept = np.concatenate([kept, some])
            np.save(path, kept)
            print(f"eGeMAPS: {len(kept)} of {len(corpora.clips)} clips", flush=True)


def _functionals(path: Path) -> np.ndarray:
    return np.asarray(_smile().process_signal(read_clip(path), SAMPLE_RATE_HZ).to_numpy()[0], np.float32)


@cache
def _smile() -> Any:
    import opensmile

    return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)


def right_answers(corpora: Corpora, fold: Fold, build: Path) -> int:
    """How many clips of a fold the machine trained on it reads right; its cost is chosen within the training clips.

    Needs `keep_functionals` before it; the answer is kept in `build`.
    """
    path = build / "baseline" / f"{fold.stem}.txt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(_right_answers(np.load(build / "egemaps.npy"), corpora.label, fold)))
    return int(path.read_text())


def _right_answers(functionals: np.ndarray, label: np.ndarray, fold: Fold) -> int:
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    machine = GridSearchCV(
        make_pipeline(StandardScaler(), SVC(class_weight="balanced")), {"svc__C": COSTS}, cv=INNER_FOLDS
    )
    machine.fit(functionals[fold.train], label[fold.train])
    return int((machine.predict(functionals[fold.test]) == label[fold.test]).sum())
