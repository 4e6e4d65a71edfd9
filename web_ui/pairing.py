"""Pairing: a short-lived code becomes a long-lived token; a small locked file lets the daemon and the CLI share it."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import hmac
import json
import logging
import os
import secrets
import tempfile
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from device.errors import SetupError

log = logging.getLogger(__name__)

CODE_DIGITS = 6
CODE_LIFE_SECONDS = 300.0
CODE_TRIES = 5
TOKEN_BYTES = 32
TOKEN_LIFE_SECONDS = 365 * 86400.0
SEEN_EVERY_SECONDS = 3600.0
"""How often a device's last visit is written down: seldom, for the sake of the SD card."""
MOST_DEVICES = 64
"""The longest unseen one makes room for the next."""
NAME_LENGTH = 40
LOCK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Device:
    """A paired phone or browser."""

    id: str
    """Short public name of the pairing, for the list and for revoking."""
    name: str
    token_hash: str
    """SHA-256 of the token, hexadecimal: 256 random bits need no slow hash."""
    created_at: float
    """Wall clock, seconds since 1970, as all times here: they outlive the process."""
    last_seen_at: float


@dataclass(frozen=True, slots=True)
class Code:
    """The code that is waiting to be typed in."""

    salt: str
    code_hash: str
    """scrypt: six digits would fall to a fast hash in no time."""
    issued_at: float
    wrong_tries: int = 0


@dataclass(frozen=True, slots=True)
class _Record:
    code: Code | None = None
    devices: tuple[Device, ...] = ()


@dataclass(slots=True)
class _Cache:
    stamp: tuple[int, int, int] | None = None
    record: _Record = field(default_factory=_Record)


class PairingStore:
    """The pairings in `state_folder/pairing.json`; every call may come from another process or thread."""

    def __init__(self, state_folder: Path) -> None:
        self._folder = state_folder
        self._path = state_folder / "pairing.json"
        self._cache = _Cache()

    def issue_code(self, now: float) -> str:
        """A new code of `CODE_DIGITS` digits, valid once and for five minutes; the one before is void."""
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
        salt = secrets.token_hex(16)
        with self._locked() as record:
            self._write(replace(record, code=Code(salt, _slow_hash(code, salt), now)))
        return code

    def redeem(self, code: str, now: float, device_name: str) -> str | None:
        """The token for a right code, else None; the fifth wrong try voids the code."""
        digits = "".join(character for character in code if character not in " -")
        with self._locked() as record:
            waiting = record.code
            if waiting is None or not 0 <= now - waiting.issued_at <= CODE_LIFE_SECONDS:
                return None
            if not hmac.compare_digest(_slow_hash(digits, waiting.salt), waiting.code_hash):
                wrong = replace(waiting, wrong_tries=waiting.wrong_tries + 1)
                self._write(replace(record, code=wrong if wrong.wrong_tries < CODE_TRIES else None))
                return None
            token = secrets.token_urlsafe(TOKEN_BYTES)
            device = Device(secrets.token_hex(3), _clean(device_name), _fast_hash(token), now, now)
            kept = sorted(record.devices, key=lambda known: known.last_seen_at)[-(MOST_DEVICES - 1) :]
            self._write(_Record(None, (*kept, device)))
        return token

    def verify(self, token: str, now: float) -> Device | None:
        """The device that holds `token`; None when it is unknown, revoked or older than a year."""
        wanted = _fast_hash(token)
        device = next((d for d in self._read_cached().devices if hmac.compare_digest(d.token_hash, wanted)), None)
        if device is None or now - device.created_at > TOKEN_LIFE_SECONDS:
            return None
        if abs(now - device.last_seen_at) > SEEN_EVERY_SECONDS:
            self._note_visit(device.id, now)
        return device

    def list(self) -> tuple[Device, ...]:
        """The paired devices, the oldest pairing first."""
        return tuple(sorted(self._read_cached().devices, key=lambda device: device.created_at))

    def revoke(self, device_id: str) -> bool:
        """Forget a device at once; False when there is none of that id."""
        with self._locked() as record:
            kept = tuple(device for device in record.devices if device.id != device_id)
            if len(kept) == len(record.devices):
                return False
            self._write(replace(record, devices=kept))
        return True

    def _note_visit(self, device_id: str, now: float) -> None:
        try:
            with self._locked() as record:
                devices = tuple(replace(d, last_seen_at=now) if d.id == device_id else d for d in record.devices)
                self._write(replace(record, devices=devices))
        except SetupError as error:
            log.debug("visit not noted: %s", error)

    def _read_cached(self) -> _Record:
        """The file is replaced, never changed in place: the same inode and time are the same content."""
        try:
            status = self._path.stat()
        except OSError:
            return _Record()
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        cache = self._cache
        if cache.stamp != stamp:
            cache = self._cache = _Cache(stamp, self._read())
        return cache.record

    def _read(self) -> _Record:
        try:
            return _parse(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return _Record()
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("%s cannot be read (%s): nobody is paired until a new code is made", self._path, error)
            return _Record()

    @contextmanager
    def _locked(self) -> Iterator[_Record]:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = self._open_lock()
            try:
                _lock(lock)
                yield self._read()
            finally:
                os.close(lock)
        except OSError as error:
            raise SetupError(f"{self._folder}: {error.strerror}; make it writable for moodify (paths.state)") from None

    def _open_lock(self) -> int:
        path, flags = self._folder / "pairing.lock", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            lock = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return os.open(path, flags)
        self._hand_over(lock)
        return lock

    def _write(self, record: _Record) -> None:
        """Replace the file atomically, mode 0600, on the disk before it is in place."""
        handle, name = tempfile.mkstemp(prefix=".pairing-", dir=self._folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                self._hand_over(file.fileno())
                json.dump(asdict(record), file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _hand_over(self, handle: int) -> None:
        """What root makes (`sudo moodify pair`) belongs to the folder's owner, or the daemon could not read it."""
        if os.geteuid() == 0:
            owner = self._folder.stat()
            os.fchown(handle, owner.st_uid, owner.st_gid)


def _lock(handle: int) -> None:
    """Take the lock; another holder is through in milliseconds, or it is stuck and TimeoutError is the answer."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError(errno.ETIMEDOUT, "another process holds pairing.lock") from None
            time.sleep(0.02)


def _parse(text: str) -> _Record:
    raw = json.loads(text)
    code = Code(**raw["code"]) if raw["code"] else None
    return _Record(code, tuple(Device(**device) for device in raw["devices"]))


def _slow_hash(code: str, salt: str) -> str:
    return hashlib.scrypt(code.encode(errors="replace"), salt=bytes.fromhex(salt), n=2**13, r=8, p=1).hex()


def _fast_hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _clean(name: str) -> str:
    """A device's own name goes to a terminal later on: printable characters only."""
    printable = "".join(c for c in name if unicodedata.category(c)[0] not in "CZ" or c == " ")
    return " ".join(printable.split())[:NAME_LENGTH] or "unnamed"
