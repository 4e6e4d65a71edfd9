"""A private MPD for tests: own folders, a free loopback port, a null output that plays at real speed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from mpd import MPDClient, MPDError

PATIENCE_SECONDS = 30.0


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what: str, patience_seconds: float = PATIENCE_SECONDS):
    """The condition's first true value; fails the test when there is none in time."""
    end = time.monotonic() + patience_seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    pytest.fail(f"waited {patience_seconds:.0f} s in vain: {what}")


def write_tone(path: Path, seconds: float = 5.0, pitch_hz: float = 220.0, rate_hz: int = 8000) -> Path:
    """A quiet tone; the format follows the suffix (.wav, .flac, .ogg, .opus, .mp3, .aiff)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(int(seconds * rate_hz)) / rate_hz
    kinds = {".opus": {"format": "OGG", "subtype": "OPUS"}, ".mp3": {"format": "MP3"}}
    soundfile.write(path, 0.05 * np.sin(2 * np.pi * pitch_hz * times), rate_hz, **kinds.get(path.suffix, {}))
    return path


class MpdServer:
    """A real MPD process in `folder`; its queue survives `kill` and `start`."""

    def __init__(
        self,
        folder: Path,
        password: str = "",
        mixer: str = "software",
        stickers: bool = True,
        most_queued: int = 16_384,
    ) -> None:
        self.folder = folder
        self.music = folder / "music"
        self.music.mkdir(parents=True, exist_ok=True)
        (folder / "playlists").mkdir(exist_ok=True)
        self.port = free_port()
        self.socket_path = folder / "socket"
        self.password = password
        self._mixer = mixer
        self._most_queued = most_queued
        self._stickers = f'sticker_file "{folder}/sticker.sql"' if stickers else ""
        self._config = folder / "mpd.conf"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._config.write_text(self._text(), encoding="utf-8")
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                ["mpd", "--no-daemon", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder)},
            )
        wait_until(self._answers, f"MPD to answer; see {self.folder}/output")

    def _text(self) -> str:
        folder = self.folder
        rights = 'default_permissions ""\n' + f'password "{self.password}@read,add,control,admin"\n'
        return f"""
music_directory "{self.music}"
playlist_directory "{folder}/playlists"
db_file "{folder}/database"
state_file "{folder}/state"
state_file_interval "1"
bind_to_address "127.0.0.1"
bind_to_address "{self.socket_path}"
port "{self.port}"
zeroconf_enabled "no"
max_playlist_length "{self._most_queued}"
{self._stickers}
{rights if self.password else ""}
audio_output {{
    type "null"
    name "null"
    sync "yes"
    mixer_type "{self._mixer}"
}}
"""

    def _answers(self) -> bool:
        assert self._process
        if self._process.poll() is not None:
            pytest.fail("MPD ended: " + (self.folder / "output").read_text(errors="replace")[-1000:])
        with contextlib.suppress(OSError, MPDError), self.client():
            return True
        return False

    @contextlib.contextmanager
    def client(self) -> Iterator[MPDClient]:
        """A second client, to see what MPD itself says."""
        client = MPDClient()
        client.timeout = 10
        client.connect("127.0.0.1", self.port)
        try:
            if self.password:
                client.password(self.password)
            yield client
        finally:
            with contextlib.suppress(OSError, MPDError):
                client.disconnect()

    def update(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Have the database read, and wait for it: MPD does that only while nothing else wants the processor."""
        with self.client() as client:
            client.update()
            wait_until(lambda: "updating_db" not in client.status(), "the database to be updated", patience_seconds)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def freeze(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self.thaw()
            self._send(signal.SIGTERM)

    def _send(self, number: int) -> None:
        assert self._process
        self._process.send_signal(number)
        self._process.wait(PATIENCE_SECONDS)


def needs_mpd() -> None:
    """Skip the test where there is no MPD."""
    if not shutil.which("mpd"):
        pytest.skip("MPD is missing: apt install mpd")


@pytest.fixture
def mpd_server(tmp_path: Path) -> Iterator[MpdServer]:
    """A running MPD with an empty music folder."""
    needs_mpd()
    server = MpdServer(tmp_path / "mpd")
    server.start()
    yield server
    server.stop()
