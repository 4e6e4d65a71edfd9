"""Serves the control page from its own threads with waitress."""

from __future__ import annotations

import errno
import socket
import threading
from pathlib import Path

from waitress import wasyncore
from waitress.server import create_server

from device.config import PageConfig
from device.errors import SetupError
from device.ports import Controls, LibraryView
from web_ui.app import Streams, create_app
from web_ui.guard import Guard
from web_ui.pairing import PairingStore

STREAMS = 12
"""Pages open at the same time; each holds a thread."""
COMMAND_THREADS = 4
LOST_READER_MS = 30_000
"""A phone that left the house takes no data any more: its connection is given up after this."""
CLOSE_SECONDS = 5.0


class PageServer:
    """The page behind one address; nothing listens before start()."""

    def __init__(self, config: PageConfig, controls: Controls, library: LibraryView, state_folder: Path) -> None:
        self._config = config
        self._streams = Streams(STREAMS)
        self._stop = threading.Event()
        self._waking = threading.Lock()
        guard = Guard(config.host, PairingStore(state_folder))
        self._app = create_app(controls, library, guard, self._streams)
        self._thread: threading.Thread | None = None
        self._sockets: dict[int, object] = {}
        self._address = ""

    @property
    def address(self) -> str:
        """http://host:port as this box itself can open it; empty before start()."""
        return self._address

    def start(self) -> None:
        """Listen, and serve in a thread of its own; SetupError when the address cannot be had."""
        listener = _listen(self._config.host, self._config.port)
        self._address = _url(listener)
        self._server = create_server(
            self._app,
            map=self._sockets,
            sockets=[listener],
            threads=STREAMS + COMMAND_THREADS,
            ident=None,
            channel_request_lookahead=1,  # read on while a stream runs, or nobody sees that its reader left
            channel_timeout=30,
            connection_limit=100,
            max_request_header_size=16 * 1024,
            max_request_body_size=16 * 1024,
            outbuf_high_watermark=256 * 1024,
            asyncore_use_poll=True,
        )
        self._thread = threading.Thread(target=self._serve, name="page", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the streams, finish what is being answered, stop listening."""
        if self._thread is None:
            return
        self._streams.closing.set()
        with self._waking:
            self._stop.set()
            self._server.pull_trigger()
        self._thread.join(2 * CLOSE_SECONDS)
        self._thread = None

    def _serve(self) -> None:
        """All sockets are touched by this thread alone, also when they are closed."""
        while not self._stop.is_set():
            wasyncore.loop(timeout=1.0, use_poll=True, map=self._sockets, count=1)
        self._server.task_dispatcher.shutdown(timeout=CLOSE_SECONDS)
        with self._waking:  # close() is still writing to one of them
            wasyncore.close_all(self._sockets)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a host's name"
        raise SetupError(f"page.host {host!r}: {why}; use 127.0.0.1, 0.0.0.0 or an address of ours") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LOST_READER_MS)  # accepted ones inherit it
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise SetupError(_why_not(host, port, error)) from None
    return listener


def _why_not(host: str, port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"page.port {port}: already in use; set another one, or 0 for any free one"
        case errno.EACCES:
            return f"page.port {port}: not allowed; set one above 1023"
        case errno.EADDRNOTAVAIL:
            return f"page.host {host}: not an address of this machine; use 127.0.0.1 or 0.0.0.0"
    return f"page.host {host}, page.port {port}: {error.strerror}; set others"


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
