"""Measures, in simulated rooms, that the speaker's own music does not set the mood:

    python -m device.lab.own_music --data DIR [--json]

A loudspeaker (band-limited, mildly bent) plays a song into one channel of a room's response, somebody speaks into the
other; the microphone adds delay and noise. The ears hear the sum hop by hop, and read the dry song from a real fifo
as MPD writes it. Songs are 4Q clips and the demo's own pieces; speech is the fixed test part of TESS, RAVDESS and nEMO.
`--part tune` takes the other half of the songs and the validation speakers: what the thresholds were chosen on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from device.adapters.cards import read_card
from device.adapters.speech_silero import SileroSpeechGate
from device.adapters.tflite import TfliteClassifier
from device.config import Config
from device.demo.composer import CALM, HAPPY, SAD, TENSE, compose
from device.demo.synth import RATE_HZ, render
from device.domain.labels import LABELS
from device.domain.reading import Modality, Reading
from device.errors import run_command
from device.lab.evaluate import recordings
from device.lab.sound import (
    at_level,
    delayed,
    drawn,
    hops_of,
    in_room,
    power,
    read_at_16_khz,
    read_speech,
    resampled,
    room_response,
    test_speech,
    through_loudspeaker,
    validation_speech,
)
from device.ports import SAMPLE_RATE_HZ, Chunk, Classifier, Waveform
from device.sensing.ears import Ears
from device.sensing.echo import LAG_SECONDS, without_music
from device.sensing.logmel_spec import LogMelSpec
from device.sensing.own_music import Reference

SEED = 17
ROOMS = ("small_room", "medium_room", "large_room")
LEVELS_DB = (10, 5, 0, -5, -10)
TRIAL_SECONDS = 4
"""The song alone for a second, then a window of 3 s with somebody speaking in it."""
WINDOW_SECONDS = 3
MUSIC_DBFS = -30.0
NOISE_DBFS = -65.0
DELAYS_SECONDS = (0.02, 0.3)
"""Of the sound in the room behind the fifo: buffers of the sound card and the way through the air."""
AUDIBLE_WEIGHT = 0.1
"""Music alone may give a voice weight above this in 2 % of the windows."""


class Loudspeaker:
    """What the speaker plays, written into a fifo as MPD does, and read from it by the ears' own reference."""

    def __init__(self, folder: Path, kept_seconds: float) -> None:
        path = folder / "moodify.fifo"
        os.mkfifo(path)
        self.reference = Reference(path, kept_seconds)
        self.reference.listen(0.0)
        self._writer = os.open(path, os.O_WRONLY)

    def play(self, sound: Waveform) -> None:
        """At most two seconds: what a pipe holds."""
        os.write(self._writer, (np.clip(sound, -1.0, 1.0) * 32767).astype(np.int16).tobytes())

    def close(self) -> None:
        """Close both ends."""
        os.close(self._writer)
        self.reference.close()


@dataclass(frozen=True, slots=True)
class Scene:
    """A song played while somebody speaks, or nobody."""

    dry: Waveform
    """As the fifo has it, TRIAL_SECONDS."""
    echo: Waveform
    """As the room answers it."""
    speech: Waveform
    """As the room answers it; zeros when nobody speaks."""
    label: int
    noise: Waveform

    def heard(self, speech_db: float | None) -> Waveform:
        """What the microphone hears with the speech so far above the song; None: without the song."""
        if speech_db is None:
            return at_level(self.speech, MUSIC_DBFS) + self.noise
        spoken = np.abs(self.speech) > 0
        beneath = power(self.echo[spoken]) if spoken.any() else 0.0
        gain = np.sqrt(beneath / power(self.speech[spoken]) * 10 ** (speech_db / 10)) if spoken.any() else 0.0
        return np.asarray(np.clip(self.echo + np.float32(gain) * self.speech + self.noise, -1, 1), dtype=np.float32)


