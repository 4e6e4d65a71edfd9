"""`moodify bench`: how fast the speaker is on this machine, side by side with the bare calls inside it."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import cv2
import numpy as np
from mpd import MPDClient
from numpy.typing import NDArray
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from device.adapters.cards import read_card
from device.adapters.faces_mediapipe import MediapipeFaceFinder
from device.adapters.scene import Scene, SceneCamera, SceneMicrophone
from device.adapters.speech_silero import SileroSpeechGate
from device.adapters.tflite import TfliteClassifier
from device.config import Config
from device.demo.portrait import photograph
from device.demo.servers import PrivateBroker, PrivateMpd
from device.domain.events import Event, Perceived
from device.domain.pace import LINGER_SECONDS
from device.domain.reading import Modality
from device.errors import SetupError
from device.ports import SAMPLE_RATE_HZ, FaceBox, Frame, Image
from device.senses import build_lookout
from device.sensing.crop import normalise_crop
from device.sensing.ears import LONGEST_WAIT_SECONDS
from device.sensing.eyes import Eyes
from device.sensing.logmel import voice_input
from device.sensing.lookout import Lookout, thumbnail_of
from device.sensing.sense import SenseLoop

WARM_UP = 3
READY_SECONDS = 60.0
ANSWER_SECONDS = 10.0
COST_SECONDS = 20.0
"""CPU is averaged over so long."""
STAY_SECONDS = 60.0
"""So long, from the speaker's start on, somebody moves before the replayed camera; then the room is empty."""
FILM_RATE_HZ = 5.0
SWAY_PIXELS = 12
FRAMES = 8
IDLE_HEAD_START_SECONDS = 0.05
"""For MPD to know that the second client listens."""
SETTLE_SECONDS = 5.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds of each measurement, sorted, and other single figures."""

    milliseconds: dict[str, list[float]]
    others: dict[str, float]

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON: median, 95th percentile and number of runs."""
        timed = {name: _summary(values) for name, values in self.milliseconds.items()}
        return {"milliseconds": timed, **{name: round(value, 3) for name, value in self.others.items()}}

    @property
    def text(self) -> str:
        """For people."""
        lines = [f"{'':<44}{'median':>9}{'p95':>9}   runs"]
        for name, values in self.milliseconds.items():
            told = _summary(values)
            lines.append(f"{name:<44}{told['median']:>7.1f}ms{told['p95']:>7.1f}ms{told['runs']:>7}")
        return "\n".join([*lines, "", *(f"{name:<44}{value:>9.2f}" for name, value in self.others.items())])


def bench(repeats: int) -> Figures:
    """Measure everything, `repeats` times each; takes about four minutes."""
    config = Config()
    milliseconds = {
        "face appears → Reading": _appearing(config, repeats),
        **_face(config, repeats),
        **_voice(config, repeats),
    }
    others = {"frame → Reading over the bare calls in it, ratio": _overhead(config, repeats)}
    with _running_speaker(config) as speaker:
        others["daemon watching somebody who moves, % of one core"] = speaker.watching()
        others["daemon watching, MB resident"] = speaker.resident_megabytes()
        others["daemon in an empty, silent room, % of one core"] = speaker.alone()
        others["  of it the replay in the camera's place, % of one core"] = _replaying(config)
        others["daemon with senses off, % of one core"] = speaker.senses_off()
        milliseconds["command on the page → MPD has done it"] = speaker.page_to_mpd(repeats)
        milliseconds["command over MQTT → MPD has done it"] = speaker.mqtt_to_mpd(repeats)
    return Figures(milliseconds, others)


class _Doorway:
    """A camera before which a face appears now and then, at a time that no frame waits for."""

    def __init__(self, face: Image, wall: Image) -> None:
        self._face, self._wall = face, wall
        self._chance = random.Random(1)
        self.appears_at = 0.0
        self.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held open."""

    def read(self, timeout_seconds: float) -> Frame:  # noqa: ARG002 - a frame is always there
        """The newest frame."""
        now = time.monotonic()
        return Frame(self._face if now >= self.appears_at else self._wall, now)

    def leave(self) -> None:
        """The face goes, and comes back after a second or so."""
        self.appears_at = time.monotonic() + self._chance.uniform(0.6, 1.2)


def _appearing(config: Config, repeats: int) -> list[float]:
    """Milliseconds from a face's appearing before the camera to its Reading, at the configured pace."""
    rgb = photograph()
    doorway = _Doorway(rgb, np.full_like(rgb, 128))
    taken: list[float] = []
    enough = threading.Event()

    def post(event: Event) -> None:
        if isinstance(event, Perceived):
            taken.append(1000 * (time.monotonic() - doorway.appears_at))
            doorway.leave()
            if len(taken) >= WARM_UP + repeats:
                enough.set()

    lookout = build_lookout(config)
    sense = SenseLoop(
        Modality.FACE,
        lambda: doorway,
        lookout.watch,
        post,
        time.monotonic,
        lambda: None,
        wait_seconds=lookout.wait_seconds,
    )
    sense.start()
    enough.wait(READY_SECONDS + 2.0 * repeats)
    sense.close()
    return taken[WARM_UP:]


