"""Says how a song feels, how sure that is and what it sounds like: the small model over what was heard."""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.analysis.decode import RATE_HZ, NothingToHear, decode
from device.analysis.hearing import Array, describe, feature_names, stretches, tempo_of
from device.domain.labels import Affect
from device.domain.tracks import TIMBRE_SIZE
from device.errors import SetupError

SCHEMA = 1
MODELS = Path(__file__).resolve().parent.parent.parent / "models"
QUADRANTS = ("Q1", "Q2", "Q3", "Q4")
"""Happy and excited, angry and tense, sad and low, calm and content (Russell 1980): the order of the posterior."""
VALENCE_SIGN = np.array([1.0, -1.0, -1.0, 1.0])
AROUSAL_SIGN = np.array([1.0, 1.0, -1.0, -1.0])
TYPICAL = 0.6
"""How far from the middle of each axis a song of a quadrant is taken to lie,"""
WITHIN = 0.2
"""and how far songs of one quadrant lie apart on each axis (standard deviation)."""
CLIP = 4.0
"""Standardised features are cut here: one strange number must not outweigh all others."""
PAIRS = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
"""What the support vector machines decide between: pairs of QUADRANTS."""

Posterior = NDArray[np.float64]
"""[4], sums to 1, in the order of QUADRANTS."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """What was heard in one song."""

    affect: Affect
    uncertainty: float
    """How far the affect may be off, as a radius on the plane, 0 … 1: the expected root mean square distance."""
    timbre: bytes
    """TIMBRE_SIZE signed bytes; their Euclidean distance is small for songs that sound alike."""
    tempo_bpm: float
    """Beats a minute; may be half or double of what a person taps."""
    pulse_clarity: float
    """0 no beat … 1 a metronome."""
    loudness_db: float
    """Mean level of what was heard, dB of full scale."""
    posterior: tuple[float, ...]
    """Probabilities of QUADRANTS."""
    heard_seconds: float
    """As much of the song as was listened to."""


@dataclass(frozen=True, eq=False, slots=True)
class Machine:
    """A support vector machine with a Gaussian kernel over some of the features."""

    columns: NDArray[np.intp]
    """Which features it looks at."""
    gamma: float
    weights: NDArray[np.float64]
    """[songs, 6]: what each training song adds to the decision of each pair."""
    bias: NDArray[np.float64]
    """[6]"""


@dataclass(frozen=True, eq=False, slots=True)
class Feeling:
    """The model: machines that look at different sides of the music, and one layer that weighs their decisions."""

    names: tuple[str, ...]
    """The features, as `describe` gives them."""
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    """[features] each, of the training songs."""
    songs: NDArray[np.float32]
    """[songs, features]: the training songs, standardised."""
    machines: tuple[Machine, ...]
    weights: NDArray[np.float64]
    """[6 × machines, 4]: from decisions to logits."""
    bias: NDArray[np.float64]
    """[4]"""
    strange: tuple[float, float]
    """Mean squared standardised feature at which a song starts to be unlike music, and at which it is."""
    timbre_axes: NDArray[np.float64]
    """[features, TIMBRE_SIZE]: from standardised features to timbre."""

    def posterior(self, features: Array) -> Posterior:
        """[4] for the features [n, features] of a song's stretches: the mean over them, vaguer for strange sounds."""
        standard = self.standard(features)
        logits = self.decisions(standard) @ self.weights + self.bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        each = powers / powers.sum(axis=1, keepdims=True)
        start, end = self.strange
        known = np.clip((end - np.mean(standard**2, axis=1)) / (end - start), 0.0, 1.0)[:, np.newaxis]
        return np.asarray((known * each + (1 - known) / len(QUADRANTS)).mean(axis=0), dtype=np.float64)

    def standard(self, features: Array) -> Array:
        """Standardised and cut, [n, features]."""
        return np.clip((features - self.mean) / self.scale, -CLIP, CLIP)

    def decisions(self, standard: Array) -> Array:
        """What all machines decide, [n, 6 × machines]."""
        return np.concatenate([decide(machine, self.songs, standard) for machine in self.machines], axis=1)

    def timbre(self, features: Array) -> bytes:
        """TIMBRE_SIZE signed bytes for the features [n, features] of a song's stretches."""
        place = self.standard(features).mean(axis=0) @ self.timbre_axes
        return bytes(np.clip(np.round(place), -127, 127).astype(np.int8).tobytes())


