"""The speaker's own playback, as MPD writes it into a fifo."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import numpy as np

from device.ports import SAMPLE_RATE_HZ, Waveform

log = logging.getLogger(__name__)

READ_BYTES = 65_536
"""The size of Linux's pipes: two seconds of sound."""
MOST_AHEAD_SECONDS = 3.0
"""More sound than this cannot have waited in the pipe: it comes faster than it can be played."""
MOST_READS = 16
BYTES_PER_SAMPLE = 2
LATE_SECONDS = 0.25
"""Music that is this much late was interrupted."""


class Reference:
    """The last seconds of what is being played, read from MPD's fifo output (format "16000:16:1", native order).

    MPD writes as fast as it plays and drops what nobody reads, so what comes out of the fifo has just been played.
    Where nothing came, nothing was played. What comes faster than that has another format, and tells nothing.
    """

    def __init__(self, fifo: Path, kept_seconds: float) -> None:
        self._fifo = fifo
        self._ring: Waveform = np.zeros(round(kept_seconds * SAMPLE_RATE_HZ), dtype=np.float32)
        self._descriptor: int | None = None
        self._odd = b""
        self._end_seconds: float | None = None
        self._listened_seconds = 0.0
        self._ahead_seconds = 0.0
        """By how much more sound came than time went by."""

    def listen(self, now_seconds: float) -> None:
        """Take in what was played up to now; never waits."""
        samples = self._drain()
        if self._descriptor is None:
            # What is missing meanwhile is made up for when there is a fifo.
            return
        self._watch_pace(len(samples) / SAMPLE_RATE_HZ, now_seconds)
        end_seconds = now_seconds if self._end_seconds is None else self._end_seconds
        missing_seconds = now_seconds - end_seconds - len(samples) / SAMPLE_RATE_HZ
        if missing_seconds > LATE_SECONDS:
            gap = min(round(missing_seconds * SAMPLE_RATE_HZ), len(self._ring))
            samples = np.concatenate([np.zeros(gap, dtype=np.float32), samples])
            missing_seconds = 0.0
        self._end_seconds = now_seconds - max(0.0, missing_seconds)
        if len(samples):
            self._ring = np.concatenate([self._ring, samples])[-len(self._ring) :]

    def latest(self, seconds: float) -> Waveform | None:
        """The last `seconds` of it; None when there is no fifo to read, none of this format, or all of it is silent.

        Silence tells nothing: MPD keeps the fifo, and writes nothing, where its output is switched off.
        """
        if self._descriptor is None or self._comes_too_fast:
            return None
        played = self._ring[-round(seconds * SAMPLE_RATE_HZ) :]
        return played if played.any() else None

    def close(self) -> None:
        """Close the fifo."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            self._odd = b""
            self._ahead_seconds = 0.0

    @property
    def _comes_too_fast(self) -> bool:
        return self._ahead_seconds > MOST_AHEAD_SECONDS

    def _watch_pace(self, came_seconds: float, now_seconds: float) -> None:
        """Notice sound that comes faster than it can be played, and say so once."""
        knew = self._comes_too_fast
        passed_seconds = max(0.0, now_seconds - self._listened_seconds)
        self._listened_seconds = now_seconds
        self._ahead_seconds = max(0.0, self._ahead_seconds + came_seconds - passed_seconds)
        if self._comes_too_fast and not knew:
            log.warning('%s: sound comes faster than as "16000:16:1"; set this format in mpd.conf', self._fifo)

    def _drain(self) -> Waveform:
        if self._descriptor is None:
            self._descriptor = _open_fifo(self._fifo)
        if self._descriptor is None:
            return np.zeros(0, dtype=np.float32)
        read = _read_waiting(self._descriptor)
        if not read and not self._is_same_fifo():
            self.close()
        sound = self._odd + read
        whole = len(sound) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE
        self._odd = sound[whole:]
        return np.frombuffer(sound[:whole], dtype=np.int16).astype(np.float32) / np.float32(32768.0)

    def _is_same_fifo(self) -> bool:
        """Whether the path still names what is open: MPD makes its fifo anew when it restarts."""
        if self._descriptor is None:
            return True
        try:
            named, opened = self._fifo.stat(), os.fstat(self._descriptor)
        except OSError:
            return False
        return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def _open_fifo(path: Path) -> int | None:
    try:
        if not stat.S_ISFIFO(path.stat().st_mode):
            return None
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None


def _read_waiting(descriptor: int) -> bytes:
    """What lies in the fifo now; empty when nobody has written."""
    parts: list[bytes] = []
    try:
        while len(parts) < MOST_READS and (part := os.read(descriptor, READ_BYTES)):
            parts.append(part)
    except BlockingIOError:
        pass
    return b"".join(parts)