def _face(config: Config, repeats: int) -> dict[str, list[float]]:
    card = read_card(config.paths.models, Modality.FACE)
    rgb = photograph()
    wall = np.full_like(rgb, 128)
    crop = normalise_crop(np.random.default_rng(1).integers(0, 256, (48, 48), dtype=np.uint8))
    with MediapipeFaceFinder(config.camera.detector) as finder:
        classifier = TfliteClassifier(card)
        eyes = Eyes(finder, classifier, card.crop)
        if eyes.look(Frame(rgb, 0.0)) is None:
            raise SetupError("bench: no face is found in the portrait; check models/face.card.json")
        lookout = Lookout(eyes.look, config.camera.pace)
        # The detector gets them, too: a picture that is still in the processor's cache is found faster.
        shown = [_swaying(rgb, number) for number in range(FRAMES)]
        times, turns = count(1), cycle(shown)
        return _time_in_turn(
            {
                "frame with a face → Reading": lambda: lookout.watch(_next_frame(shown, next(times), config)),
                "  bare detector": lambda: finder.find(next(turns)),
                "  bare face model": lambda: classifier.logits(crop),
                "  empty frame → nothing": lambda: eyes.look(Frame(wall, 0.0)),
                "  glance: has something moved?": lambda: thumbnail_of(rgb),
            },
            repeats,
        )


class _TimedFinder(MediapipeFaceFinder):
    """Adds up the time in the detector."""

    seconds = 0.0

    def find(self, rgb: Image) -> tuple[FaceBox, ...]:
        """The same, timed."""
        began = time.perf_counter()
        found = super().find(rgb)
        self.seconds += time.perf_counter() - began
        return found


