"""Tells systemd how the daemon is doing; says nothing where nobody listens ($NOTIFY_SOCKET is unset)."""

from __future__ import annotations

import os

from systemd.daemon import notify

MICROSECONDS = 1e-6


def ready() -> None:
    """Everything that must run is running."""
    notify("READY=1")


def watchdog() -> None:
    """All loops are alive."""
    notify("WATCHDOG=1")


def stopping() -> None:
    """The end has begun."""
    notify("STOPPING=1")


def status(text: str) -> None:
    """One line for `systemctl status`."""
    notify(f"STATUS={' '.join(text.split())}")


def watchdog_seconds() -> float | None:
    """How often at least the watchdog must be fed; None when this process is not watched."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    watched = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) * MICROSECONDS if microseconds.isdecimal() and watched else None
