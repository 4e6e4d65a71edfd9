"""Starts a private MPD and a private MQTT broker on free loopback ports, and leaves nothing running."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from mpd import MPDClient, MPDError

from device.errors import SetupError

PATIENCE_SECONDS = 30.0
"""How long a server may take to answer, or the database to be read."""
FAREWELL_SECONDS = 5.0
"""How long a process may take to end when it is asked to; then it is killed."""
LOOK_SECONDS = 0.05
ATTEMPTS = 3
"""Another program may take the free port in the moment before the server does."""
PR_SET_PDEATHSIG = 1
LISTENING = "0A"
"""A socket's state in /proc/net/tcp."""

MQTT_CONNECT = bytes((0x10, 17, 0, 4, *b"MQTT", 4, 2, 0, 10, 0, 5, *b"probe"))
"""A CONNECT packet of MQTT 3.1.1: clean session, client "probe"."""
MQTT_WELCOME = bytes((0x20, 2, 0, 0))


class Child:
    """A process of ours, in its own process group, that ends with us however we end."""

    def __init__(self, command: Sequence[str], log: Path, folder: Path, environment: Mapping[str, str]) -> None:
        """Start `command` in `folder`; what it prints goes to the file `log`. Call from the main thread only.

        `environment` is added to ours; an empty value takes a variable away.
        """
        complete = {name: value for name, value in (os.environ | environment).items() if environment.get(name) != ""}
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                env=complete,
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - nothing but two system calls
            )
        self.log = log

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    def last_words(self) -> str:
        """The last line it printed."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")

    def close(self) -> int:
        """End it and everything it started; its exit status."""
        if not self.ended:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(FAREWELL_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()


class PrivateMpd:
    """A real MPD that plays `music`, with all its files in `folder`; used in a `with` block."""

    def __init__(self, folder: Path, music: Path, live_output: bool) -> None:
        """`live_output` plays aloud through the default output; otherwise into nothing, at real speed."""
        self._folder = folder
        self._music = music
        self._live_output = live_output
        self.host = "127.0.0.1"
        self.port = 0
        self.fifo = folder / "played.fifo"
        """What is being played, 16 kHz mono, for whoever must not mistake it for a voice."""
        self._child: Child | None = None

    def __enter__(self) -> Self:
        program = _program("mpd")
        (self._folder / "playlists").mkdir(parents=True, exist_ok=True)
        _forget(self._folder / "mpd.log")
        try:
            self.port, self._child = _start(self._launch, program, "MPD", _mpd_answers)
            self._read_database()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def ended(self) -> bool:
        """Whether MPD is gone."""
        return self._child is None or self._child.ended

    def close(self) -> None:
        """End MPD."""
        if self._child:
            self._child.close()
        self.fifo.unlink(missing_ok=True)

    def client(self) -> MPDClient:
        """A new connection; disconnect it."""
        client = MPDClient()
        client.timeout = 10.0
        client.connect(self.host, self.port)
        return client

    def _launch(self, program: str, port: int) -> Child:
        config = self._folder / "mpd.conf"
        config.write_text(self._config(port), encoding="utf-8")
        command = [program, "--no-daemon", str(config)]
        return Child(command, self._folder / "mpd.log", self._folder, {"HOME": str(self._folder)})

    def _config(self, port: int) -> str:
        kind = _default_output() if self._live_output else "null"
        return f"""\
