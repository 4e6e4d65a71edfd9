"""Keeps what a person set (senses, override, goal, neutral face, stop) in a small JSON file, written atomically."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from device.domain.brain import Override, Wishes
from device.domain.goal import Goal
from device.domain.labels import LABELS
from device.domain.neutral import is_baseline
from device.ports import Clock

log = logging.getLogger(__name__)


class JsonMemory:
    """Implements `ports.Memory` in the file at `path`; times are kept by the wall clock."""

    def __init__(self, path: Path, clock: Clock, wall_clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._wall_clock = wall_clock

    def load(self) -> Wishes:
        """What was saved last. An unreadable file is told of and counts as senses off: privacy is the safe side."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            goal = Goal(kept.get("goal", Goal.MATCH.value))
            override = self._override(kept.get("override"))
            neutral = kept.get("neutral")
            return Wishes(
                kept["face_on"] is True,
                kept["voice_on"] is True,
                override,
                goal,
                tuple(map(float, neutral)) if is_baseline(neutral) else None,
                kept.get("wants_music") is not False,
                _percent(kept.get("volume_before_night")),
                _percent(kept.get("volume_at_night")),
            )
        except FileNotFoundError:
            return Wishes()
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("%s: not readable (%s); camera and microphone stay off until switched on", self._path, error)
            return Wishes(face_on=False, voice_on=False)

    def save(self, wishes: Wishes) -> None:
        """Write a new file and put it in the old one's place."""
        override = wishes.override
        kept = {
            "face_on": wishes.face_on,
            "voice_on": wishes.voice_on,
            "override": {
                "mood": override.mood,
                "ends_at_unix": self._wall_clock() + override.ends_at_seconds - self._clock(),
                "seconds": override.ends_at_seconds - self._clock(),
            }
            if override
            else None,
            "goal": wishes.goal.value,
            "neutral": wishes.neutral,
            "wants_music": wishes.wants_music,
            "volume_before_night": wishes.volume_before_night,
            "volume_at_night": wishes.volume_at_night,
        }
        fresh = self._path.with_suffix(".new")
        try:
            with fresh.open("w", encoding="utf-8") as file:
                json.dump(kept, file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            log.warning("%s: not saved (%s); the setting holds until the next restart", self._path, error.strerror)

    def _override(self, kept: dict[str, object] | None) -> Override | None:
        if not kept or kept["mood"] not in LABELS:
            return None
        # A box without a clock of its own begins in the past: no more is left than there was.
        most = float(str(kept.get("seconds", "inf")))
        left = min(float(str(kept["ends_at_unix"])) - self._wall_clock(), most)
        return Override(str(kept["mood"]), self._clock() + left) if left > 0 else None


def _percent(kept: object) -> int | None:
    return kept if type(kept) is int and 0 <= kept <= 100 else None
