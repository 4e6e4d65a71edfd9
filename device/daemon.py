"""Puts the parts together and runs them until a signal, a wrong set-up or a bug ends it."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from queue import Empty, SimpleQueue
from typing import Any

import cv2

from device.adapters import camera_picamera2, systemd_notify
from device.adapters.camera_picamera2 import PicameraCamera
from device.adapters.camera_v4l2 import V4l2Camera
from device.adapters.catalogue_sqlite import Catalogue
from device.adapters.memory_json import JsonMemory
from device.adapters.microphone_pyaudio import PyAudioMicrophone
from device.adapters.mpd_player import MpdPlayer
from device.adapters.mqtt_herald import MqttHerald
from device.adapters.scene import Scene, SceneCamera, SceneMicrophone
from device.beats import Beats
from device.conductor import Conductor
from device.config import Config, state_folder
from device.diary import CatalogueDiary, recall
from device.domain.brain import Wishes, state_with
from device.domain.events import SenseChanged, SenseState
from device.domain.player import PlayState
from device.domain.programme import Programme
from device.domain.reading import Modality
from device.librarian import Librarian
from device.ports import Camera, Microphone
from device.senses import build_ears, build_lookout
from device.sensing.sense import SenseLoop
from web_ui.server import PageServer

log = logging.getLogger(__name__)

CONDUCTOR_DEADLINE_SECONDS = 10.0
SENSE_DEADLINE_SECONDS = 30.0
WATCH_SECONDS = 1.0

Stop = SimpleQueue[None]
"""Gets something when it is time to end. A signal may come while another is being answered, or between any two steps of
the wait for it: an Event's lock would then wait for itself, a SimpleQueue's put may be interrupted by itself."""


def run(config: Config, scene: Scene | None = None, announce: Callable[[str], None] = print) -> int:
    """Run the speaker; returns the exit status. SetupError when it cannot start."""
    # A frame is done before a second thread of OpenCV's is awake, and that one then spins for a while in vain.
    cv2.setNumThreads(1)
    stop: Stop = SimpleQueue()
    crashed = threading.Event()
    _end_on_signal(stop)
    _end_on_bug(stop, crashed)
    with ExitStack() as parts:
        beats = _start(config, scene, parts, announce)
        systemd_notify.ready()
        announce("ready")
        _watch(beats, stop)
        systemd_notify.stopping()
    return 1 if crashed.is_set() else 0


def _start(config: Config, scene: Scene | None, parts: ExitStack, announce: Callable[[str], None]) -> Beats:
    """Build every part and start it; `parts` closes them in the reverse order."""
    clock = time.monotonic
    beats = Beats(clock)
    catalogue = parts.enter_context(_open_catalogue(config))
    memory = JsonMemory(config.paths.state / "wishes.json", clock, time.time)
    wishes = memory.load()
    programme = Programme(
        plays=catalogue.recent_plays(config.music.history_songs, clock(), time.time()),
        disliked=catalogue.disliked(),
        preference=recall(catalogue, config.preference, clock(), time.time()),
    )
    conductor = Conductor(
        state_with(wishes, programme), config.brain, clock, beats.loop("conductor", CONDUCTOR_DEADLINE_SECONDS)
    )
    librarian = Librarian(config.library, config.paths.state, catalogue, conductor.post, clock)
    player = MpdPlayer(config.mpd, conductor.post, clock)
    herald = MqttHerald(config.mqtt, conductor.post, clock) if config.mqtt.enabled else None
    senses = _senses(config, scene, conductor, wishes, beats)
    conductor.connect(player, herald, CatalogueDiary(catalogue, librarian.look_again), memory, senses)
    page = PageServer(config.page, conductor, librarian, config.paths.state) if config.page.enabled else None
    if page:
        page.start()
        parts.callback(page.close)
        announce(f"page: {page.address}")
    conductor.start()
    parts.callback(conductor.close)
    player.start()
    parts.callback(player.close)
    if herald:
        herald.start()
        parts.callback(herald.close)
    librarian.start()
    parts.callback(librarian.close)
    for sense in senses.values():
        sense.start()
        parts.callback(sense.close)
    return beats


def _open_catalogue(config: Config) -> Catalogue:
    return Catalogue(state_folder(config) / "catalogue.sqlite")


def _senses(
    config: Config, scene: Scene | None, conductor: Conductor, wishes: Wishes, beats: Beats
) -> dict[Modality, SenseLoop[Any]]:
    """The senses that there are; one that is configured away says so once and stays off."""
    senses: dict[Modality, SenseLoop[Any]] = {}
    clock = time.monotonic
    began_seconds = clock()
    open_camera = _camera_opener(config, scene, began_seconds)
    if open_camera is None:
        conductor.post(SenseChanged(Modality.FACE, SenseState.OFF, "no camera configured", clock()))
    else:
        lookout = build_lookout(config)
        senses[Modality.FACE] = SenseLoop(
            Modality.FACE,
            open_camera,
            lookout.watch,
            conductor.post,
            clock,
            beats.loop("eyes", SENSE_DEADLINE_SECONDS),
            wait_seconds=lookout.wait_seconds,
            forget=lookout.forget,
            enabled=wishes.face_on,
        )
    open_microphone = _microphone_opener(config, scene, began_seconds)
    if open_microphone is None:
        conductor.post(SenseChanged(Modality.VOICE, SenseState.OFF, "no microphone configured", clock()))
    else:
        ears = build_ears(config, lambda: conductor.snapshot.player.state is PlayState.PLAY)
        senses[Modality.VOICE] = SenseLoop(
            Modality.VOICE,
            open_microphone,
            ears.hear,
            conductor.post,
            clock,
            beats.loop("ears", SENSE_DEADLINE_SECONDS),
            wait_seconds=ears.wait_seconds,
            forget=ears.forget,
            enabled=wishes.voice_on,
        )
    return senses


def _camera_opener(config: Config, scene: Scene | None, began_seconds: float) -> Callable[[], Camera] | None:
    """What opens the camera anew each time; None where none is configured."""
    clock, camera = time.monotonic, config.camera
    if scene:
        return lambda: SceneCamera(scene, clock, camera.fastest_hz, began_seconds)
    if camera.source == "none":
        return None
    # One and the same each time: it remembers that its driver hangs.
    webcam = V4l2Camera(camera, clock)
    return lambda: PicameraCamera(camera, clock) if camera_picamera2.is_chosen(camera) else webcam


def _microphone_opener(config: Config, scene: Scene | None, began_seconds: float) -> Callable[[], Microphone] | None:
    """The same for the microphone."""
    clock = time.monotonic
    if scene:
        return lambda: SceneMicrophone(scene, clock, began_seconds)
    if config.microphone.source == "none":
        return None
    # One and the same each time: it remembers that it was lost to dead silence.
    microphone = PyAudioMicrophone(config.microphone, clock)
    return lambda: microphone


def _watch(beats: Beats, stop: Stop) -> None:
    """Feed systemd's watchdog while every loop is alive; say who is late, once."""
    late: tuple[str, ...] = ()
    while not _ended(stop, WATCH_SECONDS):
        before, late = late, beats.late()
        if late and late != before:
            log.error("no sign of life from %s; the watchdog is not fed", ", ".join(late))
        if not late:
            systemd_notify.watchdog()


def _ended(stop: Stop, patience_seconds: float) -> bool:
    try:
        stop.get(timeout=patience_seconds)
    except Empty:
        return False
    return True


def _end_on_signal(stop: Stop) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.put(None))


def _end_on_bug(stop: Stop, crashed: threading.Event) -> None:
    """A bug in any thread ends the process, with its trace in the log; systemd starts it again."""

    def give_up(arguments: threading.ExceptHookArgs) -> None:
        error = arguments.exc_value
        name = arguments.thread.name if arguments.thread else "a thread"
        log.critical("%s failed", name, exc_info=error)
        crashed.set()
        stop.put(None)

    threading.excepthook = give_up
