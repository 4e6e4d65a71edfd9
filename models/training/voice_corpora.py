"""The recordings the voice model learns from: who speaks, what with, and which part or fold each belongs to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from device.sensing.logmel_spec import LogMelSpec

CORPORA = ("tess", "ravdess", "nemo")
TITLES = {"tess": "TESS", "ravdess": "RAVDESS speech", "nemo": "nEMO"}
LICENCES = {"tess": "CC BY-NC-ND 4.0", "ravdess": "CC BY-NC-SA 4.0", "nemo": "CC BY-NC-SA 4.0"}
TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLIT_TEXT = (
    "test: TESS words with sha1 mod 10 = 0, RAVDESS actors 21–24, nEMO speakers MP0 and WR0; "
    "validation: TESS words with sha1 mod 10 = 1, RAVDESS actors 19–20, nEMO speaker TP0"
)
_BANDS = 80
SPEC = LogMelSpec(
    fft_samples=400,
    frame_samples=400,
    bands=_BANDS,
    low_hz=0.0,
    high_hz=8000.0,
    mean=(-65.0,) * _BANDS,
    std=(40.0,) * _BANDS,
)
"""What Whisper reads; speech at our level lies 25 dB below its own, which has (dB + 40) / 40."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording and where it belongs."""

    path: Path
    corpus: str
    label: int
    speaker: str
    group: int
    """TESS: of its word, 0 … 9; elsewhere 0."""
    part: str


@dataclass(frozen=True, slots=True)
class Corpora:
    """All recordings as log-mels, row by row."""

    clips: tuple[Clip, ...]
    levels: np.ndarray
    """float16 [N, frames, bands], dB, before anything is standardised."""
    noises: np.ndarray
    """float16 [M, frames, bands], dB: everyday sounds without speech, at the level of speech."""

    @property
    def label(self) -> np.ndarray:
        """int64 [N]."""
        return np.array([clip.label for clip in self.clips])

    @property
    def corpus(self) -> np.ndarray:
        """int64 [N], index into CORPORA."""
        return np.array([CORPORA.index(clip.corpus) for clip in self.clips])

    def rows(self, wanted: Callable[[Clip], bool]) -> np.ndarray:
        """The rows whose clip is wanted, int64 [n]."""
        return np.flatnonzero([wanted(clip) for clip in self.clips])
