"""Whatever started the tests, Ctrl-C reaches the programs that they start: a shell ignores it in what runs behind."""

from __future__ import annotations

import signal

signal.signal(signal.SIGINT, signal.default_int_handler)
