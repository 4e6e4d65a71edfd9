"""A private PulseAudio server with one null sink, "room", whose monitor is the machine's only ALSA device."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Self

PLUGIN = "libasound_module_pcm_pulse.so"
START_SECONDS = 30.0

ALSA_CONF = """
pcm.!default {{ type pulse server "unix:{socket}" device "room.monitor" }}
ctl.!default {{ type pulse server "unix:{socket}" }}
pcm.desk {{ type pulse server "unix:{socket}" device "room.monitor" }}
"""


def missing() -> str:
    """What must be installed before a test can use this server; empty when all is there."""
    lacking = [name for name in ("pulseaudio", "pactl", "paplay") if shutil.which(name) is None]
    if not any(Path("/usr/lib").glob(f"*/alsa-lib/{PLUGIN}")):
        lacking.append("libasound2-plugins")
    return ", ".join(lacking)


class PulseServer:
    """Own folder, own socket, own configuration: nothing of the user's sound server is touched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "native"
        self.alsa_config = folder / "asound.conf"
        self.alsa_config.write_text(ALSA_CONF.format(socket=self.socket), encoding="utf-8")
        self._daemon: subprocess.Popen[bytes] | None = None
        self._playing: list[subprocess.Popen[bytes]] = []

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to find this server, with PulseAudio's own tools or through ALSA."""
        folder = str(self.folder)
        return {
            **os.environ,
            "HOME": folder,
            "XDG_RUNTIME_DIR": folder,
            "PULSE_RUNTIME_PATH": folder,
            "PULSE_SERVER": f"unix:{self.socket}",
            "ALSA_CONFIG_PATH": str(self.alsa_config),
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        for player in self._playing:
            player.kill()
            player.wait()
        self.kill()

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        self.socket.unlink(missing_ok=True)
        environment = {name: value for name, value in self.environment.items() if name != "PULSE_SERVER"}
        options = ["-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes"]
        modules = [
            f"module-native-protocol-unix socket={self.socket} auth-anonymous=1",
            "module-null-sink sink_name=room rate=48000",
        ]
        loads = [part for module in modules for part in ("-L", module)]
        with (self.folder / "pulseaudio.log").open("ab") as log:
            self._daemon = subprocess.Popen(
                ["pulseaudio", *options, *loads], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS
        while self._pactl("list", "short", "sources").find("room.monitor") < 0:
            if time.monotonic() > deadline or self._daemon.poll() is not None:
                raise RuntimeError(f"pulseaudio did not start: {(self.folder / 'pulseaudio.log').read_text()}")
            time.sleep(0.1)

    def kill(self) -> None:
        """End the daemon the hard way, as a crash would."""
        if self._daemon:
            self._daemon.send_signal(signal.SIGCONT)
            self._daemon.kill()
            self._daemon.wait()
            self._daemon = None

    def freeze(self) -> None:
        """Stop the daemon without ending it: its socket stays open and nothing moves."""
        if self._daemon:
            self._daemon.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen daemon go on."""
        if self._daemon:
            self._daemon.send_signal(signal.SIGCONT)

    def remove_source(self) -> None:
        """Take the sink and its monitor away while the server lives on, as an unplugged microphone does."""
        self._pactl("unload-module", "module-null-sink")

    def play(self, sound: Path) -> None:
        """Start playing a sound file into the sink."""
        command = ["paplay", "--device=room", "--latency-msec=100", str(sound)]
        self._playing.append(subprocess.Popen(command, env=self.environment, stderr=subprocess.DEVNULL))

    def add_microphone(self) -> None:
        """What is heard in the room as a source of its own, the default: an echo canceller refuses a sink's monitor."""
        self._pactl("load-module", "module-remap-source", "master=room.monitor source_name=microphone")
        self._pactl("set-default-source", "microphone")

    def configure(self, script: Path) -> None:
        """Do what a file for /etc/pulse/default.pa.d says, line by line."""
        for line in script.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                self._pactl(*line.split(maxsplit=2))

    def defaults(self) -> tuple[str, str]:
        """Names of the source and the sink that a program gets which asks for none."""
        return self._pactl("get-default-source").strip(), self._pactl("get-default-sink").strip()

    def _pactl(self, *arguments: str) -> str:
        answer = subprocess.run(
            ["pactl", *arguments],
            check=False,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        )
        return answer.stdout
