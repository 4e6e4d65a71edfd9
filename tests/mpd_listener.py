"""What the tests of the player share: one that listens to it, starting it on a real MPD, and a cable to pull."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

from device.adapters.mpd_player import MpdPlayer
from device.config import MpdConfig
from device.domain.events import PlayerChanged
from tests.mpd_server import MpdServer, wait_until, write_tone

RATE_HZ = 44_100
"""At 8 kHz and less MPD 0.23 at times keeps a change of its queue waiting until the song ends; never seen at this."""


class Listener:
    """Keeps what the player posts."""

    def __init__(self) -> None:
        self.events = []

    def __call__(self, event) -> None:
        self.events.append(event)

    def all(self, kind):
        return [event for event in list(self.events) if isinstance(event, kind)]

    @property
    def status(self):
        changed = self.all(PlayerChanged)
        return changed[-1].status if changed else None

    def wait_for_status(self, condition, what):
        return wait_until(lambda: self.status is not None and condition(self.status) and self.status, what)

    def wait_for(self, kind, count=1):
        return wait_until(lambda: self.all(kind)[count - 1 :], f"{count} {kind.__name__}: {self.events}")[0]


@pytest.fixture
def heard():
    return Listener()


@pytest.fixture
def play(heard):
    """Starts players and closes them."""
    players = []

    def start(server: MpdServer, **changes) -> MpdPlayer:
        config = MpdConfig(**({"port": server.port, "timeout_seconds": 2.0} | changes))
        players.append(MpdPlayer(config, heard, time.monotonic))
        players[-1].start()
        return players[-1]

    yield start
    for player in players:
        player.close()


def with_songs(server: MpdServer, *names: str) -> MpdServer:
    for number, name in enumerate(names):
        write_tone(server.music / name, seconds=20, pitch_hz=200 + 50 * number, rate_hz=RATE_HZ)
    server.update()
    return server


def connected(play, heard, server, **changes) -> MpdPlayer:
    player = play(server, **changes)
    heard.wait_for(PlayerChanged)
    return player


class Relay:
    """A cable to MPD that can be pulled: what is connected then hangs, what connects later works.

    `bytes_said` counts what MPD said, `asked` keeps what it was asked.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self.bytes_said = 0
        self.asked = bytearray()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._now = threading.Event()
        self._sockets = [self._server]
        threading.Thread(target=self._accept, daemon=True).start()

    def pull(self) -> None:
        self._now.set()
        self._now = threading.Event()

    def close(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += [near, far]
                for carry in ((near, far, self._hear_asked), (far, near, self._hear_said)):
                    threading.Thread(target=self._carry, args=(*carry, self._now), daemon=True).start()

    def _hear_asked(self, content: bytes) -> None:
        self.asked += content

    def _hear_said(self, content: bytes) -> None:
        self.bytes_said += len(content)

    def _carry(self, source, target, hear, pulled) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(65536):
                hear(content)
                if not pulled.is_set():
                    target.sendall(content)
