"""Runs the demonstration: our music, faces and voices, real servers, and the speaker itself as its own process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from device.config import MqttConfig
from device.demo.music import make_library
from device.demo.scene_maker import make_scene
from device.demo.servers import Child, PrivateBroker, PrivateMpd, free_port
from device.demo.verdict import Evidence, table
from device.demo.witness import BrokerWitness, PlayerWitness
from device.domain.labels import UNKNOWN
from device.errors import EXIT_INTERRUPTED, EXIT_SETUP, SetupError

START_SECONDS = 180.0
"""How long the speaker may take to get ready; a Raspberry Pi reads its libraries slowly."""
LOOK_SECONDS = 0.25
PATIENCE_SECONDS = 6.0
"""How long a person listens to a song that does not suit the mood, before pressing next."""
MOST_PRESSES = 3
"""For one mood."""
ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that takes part."""

    speaker: Child
    mpd: PrivateMpd
    broker: PrivateBroker
    hears: BrokerWitness
    looks: PlayerWitness


def run_demo(seconds: float | None, live: bool, folder: Path | None, port: int, sound: bool) -> int:
    """Run for `seconds` (None: until Ctrl-C); 0 when the speaker did what it promises, else 1 with the reason.

    `live` uses the real camera and microphone instead of the scene, `sound` plays aloud. SetupError when something is
    missing; 130 after Ctrl-C.
    """
    _asked_to_stop.clear()
    # SIGINT too: a background job of a shell inherits it ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        with ExitStack() as stage:
            try:
                return _play(stage, seconds, live, (folder or _default_folder()).absolute(), port, sound)
            finally:
                # Whoever presses Ctrl-C twice must not leave half of it running.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _play(opened: ExitStack, seconds: float | None, live: bool, folder: Path, port: int, sound: bool) -> int:
    opened.enter_context(_claimed(folder))
    music = folder / "music"
    _make_music(music)
    scene = None if live else make_scene(folder / "scene")
    private = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="moodify-demo-")))
    broker = opened.enter_context(PrivateBroker(private))
    mpd = opened.enter_context(PrivateMpd(private, music, sound))
    _say(f"servers: MPD on {mpd.host}:{mpd.port}, MQTT broker on {broker.host}:{broker.port}")
    hears = opened.enter_context(BrokerWitness(broker, f"{MqttConfig().topic}/{MqttConfig().device_id}"))
    looks = opened.enter_context(PlayerWitness(mpd, music))
    config = private / "moodify.toml"
    config.write_text(_config(mpd, broker, music, private / "state", _page_port(port)), encoding="utf-8")
    speaker = _speaker(config, scene, folder / "moodify.log", private)
    opened.callback(speaker.close)
    page = _wait_until_ready(speaker)
    if page is None:
        return _say_why_it_ended(speaker)
    _say(page)
    _say("camera and microphone: " + ("the real ones" if live else f"the scene {scene}"))
    return _watch(Stage(speaker, mpd, broker, hears, looks), seconds, presses=0 if live else MOST_PRESSES)


def _watch(stage: Stage, seconds: float | None, presses: int) -> int:
    """Tell what happens until the time is over; the exit status."""
    evidence, began, left, tried = Evidence(), time.monotonic(), presses, 0.0
    while seconds is None or time.monotonic() - began < seconds:
        _pause()
        now = time.monotonic() - began
        for name, ended in (("MPD", stage.mpd.ended), ("the broker", stage.broker.ended)):
            if ended:
                _say(f"demo: {name} ended by itself")
                return 1
        if stage.speaker.ended:
            return _say_why_it_ended(stage.speaker)
        if _look(stage, evidence, now):
            left, tried = presses, now
        if left and _would_press_next(stage, evidence, now - tried):
            left, tried = left - 1, now
            stage.hears.press_next()
            _say(f"{_clock(now)}  next pressed over MQTT, as a person would (a mood change never cuts a running song)")
    return _conclude(evidence)


def _look(stage: Stage, evidence: Evidence, now: float) -> bool:
    """Take in and tell what is new; whether the mood changed."""
    changed = False
    for state in stage.hears.states():
        if evidence.take_state(state, now):
            changed = True
            _say(f"{_clock(now)}  mood {evidence.mood:9} {state['reason']}")
    if evidence.take_song(stage.looks.playing(), now):
        _say(f"{_clock(now)}  song {evidence.song.line if evidence.song else 'none'}")
    sighting = evidence.sightings.get(evidence.mood)
    if sighting and not sighting.read_back:
        sighting.read_back = stage.hears.retained_mood() == sighting.mood
    return changed


