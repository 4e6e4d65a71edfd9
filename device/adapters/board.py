"""The board itself: how hot it is and how busy, from Linux's /sys and /proc."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

THERMAL = Path("/sys/class/thermal")
STAT = Path("/proc/stat")
MILLI = 1000.0


def temperature_celsius(thermal: Path = THERMAL) -> float | None:
    """The hottest zone; None where the board does not say."""
    readings = []
    for file in thermal.glob("thermal_zone*/temp"):
        with suppress(OSError, ValueError):
            readings.append(int(file.read_text()) / MILLI)
    return max(readings, default=None)


class Busyness:
    """How busy all cores were since the last look, work at the lowest priority (ours) left out."""

    def __init__(self, stat: Path = STAT) -> None:
        self._stat = stat
        self._before = self._read()

    def share(self) -> float:
        """0 … 1; 0 where Linux does not say."""
        before, self._before = self._before, self._read()
        busy, total = (now - then for now, then in zip(self._before, before, strict=True))
        return busy / total if total > 0 else 0.0

    def _read(self) -> tuple[int, int]:
        """Ticks at work and all ticks so far: user, nice, system, idle, iowait, irq, softirq, … (man 5 proc)."""
        with suppress(OSError, ValueError, IndexError):
            ticks = [int(number) for number in self._stat.read_text().splitlines()[0].split()[1:9]]
            user, _nice, system, _idle, _wait, *rest = ticks
            return user + system + sum(rest), sum(ticks)
        return 0, 0