music_directory {_quoted(self._music)}
playlist_directory {_quoted(self._folder / "playlists")}
db_file {_quoted(self._folder / "mpd.database")}
bind_to_address "{self.host}"
port "{port}"
zeroconf_enabled "no"
audio_output {{
    type "{kind}"
    name "speaker"
    mixer_type "software"
    {'sync "yes"' if kind == "null" else ""}
}}
audio_output {{
    type "fifo"
    name "reference"
    path {_quoted(self.fifo)}
    format "16000:16:1"
    mixer_type "none"
}}
"""

    def _read_database(self) -> None:
        client = self.client()
        try:
            client.update()
            end_seconds = time.monotonic() + PATIENCE_SECONDS
            while "updating_db" in client.status():
                if time.monotonic() > end_seconds:
                    raise SetupError(f"MPD: did not read {self._music} in {PATIENCE_SECONDS:.0f} s; see {self._folder}")
                time.sleep(LOOK_SECONDS)
        except (OSError, MPDError) as error:
            raise SetupError(f"MPD: {error}; see {self._folder / 'mpd.log'}") from None
        finally:
            client.disconnect()


class PrivateBroker:
    """A real mosquitto without accounts, for this machine only; used in a `with` block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.host = "127.0.0.1"
        self.port = 0
        self._child: Child | None = None

    def __enter__(self) -> Self:
        program = _program("mosquitto")
        self._folder.mkdir(parents=True, exist_ok=True)
        _forget(self._folder / "mosquitto.log")
        self.port, self._child = _start(self._launch, program, "mosquitto", _broker_answers)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def ended(self) -> bool:
        """Whether the broker is gone."""
        return self._child is None or self._child.ended

    def close(self) -> None:
        """End the broker."""
        if self._child:
            self._child.close()

    def _launch(self, program: str, port: int) -> Child:
        config = self._folder / "mosquitto.conf"
        # Changing to another user would undo the promise to end with us.
        user = "user root\n" if os.geteuid() == 0 else ""
        config.write_text(f"{user}listener {port} {self.host}\nallow_anonymous true\npersistence false\n", "utf-8")
        return Child([program, "-c", str(config)], self._folder / "mosquitto.log", self._folder, {})


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Launch(Protocol):
    def __call__(self, program: str, port: int) -> Child: ...


def _start(launch: _Launch, program: str, name: str, answers: Callable[[int], bool]) -> tuple[int, Child]:
    """Launch until one answers on its port; SetupError with the server's own last words."""
    words = ""
    for _ in range(ATTEMPTS):
        port = free_port()
        child = launch(program, port)
        try:
            if _answered(child, port, answers):
                return port, child
        except BaseException:
            child.close()
            raise
        child.close()
        words = child.last_words()
    raise SetupError(f"{name}: does not start: {words}; its settings are in {child.log.parent}")


def _answered(child: Child, port: int, answers: Callable[[int], bool]) -> bool:
    end_seconds = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end_seconds and not child.ended:
        with contextlib.suppress(OSError):
            if _listens(child.process.pid, port) and answers(port):
                return True
        time.sleep(LOOK_SECONDS)
    return False


def _listens(pid: int, port: int) -> bool:
    """Whether it is this process that listens on the port, and not another that was faster (see proc(5))."""
    own = {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    rows = (line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:])
    return any(row[1].endswith(f":{port:04X}") and row[3] == LISTENING and f"socket:[{row[9]}]" in own for row in rows)


def _mpd_answers(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 2.0) as wire:
        return wire.recv(64).startswith(b"OK MPD")


def _broker_answers(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 2.0) as wire:
        wire.sendall(MQTT_CONNECT)
        return wire.recv(8) == MQTT_WELCOME


def _program(name: str) -> str:
    """The program's path; Debian keeps mosquitto where an ordinary user does not look."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if path is None:
        raise SetupError(f"{name}: not installed; apt install mpd mosquitto")
    return path


def _default_output() -> str:
    """MPD's name for where this machine's sound goes: a sound server if one runs, else ALSA."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    serves = bool(os.environ.get("PULSE_SERVER")) or (runtime != "" and Path(runtime, "pulse", "native").exists())
    return "pulse" if serves else "alsa"


def _quoted(path: Path) -> str:
    """A path as MPD's configuration takes it."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _forget(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)


def _die_with(parent: int) -> Callable[[], None]:
    """For a new process: get SIGTERM when the thread that started it ends, even if it is killed (prctl(2))."""
    libc = ctypes.CDLL(None)

    def promise() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return promise