def decide(machine: Machine, songs: NDArray[Any], standard: Array) -> Array:
    """Decisions [n, 6] of one machine about standardised features [n, features]."""
    ours, theirs = standard[:, machine.columns], songs[:, machine.columns].astype(np.float64)
    apart = (ours**2).sum(axis=1)[:, np.newaxis] + (theirs**2).sum(axis=1) - 2 * ours @ theirs.T
    return np.asarray(np.exp(-machine.gamma * np.maximum(apart, 0)) @ machine.weights + machine.bias, dtype=np.float64)


def hear(path: Path, model: Feeling | None = None) -> Hearing:
    """Listen to a music file. UndecodableTrack or NothingToHear say why it cannot be; SetupError of a wrong model."""
    model = model or shipped()
    span = decode(path)
    try:
        parts = stretches(span.samples)
    except NothingToHear as error:
        raise NothingToHear(f"{path}: {error}; look whether it is music") from None
    features = np.stack([describe(part) for part in parts])
    posterior = model.posterior(features)
    affect, uncertainty = place(posterior)
    tempo, clarity = max((tempo_of(part) for part in parts), key=lambda found: found[1])
    return Hearing(
        affect=affect,
        uncertainty=uncertainty,
        timbre=model.timbre(features),
        tempo_bpm=round(tempo, 1),
        pulse_clarity=round(clarity, 3),
        loudness_db=round(float(features[:, model.names.index("loudness_db")].mean()), 1),
        posterior=tuple(round(float(value), 4) for value in posterior),
        heard_seconds=round(len(span.samples) / RATE_HZ, 1),
    )


def place(posterior: Posterior) -> tuple[Affect, float]:
    """Where on the plane a posterior puts a song, and the root mean square distance to where it may really be.

    Songs of a quadrant are taken to lie about (±TYPICAL, ±TYPICAL), WITHIN apart.
    """
    affect = Affect(
        round(float(TYPICAL * posterior @ VALENCE_SIGN), 4), round(float(TYPICAL * posterior @ AROUSAL_SIGN), 4)
    )
    spread = 2 * (TYPICAL**2 + WITHIN**2) - affect.valence**2 - affect.arousal**2
    return affect, round(min(1.0, math.sqrt(max(0.0, spread))), 3)


@lru_cache(maxsize=1)
def shipped() -> Feeling:
    """The model that came with the program, read once."""
    return load(MODELS)


# --- the file and its card ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MusicCard:
    """What the program knows about the music model without opening it."""

    path: Path
    model: Path
    version: str
    bytes: int
    sha256: str
    features: tuple[str, ...]
    measured: Mapping[str, Any]


def load(models: Path) -> Feeling:
    """The model `music.npz` of a folder, only if it is the one that `music.card.json` describes; else SetupError."""
    card = read_music_card(models)
    content = _read(card.model)
    if len(content) != card.bytes or hashlib.sha256(content).hexdigest() != card.sha256:
        raise SetupError(
            f"{card.model}: not the file that {card.path.name} describes (sha256 differs); "
            "restore both from the same release"
        )
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            model = unpacked(card.features, {name: arrays[name] for name in arrays.files})
    except (KeyError, ValueError, IndexError, zipfile.BadZipFile) as error:
        raise SetupError(f"{card.model}: {error}; restore it and its card from the same release") from None
    if model.mean.shape != (len(card.features),):
        raise SetupError(f"{card.path}: features: {len(card.features)} names for {len(model.mean)} columns")
    return model


