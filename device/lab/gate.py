"""Measures the speech gate through the ears: how many windows of noise give a reading, and how many of speech do:

    python -m device.lab.gate --data DIR [--json]

Noise is ESC-10's clips of odd number; speech is the fixed test part of TESS, RAVDESS and nEMO, alone and with that
noise beneath it. `--part tune` takes the even numbers and the validation speakers: what the thresholds were chosen on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.adapters.cards import read_card
from device.adapters.speech_silero import SileroSpeechGate
from device.config import Config
from device.domain.reading import UNIFORM, Modality, Posterior
from device.errors import run_command
from device.lab.evaluate import read_clip, recordings
from device.lab.sound import drawn, hops_of, mixed, test_speech, validation_speech
from device.ports import SAMPLE_RATE_HZ, Chunk, SpeechGate, Waveform
from device.sensing.ears import Ears, frame_powers
from device.sensing.logmel_spec import LogMelSpec

SEED = 7
SNRS_DB = (20, 10, 0)
ACTIVE_DB = 25.0
"""A frame this far below the loud moments of its recording is a pause."""
SPOKEN_HOP, SPOKEN_WINDOW = 0.5, 0.25
"""Shares of the newest hop and of the window that must be spoken for a window to count as speech."""


@dataclass(frozen=True, slots=True)
class Passed:
    """How many windows gave a reading."""

    readings: int
    windows: int

    @property
    def share(self) -> float:
        """0 … 1; 0 when there were no windows."""
        return self.readings / self.windows if self.windows else 0.0


class NoOpinion:
    """A `ports.Classifier` that says nothing: what passes the gate does not depend on the voice model."""

    def classify(self, _model_input: NDArray[np.float32]) -> Posterior:
        """The uniform posterior."""
        return UNIFORM


def readings_of(sound: Waveform, gate: SpeechGate, spec: LogMelSpec, config: Config) -> list[bool]:
    """Whether each whole hop of `sound` (float32 [n], 16 kHz) gives a reading, by ears that heard nothing before."""
    microphone = config.microphone
    ears = Ears(gate, NoOpinion(), spec, microphone.hop_seconds, microphone.smallest_speech_share, lambda: False)
    hops = hops_of(sound, microphone.hop_seconds)
    return [ears.hear(Chunk(hop, (i + 1) * microphone.hop_seconds)) is not None for i, hop in enumerate(hops)]


def spoken_windows(clean: Waveform, hop_seconds: float, window_seconds: float) -> list[bool]:
    """Of which hops of a recording without noise the window that they end is speech, by level alone."""
    frames = [frame_powers(hop) for hop in hops_of(clean, hop_seconds)]
    if not frames:
        return []
    limit = np.quantile(np.concatenate(frames), 0.95) * 10 ** (-ACTIVE_DB / 10)
    spoken = [float(np.mean(powers > limit)) for powers in frames]
    hops = round(window_seconds / hop_seconds)
    return [
        spoken[i] >= SPOKEN_HOP and sum(spoken[max(0, i - hops + 1) : i + 1]) / hops >= SPOKEN_WINDOW
        for i in range(len(spoken))
    ]


def noise_passed(noises: Sequence[Waveform], gate: SpeechGate, spec: LogMelSpec, config: Config) -> Passed:
    """Of windows without speech."""
    heard = [given for noise in noises for given in readings_of(noise, gate, spec, config)]
    return Passed(sum(heard), len(heard))


def speech_passed(
    pairs: Sequence[tuple[Waveform, Waveform]], gate: SpeechGate, spec: LogMelSpec, config: Config
) -> Passed:
    """Of windows with speech, for pairs of a clean recording and what is heard of it."""
    given: list[bool] = []
    for clean, heard in pairs:
        spoken = spoken_windows(clean, config.microphone.hop_seconds, spec.window_seconds)
        readings = readings_of(heard, gate, spec, config)
        given += [reading for reading, counts in zip(readings, spoken, strict=True) if counts]
    return Passed(sum(given), len(given))


def esc10(data: Path, odd: bool) -> list[Path]:
    """Noise clips whose number is odd, or even."""
    return [path for path in recordings(data, "esc10") if int(path.stem.split("-")[1]) % 2 == odd]


def measure(data: Path, config: Config, report: bool, each: int) -> dict[str, Passed]:
    """Passed windows of noise, of speech by corpus, and of all of that speech in noise by level."""
    rng = np.random.default_rng(SEED)
    spec = read_card(config.paths.models, Modality.VOICE).features
    gate = SileroSpeechGate()
    noises = [read_clip(path) for path in esc10(data, report)]
    found = {"noise": noise_passed(noises, gate, spec, config)}
    voices: list[Waveform] = []
    for name, clips in (test_speech if report else validation_speech)(data).items():
        clean = [_whole_hops(read_clip(clip.path), config) for clip in drawn(clips, each, rng)]
        found[f"speech {name}"] = speech_passed([(sound, sound) for sound in clean], gate, spec, config)
        voices += clean
    parts = [found[name] for name in found if name.startswith("speech")]
    found["speech"] = Passed(sum(part.readings for part in parts), sum(part.windows for part in parts))
    chosen = [noises[index] for index in rng.integers(0, len(noises), len(voices))]
    for snr_db in SNRS_DB:
        pairs = [(voice, mixed(voice, noise, snr_db)) for voice, noise in zip(voices, chosen, strict=True)]
        found[f"speech in noise {snr_db:+d} dB"] = speech_passed(pairs, gate, spec, config)
    return found


def _whole_hops(recording: Waveform, config: Config) -> Waveform:
    """With silence up to the next whole hop, as the end of a word is heard too."""
    hop = round(config.microphone.hop_seconds * SAMPLE_RATE_HZ)
    return np.pad(recording, (0, -len(recording) % hop))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--part", choices=("report", "tune"), default="report", help="what to measure on")
    parser.add_argument("--each", type=int, default=60, help="recordings of each corpus")
    parser.add_argument("--json", action="store_true", help="figures for machines")
    options = parser.parse_args()
    found = measure(options.data, Config(), options.part == "report", options.each)
    if options.json:
        print(json.dumps({name: {**asdict(passed), "share": passed.share} for name, passed in found.items()}))
        return
    for name, passed in found.items():
        print(f"{name:<24} {100 * passed.share:5.1f} %  {passed.readings} of {passed.windows} windows gave a reading")


if __name__ == "__main__":
    sys.exit(run_command("gate", main))