class Listener:
    """The ears, with the fifo or without, and what becomes of their readings."""

    def __init__(self, config: Config) -> None:
        card = read_card(config.paths.models, Modality.VOICE)
        self.spec: LogMelSpec = card.features
        self._config = config
        self._gate = SileroSpeechGate()
        self._classifier: Classifier = TfliteClassifier(card)

    def readings(self, heard: Waveform, dry: Waveform | None, playing: bool) -> list[Reading | None]:
        """Of each hop's window; `dry` is what the fifo gives, None where there is no fifo."""
        hop_seconds = self._config.microphone.hop_seconds
        with tempfile.TemporaryDirectory() as folder:
            speaker = Loudspeaker(Path(folder), self.spec.window_seconds + LAG_SECONDS) if dry is not None else None
            ears = Ears(
                self._gate,
                self._classifier,
                self.spec,
                hop_seconds,
                self._config.microphone.smallest_speech_share,
                lambda: playing,
                speaker.reference if speaker else None,
            )
            readings: list[Reading | None] = []
            for index, hop in enumerate(hops_of(heard, hop_seconds)):
                if speaker and dry is not None:
                    speaker.play(hops_of(dry, hop_seconds)[index])
                readings.append(ears.hear(Chunk(hop, (index + 1) * hop_seconds)))
            if speaker:
                speaker.close()
            return readings

    def outcome(self, reading: Reading | None, label: int) -> str:
        """right, wrong or unknown, as the fusion and the mood take a voice that is alone."""
        fusion, mood = self._config.fusion, self._config.mood
        if reading is None or reading.confidence < fusion.smallest_weight or reading.posterior.top < mood.smallest_top:
            return "unknown"
        return "right" if reading.posterior.label == LABELS[label] else "wrong"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of the windows at one level."""

    right: float
    wrong: float
    unknown: float
    """Shares, together 1."""
    likeliest: float
    """Share whose likeliest label is right, however unsure; without a reading it is not."""


def outcomes(found: Sequence[tuple[str, bool]]) -> Outcomes:
    """Shares of each outcome, and of the likeliest label's being right."""
    counts = Counter(outcome for outcome, _ in found)
    right, wrong, unknown = (counts[name] / max(1, len(found)) for name in ("right", "wrong", "unknown"))
    return Outcomes(right, wrong, unknown, sum(likeliest for _, likeliest in found) / max(1, len(found)))


def scenes(data: Path, report: bool, each: int) -> Iterator[Scene]:
    """`each` recordings of every corpus, each with a song of its own, the rooms in turn."""
    rng = np.random.default_rng(SEED + (not report))
    clips = (test_speech if report else validation_speech)(data)
    chosen = [clip for corpus in clips.values() for clip in drawn(corpus, each, rng)]
    rooms = [room_response(data, room) for room in ROOMS]
    for index, (clip, song) in enumerate(zip(chosen, songs(data, report, len(chosen), rng), strict=True)):
        to_music, to_speech = rooms[index % len(rooms)]
        voice = in_room(_at_the_end(read_speech(clip)), to_speech)
        yield _scene(song, to_music, voice, clip.label, rng)


def quiet_scenes(data: Path, report: bool, count: int) -> Iterator[Scene]:
    """Songs with nobody speaking."""
    rng = np.random.default_rng(SEED + 2 + (not report))
    rooms = [room_response(data, room)[0] for room in ROOMS]
    nobody = np.zeros(TRIAL_SECONDS * SAMPLE_RATE_HZ, dtype=np.float32)
    for index, song in enumerate(songs(data, report, count, rng)):
        yield _scene(song, rooms[index % len(rooms)], nobody, 0, rng)


