"""Writes the demo's scene: somebody comes home happy, leaves, and comes back sad."""

from __future__ import annotations

from pathlib import Path

from device.demo.portrait import write_portraits
from device.demo.speech import HAPPY, SAD, write_speech

SCENE = """\
# Made by `moodify demo`. The face is scikit-image's public-domain portrait of an astronaut, once as it is and once with
# another look painted on; the voice is espeak-ng's.
title = "Somebody comes home happy, leaves, and comes back sad"
length = 88.0
loop = true

[[camera]]
from = 0
to = 4
show = "nobody"

[[camera]]
from = 4
to = 36
file = "happy.png"

[[camera]]
from = 36
to = 40
show = "nobody"

[[camera]]
from = 40
to = 80
file = "sad.png"

[[camera]]
from = 80
to = 88
show = "dark"

[[microphone]]
from = 6
to = 34
file = "happy.wav"
repeat = true

[[microphone]]
from = 42
to = 78
file = "sad.wav"
repeat = true

[[expect]]
from = 16
to = 36
mood = "happy"

[[expect]]
from = 54
to = 80
mood = "sad"
"""


def make_scene(folder: Path) -> Path:
    """Write faces, voices and timeline into `folder`; the scene file's path. SetupError when a tool is missing."""
    write_portraits(folder)
    write_speech(HAPPY, folder / "happy.wav")
    write_speech(SAD, folder / "sad.wav")
    path = folder / "scene.toml"
    path.write_text(SCENE, encoding="utf-8")
    return path
