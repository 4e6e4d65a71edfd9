"""Takes the speaker's own music out of what the microphone hears."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from device.ports import SAMPLE_RATE_HZ, Waveform

LAG_SECONDS = 0.7
"""The music reaches the microphone at most this long after it reached the reference …"""
LEAD_SECONDS = 0.3
"""… or, as both are timed by when they were read, this long before it."""
FFT_SAMPLES = 1024
HOP_SAMPLES = FFT_SAMPLES // 2
TAPS = 10
"""Frames of 32 ms that the room's answer to the music may last."""
LEAST_SAMPLES = 3 * TAPS * HOP_SAMPLES
"""Of less sound nothing can be said."""
PRE_SAMPLES = 80
"""The filter begins this much before the lag that was found."""
PASSES = 3
"""Fits; each but the first minds a moment the less the more was left of it, which is where somebody speaks."""
FLOOR = 0.01
"""What is left counts as at least this much of the mean of its band."""
RIDGE = 1e-3
INAUDIBLE_RMS = 1e-5
CHANCE_SHARE = 0.03
"""About what music that is not heard at all still explains of speech: half of the tuning windows lie below 0.01, most
below this."""
WINDOW = np.hanning(FFT_SAMPLES + 1)[:-1].astype(np.float32)
"""Halves that overlap add up to 1."""

Spectra = NDArray[np.complex64]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What the microphone heard without the music."""

    samples: Waveform
    music_share: float
    """Share 0 … 1 of the energy that was taken out."""


def without_music(reference: Waveform, microphone: Waveform) -> Cleaned:
    """Take out of `microphone` (float32 [n]) what `reference`, as the room answers it, explains.

    Both end at the same time; `reference` should begin LAG_SECONDS earlier. After alignment by GCC-PHAT (Knapp and
    Carter 1976) each frequency bin of the microphone is predicted from the last TAPS frames of the reference in that
    bin (the convolutive model of Avargel and Cohen 2007, without cross-bands). Speech is sparse, so the squares are
    weighted by the power of what is left, as Nakatani et al. (2010) do against reverberation: plain least squares would
    take speech out with the music. Unchanged where too little is heard, or no more explained than chance would.
    """
    if len(microphone) < LEAST_SAMPLES or min(_rms(reference), _rms(microphone)) < INAUDIBLE_RMS:
        return Cleaned(microphone, 0.0)
    lag = _lag(reference, microphone) - PRE_SAMPLES
    heard = _spectra(microphone)
    played = _spectra(_shifted(reference, lag, len(microphone) + TAPS * HOP_SAMPLES))
    frames = len(heard)
    taps = np.stack([played[TAPS - k :][:frames] for k in range(TAPS)], axis=-1).transpose(1, 0, 2)
    rest = _unexplained(taps, heard.T)
    samples = _sound(rest.T, len(microphone))
    share = float(1.0 - (_rms(samples) / _rms(microphone)) ** 2)
    return Cleaned(samples, share) if share > CHANCE_SHARE else Cleaned(microphone, 0.0)


def _lag(reference: Waveform, microphone: Waveform) -> int:
    """By how many samples the microphone is behind the reference; both end at the same time."""
    length = next_fast_len(len(reference) + len(microphone), real=True)
    cross = rfft(microphone, length) * np.conj(rfft(reference, length))
    magnitude = np.abs(cross)
    correlation = np.abs(irfft(cross / (magnitude + 1e-9 * magnitude.max()), length))
    lags = np.arange(-round(LEAD_SECONDS * SAMPLE_RATE_HZ), round(LAG_SECONDS * SAMPLE_RATE_HZ))
    return int(lags[np.argmax(correlation[(lags - (len(reference) - len(microphone))) % length])])


def _shifted(reference: Waveform, lag: int, samples: int) -> Waveform:
    """The last `samples` of the reference delayed by `lag`, with silence where it is not known."""
    late = reference[: len(reference) - lag] if lag > 0 else np.pad(reference, (0, -lag))
    return np.pad(late, (max(0, samples - len(late)), 0))[-samples:]


def _spectra(samples: Waveform) -> Spectra:
    """Windowed spectra [frames, bins] of the sound between half a window of silence on either side."""
    padded = np.pad(samples, (HOP_SAMPLES, HOP_SAMPLES + -len(samples) % HOP_SAMPLES))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT_SAMPLES)[::HOP_SAMPLES]
    return np.asarray(rfft(frames * WINDOW, axis=1), dtype=np.complex64)


def _sound(spectra: Spectra, samples: int) -> Waveform:
    """The sound, `samples` long, whose `_spectra` these are."""
    frames = irfft(spectra, FFT_SAMPLES, axis=1)
    sound = np.append(frames[:, :HOP_SAMPLES], 0 * frames[-1:, :HOP_SAMPLES], axis=0)
    sound[1:] += frames[:, HOP_SAMPLES:]
    return np.asarray(sound.reshape(-1)[HOP_SAMPLES:][:samples], dtype=np.float32)


def _unexplained(taps: Spectra, heard: Spectra) -> Spectra:
    """What is left of `heard` [bins, frames] after the best prediction from `taps` [bins, frames, TAPS]."""
    rest = heard
    for fit in range(PASSES):
        weights = np.ones_like(heard.real) if fit == 0 else 1.0 / _power(rest)
        adjoint = taps.conj().transpose(0, 2, 1) * weights[:, np.newaxis, :]
        normal = adjoint @ taps
        scale = np.trace(normal, axis1=1, axis2=2).real / TAPS
        normal += (RIDGE * scale + 1e-12)[:, np.newaxis, np.newaxis] * np.eye(TAPS, dtype=np.complex64)
        answer = np.linalg.solve(normal, adjoint @ heard[:, :, np.newaxis])
        rest = heard - (taps @ answer)[:, :, 0]
    return rest


def _power(rest: Spectra) -> NDArray[np.float32]:
    """Power of each moment, smoothed over three neighbouring bins, not below FLOOR of its bin's mean."""
    power = np.abs(rest) ** 2
    smooth = (power + np.roll(power, 1, axis=0) + np.roll(power, -1, axis=0)) / 3
    return np.asarray(smooth + FLOOR * smooth.mean(axis=1, keepdims=True) + 1e-12, dtype=np.float32)


def _rms(samples: Waveform) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) if len(samples) else 0.0
