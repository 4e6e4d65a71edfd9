"""Tells systemd how the daemon is doing; says nothing where nobody listens ($NOTIFY_SOCKET is unset)."""

from __future__ import annotations

from systemd.daemon import notify


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
