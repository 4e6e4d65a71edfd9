"""Replays scenes with their sound played and heard for real: paplay, a PulseAudio null sink, ALSA, PortAudio, PyAudio.

    python -m tests.through_pulse SCENE...

Run by hand: it takes as long as the scenes last. Prints the same table as `moodify replay`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from device.adapters.microphone_pyaudio import PyAudioMicrophone
from device.adapters.scene import Scene, load_scene
from device.config import Config
from device.lab.replay import Recognised, replay, right_answers, table
from device.ports import SAMPLE_RATE_HZ, Waveform
from device.senses import build_ears, build_eyes
from tests.pulse import PulseServer, missing

CHILD = "MOODIFY_THROUGH_PULSE"
"""Set in the process that has the private sound server in its environment."""


def heard(scene: Scene, microphone: PyAudioMicrophone, folder: Path) -> Waveform:
    """What the microphone hears while the scene's sound is played at real speed; float32 [n]."""
    wave = folder / "scene.wav"
    soundfile.write(wave, scene.sound_between(0.0, scene.length_seconds), SAMPLE_RATE_HZ)
    microphone.read(2.0)
    player = subprocess.Popen(["paplay", "--device=room", "--latency-msec=50", str(wave)])
    chunks = []
    ends = time.monotonic() + scene.length_seconds + 0.3
    while time.monotonic() < ends:
        chunks.append(microphone.read(2.0).samples)
        time.sleep(0.05)
    player.wait(10.0)
    return np.concatenate(chunks)


def run(paths: list[Path]) -> None:
    """Replay all scenes and print the table."""
    config = Config()
    settings = config.brain
    eyes = build_eyes(config)
    spans: list[Recognised] = []
    with tempfile.TemporaryDirectory() as folder, PyAudioMicrophone(config.microphone, time.monotonic) as microphone:
        for path in paths:
            scene = load_scene(path)
            sound = heard(scene, microphone, Path(folder))

            def hear(begin: float, end: float, sound: Waveform = sound) -> Waveform:
                return sound[round(begin * SAMPLE_RATE_HZ) : round(end * SAMPLE_RATE_HZ)]

            spans += replay(scene, eyes, build_ears(config), settings, config.camera.rate_hz, hear)
            print(f"{len(spans)} of {len(paths)}", file=sys.stderr, flush=True)
    print(table(spans))
    print("right: " + ", ".join(f"{name} {hits} of {asked}" for name, (hits, asked) in right_answers(spans).items()))


def main() -> None:
    """Start a private sound server, and this program again inside its environment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path, nargs="+")
    options = parser.parse_args()
    if os.environ.get(CHILD):
        run(options.scene)
        return
    if missing():
        sys.exit(f"missing: {missing()}")
    with tempfile.TemporaryDirectory() as folder, PulseServer(Path(folder)) as server:
        command = [sys.executable, "-m", "tests.through_pulse", *map(str, options.scene)]
        sys.exit(subprocess.run(command, env={**server.environment, CHILD: "1"}, check=False).returncode)


if __name__ == "__main__":
    main()
