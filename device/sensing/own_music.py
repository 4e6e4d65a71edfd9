"""The speaker's own playback: what it is, and how much of what the microphone hears it explains."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from device.ports import SAMPLE_RATE_HZ, Waveform

LAG_SECONDS = 0.7
"""The music reaches the microphone at most this long after it reached the reference …"""
LEAD_SECONDS = 0.3
"""… or, as both are timed by when they were read, this long before it."""
FFT_SAMPLES = 1024
HOP_SAMPLES = 512
TAPS = 6
"""Frames of 32 ms that the room's answer to the music may last."""
LEAST_SAMPLES = 3 * TAPS * HOP_SAMPLES + FFT_SAMPLES
"""Of less sound nothing can be said."""
PRE_SAMPLES = 80
"""The filter begins this much before the lag that was found."""
RIDGE = 1e-3
BAND_HZ = (150.0, 7000.0)
INAUDIBLE_RMS = 1e-5
READ_BYTES = 65_536
"""The size of Linux's pipes: two seconds of sound."""
MOST_READS = 16
BYTES_PER_SAMPLE = 2
LATE_SECONDS = 0.25
"""Music that is this much late was interrupted."""


class Reference:
    """The last seconds of what is being played, read from MPD's fifo output (format "16000:16:1", native order).

    MPD writes as fast as it plays and drops what nobody reads, so what comes out of the fifo has just been played.
    Where nothing came, nothing was played.
    """

    def __init__(self, fifo: Path, kept_seconds: float) -> None:
        self._fifo = fifo
        self._ring: Waveform = np.zeros(round(kept_seconds * SAMPLE_RATE_HZ), dtype=np.float32)
        self._descriptor: int | None = None
        self._odd = b""
        self._end_seconds: float | None = None

    def listen(self, now_seconds: float) -> None:
        """Take in what was played up to now; never waits."""
        samples = self._drain()
        end_seconds = now_seconds if self._end_seconds is None else self._end_seconds
        missing_seconds = now_seconds - end_seconds - len(samples) / SAMPLE_RATE_HZ
        if missing_seconds > LATE_SECONDS:
            gap = min(round(missing_seconds * SAMPLE_RATE_HZ), len(self._ring))
            samples = np.concatenate([np.zeros(gap, dtype=np.float32), samples])
            missing_seconds = 0.0
        self._end_seconds = now_seconds - max(0.0, missing_seconds)
        self._ring = np.concatenate([self._ring, samples])[-len(self._ring) :]

    def latest(self, seconds: float) -> Waveform | None:
        """The last `seconds` of it; None when there is no fifo to read."""
        if self._descriptor is None:
            return None
        return self._ring[-round(seconds * SAMPLE_RATE_HZ) :]

    def close(self) -> None:
        """Close the fifo."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            self._odd = b""

    def _drain(self) -> Waveform:
        if self._descriptor is None:
            self._descriptor = _open_fifo(self._fifo)
        if self._descriptor is None:
            return np.zeros(0, dtype=np.float32)
        read = _read_waiting(self._descriptor)
        if not read and not self._is_same_fifo():
            self.close()
        sound = self._odd + read
        whole = len(sound) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE
        self._odd = sound[whole:]
        return np.frombuffer(sound[:whole], dtype=np.int16).astype(np.float32) / np.float32(32768.0)

    def _is_same_fifo(self) -> bool:
        """Whether the path still names what is open: MPD makes its fifo anew when it restarts."""
        if self._descriptor is None:
            return True
        try:
            named, opened = self._fifo.stat(), os.fstat(self._descriptor)
        except OSError:
            return False
        return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def _open_fifo(path: Path) -> int | None:
    try:
        if not stat.S_ISFIFO(path.stat().st_mode):
            return None
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None


def _read_waiting(descriptor: int) -> bytes:
    """What lies in the fifo now; empty when nobody has written."""
    parts: list[bytes] = []
    try:
        while len(parts) < MOST_READS and (part := os.read(descriptor, READ_BYTES)):
            parts.append(part)
    except BlockingIOError:
        pass
    return b"".join(parts)


def echo_share(reference: Waveform, microphone: Waveform) -> float:
    """Share 0 … 1 of the energy in `microphone` that `reference`, as the room answers it, explains.

    Both end at the same time; `reference` should begin LAG_SECONDS earlier. After alignment by GCC-PHAT (Knapp and
    Carter 1976) each frequency band of the microphone is predicted by least squares from the last TAPS frames of the
    reference in that band (the convolutive model of Avargel and Cohen 2007, without cross-bands); what chance alone
    would explain is taken off.
    """
    if len(microphone) < LEAST_SAMPLES or min(_rms(reference), _rms(microphone)) < INAUDIBLE_RMS:
        return 0.0
    lag = _lag(reference, microphone) - PRE_SAMPLES
    context = TAPS * HOP_SAMPLES
    heard = _spectra(microphone)
    played = _spectra(_shifted(reference, lag, len(microphone) + context))[-len(heard) - TAPS :]
    taps = np.stack([played[TAPS - k : TAPS - k + len(heard)] for k in range(TAPS)], axis=-1).transpose(1, 0, 2)
    rest = _unexplained(taps, heard.T[:, :, np.newaxis])
    energy = float(np.sum(np.abs(heard) ** 2))
    if energy <= 0:
        return 0.0
    by_chance = len(heard) / (len(heard) - TAPS)
    return float(np.clip(1.0 - rest / energy * by_chance, 0.0, 1.0))


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


def _spectra(samples: Waveform) -> NDArray[np.complex64]:
    """Windowed spectra [frames, bins] within BAND_HZ; the last frame ends at the last whole hop."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, FFT_SAMPLES)[::HOP_SAMPLES]
    spectra = rfft(frames * np.hanning(FFT_SAMPLES).astype(np.float32), axis=1)
    hz = np.arange(spectra.shape[1]) * (SAMPLE_RATE_HZ / FFT_SAMPLES)
    return np.asarray(spectra[:, (hz > BAND_HZ[0]) & (hz < BAND_HZ[1])], dtype=np.complex64)


def _unexplained(taps: NDArray[np.complex64], heard: NDArray[np.complex64]) -> float:
    """Energy left of `heard` [bins, frames, 1] after the best prediction from `taps` [bins, frames, TAPS]."""
    adjoint = taps.conj().transpose(0, 2, 1)
    normal = adjoint @ taps
    scale = np.trace(normal, axis1=1, axis2=2).real / TAPS
    normal += (RIDGE * scale + 1e-9)[:, np.newaxis, np.newaxis] * np.eye(TAPS, dtype=np.complex64)
    weights = np.linalg.solve(normal, adjoint @ heard)
    return float(np.sum(np.abs(heard - taps @ weights) ** 2))


def _rms(samples: Waveform) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) if len(samples) else 0.0
