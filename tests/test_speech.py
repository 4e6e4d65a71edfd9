"""The speech gate tells a voice from everything else."""

from __future__ import annotations

import numpy as np
import pytest

from device.adapters.speech_silero import SileroSpeechGate
from tests.sounds import RATE_HZ, music, needs_espeak, noise, spoken


@pytest.fixture(scope="module")
def gate() -> SileroSpeechGate:
    return SileroSpeechGate()


@needs_espeak
@pytest.mark.parametrize("gain", [1.0, 0.1, 0.03])
def test_speech_passes_loud_or_soft(gate: SileroSpeechGate, gain: float) -> None:
    assert gate.spoken(spoken("I am so happy to see you") * np.float32(gain)).mean() > 0.6


@needs_espeak
def test_the_share_grows_with_the_speech_in_the_sound(gate: SileroSpeechGate) -> None:
    words = spoken("good morning")
    short, long = (np.pad(words, (0, extra)) for extra in (0, 3 * len(words)))
    assert gate.spoken(long).mean() == pytest.approx(gate.spoken(short).mean() / 4, abs=0.1)


@pytest.mark.parametrize(
    "sound",
    [
        pytest.param(np.zeros(3 * RATE_HZ, dtype=np.float32), id="silence"),
        pytest.param(noise(3.0, 0.1), id="noise"),
        pytest.param((0.3 * np.sin(0.17 * np.arange(3 * RATE_HZ))).astype(np.float32), id="tone"),
        pytest.param(music(3.0, seed=4), id="music"),
        pytest.param(np.zeros(100, dtype=np.float32), id="less than a chunk"),
    ],
)
def test_other_sounds_do_not_pass(gate: SileroSpeechGate, sound: np.ndarray) -> None:
    assert len(gate.spoken(sound)) == len(sound)
    assert gate.spoken(sound).mean() < 0.1


@needs_espeak
def test_what_was_heard_before_does_not_matter(gate: SileroSpeechGate) -> None:
    words = spoken("good morning")
    chunks = [words[start : start + 512] for start in range(0, len(words) - 512, 512)]

    def shares_after(before: np.ndarray) -> list[float]:
        shares = []
        for chunk in chunks:
            gate.spoken(before)
            shares.append(float(gate.spoken(chunk).mean()))
        return shares

    assert shares_after(words[: RATE_HZ // 2]) == shares_after(noise(0.5, 0.3))
