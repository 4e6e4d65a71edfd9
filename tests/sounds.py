"""Sounds that the tests make themselves: music, rooms, noise, and a voice by espeak-ng."""

from __future__ import annotations

import io
import shutil
import subprocess

import numpy as np
import pytest
import soundfile
from scipy.signal import fftconvolve, resample_poly

RATE_HZ = 16_000

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="not installed: espeak-ng")


def spoken(text: str, voice: str = "en") -> np.ndarray:
    """The text spoken by espeak-ng, float32 at 16 kHz."""
    wave = subprocess.run(["espeak-ng", "-v", voice, "--stdout", text], capture_output=True, check=True, timeout=60)
    samples, rate_hz = soundfile.read(io.BytesIO(wave.stdout), dtype="float32")
    return resample_poly(samples, RATE_HZ, rate_hz).astype(np.float32)


def speech_of(seconds: float) -> np.ndarray:
    """Speech that goes on for so long."""
    sentence = spoken("I am so very happy to see you here today my friend, what a wonderful day this is")
    return np.tile(sentence, int(seconds * RATE_HZ / len(sentence)) + 1)[: int(seconds * RATE_HZ)]


def music(seconds: float, seed: int) -> np.ndarray:
    """Chords and a drum, float32 at 16 kHz."""
    random = np.random.default_rng(seed)
    samples = np.zeros(int(seconds * RATE_HZ))
    beat = int(0.4 * RATE_HZ)
    for start in range(0, len(samples), beat):
        at = np.arange(min(2 * beat, len(samples) - start)) / RATE_HZ
        root_hz = 110 * 2 ** (random.integers(0, 12) / 12)
        for ratio in (1, 1.26, 1.5, 2, 3):
            samples[start : start + len(at)] += (
                0.05 / ratio * np.sin(2 * np.pi * root_hz * ratio * at) * np.exp(-3 * at)
            )
        samples[start : start + len(at)] += random.normal(0, 0.1, len(at)) * np.exp(-40 * at)
    return samples.astype(np.float32)


def in_room(samples: np.ndarray, reverberation_seconds: float, delay_seconds: float, seed: int) -> np.ndarray:
    """The sound after a room that answers with exponentially decaying noise, delayed; as long as before."""
    at = np.arange(int(1.2 * reverberation_seconds * RATE_HZ)) / RATE_HZ
    answer = np.random.default_rng(seed).normal(0, 0.06, len(at)) * np.exp(-6.9 * at / reverberation_seconds)
    answer[0] = 1.0
    answer = np.concatenate([np.zeros(int(delay_seconds * RATE_HZ)), answer])
    return fftconvolve(samples, answer)[: len(samples)].astype(np.float32)


def noise(seconds: float, rms: float, seed: int = 1) -> np.ndarray:
    """White noise, float32 at 16 kHz."""
    return np.random.default_rng(seed).normal(0, rms, int(seconds * RATE_HZ)).astype(np.float32)


def rms(samples: np.ndarray) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
