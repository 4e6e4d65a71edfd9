"""The recordings the voice model learns from: who speaks, what with, and which part or fold each belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from device.lab.evaluate import (
    NEMO_LABELS,
    NEMO_TEST_SPEAKERS,
    RAVDESS_LABELS,
    RAVDESS_TEST_ACTORS,
    TESS_LABELS,
    read_clip,
    tess_word_group,
)
from device.sensing.logmel import fit, levelled_speech, log_mel
from device.sensing.logmel_spec import LogMelSpec

CORPORA = ("tess", "ravdess", "nemo")
TITLES = {"tess": "TESS", "ravdess": "RAVDESS speech", "nemo": "nEMO"}
LICENCES = {"tess": "CC BY-NC-ND 4.0", "ravdess": "CC BY-NC-SA 4.0", "nemo": "CC BY-NC-SA 4.0"}
TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLIT_TEXT = (
    "test: TESS words with sha1 mod 10 = 0, RAVDESS actors 21–24, nEMO speakers MP0 and WR0; "
    "validation: TESS words with sha1 mod 10 = 1, RAVDESS actors 19–20, nEMO speaker TP0"
)
VALIDATION_ACTORS = range(19, 21)
VALIDATION_SPEAKERS = ("TP0",)
NOISE_FOLDS = ("1", "2", "3", "4")
"""ESC-10's fifth fold is kept for measuring the speech gate."""
SPEC = LogMelSpec(hop_samples=320)
"""A frame each 20 ms: half the work of 10 ms."""


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


def read_corpora(data: Path, build: Path) -> Corpora:
    """Read every clip under `data`; the log-mels are made once and kept in `build`."""
    clips = tuple(read_clips(data))
    noises = [path for path in sorted((data / "esc10").glob("*__*.ogg")) if path.stem.split("__")[1][0] in NOISE_FOLDS]
    paths = [*(clip.path for clip in clips), *noises]
    levels = _kept(build / "levels.npz", paths)
    return Corpora(clips, levels[: len(clips)], levels[len(clips) :])


def read_clips(data: Path) -> Iterator[Clip]:
    """All recordings of the three corpora; the test parts are those of `moodify evaluate voice`."""
    for path in sorted((data / "tess").glob("*.ogg")):
        speaker, word, emotion = path.stem.split("_")
        group = tess_word_group(word)
        part = {0: TEST, 1: VALIDATION}.get(group, TRAIN)
        yield Clip(path, "tess", TESS_LABELS[emotion], speaker, group, part)
    for path in sorted((data / "ravdess").glob("*.ogg")):
        fields = path.stem.split("-")
        actor = int(fields[-1])
        part = TEST if actor in RAVDESS_TEST_ACTORS else VALIDATION if actor in VALIDATION_ACTORS else TRAIN
        yield Clip(path, "ravdess", RAVDESS_LABELS[fields[2]], fields[-1], 0, part)
    for path in sorted((data / "nemo").glob("*.ogg")):
        speaker, emotion, _ = path.stem.split("_")
        part = TEST if speaker in NEMO_TEST_SPEAKERS else VALIDATION if speaker in VALIDATION_SPEAKERS else TRAIN
        yield Clip(path, "nemo", NEMO_LABELS[emotion], speaker, 0, part)


def levels_of(path: Path) -> np.ndarray:
    """Log-mel of a recording in dB, trimmed and levelled as on the box; float16 [frames, bands]."""
    return log_mel(fit(levelled_speech(read_clip(path), SPEC), SPEC.window_samples), SPEC).astype(np.float16)


def _kept(cache: Path, paths: Sequence[Path]) -> np.ndarray:
    """The log-mels of `paths`, from `cache` when it was made of the same files in the same way."""
    key = hashlib.sha1(repr((SPEC, [path.name for path in paths])).encode()).hexdigest()
    if cache.exists():
        kept = np.load(cache)
        if str(kept["key"]) == key:
            return np.asarray(kept["levels"])
    levels = np.empty((len(paths), SPEC.frames, SPEC.bands), np.float16)
    for row, path in enumerate(paths):
        levels[row] = levels_of(path)
        if (row + 1) % 1000 == 0:
            print(f"log-mels: {row + 1} of {len(paths)}", flush=True)
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez(cache, key=key, levels=levels)
    return levels
