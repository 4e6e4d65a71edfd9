"""Counts what looking at frames costs a process; used by ours and by the peers alike, so it leans on nothing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

WARM_UP = 5


def gauge(frames: Sequence[Path], load: Callable[[Path], Any], look: Callable[[Any], int]) -> dict[str, Any]:
    """Median milliseconds of CPU (of all threads) and on the clock for a frame, peak memory, and the labels.

    Loading is not counted, and one frame at a time is held, as by a program that watches a camera.
    """
    for path in frames[:WARM_UP]:
        look(load(path))
    taken, labels = [], []
    for path in frames:
        frame = load(path)
        began, worked = time.perf_counter(), time.process_time()
        labels.append(look(frame))
        taken.append((time.perf_counter() - began, time.process_time() - worked))
    return {
        "cpu_milliseconds": 1000 * statistics.median(cpu for _, cpu in taken),
        "milliseconds": 1000 * statistics.median(wall for wall, _ in taken),
        "peak_megabytes": _peak_megabytes(),
        "labels": labels,
    }


def _peak_megabytes() -> float:
    """The most that was resident. (Not getrusage's figure: a process begins with its parent's.)"""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
