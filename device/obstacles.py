"""What keeps the analysis from working now: heat, other work, somebody at the speaker."""

from __future__ import annotations

import time

from device.adapters.board import Busyness, temperature_celsius
from device.adapters.catalogue_sqlite import Catalogue
from device.config import AnalysisConfig
from device.diary import USED_AT
from device.ports import Clock


class Obstacles:
    """Call it to learn why to rest; empty when nothing is in the way."""

    def __init__(self, config: AnalysisConfig, catalogue: Catalogue, wall_clock: Clock = time.time) -> None:
        self._config = config
        self._catalogue = catalogue
        self._now = wall_clock
        self._busyness = Busyness()

    def __call__(self) -> str:
        heat, busy = temperature_celsius(), self._busyness.share()
        if heat is not None and heat >= self._config.hottest_celsius:
            return f"rests, as the board is hot: {heat:.0f} °C"
        if busy >= self._config.busiest_share:
            return "rests, as the processors are busy with other work"
        if self._used_ago() < self._config.rest_after_use_minutes * 60:
            return "rests, as somebody is at the speaker"
        return ""

    def _used_ago(self) -> float:
        """Seconds since a person asked for something; a time in the future (the wall clock was wrong) is long ago."""
        try:
            ago = self._now() - float(self._catalogue.note(USED_AT))
        except ValueError:
            return float("inf")
        return ago if ago >= 0 else float("inf")