class _TimedClassifier(TfliteClassifier):
    """Adds up the time in the face model."""

    seconds = 0.0

    def logits(self, model_input: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same, timed."""
        began = time.perf_counter()
        logits = super().logits(model_input)
        self.seconds += time.perf_counter() - began
        return logits


def _overhead(config: Config, repeats: int) -> float:
    """What a frame takes from camera to Reading, over what the detector and the face model take within it.

    Both are of the very same calls, so what else the machine does drops out.
    """
    card = read_card(config.paths.models, Modality.FACE)
    shown = [_swaying(photograph(), number) for number in range(FRAMES)]
    ratios = []
    with _TimedFinder(config.camera.detector) as finder:
        classifier = _TimedClassifier(card)
        lookout = Lookout(Eyes(finder, classifier, card.crop).look, config.camera.pace)
        for number in range(1, WARM_UP + repeats + 1):
            frame = _next_frame(shown, number, config)
            finder.seconds = classifier.seconds = 0.0
            began = time.perf_counter()
            lookout.watch(frame)
            ratios.append((time.perf_counter() - began) / (finder.seconds + classifier.seconds))
    return statistics.median(ratios[WARM_UP:])


def _voice(config: Config, repeats: int) -> dict[str, list[float]]:
    card = read_card(config.paths.models, Modality.VOICE)
    gate = SileroSpeechGate()
    window = (0.05 * np.random.default_rng(1).standard_normal(card.features.window_samples)).astype(np.float32)
    classifier = TfliteClassifier(card)
    model_input = voice_input(window, card.features)

    def whole() -> None:
        gate.spoken(window[-SAMPLE_RATE_HZ:])
        classifier.classify(voice_input(window, card.features))

    return {
        "window → Reading (3 s of sound, each second)": _time(whole, repeats),
        "  bare speech gate, 1 s": _time(lambda: gate.spoken(window[-SAMPLE_RATE_HZ:]), repeats),
        "  features": _time(lambda: voice_input(window, card.features), repeats),
        "  bare voice model": _time(lambda: classifier.logits(model_input), repeats),
    }


class _Speaker:
    """A running daemon and its servers, watched as a second client."""

    def __init__(
        self, process: subprocess.Popen[str], began: float, address: str, mpd: PrivateMpd, broker: PrivateBroker
    ) -> None:
        """`began`: when the process was started, in monotonic seconds."""
        self._process = process
        self._began, self._ready = began, time.monotonic()
        self._where = urlsplit(address)
        self._mpd = mpd
        self._broker = broker

    def page_to_mpd(self, repeats: int) -> list[float]:
        """Milliseconds from sending the volume to the page until MPD tells its other clients."""
        return self._until_mpd_has_it(lambda percent: self._post("volume", {"percent": percent}), repeats)

    def mqtt_to_mpd(self, repeats: int) -> list[float]:
        """The same from publishing the command."""
        client = Client(CallbackAPIVersion.VERSION2)
        client.connect(self._broker.host, self._broker.port)
        client.loop_start()
        try:
            return self._until_mpd_has_it(
                lambda percent: client.publish(
                    "moodify/speaker/command/volume", json.dumps({"percent": percent}), qos=1
                ).wait_for_publish(ANSWER_SECONDS),
                repeats,
            )
        finally:
            client.disconnect()
            client.loop_stop()

    def watching(self) -> float:
        """CPU in percent of one core while somebody moves before the camera and nobody speaks."""
        self._until(lambda seen: bool(seen["senses"]["face"]["label"]), "the face before the camera was not seen")
        share = self._cpu_share()
        if time.monotonic() > self._began + STAY_SECONDS:
            raise SetupError("bench: the speaker took too long to start; stop other programs")
        return share

    def alone(self) -> float:
        """The same in a room that has been empty and silent for a while."""
        # The scene began after the process, and the speaker lingers a while.
        time.sleep(max(0.0, self._ready + STAY_SECONDS + LINGER_SECONDS + SETTLE_SECONDS - time.monotonic()))
        return self._cpu_share()

    def senses_off(self) -> float:
        """The same with camera and microphone switched off."""
        for sense in ("face", "voice"):
            self._post("sense", {"modality": sense, "on": False})
        self._until(lambda seen: {sense["state"] for sense in seen["senses"].values()} == {"off"}, "the senses stay on")
        return self._cpu_share()

    def resident_megabytes(self) -> float:
        """What it holds of the memory."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    def _cpu_share(self) -> float:
        before, began = self._cpu_seconds(), time.monotonic()
        time.sleep(COST_SECONDS)
        return 100 * (self._cpu_seconds() - before) / (time.monotonic() - began)

    def _until(self, fact: Callable[[dict[str, Any]], bool], complaint: str) -> None:
        end = time.monotonic() + READY_SECONDS
        while not fact(json.loads(self._ask("GET", "/snapshot"))):
            if time.monotonic() > end:
                raise SetupError(f"bench: {complaint}")
            time.sleep(0.2)

    def _post(self, command: str, arguments: dict[str, Any]) -> None:
        self._ask("POST", f"/command/{command}", json.dumps(arguments))

    def _ask(self, method: str, path: str, body: str | None = None) -> bytes:
        headers = {"Content-Type": "application/json", "Origin": f"http://{self._where.netloc}"}
        connection = http.client.HTTPConnection(self._where.hostname or "", self._where.port, timeout=ANSWER_SECONDS)
        connection.request(method, path, body, headers)
        answer = connection.getresponse().read()
        connection.close()
        return answer

    def _cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def _until_mpd_has_it(self, send: Callable[[int], object], repeats: int) -> list[float]:
        taken = []
        client: MPDClient = self._mpd.client()
        waiting = ThreadPoolExecutor(1)
        try:
            for run in range(WARM_UP + repeats):
                percent = 20 + run % 60
                told = waiting.submit(_wait_for_mixer, client)
                time.sleep(IDLE_HEAD_START_SECONDS)
                began = time.perf_counter()
                send(percent)
                elapsed = told.result(ANSWER_SECONDS) - began
                if int(client.status()["volume"]) != percent:
                    raise SetupError("bench: MPD has another volume than it was given; stop other programs")
                taken.append(1000 * elapsed)
        finally:
            client.disconnect()
            waiting.shutdown()
        return taken[WARM_UP:]


@contextlib.contextmanager
def _running_speaker(config: Config) -> Iterator[_Speaker]:
    """A daemon on a replayed scene, with a private MPD and broker."""
    with tempfile.TemporaryDirectory(prefix="moodify-bench-") as name:
        folder = Path(name)
        (folder / "music").mkdir()
        with PrivateMpd(folder / "mpd", folder / "music", False) as mpd, PrivateBroker(folder / "broker") as broker:
            settings = folder / "moodify.toml"
            settings.write_text(
                f"[page]\nport = 0\n"
                f'[microphone]\nown_music_fifo = "{mpd.fifo}"\n'
                f"[mpd]\nport = {mpd.port}\n[mqtt]\nport = {broker.port}\n"
                f'[library]\nmusic_folder = "{folder / "music"}"\n'
                f'[paths]\nstate = "{folder / "state"}"\nmodels = "{config.paths.models}"\n',
                encoding="utf-8",
            )
            began = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, "-m", "device", "run", "--config", settings, "--scene", _scene(folder)],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd=Path(__file__).resolve().parents[2],
            )
            try:
                yield _Speaker(process, began, _address(process, mpd, broker), mpd, broker)
            finally:
                process.terminate()
                process.wait(ANSWER_SECONDS)


