"""A fade: the song that plays gets quiet, another one begins, and the volume comes back."""

from __future__ import annotations

from dataclasses import dataclass, replace

OUT_SECONDS = 1.5
IN_SECONDS = 1.0
STEP_SECONDS = 0.05
COARSE_PERCENT = 3
"""A mixer that rounds, or answers late, may say so much besides what it was asked."""
GONE = -1
"""In place of a song's id: the track was taken out of the queue."""


@dataclass(frozen=True, slots=True)
class Fade:
    """Where a fade stands. First out of the old song, then (inward) into the new one."""

    uri: str
    song_id: int
    """MPD's id of the track turned to; GONE when there is nothing to turn to any more."""
    leaving_id: int
    """MPD's id of the song that gets quiet."""
    home_percent: int
    """The volume before, which comes back."""
    start_percent: int
    """The volume at which this half began."""
    began_at_seconds: float
    asked_percent: int
    """What the mixer was asked last."""
    said_percent: int
    """What MPD said the volume was after that."""
    inward: bool = False

    def percent_at(self, now_seconds: float) -> int:
        """The volume that belongs to this time; a whole fade takes OUT_SECONDS and IN_SECONDS, from anywhere less."""
        slope = self.home_percent / (IN_SECONDS if self.inward else -OUT_SECONDS)
        percent = self.start_percent + slope * (now_seconds - self.began_at_seconds)
        return round(min(max(percent, 0), self.home_percent))

    def is_over_at(self, now_seconds: float) -> bool:
        """Whether this half has arrived."""
        return self.percent_at(now_seconds) == (self.home_percent if self.inward else 0)

    def explains(self, volume_percent: int) -> bool:
        """Whether this volume comes of the fade, or of a mixer that is gone (-1): nobody else had a hand in it."""
        low, high = sorted((self.asked_percent, self.said_percent))
        slack = COARSE_PERCENT if low != high else 0
        return volume_percent < 0 or low - slack <= volume_percent <= high + slack

    def belongs(self, song_id: int) -> bool:
        """Whether this song may play now; any other one was chosen by a person."""
        return song_id == self.song_id or (song_id == self.leaving_id and not self.inward)

    def after_step(self, asked_percent: int, said_percent: int) -> Fade:
        """The mixer was asked for a volume, and then MPD said one."""
        return replace(self, asked_percent=asked_percent, said_percent=said_percent)

    def turned(self, now_seconds: float) -> Fade:
        """The new song begins."""
        return replace(self, inward=True, start_percent=self.asked_percent, began_at_seconds=now_seconds)
