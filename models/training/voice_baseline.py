"""The classic way to hear a tone of voice: 88 eGeMAPS figures a clip (openSMILE) and a support vector machine.

F. Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set", IEEE Trans. Affective Computing 7(2), 2016.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from device.lab.evaluate import read_clip
from device.ports import SAMPLE_RATE_HZ
from models.training.voice_corpora import Corpora

COSTS = (0.1, 1.0, 10.0)
INNER_FOLDS = 3
AT_ONCE = 200
"""Clips between two saves."""


def functionals(corpora: Corpora, rows: np.ndarray, build: Path) -> np.ndarray:
    """eGeMAPSv02 functionals of `rows`, float32 [n, 88]; made once for each clip and kept in `build`."""
    path = build / "egemaps.npy"
    kept = np.load(path) if path.exists() else np.full((len(corpora.clips), 88), np.nan, np.float32)
    missing = rows[np.isnan(kept[rows, 0])]
    for start in range(0, len(missing), AT_ONCE):
        some = missing[start : start + AT_ONCE]
        kept[some] = [
            _smile().process_signal(read_clip(corpora.clips[row].path), SAMPLE_RATE_HZ).to_numpy()[0] for row in some
        ]
        np.save(path, kept)
        print(f"eGeMAPS: {start + len(some)} of {len(missing)} clips", flush=True)
    return np.asarray(kept[rows])


@cache
def _smile() -> Any:
    import opensmile

    return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)


def right_answers(corpora: Corpora, train: np.ndarray, test: np.ndarray, build: Path) -> int:
    """How many clips of `test` the machine trained on `train` reads right; its cost is chosen within `train` alone."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    machine = GridSearchCV(
        make_pipeline(StandardScaler(), SVC(class_weight="balanced")), {"svc__C": COSTS}, cv=INNER_FOLDS
    )
    machine.fit(functionals(corpora, train, build), corpora.label[train])
    return int((machine.predict(functionals(corpora, test, build)) == corpora.label[test]).sum())