def _replaying(config: Config) -> float:
    """CPU in percent of one core that the replay of an empty, silent room takes itself, at the senses' pace."""
    room = Scene("empty room", COST_SECONDS, True, (), (), ())
    rate_hz, spent, began = config.camera.pace.glance_rate_hz, 0.0, time.monotonic()
    with (
        SceneCamera(room, time.monotonic, config.camera.fastest_hz) as camera,
        SceneMicrophone(room, time.monotonic) as microphone,
    ):
        for glance in range(round(COST_SECONDS * rate_hz)):
            time.sleep(1 / rate_hz)
            woke = time.thread_time()
            camera.read(ANSWER_SECONDS)
            if glance % round(LONGEST_WAIT_SECONDS * rate_hz) == 0:
                microphone.read(ANSWER_SECONDS)
            spent += time.thread_time() - woke
    return 100 * spent / (time.monotonic() - began)


def _next_frame(shown: list[Image], number: int, config: Config) -> Frame:
    """One of the pictures, as it comes when somebody moves."""
    return Frame(shown[number % len(shown)], number / config.camera.rate_hz)


def _scene(folder: Path) -> Path:
    """Somebody sways before the camera, then goes; the microphone hears a silent room."""
    film, scene = folder / "film.avi", folder / "scene.toml"
    portrait = cv2.cvtColor(photograph(), cv2.COLOR_RGB2BGR)
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), FILM_RATE_HZ, portrait.shape[1::-1])
    for number in range(round(STAY_SECONDS * FILM_RATE_HZ)):
        writer.write(_swaying(portrait, number))
    writer.release()
    scene.write_text(f'length = 3600\n[[camera]]\nfile = "{film}"\nfrom = 0\nto = {STAY_SECONDS}\n', encoding="utf-8")
    return scene


def _swaying(image: Any, number: int) -> Any:
    """The image a little aside, another way each time."""
    return np.roll(image, round(SWAY_PIXELS * math.sin(number)), axis=1)


def _address(process: subprocess.Popen[str], mpd: PrivateMpd, broker: PrivateBroker) -> str:
    """The page's address once the daemon is connected to both servers."""
    address = ""
    for line in process.stdout or ():
        if line.startswith("page: "):
            address = line.removeprefix("page: ").strip()
        if line.strip() == "ready":
            break
    if not address:
        raise SetupError("bench: the speaker does not start; run `moodify check`")
    where = urlsplit(address)
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=ANSWER_SECONDS)
        connection.request("GET", "/snapshot")
        seen = json.loads(connection.getresponse().read())
        connection.close()
        if seen["player"]["connected"] and seen["broker"]["connected"]:
            return address
        time.sleep(0.1)
    raise SetupError(f"bench: MPD on port {mpd.port} or the broker on port {broker.port} was not reached")


def _wait_for_mixer(client: MPDClient) -> float:
    """When MPD told this client that the volume changed."""
    client.idle("mixer")
    return time.perf_counter()


def _time_in_turn(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each; each once, again and again, so that what else the machine does falls on all alike."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(WARM_UP + repeats):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            taken[name].append(1000 * (time.perf_counter() - began))
    return {name: values[WARM_UP:] for name, values in taken.items()}


def _time(work: Callable[[], object], repeats: int) -> list[float]:
    for _ in range(WARM_UP):
        work()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def _summary(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 3),
        "p95": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 3),
        "runs": len(ordered),
    }