def songs(data: Path, report: bool, count: int, rng: np.random.Generator) -> Iterator[Waveform]:
    """Pieces of TRIAL_SECONDS out of 4Q clips (every second one is for tuning) and, one in ten, of the demo's music."""
    paths = recordings(data, "music4q")[int(report) :: 2]
    own = [_own_piece(index, report) for index in range(4)]
    order = rng.permutation(len(paths))
    for index in range(count):
        song = own[index // 10 % 4] if index % 10 == 9 else read_at_16_khz(paths[order[index % len(paths)]])
        start = rng.integers(0, max(1, len(song) - TRIAL_SECONDS * SAMPLE_RATE_HZ))
        yield np.resize(song[start : start + TRIAL_SECONDS * SAMPLE_RATE_HZ], TRIAL_SECONDS * SAMPLE_RATE_HZ)


def _own_piece(index: int, report: bool) -> Waveform:
    """The first 20 s of a piece as the demo composes it."""
    piece = compose((HAPPY, TENSE, SAD, CALM)[index], 2 * index + report)
    first = [note for note in piece.notes if note.start_seconds < 18.0]
    return resampled(render(first, 20.0, piece.room, index).mean(axis=1), RATE_HZ)


def _scene(song: Waveform, response: Waveform, speech: Waveform, label: int, rng: np.random.Generator) -> Scene:
    dry = at_level(song, -18.0)
    late = delayed(through_loudspeaker(dry), float(rng.uniform(*DELAYS_SECONDS)))
    noise = rng.normal(0, 10 ** (NOISE_DBFS / 20), len(dry)).astype(np.float32)
    return Scene(dry, at_level(in_room(late, response), MUSIC_DBFS), speech, label, noise)


def _at_the_end(speech: Waveform) -> Waveform:
    """The middle of a recording, in silence, at the end of a trial."""
    window = WINDOW_SECONDS * SAMPLE_RATE_HZ
    surplus = max(0, len(speech) - window) // 2
    kept = speech[surplus : surplus + window]
    return np.pad(kept, (TRIAL_SECONDS * SAMPLE_RATE_HZ - len(kept), 0))


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, with the fifo and without."""

    heard_alone: dict[str, float]
    """Share of windows of music alone with a voice weight above AUDIBLE_WEIGHT."""
    levels: dict[str, dict[str, Outcomes]]
    """By level of the speech, then by what the ears know of the music."""
    echo_milliseconds: float
    """Median time to take the music out of a window."""
    windows: int
    """At each level: those that are read when no music plays."""


def measure(data: Path, config: Config, report: bool, each: int, quiet: int) -> Report:
    """Listen to every scene at every level."""
    listener = Listener(config)
    alone: dict[str, list[bool]] = {"fifo": [], "no fifo": []}
    for scene in quiet_scenes(data, report, quiet):
        for name, readings in _both(listener, scene, scene.echo + scene.noise).items():
            alone[name] += [bool(reading and reading.confidence > AUDIBLE_WEIGHT) for reading in readings]
    found: dict[str, dict[str, list[tuple[str, bool]]]] = {}
    for scene in scenes(data, report, each):
        clean = listener.readings(scene.heard(None), None, playing=False)
        rows = {"no music": {"silent": clean}}
        rows |= {f"{speech_db:+d} dB": _both(listener, scene, scene.heard(speech_db)) for speech_db in LEVELS_DB}
        for level, row in rows.items():
            for name, readings in row.items():
                read = [reading for reading, spoken in zip(readings, clean, strict=True) if spoken]
                found.setdefault(level, {}).setdefault(name, []).extend(
                    (listener.outcome(reading, scene.label), _likeliest_is(reading, scene.label)) for reading in read
                )
    return Report(
        {name: float(np.mean(loud)) for name, loud in alone.items()},
        {level: {name: outcomes(row) for name, row in rows.items()} for level, rows in found.items()},
        echo_milliseconds(data, report),
        len(found["no music"]["silent"]),
    )


def _likeliest_is(reading: Reading | None, label: int) -> bool:
    return reading is not None and reading.posterior.label == LABELS[label]


def echo_milliseconds(data: Path, report: bool, count: int = 10) -> float:
    """Median time of `without_music` for a window."""
    times = []
    for scene in quiet_scenes(data, report, count):
        began = time.perf_counter()
        without_music(scene.dry, scene.echo[-WINDOW_SECONDS * SAMPLE_RATE_HZ :])
        times.append(time.perf_counter() - began)
    return float(np.median(times)) * 1000


def _both(listener: Listener, scene: Scene, heard: Waveform) -> dict[str, list[Reading | None]]:
    return {
        "fifo": listener.readings(heard, scene.dry, playing=True),
        "no fifo": listener.readings(heard, None, playing=True),
    }


def text_of(report: Report) -> str:
    """As a table."""
    lines = ["music alone has a voice weight above 0.1 in"]
    lines += [f"  {100 * share:5.1f} % of windows, {name}" for name, share in report.heard_alone.items()]
    lines += [
        "",
        f"{'speech to music':<16} {'reference':<9} {'right':>7} {'wrong':>7} {'unknown':>8} {'likeliest':>10}",
    ]
    for level, rows in report.levels.items():
        for name, row in rows.items():
            shares = (
                f"{100 * row.right:6.1f}% {100 * row.wrong:6.1f}% {100 * row.unknown:7.1f}% {100 * row.likeliest:9.1f}%"
            )
            lines.append(f"{level:<16} {name:<9} {shares}")
    lines += [
        "",
        f"{report.windows} windows at each level; taking the music out takes {report.echo_milliseconds:.1f} ms",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--part", choices=("report", "tune"), default="report", help="what to measure on")
    parser.add_argument("--each", type=int, default=15, help="recordings of each corpus")
    parser.add_argument("--quiet", type=int, default=60, help="songs with nobody speaking")
    parser.add_argument("--json", action="store_true", help="figures for machines")
    options = parser.parse_args()
    found = measure(options.data, Config(), options.part == "report", options.each, options.quiet)
    print(json.dumps(asdict(found)) if options.json else text_of(found))


if __name__ == "__main__":
    sys.exit(run_command("own_music", main))
