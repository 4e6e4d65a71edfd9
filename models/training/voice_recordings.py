"""Reads the recordings the voice model learns from: each as a log-mel, and which part it belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from device.lab.evaluate import (
    NEMO_LABELS,
    NEMO_TEST_SPEAKERS,
    RAVDESS_LABELS,
    RAVDESS_TEST_ACTORS,
    TESS_LABELS,
    everyday_noises,
    read_clip,
    tess_word_group,
)
from device.ports import Waveform
from device.sensing.logmel import LogMel, fit, levelled_speech, log_mel
from models.training.voice_corpora import SPEC, TEST, TRAIN, VALIDATION, Clip, Corpora

VALIDATION_ACTORS = range(19, 21)
VALIDATION_SPEAKERS = ("TP0",)


def read_corpora(data: Path, build: Path) -> Corpora:
    """Read every clip under `data`; the log-mels are made once and kept in `build`."""
    clips = tuple(read_clips(data))
    noises = everyday_noises(data, trained=True)
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


def levels_of(sound: Waveform) -> LogMel:
    """Log-mel in dB of the speech in a sound, trimmed and levelled as on the box; float32 [frames, bands]."""
    return log_mel(fit(levelled_speech(sound, SPEC), SPEC.window_samples), SPEC)


def _kept(cache: Path, paths: Sequence[Path]) -> np.ndarray:
    """The log-mels of `paths`, from `cache` when it was made of the same files in the same way."""
    key = hashlib.sha1(repr((SPEC, [path.name for path in paths])).encode()).hexdigest()
    if cache.exists():
        kept = np.load(cache)
        if str(kept["key"]) == key:
            return np.asarray(kept["levels"])
    levels = np.empty((len(paths), SPEC.frames, SPEC.bands), np.float16)
    for row, path in enumerate(paths):
        levels[row] = levels_of(read_clip(path))
        if (row + 1) % 1000 == 0:
            print(f"log-mels: {row + 1} of {len(paths)}", flush=True)
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez(cache, key=key, levels=levels)
    return levels
