"""A connection to MPD, what can go wrong with it, and how that is said to a person."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import Any, TypeAlias

from mpd import CommandError, FailureResponseCode, MPDClient, MPDError

from device.config import MpdConfig
from device.domain.text import cleaned

LOST = (OSError, MPDError, ValueError)
"""All that python-mpd2 raises: a socket's timeout is an OSError, an answer it cannot decode a ValueError."""
Refused: TypeAlias = CommandError
"""MPD is well, but did not do what it was told."""
Reason = FailureResponseCode
"""Why not: the `errno` of a Refused."""

MPDClient.add_command("sticker inc", MPDClient._parse_nothing)  # MPD 0.24 has it, python-mpd2 3.1 does not


class Wire:
    """One connection to MPD, with a way to cut it from another thread."""

    def __init__(self, config: MpdConfig, password: str | None) -> None:
        self._config = config
        self._password = password
        self._lock = threading.Lock()
        self._cut = False
        self._socket: socket.socket | None = None
        self._unwritten: Any = None
        self.client: Any = MPDClient()
        self.client.timeout = config.timeout_seconds

    def connect(self) -> None:
        """Connect and log in; OSError or MPDError when that fails."""
        self.client.connect(self._config.host, self._config.port)
        self._unwritten = self.client._wfile
        with self._lock:
            self._socket = socket.socket(fileno=os.dup(self.client.fileno()))
            if self._cut:
                raise OSError("closed")
        if self._password:
            self.client.password(self._password)

    def disconnect(self) -> None:
        """After an error a client is of no use until this was called."""
        with self._lock:
            if self._socket:
                self._socket.close()
            self._socket = None
        # A lost connection may leave words in it. Nobody can have them now, and Python 3.13 complains at length
        # of a file that it has to close itself.
        if self._unwritten:
            with suppress(*LOST):
                self._unwritten.close()
        self._unwritten = None
        with suppress(*LOST):
            self.client.disconnect()

    def cut(self, for_good: bool = False) -> None:
        """End the connection from another thread, at once: whoever waits for an answer gets an error."""
        with self._lock:
            self._cut = self._cut or for_good
            if self._socket:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)


def spoken(error: Refused) -> str:
    """MPD's words without its protocol around them."""
    return cleaned(error.msg or str(error))


def why_lost(error: Exception) -> str:
    if isinstance(error, CommandError):
        rights = (Reason.PASSWORD, Reason.PERMISSION)
        hint = "; set mpd.password_credential" if error.errno in rights else ""
        return spoken(error) + hint
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):
        return f"{(error.strerror or str(error)).lower()} (is MPD running?)"
    return cleaned(str(error)).lower() or type(error).__name__
