"""The speech gate tells a voice from everything else."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from device.adapters.speech_silero import CHUNK_SAMPLES, SileroSpeechGate
from tests.sounds import RATE_HZ, music, needs_espeak, noise, spoken


@pytest.fixture
def gate() -> SileroSpeechGate:
    return SileroSpeechGate()


@needs_espeak
@pytest.mark.parametrize("gain", [1.0, 0.1, 0.03])
def test_speech_passes_loud_or_soft(gate: SileroSpeechGate, gain: float) -> None:
    assert gate.spoken(spoken("I am so happy to see you") * np.float32(gain)).mean() > 0.6


@needs_espeak
def test_the_share_grows_with_the_speech_in_the_sound() -> None:
    words = spoken("good morning")
    short, long = (SileroSpeechGate().spoken(np.pad(words, (0, extra))).mean() for extra in (0, 3 * len(words)))
    assert long == pytest.approx(short / 4, abs=0.1)


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
def test_what_is_heard_in_pieces_is_told_as_if_heard_at_once(gate: SileroSpeechGate) -> None:
    words = spoken("I am so happy to see you, what a wonderful day")
    at_once = gate.spoken(words)
    gate.forget()
    pieces = [words[start : start + 20 * CHUNK_SAMPLES] for start in range(0, len(words), 20 * CHUNK_SAMPLES)]
    assert len(pieces) > 3
    assert np.concatenate([gate.spoken(piece) for piece in pieces]).tolist() == at_once.tolist()


@needs_espeak
def test_what_was_heard_before_does_not_matter_once_it_is_forgotten(gate: SileroSpeechGate) -> None:
    words = spoken("good morning")
    fresh = gate.spoken(words)
    gate.spoken(noise(0.5, 0.3))
    gate.forget()
    assert gate.spoken(words).tolist() == fresh.tolist()


@needs_espeak
def test_less_than_a_chunk_at_the_end_is_as_the_chunk_before_it(gate: SileroSpeechGate) -> None:
    told = gate.spoken(spoken("I am so happy to see you")[: 30 * CHUNK_SAMPLES + 100])
    assert len(told) == 30 * CHUNK_SAMPLES + 100
    assert told[-101:].all()


THREADS_TAKEN = """
import os
import numpy as np
from device.adapters.speech_silero import SileroSpeechGate
gate = SileroSpeechGate()
before = len(os.listdir("/proc/self/task"))
gate.spoken(np.zeros(16000, np.float32))
print(len(os.listdir("/proc/self/task")) - before, os.environ.get("OMP_THREAD_LIMIT"))
"""


@pytest.mark.parametrize(("said", "outcome"), [({}, "0 None"), ({"OMP_THREAD_LIMIT": "3"}, "2 3")])
def test_the_gate_computes_in_one_thread_unless_told_otherwise(said: dict[str, str], outcome: str) -> None:
    others = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    told = subprocess.run(
        [sys.executable, "-c", THREADS_TAKEN], env=others | said, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == outcome
