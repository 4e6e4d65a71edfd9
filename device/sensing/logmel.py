"""Turns a window of speech into the log-mel tensor the voice model reads, the same way when training and on the box."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from device.sensing.logmel_spec import LogMelSpec

Waveform = NDArray[np.float32]
LogMel = NDArray[np.float32]

ENERGY_FRAME_SECONDS = 0.02
LOUD_QUANTILE = 0.95
QUIET_QUANTILE = 0.10
SPEECH_RANGE_DB = 30.0
"""Speech lies at most this far below the loud frames."""
ABOVE_NOISE_DB = 3.0
"""… and this far above the quiet ones, as far as they can be told from it:"""
LEAST_RANGE_DB = 15.0
"""The quiet frames never push the limit closer than this to the loud ones."""
MARGIN_SECONDS = 0.1
"""Kept on either side of the speech, so that its soft ends stay."""
SILENCE_RMS = 1e-5
"""Below this (-100 dBFS) there is nothing to level."""
TINY = 1e-12
CLIP = 4.0

HZ_PER_MEL = 200.0 / 3
BREAK_HZ = 1000.0
BREAK_MEL = BREAK_HZ / HZ_PER_MEL
LOG_STEP = float(np.log(6.4)) / 27.0


@dataclass(frozen=True, slots=True)
class SpeechSpan:
    """Where the speech lies in a waveform."""

    start: int
    """First sample."""
    stop: int
    """One past the last sample; start = stop means that there is none."""
    rms: float
    """Of the frames that carry speech; full scale is 1."""


def voice_input(window: Waveform, spec: LogMelSpec) -> LogMel:
    """Make the model's input, float32 [frames, bands], from `window` (float32 [n], mono, -1 … 1, any length).

    Trims the silence at both ends, brings the speech to `spec.level_db`, fits it into `spec.window_seconds`, takes the
    log-mel and standardises each band, clipped to ±4. Silence gives a constant, finite input.
    """
    return standardise(log_mel(fit(levelled_speech(window, spec), spec.window_samples), spec), spec)


def levelled_speech(window: Waveform, spec: LogMelSpec) -> Waveform:
    """The speech in `window` (float32 [n]) from end to end, at `spec.level_db`; [0] if there is none."""
    span = speech_span(window, spec.sample_rate_hz)
    speech = window[span.start : span.stop]
    if span.rms <= SILENCE_RMS:
        return speech[:0]
    return np.asarray(speech * (10 ** (spec.level_db / 20) / span.rms), dtype=np.float32)


def speech_span(window: Waveform, sample_rate_hz: int) -> SpeechSpan:
    """Find the speech in `window` (float32 [n]) by its energy in frames of 20 ms.

    The limit lies 30 dB under the loud frames, or closer where the room's noise does; it falls between the
    5 % loudest and the 10 % quietest frames, so it needs no absolute level.
    """
    frame = round(ENERGY_FRAME_SECONDS * sample_rate_hz)
    power = _frame_power(window, frame)
    if power.size == 0 or power.max() <= SILENCE_RMS**2:
        return SpeechSpan(0, 0, 0.0)
    active = power >= _speech_limit(power)
    frames = np.flatnonzero(active)
    margin = round(MARGIN_SECONDS * sample_rate_hz)
    start = max(0, int(frames[0]) * frame - margin)
    stop = min(len(window), (int(frames[-1]) + 1) * frame + margin)
    return SpeechSpan(start, stop, float(np.sqrt(power[active].mean())))


def fit(speech: Waveform, samples: int) -> Waveform:
    """Bring `speech` (float32 [n]) to exactly `samples`: its middle if longer, centred in silence if shorter."""
    surplus = len(speech) - samples
    if surplus >= 0:
        start = surplus // 2
        return speech[start : start + samples]
    fitted = np.zeros(samples, dtype=np.float32)
    start = -surplus // 2
    fitted[start : start + len(speech)] = speech
    return fitted


def log_mel(window: Waveform, spec: LogMelSpec) -> LogMel:
    """Log-mel of `window` (float32 [n]) in dB, float32 [1 + n // hop, bands].

    Equals librosa's `melspectrogram(center=True, pad_mode="constant", power=2)` with its default (Slaney) filters,
    then 10 log10 with a floor at `spec.floor_db`.
    """
    padded = np.pad(window.astype(np.float32, copy=False), spec.fft_samples // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, spec.fft_samples)[:: spec.hop_samples]
    spectrum = rfft(frames * _hann(spec.frame_samples, spec.fft_samples), axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    mel = power @ mel_filters(spec.sample_rate_hz, spec.fft_samples, spec.bands, spec.low_hz, spec.high_hz).T
    return np.asarray(10 * np.log10(np.maximum(mel, 10 ** (spec.floor_db / 10))), dtype=np.float32)


def standardise(levels: LogMel, spec: LogMelSpec) -> LogMel:
    """Bring log-mel `levels` (dB, [frames, bands]) to mean 0 and deviation 1 of the training part, clipped to ±4."""
    mean, std = np.asarray(spec.mean, np.float32), np.asarray(spec.std, np.float32)
    return np.clip((levels - mean) / std, -CLIP, CLIP)


@lru_cache(maxsize=4)
def mel_filters(
    sample_rate_hz: int, fft_samples: int, bands: int, low_hz: float, high_hz: float
) -> NDArray[np.float32]:
    """Triangular filters of equal area on Slaney's mel scale, float32 [bands, 1 + fft_samples // 2].

    M. Slaney, "Auditory Toolbox", Interval Research TR 1998-010: linear up to 1 kHz, logarithmic above.
    """
    edges = _mel_to_hz(np.linspace(_hz_to_mel(low_hz), _hz_to_mel(high_hz), bands + 2))
    bins = np.arange(1 + fft_samples // 2) * (sample_rate_hz / fft_samples)
    left, centre, right = edges[:-2, np.newaxis], edges[1:-1, np.newaxis], edges[2:, np.newaxis]
    rising = (bins - left) / (centre - left)
    falling = (right - bins) / (right - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(triangles * (2.0 / (right - left)), dtype=np.float32)


def _hz_to_mel(hz: float) -> float:
    """Slaney's mel of a frequency."""
    return hz / HZ_PER_MEL if hz < BREAK_HZ else BREAK_MEL + float(np.log(hz / BREAK_HZ)) / LOG_STEP


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frequencies of Slaney's mels."""
    above = BREAK_HZ * np.exp(LOG_STEP * (np.maximum(mel, BREAK_MEL) - BREAK_MEL))
    return np.where(mel < BREAK_MEL, mel * HZ_PER_MEL, above)


@lru_cache(maxsize=4)
def _hann(frame_samples: int, fft_samples: int) -> NDArray[np.float32]:
    """Periodic Hann window of `frame_samples`, centred in `fft_samples`."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame_samples) / frame_samples)
    left = (fft_samples - frame_samples) // 2
    return np.asarray(np.pad(window, (left, fft_samples - frame_samples - left)), dtype=np.float32)


def _frame_power(window: Waveform, frame: int) -> NDArray[np.float64]:
    """Mean square of each whole frame of `window`, without its constant part."""
    whole = len(window) // frame * frame
    samples = window[:whole].astype(np.float64)
    if whole:
        samples -= samples.mean()
    return np.asarray((samples.reshape(-1, frame) ** 2).mean(axis=1), dtype=np.float64)


def _speech_limit(power: NDArray[np.float64]) -> float:
    """Least power of a frame that counts as speech."""
    levels = 10 * np.log10(power + TINY)
    quiet, loud = np.quantile(levels, (QUIET_QUANTILE, LOUD_QUANTILE))
    limit_db = max(loud - SPEECH_RANGE_DB, min(quiet + ABOVE_NOISE_DB, loud - LEAST_RANGE_DB))
    return float(10 ** (limit_db / 10))
