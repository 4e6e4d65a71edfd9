"""Makes the demo's voices: everyday sentences spoken by espeak-ng, made glad or tired in what the ear goes by."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfilt

from device.errors import SetupError

PATIENCE_SECONDS = 30.0
PAUSE_SECONDS = 0.5
"""Between two sentences."""
RATE_HZ = 16_000


@dataclass(frozen=True, slots=True)
class Manner:
    """How somebody speaks; see espeak-ng(1) for what it does itself."""

    sentences: tuple[str, ...]
    voice: str
    words_per_minute: int
    pitch: int
    """0 … 99."""
    range_percent: int
    """How far the melody of the speech swings, 100 as usual."""
    level_dbfs: float
    """Root mean square of the whole."""
    raised: float = 1.0
    """Pitch and resonances times this: a shorter vocal tract, as of a smile or a small person."""
    dull_above_hz: float = 0.0
    """From here on the voice falls by 6 dB an octave more: little effort in it; 0 leaves it bright."""
    dying: float = 0.0
    """Each sentence falls by e to this power until its end: it runs out of breath."""


HAPPY = Manner(
    (
        "That is wonderful news!",
        "Thank you so much, I love it!",
        "We won! We really won!",
        "What a beautiful day it is!",
    ),
    voice="en-us+f2",
    words_per_minute=158,
    pitch=99,
    range_percent=300,
    level_dbfs=-22.0,
    raised=1.1,
)
SAD = Manner(
    (
        "The house is so quiet since she left.",
        "It has been raining all day.",
        "I miss him so much.",
        "I would rather sit here for a while.",
        "Nobody called.",
    ),
    voice="en-us+steph",
    words_per_minute=100,
    pitch=10,
    range_percent=10,
    level_dbfs=-26.0,
    raised=1.1,
    dull_above_hz=200.0,
    dying=4.0,
)

Samples = NDArray[np.float32]


def write_speech(manner: Manner, path: Path) -> None:
    """Speak the sentences into `path` (WAV, mono); SetupError when espeak-ng is missing."""
    draft = path.with_suffix(".draft.wav")
    pause = np.zeros(round(PAUSE_SECONDS * RATE_HZ), dtype=np.float32)
    parts = [
        part for sentence in manner.sentences for part in (_coloured(_speak(sentence, manner, draft), manner), pause)
    ]
    soundfile.write(path, _at_level(np.concatenate(parts), manner.level_dbfs), RATE_HZ, subtype="PCM_16")


def _speak(sentence: str, manner: Manner, draft: Path) -> Samples:
    program = shutil.which("espeak-ng")
    if program is None:
        raise SetupError("espeak-ng: not installed; the demo's voices come from it: apt install espeak-ng")
    text = f'<speak><prosody range="{manner.range_percent}%">{sentence}</prosody></speak>'
    options = ["-v", manner.voice, "-s", str(manner.words_per_minute), "-p", str(manner.pitch), "-m", "-w", str(draft)]
    try:
        subprocess.run([program, *options, text], check=True, capture_output=True, timeout=PATIENCE_SECONDS)
        spoken, rate_hz = soundfile.read(draft, dtype="float32")
    except (subprocess.SubprocessError, soundfile.SoundFileError) as error:
        raise SetupError(f"espeak-ng: did not speak ({error}); try: espeak-ng -v {manner.voice} hello") from None
    finally:
        draft.unlink(missing_ok=True)
    change = Fraction(RATE_HZ, rate_hz) / Fraction(manner.raised).limit_denominator(20)
    return np.asarray(resample_poly(spoken, change.numerator, change.denominator), dtype=np.float32)


def _coloured(samples: Samples, manner: Manner) -> Samples:
    """The voice with its effort and breath."""
    if manner.dull_above_hz:
        samples = sosfilt(butter(1, manner.dull_above_hz, fs=RATE_HZ, output="sos"), samples)
    sentence = samples / (float(np.sqrt(np.mean(samples**2))) or 1.0)
    return np.asarray(sentence * np.exp(np.linspace(0, -manner.dying, len(samples))), dtype=np.float32)


def _at_level(samples: Samples, level_dbfs: float) -> Samples:
    level = float(np.sqrt(np.mean(samples**2))) or 1.0
    return np.asarray(np.tanh(samples / level * 10 ** (level_dbfs / 20)), dtype=np.float32)
