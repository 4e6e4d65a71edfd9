"""Sounds to measure the ears with: recordings by part, mixtures, and what a loudspeaker's music becomes in a room."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import gcd
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt

from device.errors import SetupError
from device.lab.evaluate import (
    NEMO_LABELS,
    RAVDESS_LABELS,
    TESS_LABELS,
    Clip,
    nemo_test,
    ravdess_test,
    read_clip,
    recordings,
    tess_test,
)
from device.ports import SAMPLE_RATE_HZ, Waveform

RAVDESS_VALIDATION_ACTORS = ("19", "20")
NEMO_VALIDATION_SPEAKER = "TP0"
SILENCE_POWER = 1e-12
LOUDSPEAKER_HZ = (150.0, 7000.0)
"""What a small loudspeaker plays of it."""
DRIVE = 0.7
"""How far its loudest moment drives it into tanh: some 3 % of harmonics."""


def test_speech(data: Path) -> dict[str, list[Clip]]:
    """The fixed test parts, by corpus."""
    return {"tess": tess_test(data), "ravdess": ravdess_test(data), "nemo": nemo_test(data)}


def validation_speech(data: Path) -> dict[str, list[Clip]]:
    """The validation parts, by corpus: TESS words whose sha1 is 1 modulo 10, RAVDESS actors 19 and 20, nEMO's TP0."""
    tess = [(path, path.stem.split("_")) for path in recordings(data, "tess")]
    ravdess = [(path, path.stem.split("-")) for path in recordings(data, "ravdess")]
    nemo = [(path, path.stem.split("_")) for path in recordings(data, "nemo")]
    return {
        "tess": [Clip(p, TESS_LABELS[f[2]]) for p, f in tess if _remainder(f[1]) == 1],
        "ravdess": [Clip(p, RAVDESS_LABELS[f[2]]) for p, f in ravdess if f[-1] in RAVDESS_VALIDATION_ACTORS],
        "nemo": [Clip(p, NEMO_LABELS[f[1]]) for p, f in nemo if f[0] == NEMO_VALIDATION_SPEAKER],
    }


def drawn(clips: Sequence[Clip], count: int, rng: np.random.Generator) -> list[Clip]:
    """At most `count` of them, by chance."""
    return [clips[index] for index in sorted(rng.choice(len(clips), min(count, len(clips)), replace=False))]


def read_at_16_khz(path: Path) -> Waveform:
    """A recording of any rate as float32 [n] at 16 kHz mono."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return resampled(samples.mean(axis=1), rate_hz)


def resampled(samples: Waveform, rate_hz: int) -> Waveform:
    """`samples` [n, …] brought from `rate_hz` to 16 kHz along the first axis."""
    shared = gcd(rate_hz, SAMPLE_RATE_HZ)
    return np.asarray(resample_poly(samples, SAMPLE_RATE_HZ // shared, rate_hz // shared), dtype=np.float32)


def room_response(data: Path, room: str) -> tuple[Waveform, Waveform]:
    """Both channels of a room's answer, each of energy 1: one for the loudspeaker, one for who speaks."""
    path = data / "rooms" / f"{room}.wav"
    if not path.is_file():
        raise SetupError(f"{path}: not there; --data names the folder that holds the data sets")
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    response = resampled(samples, rate_hz)
    response /= np.sqrt((response.astype(np.float64) ** 2).sum(axis=0))
    return np.ascontiguousarray(response[:, 0]), np.ascontiguousarray(response[:, -1])


def in_room(sound: Waveform, response: Waveform) -> Waveform:
    """The sound as the room answers it, as long as before."""
    return np.asarray(fftconvolve(sound, response)[: len(sound)], dtype=np.float32)


def through_loudspeaker(sound: Waveform) -> Waveform:
    """Band-limited and mildly bent, as a small loudspeaker does."""
    band = butter(2, LOUDSPEAKER_HZ, "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    limited = sosfilt(band, sound)
    loudest = float(np.abs(limited).max()) or 1.0
    return np.asarray(np.tanh(limited * (DRIVE / loudest)) * (loudest / DRIVE), dtype=np.float32)


def delayed(sound: Waveform, seconds: float) -> Waveform:
    """The sound so much later, as long as before."""
    late = np.pad(sound, (round(seconds * SAMPLE_RATE_HZ), 0))[: len(sound)]
    return np.asarray(late, dtype=np.float32)


def at_level(sound: Waveform, dbfs: float) -> Waveform:
    """The sound brought to this root mean square; silence stays silence."""
    mean = power(sound)
    gain = 1.0 if mean <= SILENCE_POWER else 10 ** (dbfs / 20) / np.sqrt(mean)
    return np.asarray(sound * np.float32(gain), dtype=np.float32)


def mixed(speech: Waveform, noise: Waveform, snr_db: float) -> Waveform:
    """Speech with noise beneath it, repeated to the same length, at `snr_db` of the mean powers."""
    beneath = np.resize(noise, len(speech))
    if power(beneath) <= SILENCE_POWER:
        return speech
    gain = np.sqrt(power(speech) / power(beneath) * 10 ** (-snr_db / 10))
    return np.clip(speech + np.float32(gain) * beneath, -1.0, 1.0).astype(np.float32)


def power(sound: Waveform) -> float:
    """Mean square."""
    return float(np.mean(sound.astype(np.float64) ** 2)) if len(sound) else 0.0


def hops_of(sound: Waveform, hop_seconds: float) -> list[Waveform]:
    """The whole hops of a sound; what is left over is dropped."""
    size = round(hop_seconds * SAMPLE_RATE_HZ)
    return [sound[start : start + size] for start in range(0, len(sound) - size + 1, size)]


def read_speech(clip: Clip) -> Waveform:
    """Its sound."""
    return read_clip(clip.path)


def _remainder(word: str) -> int:
    return int(hashlib.sha1(word.encode()).hexdigest(), 16) % 10