def read_music_card(models: Path) -> MusicCard:
    """Read and check `music.card.json` in the folder `models`; SetupError names the key."""
    path = models / "music.card.json"
    try:
        content = json.loads(_read(path))
    except ValueError as error:
        raise SetupError(f"{path}: not valid JSON: {error}; restore the card from the release") from None
    facts = {key: _fact(path, content, key, kind) for key, kind in _KEYS.items()}
    for key, wanted in (("schema", SCHEMA), ("modality", "music"), ("quadrants", list(QUADRANTS))):
        if facts[key] != wanted:
            raise _wrong(path, key, f"{facts[key]!r} where this program needs {wanted!r}")
    if Path(facts["file"]).name != facts["file"]:
        raise _wrong(path, "file", f"{facts['file']!r} is not a plain file name")
    if tuple(facts["features"]) != feature_names():
        raise _wrong(path, "features", "not the features that this program measures")
    return MusicCard(
        path, models / facts["file"], facts["version"], facts["bytes"], facts["sha256"].lower(),
        feature_names(), facts["measured"],
    )  # fmt: skip


_KEYS: Mapping[str, type] = {
    "schema": int, "modality": str, "file": str, "version": str, "bytes": int, "sha256": str, "quadrants": list,
    "features": list, "measured": dict,
}  # fmt: skip


def _fact(path: Path, content: Any, key: str, kind: type) -> Any:
    if not isinstance(content, dict) or key not in content:
        raise _wrong(path, key, "missing")
    if not isinstance(content[key], kind):
        raise _wrong(path, key, f"{content[key]!r} is not of type {kind.__name__}")
    return content[key]


def _wrong(path: Path, key: str, what: str) -> SetupError:
    return SetupError(f"{path}: {key}: {what}; restore the card that belongs to the model")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SetupError(f"{path}: {error.strerror}; set paths.models to the folder with the models") from None


SONG_STEP = 8.0 / 255
"""The training songs are kept as int8 of this step over ±CLIP."""


def packed(model: Feeling) -> dict[str, NDArray[Any]]:
    """The arrays of `music.npz`."""
    arrays: dict[str, NDArray[Any]] = {
        "mean": model.mean.astype(np.float32),
        "scale": model.scale.astype(np.float32),
        "songs": np.clip(np.round(model.songs / SONG_STEP), -127, 127).astype(np.int8),
        "weights": model.weights.astype(np.float32),
        "bias": model.bias.astype(np.float32),
        "strange": np.array(model.strange, np.float32),
        "timbre_axes": model.timbre_axes.astype(np.float32),
    }
    for number, machine in enumerate(model.machines):
        arrays[f"columns_{number}"] = machine.columns.astype(np.uint16)
        arrays[f"gamma_{number}"] = np.array(machine.gamma, np.float64)
        arrays[f"weights_{number}"] = machine.weights.astype(np.float16)
        arrays[f"bias_{number}"] = machine.bias.astype(np.float32)
    return arrays


def unpacked(names: Sequence[str], arrays: Mapping[str, NDArray[Any]]) -> Feeling:
    """The model from the arrays of `music.npz`; KeyError or ValueError when they do not fit together."""
    count = sum(name.startswith("columns_") for name in arrays)
    machines = tuple(
        Machine(
            columns=arrays[f"columns_{number}"].astype(np.intp),
            gamma=float(arrays[f"gamma_{number}"]),
            weights=arrays[f"weights_{number}"].astype(np.float64),
            bias=arrays[f"bias_{number}"].astype(np.float64),
        )
        for number in range(count)
    )
    model = Feeling(
        names=tuple(names),
        mean=arrays["mean"].astype(np.float64),
        scale=arrays["scale"].astype(np.float64),
        songs=arrays["songs"].astype(np.float32) * np.float32(SONG_STEP),
        machines=machines,
        weights=arrays["weights"].astype(np.float64),
        bias=arrays["bias"].astype(np.float64),
        strange=(float(arrays["strange"][0]), float(arrays["strange"][1])),
        timbre_axes=arrays["timbre_axes"].astype(np.float64),
    )
    features = len(model.mean)
    shapes = {
        "scale": (model.scale.shape, (features,)),
        "songs": (model.songs.shape[1:], (features,)),
        "weights": (model.weights.shape, (len(PAIRS) * count, len(QUADRANTS))),
        "bias": (model.bias.shape, (len(QUADRANTS),)),
        "timbre_axes": (model.timbre_axes.shape, (features, TIMBRE_SIZE)),
    }
    for name, (found, wanted) in shapes.items():
        if found != wanted:
            raise ValueError(f"{name}: {list(found)} where {list(wanted)} is needed")
    return model
