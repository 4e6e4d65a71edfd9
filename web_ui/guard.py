"""Decides whose requests are answered: which Host, from which site, and whether the device is paired."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from enum import Enum
from urllib.parse import urlsplit

from web_ui.pairing import PairingStore

HOME_SUFFIXES = ("home.arpa", "internal", "lan", "home", "localdomain")
"""What routers put behind a box's name, and nobody can register: home.arpa by RFC 8375, internal by ICANN."""


class Site(Enum):
    """Where a browser says that a request was made."""

    OURS = "ours"
    FOREIGN = "foreign"
    UNSTATED = "unstated"
    """No browser, or one that says nothing; enough for looking, not for changing."""


class Guard:
    """The door of the page, for a server bound to `bound_host`."""

    def __init__(self, bound_host: str, pairing: PairingStore, host_name: str | None = None) -> None:
        self.pairing = pairing
        self._local_only = is_loopback(bound_host)
        name = (host_name or socket.gethostname()).lower()
        first = name.split(".")[0]
        self._names = {"localhost", name, first, *(f"{first}.{suffix}" for suffix in HOME_SUFFIXES)}

    def host_is_ours(self, host: str) -> bool:
        """Whether the Host header names this box: a foreign name that leads here is a rebinding attack.

        A literal address cannot be rebound, so on a server that the network can reach any address will do.
        """
        name = _name_of(host)
        if name is None:
            return False
        if self._local_only:
            return name == "localhost" or is_loopback(name)
        return name in self._names or name.endswith(".local") or _address(name) is not None

    def site_of(self, headers: Mapping[str, str], host: str) -> Site:
        """Whose page made the request, after Sec-Fetch-Site, else Origin, else Referer (OWASP CSRF cheat sheet)."""
        stated = headers.get("Sec-Fetch-Site")
        if stated is not None:
            return Site.OURS if stated == "same-origin" else Site.UNSTATED if stated == "none" else Site.FOREIGN
        origin = headers.get("Origin") or headers.get("Referer")
        if not origin:
            return Site.UNSTATED
        return Site.OURS if _same_host(origin, host) else Site.FOREIGN

    def admits(self, peer: str, token: str | None, now: float) -> bool:
        """Whether `peer` may look and command: it is on the box itself, or it holds the token of a pairing."""
        if self._local_only or is_loopback(peer):
            return True
        return token is not None and self.pairing.verify(token, now) is not None


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is this machine alone."""
    address = _address(host)
    return address.is_loopback if address else host.lower() == "localhost"


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _name_of(host: str) -> str | None:
    """The name or address in a Host header, lower case, without port and brackets."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if parts.netloc != host or parts.username is not None:
        return None
    return (parts.hostname or "").rstrip(".") or None


def _same_host(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
