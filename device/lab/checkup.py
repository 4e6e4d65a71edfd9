"""`moodify check`: looks at the whole set-up and says what is there, what is missing and what to do."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from device.adapters import camera_picamera2
from device.adapters.cards import read_card
from device.adapters.faces_mediapipe import MediapipeFaceFinder
from device.adapters.tflite import TfliteClassifier
from device.config import Config
from device.domain.reading import Modality
from device.errors import MoodifyError, PeripheralError, SetupError

CONNECT_SECONDS = 2.0


def check(config: Config) -> int:
    """Print a line per part; 0 when all is there, 1 when the speaker would run with less than all of it.

    A wrong set-up (model, card) raises SetupError after the table is printed.
    """
    wrong: SetupError | None = None
    missing = 0
    for name, look in _looks(config).items():
        try:
            print(f"ok       {name:<12} {look()}")
        except SetupError as error:
            wrong = wrong or error
            print(f"wrong    {name:<12} {error}")
        except MoodifyError as error:
            missing += 1
            print(f"missing  {name:<12} {error}")
    if wrong:
        raise wrong
    return 1 if missing else 0


def _looks(config: Config) -> dict[str, Callable[[], str]]:
    return {
        "face model": lambda: _model(config.paths.models, Modality.FACE),
        "voice model": lambda: _model(config.paths.models, Modality.VOICE),
        "face finder": lambda: _face_finder(config),
        "camera": lambda: _camera(config),
        "microphone": lambda: _microphone(config),
        "MPD": lambda: _reachable(config.mpd.host, config.mpd.port, "MPD", "start mpd or set mpd.host and mpd.port"),
        "broker": lambda: _broker(config),
        "music": lambda: _music(config.library.music_folder),
        "state": lambda: _state(config.paths.state),
    }


def _model(models: Path, modality: Modality) -> str:
    card = read_card(models, modality)
    TfliteClassifier(card)
    return f"{card.name} {card.version}, {card.bytes:,} bytes, card and tensors agree"


def _face_finder(config: Config) -> str:
    MediapipeFaceFinder(config.camera.detector)
    return f"MediaPipe, detector {config.camera.detector}"


def _camera(config: Config) -> str:
    if config.camera.source == "none":
        return "none configured"
    if camera_picamera2.is_chosen(config.camera):
        modules = camera_picamera2.camera_modules()
        if not modules:
            raise PeripheralError(f"libcamera sees none; {camera_picamera2.ADVICE}")
        return modules[min(modules)]
    if Path(config.camera.device).exists():
        return config.camera.device
    raise PeripheralError(f"{config.camera.device} is not there; plug a webcam in or set camera.device")


def _microphone(config: Config) -> str:
    from device.adapters.microphone_pyaudio import input_devices

    if config.microphone.source == "none":
        return "none configured"
    names = input_devices()
    if not names:
        raise PeripheralError("no input device; plug a USB microphone in")
    return ", ".join(names)


def _reachable(host: str, port: int, what: str, advice: str) -> str:
    if host.startswith("/"):
        if Path(host).is_socket():
            return host
        raise PeripheralError(f"{what}: {host} is no socket; {advice}")
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except (OSError, UnicodeError) as error:
        why = (error.strerror or error) if isinstance(error, OSError) else "not a host's name"
        raise PeripheralError(f"{what} at {host}:{port}: {why}; {advice}") from None
    return f"{host}:{port}"


def _broker(config: Config) -> str:
    if not config.mqtt.enabled:
        return "not used"
    return _reachable(config.mqtt.host, config.mqtt.port, "broker", "start mosquitto, or set mqtt.enabled = false")


def _music(folder: Path) -> str:
    if not folder.is_dir():
        raise PeripheralError(f"{folder} is no folder; set library.music_folder to MPD's music_directory")
    return str(folder)


def _state(folder: Path) -> str:
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
        raise PeripheralError(f"{folder} may not be written by this user; on the box: sudo moodify check")
    if folder.is_dir() or folder.parent.is_dir():
        return str(folder)
    raise PeripheralError(f"{folder} cannot be made: {folder.parent} is not there; set paths.state")
