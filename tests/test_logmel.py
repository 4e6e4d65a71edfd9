"""The voice model's input: equal to librosa's log-mel, blind to level and to silence around the speech."""

from __future__ import annotations

import numpy as np
import pytest

from device.sensing.logmel import CLIP, fit, levelled_speech, log_mel, mel_filters, speech_span, voice_input
from device.sensing.logmel_spec import LogMelSpec

RATE_HZ = 16_000
SPEC = LogMelSpec(mean=(-30.0,) * 64, std=(15.0,) * 64)


def voice_like(seconds: float, seed: int = 1) -> np.ndarray:
    """A buzz of changing pitch and level, with a little noise; float32 [n]."""
    rng = np.random.default_rng(seed)
    times = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    pitch = 140 + 40 * np.sin(2 * np.pi * 1.3 * times)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
    buzz = sum(np.sin(n * phase) / n for n in range(1, 20)) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * times))
    return (0.1 * buzz + 0.001 * rng.standard_normal(len(times))).astype(np.float32)


def test_the_log_mel_is_librosas() -> None:
    librosa = pytest.importorskip("librosa")
    window = voice_like(3.0)
    power = librosa.feature.melspectrogram(
        y=window,
        sr=RATE_HZ,
        n_fft=SPEC.fft_samples,
        win_length=SPEC.frame_samples,
        hop_length=SPEC.hop_samples,
        n_mels=SPEC.bands,
        fmin=SPEC.low_hz,
        fmax=SPEC.high_hz,
        center=True,
        pad_mode="constant",
        power=2.0,
    )
    golden = 10 * np.log10(np.maximum(power, 10 ** (SPEC.floor_db / 10))).T
    ours = log_mel(window, SPEC)
    assert ours.shape == golden.shape == (SPEC.frames, SPEC.bands)
    assert np.abs(ours - golden).max() < 1e-3


def test_the_filters_are_librosas() -> None:
    librosa = pytest.importorskip("librosa")
    golden = librosa.filters.mel(sr=RATE_HZ, n_fft=512, n_mels=64, fmin=50.0, fmax=7600.0)
    assert np.abs(mel_filters(RATE_HZ, 512, 64, 50.0, 7600.0) - golden).max() < 1e-7


@pytest.mark.parametrize("gain_db", [-30, -12, 12])
def test_how_loud_somebody_speaks_changes_nothing(gain_db) -> None:
    window = voice_like(2.0)
    louder = window * np.float32(10 ** (gain_db / 20))
    assert np.abs(voice_input(louder, SPEC) - voice_input(window, SPEC)).max() < 0.02


def test_silence_around_the_speech_changes_nothing() -> None:
    speech = voice_like(1.5)
    quiet = (1e-5 * np.random.default_rng(2).standard_normal(RATE_HZ)).astype(np.float32)
    around = np.concatenate([quiet, speech, quiet])
    span = speech_span(around, RATE_HZ)
    assert RATE_HZ - 3200 <= span.start <= RATE_HZ
    assert RATE_HZ + len(speech) <= span.stop <= RATE_HZ + len(speech) + 3200
    assert len(levelled_speech(around, SPEC)) == pytest.approx(len(speech), abs=6400)


@pytest.mark.parametrize("samples", [0, 1, 100, 47_999, 48_000, 80_000])
def test_any_length_of_silence_or_speech_gives_a_finite_input_of_the_models_shape(samples) -> None:
    for window in (np.zeros(samples, np.float32), voice_like(5.0)[:samples]):
        made = voice_input(window, SPEC)
        assert made.shape == (SPEC.frames, SPEC.bands)
        assert made.dtype == np.float32
        assert np.isfinite(made).all()
        assert np.abs(made).max() <= CLIP


def test_long_speech_keeps_its_middle_and_short_speech_stands_in_the_middle() -> None:
    ramp = np.arange(10, dtype=np.float32)
    assert fit(ramp, 4).tolist() == [3, 4, 5, 6]
    assert fit(ramp[:2] + 1, 5).tolist() in ([0, 1, 2, 0, 0], [0, 0, 1, 2, 0])
