"""Builds the eyes and the ears from the configuration, for the daemon, the replay and the benchmark alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from device.adapters.board import temperature_celsius
from device.adapters.cards import read_card
from device.adapters.faces_mediapipe import MediapipeFaceFinder
from device.adapters.speech_silero import SileroSpeechGate
from device.adapters.tflite import TfliteClassifier
from device.config import Config
from device.domain.reading import Modality
from device.sensing.ears import Ears
from device.sensing.echo import LAG_SECONDS
from device.sensing.eyes import Eyes
from device.sensing.lookout import Lookout
from device.sensing.own_music import Reference


def build_eyes(config: Config) -> Eyes:
    """Face finder, face model and its card; SetupError when one of them is missing or wrong."""
    card = read_card(config.paths.models, Modality.FACE)
    return Eyes(MediapipeFaceFinder(config.camera.detector), TfliteClassifier(card), card.crop)


def build_lookout(config: Config) -> Lookout:
    """The eyes with somebody who tells them when to look."""
    eyes = build_eyes(config)
    return Lookout(eyes.look, config.camera.pace, temperature_celsius, eyes.forget)


def build_ears(config: Config, playing: Callable[[], bool] | None = None) -> Ears:
    """Speech gate, voice model and its card; `playing` tells whether the speaker's own music is on.

    Without it no speaker plays, and the fifo, whose sound only one can read, is left to the one that runs.
    """
    card = read_card(config.paths.models, Modality.VOICE)
    microphone = config.microphone
    fifo = microphone.own_music_fifo if playing else ""
    return Ears(
        SileroSpeechGate(),
        TfliteClassifier(card),
        card.features,
        microphone.hop_seconds,
        microphone.smallest_speech_share,
        playing or (lambda: False),
        Reference(Path(fifo), card.features.window_seconds + LAG_SECONDS) if fifo else None,
    )
