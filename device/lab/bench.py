"""`moodify bench`: how fast the speaker is on this machine, side by side with the bare calls inside it."""

from __future__ import annotations

import contextlib
import http.client
import json
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
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np
from mpd import MPDClient
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from device.adapters.cards import read_card
from device.adapters.faces_mediapipe import MediapipeFaceFinder
from device.adapters.speech_silero import SileroSpeechGate
from device.adapters.tflite import RUNTIMES, TfliteClassifier
from device.config import Config
from device.demo.portrait import photograph
from device.demo.servers import PrivateBroker, PrivateMpd
from device.domain.events import Event, Perceived
from device.domain.reading import Modality
from device.errors import SetupError
from device.ports import SAMPLE_RATE_HZ, Frame, Image
from device.senses import build_lookout
from device.sensing.crop import normalise_crop
from device.sensing.eyes import Eyes
from device.sensing.logmel import voice_input
from device.sensing.sense import SenseLoop

WARM_UP = 3
READY_SECONDS = 60.0
ANSWER_SECONDS = 10.0
IDLE_SECONDS = 20.0
IDLE_HEAD_START_SECONDS = 0.05
"""For MPD to know that the second client listens."""
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
    """Measure everything, `repeats` times each; takes about two minutes."""
    config = Config()
    milliseconds = {
        "face appears → Reading": _appearing(config, repeats),
        **_face(config, repeats),
        **_voice(config, repeats),
    }
    with _running_speaker(config) as speaker:
        milliseconds["command on the page → MPD has done it"] = speaker.page_to_mpd(repeats)
        milliseconds["command over MQTT → MPD has done it"] = speaker.mqtt_to_mpd(repeats)
        share, resident = speaker.cost()
    face = statistics.median(milliseconds["frame with a face → Reading"])
    bare = statistics.median(milliseconds["  bare detector"]) + statistics.median(milliseconds["  bare face model"])
    others = {
        "frame → Reading over the bare calls, ratio": face / bare,
        "daemon with senses off, % of one core": share,
        "daemon with senses off, MB resident": resident,
    }
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
        eyes = Eyes(finder, TfliteClassifier(card), card.crop)
        if eyes.look(Frame(rgb, 0.0)) is None:
            raise SetupError("bench: no face is found in the portrait; check models/face.card.json")
        timed = {
            "frame with a face → Reading": _time(lambda: eyes.look(Frame(rgb, 0.0)), repeats),
            "  bare detector": _time(lambda: finder.find(rgb), repeats),
            "  empty frame → nothing": _time(lambda: eyes.look(Frame(wall, 0.0)), repeats),
        }
    return {**timed, **_models("face", card, crop, repeats)}


def _voice(config: Config, repeats: int) -> dict[str, list[float]]:
    card = read_card(config.paths.models, Modality.VOICE)
    gate = SileroSpeechGate()
    window = (0.05 * np.random.default_rng(1).standard_normal(card.features.window_samples)).astype(np.float32)
    classifier = TfliteClassifier(card)
    model_input = voice_input(window, card.features)

    def whole() -> None:
        gate.speech_probability(window[-SAMPLE_RATE_HZ:])
        classifier.classify(voice_input(window, card.features))

    return {
        "window → Reading (3 s of sound, each second)": _time(whole, repeats),
        "  bare speech gate, 1 s": _time(lambda: gate.speech_probability(window[-SAMPLE_RATE_HZ:]), repeats),
        "  features": _time(lambda: voice_input(window, card.features), repeats),
        **_models("voice", card, model_input, repeats),
    }


def _models(name: str, card: Any, model_input: Any, repeats: int) -> dict[str, list[float]]:
    """The bare model in the runtime that ships, and in the others that are installed."""
    timed: dict[str, list[float]] = {}
    for runtime in RUNTIMES:
        try:
            classifier = TfliteClassifier(card, runtime=runtime)
        except SetupError:
            continue
        label = f"  bare {name} model" if not timed else f"  bare {name} model, {runtime}"
        timed[label] = _time(lambda model=classifier: model.logits(model_input), repeats)  # type: ignore[misc]
    return timed


class _Speaker:
    """A running daemon and its servers, watched as a second client."""

    def __init__(self, process: subprocess.Popen[str], address: str, mpd: PrivateMpd, broker: PrivateBroker) -> None:
        self._process = process
        self._where = urlsplit(address)
        self._mpd = mpd
        self._broker = broker

    def page_to_mpd(self, repeats: int) -> list[float]:
        """Milliseconds from sending the volume to the page until MPD tells its other clients."""
        headers = {"Content-Type": "application/json", "Origin": f"http://{self._where.netloc}"}

        def send(percent: int) -> None:
            connection = http.client.HTTPConnection(
                self._where.hostname or "", self._where.port, timeout=ANSWER_SECONDS
            )
            connection.request("POST", "/command/volume", json.dumps({"percent": percent}), headers)
            connection.getresponse().read()
            connection.close()

        return self._until_mpd_has_it(send, repeats)

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

    def cost(self) -> tuple[float, float]:
        """CPU in percent of one core over some idle seconds, and megabytes resident."""
        before = self._cpu_seconds()
        time.sleep(IDLE_SECONDS)
        share = 100 * (self._cpu_seconds() - before) / IDLE_SECONDS
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        resident_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        return share, resident_kb / 1024

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
    """A daemon without senses, with a private MPD and broker."""
    with tempfile.TemporaryDirectory(prefix="moodify-bench-") as name:
        folder = Path(name)
        (folder / "music").mkdir()
        with PrivateMpd(folder / "mpd", folder / "music", False) as mpd, PrivateBroker(folder / "broker") as broker:
            settings = folder / "moodify.toml"
            settings.write_text(
                f'[camera]\nsource = "none"\n[microphone]\nsource = "none"\n[page]\nport = 0\n'
                f"[mpd]\nport = {mpd.port}\n[mqtt]\nport = {broker.port}\n"
                f'[library]\nmusic_folder = "{folder / "music"}"\n'
                f'[paths]\nstate = "{folder / "state"}"\nmodels = "{config.paths.models}"\n',
                encoding="utf-8",
            )
            process = subprocess.Popen(
                [sys.executable, "-m", "device", "run", "--config", str(settings)],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd=Path(__file__).resolve().parents[2],
            )
            try:
                yield _Speaker(process, _address(process, mpd, broker), mpd, broker)
            finally:
                process.terminate()
                process.wait(ANSWER_SECONDS)


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
