"""Keeps C++ libraries' start-up chatter off the terminal, without losing a line that anybody else writes meanwhile."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CHATTER = re.compile(
    rb"^(INFO: (Created TensorFlow Lite|Initialized TensorFlow Lite)"
    rb"|WARNING: All log messages before absl::InitializeLog"
    rb"|[IW]\d{4} \S+ +\d+ \S+:\d+\] )"
)
"""What TensorFlow Lite and absl print on standard error: information and warnings, never errors."""

_one_at_a_time = threading.Lock()


@contextmanager
def without_chatter() -> Iterator[None]:
    """Hold back what arrives on file descriptor 2 and pass on, at the end, everything that is not chatter.

    The whole process's standard error is held, so keep the block short.
    """
    with _one_at_a_time:
        sys.stderr.flush()
        terminal = os.dup(2)
        held = os.memfd_create("stderr")
        os.dup2(held, 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            _pass_on(held)


def _pass_on(held: int) -> None:
    with os.fdopen(held, "rb") as lines:
        lines.seek(0)
        for line in lines:
            if not CHATTER.match(line):
                os.write(2, line)