def _would_press_next(stage: Stage, evidence: Evidence, waited_seconds: float) -> bool:
    """Whether the song does not suit a mood that has lasted a while, and a suiting one waits behind it."""
    mood, song = evidence.mood, evidence.song
    if mood == UNKNOWN or song is None or song.suits(mood) or waited_seconds < PATIENCE_SECONDS:
        return False
    behind = stage.looks.next_up()
    return behind is not None and behind.suits(mood)


def _conclude(evidence: Evidence) -> int:
    _say(f"\n{table(evidence)}\n")
    failure = evidence.verdict()
    _say(f"demo: failed: {failure}" if failure else "demo: passed")
    return 1 if failure else 0


def _make_music(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    terminal = sys.stdout.isatty()
    began = time.monotonic()

    def progress(done: int, of: int) -> None:
        if terminal:
            print(f"\rmusic: {done} of {of} pieces made", end="\r" if done == of else "", flush=True)

    if not terminal:
        _say("music: making what is missing (under a minute the first time)")
    make_library(folder, progress)
    _say(f"music: ready in {folder} after {time.monotonic() - began:.0f} s    ")


def _config(mpd: PrivateMpd, broker: PrivateBroker, music: Path, state: Path, page_port: int) -> str:
    return f"""\
[music]
songs_between_turns = 1  # the demo is too short for three

[microphone]
own_music_fifo = {_quoted(mpd.fifo)}

[mpd]
host = "{mpd.host}"
port = {mpd.port}

[mqtt]
host = "{broker.host}"
port = {broker.port}

[page]
port = {page_port}

[library]
music_folder = {_quoted(music)}

[paths]
state = {_quoted(state)}
"""


def _speaker(config: Path, scene: Path | None, log: Path, folder: Path) -> Child:
    """The real program as a stranger would start it, with nothing of our surroundings that would change it."""
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "device", "run", "--config", str(config)]
    if scene:
        command += ["--scene", str(scene)]
    away = {"NOTIFY_SOCKET": "", "STATE_DIRECTORY": "", "CREDENTIALS_DIRECTORY": "", "WATCHDOG_USEC": ""}
    return Child(command, log, folder, away | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"})


def _wait_until_ready(speaker: Child) -> str | None:
    """The line with the page's address; None when the speaker ended before it was ready."""
    end_seconds = time.monotonic() + START_SECONDS
    while not speaker.ended:
        # What C libraries print lands in the same file, and not always with an end of line of its own.
        told = speaker.log.read_text(encoding="utf-8", errors="replace")
        if re.search(r"^ready|ready$", told, re.MULTILINE):
            page = re.search(r"page: http\S+", told)
            return page[0] if page else "page: none"
        if time.monotonic() > end_seconds:
            raise SetupError(f"the speaker: not ready after {START_SECONDS:.0f} s; see {speaker.log}")
        _pause()
    return None


def _say_why_it_ended(speaker: Child) -> int:
    status = speaker.close()
    _say(f"demo: the speaker ended with status {status}: {speaker.last_words()} (all of it: {speaker.log})")
    return EXIT_SETUP if status == EXIT_SETUP else 1


def _page_port(port: int) -> int:
    """`port`, or another one when something listens there already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            other = free_port()
            _say(f"page: port {port} is taken or not ours to take; using {other}")
            return other
    return port


def _default_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "moodify-demo"


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[IO[str]]:
    """The demo's folder, for one demo at a time."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise SetupError(f"{folder}: {error.strerror}; name a folder that may be written with --folder") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetupError(f"{folder}: another demo uses it; name another folder with --folder") from None
        yield lock


def _quoted(path: Path) -> str:
    """A path as TOML takes it."""
    text = str(path.absolute()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:3}:{int(seconds) % 60:02}"


def _say(line: str) -> None:
    print(line, flush=True)


_asked_to_stop: list[int] = []
"""Signals. Not an Event: interrupted by another one its lock would wait for itself."""


def _stop(number: int, _frame: object) -> NoReturn:
    _asked_to_stop.append(number)
    raise KeyboardInterrupt


def _pause() -> None:
    """Until the next look. Python drops what is raised in the callbacks of a fork: who asked in one is heard here."""
    time.sleep(LOOK_SECONDS)
    if _asked_to_stop:
        raise KeyboardInterrupt
