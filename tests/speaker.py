"""The whole speaker as a process of its own, with a real MPD and a real broker, seen from outside."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import mutagen.oggvorbis
import pytest

from tests.broker import Broker
from tests.broker import missing as broker_missing
from tests.mpd_server import MpdServer, needs_mpd, wait_until, write_tone

ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 30.0
MOODS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


class Speaker:
    """`moodify run` with a configuration made of `sections`."""

    def __init__(self, folder: Path, sections: dict[str, dict[str, Any]], scene: Path | None = None) -> None:
        self.folder = folder
        self.config = folder / "moodify.toml"
        self.config.write_text(
            "".join(
                f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
                for name, keys in sections.items()
            ),
            encoding="utf-8",
        )
        self._scene = ["--scene", str(scene)] if scene else []
        self.address = ""
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_SECONDS)

    def start(self, environment: dict[str, str] | None = None) -> Self:
        """Start it and wait until it says that it is ready."""
        with (self.folder / "speaker.log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "device", "run", "--config", str(self.config), *self._scene],
                cwd=ROOT,
                env=environment or dict(os.environ),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        ready = threading.Event()
        threading.Thread(target=self._listen, args=(ready,), daemon=True).start()
        wait_until(lambda: ready.is_set() or self.process.poll() is not None, "the speaker to be ready", 60)
        assert ready.is_set(), f"it ended with {self.process.returncode}: {self.log()}"
        return self

    def _listen(self, ready: threading.Event) -> None:
        for line in self.process.stdout:
            if line.startswith("page: "):
                self.address = line.removeprefix("page: ").strip()
            if line.strip() == "ready":
                ready.set()

    def stop(self) -> int:
        """End it as systemd would; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def log(self) -> str:
        return (self.folder / "speaker.log").read_text(encoding="utf-8")

    def snapshot(self) -> dict[str, Any]:
        """What the page shows."""
        return json.loads(self._request("GET", "/snapshot"))

    def command(self, name: str, **payload: Any) -> None:
        """What a press on the page does."""
        self._request("POST", f"/command/{name}", json.dumps(payload))

    def _request(self, method: str, path: str, body: str | None = None) -> str:
        where = urlsplit(self.address)
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
        connection.request(method, path, body, {"Content-Type": "application/json", "Origin": self.address})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        assert answer.status < 300, text
        return text

    def until(self, condition, what: str, seconds: float = 60.0) -> dict[str, Any]:
        """The first snapshot that satisfies the condition."""
        return wait_until(lambda: (s := self.snapshot()) and condition(s) and s, what, seconds)


class House:
    """MPD with a tagged song library, a broker, and the sections of a configuration that point there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("mpd", "broker", "state"):
            (folder / name).mkdir()
        self.mpd = MpdServer(folder / "mpd")
        self.broker = Broker(folder / "broker")

    def start(self) -> None:
        for mood in MOODS:
            for number in range(2):
                song = write_tone(self.mpd.music / f"{mood}-{number}.ogg", seconds=30.0)
                tags = mutagen.oggvorbis.OggVorbis(song)
                tags.update(title=f"{mood} {number}", artist=f"artist {mood} {number}", mood=mood)
                tags.save()
        self.mpd.start()
        self.mpd.update()
        self.broker.start()

    def stop(self) -> None:
        self.mpd.stop()
        self.broker.kill()

    @property
    def sections(self) -> dict[str, dict[str, Any]]:
        return {
            "camera": {"source": "none"},
            "microphone": {"source": "none", "own_music_fifo": ""},
            "mood": {"dwell_seconds": 1.0, "smoothing_seconds": 1.0},
            "mpd": {"port": self.mpd.port, "timeout_seconds": 2.0},
            "mqtt": {"port": self.broker.port},
            "page": {"port": 0},
            "library": {"music_folder": str(self.mpd.music)},
            "paths": {"state": str(self.folder / "state")},
        }

    def speaker(self, scene: Path | None = None, **changes: dict[str, Any]) -> Speaker:
        sections = self.sections
        for name, keys in changes.items():
            sections[name] = {**sections.get(name, {}), **keys}
        return Speaker(self.folder, sections, scene)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A running MPD and broker, and what a speaker needs to use them."""
    needs_mpd()
    if broker_missing():
        pytest.skip(f"missing: {broker_missing()}")
    house = House(tmp_path)
    house.start()
    yield house
    house.stop()
