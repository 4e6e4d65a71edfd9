"""Makes the demo's voices: everyday sentences spoken by espeak-ng, lively or tired by rate, pitch and level."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from device.errors import SetupError

PATIENCE_SECONDS = 30.0
PAUSE_SECONDS = 0.5
"""Between two sentences."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How somebody speaks; see espeak-ng(1)."""

    sentences: tuple[str, ...]
    voice: str
    words_per_minute: int
    pitch: int
    """0 … 99."""
    range_percent: int
    """How far the melody of the speech swings, 100 as usual."""
    level_dbfs: float
    """Root mean square of the whole."""


HAPPY = Manner(
    (
        "Oh, that is wonderful! I have been looking forward to this all week!",
        "Come in, come in! The cake is ready and everybody is here!",
        "I can't believe it, we won! Let's put some music on and dance!",
    ),
    voice="en-us+f3",
    words_per_minute=190,
    pitch=70,
    range_percent=170,
    level_dbfs=-20.0,
)
SAD = Manner(
    (
        "I don't know. The house is so quiet since she left.",
        "It has been raining all day, and nobody called.",
        "I would rather just sit here for a while, and not talk.",
    ),
    voice="en-us+f3",
    words_per_minute=110,
    pitch=30,
    range_percent=40,
    level_dbfs=-26.0,
)


def write_speech(manner: Manner, path: Path) -> None:
    """Speak the sentences into `path` (WAV, mono); SetupError when espeak-ng is missing."""
    spoken, rate_hz = _speak(manner, path.with_suffix(".raw.wav"))
    soundfile.write(path, _at_level(spoken, manner.level_dbfs), rate_hz, subtype="PCM_16")


def _speak(manner: Manner, draft: Path) -> tuple[NDArray[np.float32], int]:
    program = shutil.which("espeak-ng")
    if program is None:
        raise SetupError("espeak-ng: not installed; the demo's voices come from it: apt install espeak-ng")
    pause = f'<break time="{round(PAUSE_SECONDS * 1000)}ms"/>'
    text = f'<speak><prosody range="{manner.range_percent}%">{pause.join(manner.sentences)}</prosody></speak>'
    options = ["-v", manner.voice, "-s", str(manner.words_per_minute), "-p", str(manner.pitch), "-m", "-w", str(draft)]
    try:
        subprocess.run([program, *options, text], check=True, capture_output=True, timeout=PATIENCE_SECONDS)
        samples, rate_hz = soundfile.read(draft, dtype="float32")
    except (subprocess.SubprocessError, soundfile.SoundFileError) as error:
        raise SetupError(f"espeak-ng: did not speak ({error}); try: espeak-ng -v {manner.voice} hello") from None
    finally:
        draft.unlink(missing_ok=True)
    return samples, rate_hz


def _at_level(samples: NDArray[np.float32], level_dbfs: float) -> NDArray[np.float32]:
    level = float(np.sqrt(np.mean(samples**2))) or 1.0
    return np.asarray(np.tanh(samples / level * 10 ** (level_dbfs / 20)), dtype=np.float32)
