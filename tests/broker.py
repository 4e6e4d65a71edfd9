"""A private real mosquitto on a free loopback port, and a second client that reads and writes there."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

WAIT_SECONDS = 30.0


def missing() -> str:
    """What must be installed before a test can use this broker; empty when all is there."""
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    return "" if shutil.which("mosquitto", path=path) else "mosquitto"


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(happened: Callable[[], object], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Wait for a condition; AssertionError names `what` when it does not come."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.02)


class Broker:
    """mosquitto with its own folder and port; keeps nothing when it is killed."""

    def __init__(self, folder: Path, users: dict[str, str] | None = None, extra: str = "") -> None:
        """`users`: name → password (None: anonymous); `extra`: more lines of mosquitto.conf."""
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        lines = [f"listener {self.port} 127.0.0.1", "persistence false", "log_dest stderr", "log_type all"]
        if os.geteuid() == 0:
            lines.append("user root")
        lines.append(f"allow_anonymous {'false' if users else 'true'}")
        if users:
            lines.append(f"password_file {self._password_file(users)}")
        self.config = folder / "mosquitto.conf"
        self.config.write_text("\n".join([*lines, extra, ""]), encoding="utf-8")

    def _password_file(self, users: dict[str, str]) -> Path:
        file = self.folder / "passwords"
        file.write_text("".join(f"{name}:{password}\n" for name, password in users.items()), encoding="utf-8")
        file.chmod(0o600)
        subprocess.run(["mosquitto_passwd", "-U", str(file)], check=True, timeout=WAIT_SECONDS)
        return file

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start and wait until it listens."""
        program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
        assert program
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([program, "-c", str(self.config)], stdout=log, stderr=log)
        wait_until(self._listens, f"mosquitto on port {self.port}: {self.log()}")

    def kill(self) -> None:
        """End it without a goodbye, also when it is frozen."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It keeps its connections but does nothing more."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after `freeze`."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        """What it said so far."""
        file = self.folder / "mosquitto.log"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def _listens(self) -> bool:
        assert self._process and self._process.poll() is None, self.log()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Listener:
    """A second client: subscribes, keeps every message, and can publish."""

    def __init__(self, port: int, *topics: str, username: str = "", password: str = "") -> None:
        self.messages: list[MQTTMessage] = []
        self._topics = topics or ("#",)
        self._subscribed = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2)
        if username:
            self.client.username_pw_set(username, password)
        self.client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in self._topics])
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_message = lambda _client, _data, message: self.messages.append(message)
        self.client.connect("127.0.0.1", port)

    def __enter__(self) -> Self:
        self.client.loop_start()
        assert self._subscribed.wait(WAIT_SECONDS), "the second client could not subscribe"
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def payloads(self, topic: str) -> list[str]:
        """Everything that came on `topic`, oldest first."""
        return [message.payload.decode() for message in list(self.messages) if message.topic == topic]

    def wait_for(self, topic: str, payload: str | Callable[[str], object] | None = None) -> str:
        """The first payload on `topic` that equals or satisfies `payload` (None: any)."""

        def found() -> list[str]:
            wanted = payload if callable(payload) else lambda text: payload in (None, text)
            return [text for text in self.payloads(topic) if wanted(text)]

        seen = [(m.topic, m.payload[:60]) for m in self.messages]
        wait_until(found, f"{topic} {payload or ''}; seen before: {seen}")
        return found()[0]

    def publish(self, topic: str, payload: str | bytes = b"", retain: bool = False) -> None:
        """Publish and wait for the broker's receipt."""
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(WAIT_SECONDS)
