"""Judges from outside whether the speaker keeps its promise: what was recognised, what played, what the broker had."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from device.domain.fusion import FusionSettings
from device.domain.labels import LABELS, UNKNOWN, Affect, affect_of
from device.domain.selection import SelectionSettings, fits

WANTED_MOODS = 2
SENSES = ("face", "voice")


@dataclass(frozen=True, slots=True)
class Song:
    """A song as MPD names it, with what its own file says."""

    uri: str
    title: str
    artist: str
    words: tuple[str, ...]
    """The mood words of its tags."""
    affect: Affect | None
    """Where those words lie."""

    def suits(self, mood: str) -> bool:
        """Whether its words lie in the mood's neighbourhood."""
        return self.affect is not None and fits(self.affect, affect_of(mood), SelectionSettings())

    @property
    def line(self) -> str:
        """Title, artist and mood words."""
        return f"{self.title} – {self.artist} [{', '.join(self.words)}]"


@dataclass(slots=True)
class Sighting:
    """A mood that was recognised, and what was found to go with it."""

    mood: str
    at_seconds: float
    senses: dict[str, str] = field(default_factory=dict)
    """By sense: label and probability of what it contributed, its best word for the mood if it had one."""
    ranks: dict[str, tuple[bool, float]] = field(default_factory=dict)
    """By sense: whether that was for the mood, and its weight."""
    song: Song | None = None
    """A suiting one that MPD played while the mood lasted."""
    song_at_seconds: float = 0.0
    read_back: bool = False
    """A new client found the mood retained on the broker."""

    @property
    def missing(self) -> str:
        """Why it does not count; empty when it does."""
        silent = [sense for sense in SENSES if sense not in self.senses]
        if silent:
            return f"{self.mood}: {' and '.join(silent)} had no part in it"
        if self.song is None:
            return f"{self.mood}: MPD played no song that suits it"
        if not self.read_back:
            return f"{self.mood}: the broker did not have it"
        return ""


class Evidence:
    """What was seen so far, in order; times are seconds since the speaker was ready."""

    def __init__(self) -> None:
        self.mood = UNKNOWN
        """The one in force, as sensed: a person's override is not recognised."""
        self.since_seconds = 0.0
        self.sightings: dict[str, Sighting] = {}
        self.song: Song | None = None
        """What MPD plays."""

    def take_state(self, state: dict[str, Any], at_seconds: float) -> bool:
        """Take in a state from the broker; whether the mood changed."""
        mood = UNKNOWN if state["overridden"] else str(state["mood"])
        changed = mood != self.mood
        if changed:
            self.mood, self.since_seconds = mood, at_seconds
        if mood in LABELS:
            sighting = self.sightings.setdefault(mood, Sighting(mood, at_seconds))
            for sense in SENSES:
                _note_sense(sighting, sense, state["senses"][sense])
        self._match(at_seconds)
        return changed

    def take_song(self, song: Song | None, at_seconds: float) -> bool:
        """Take in what MPD plays; whether that is another song than before."""
        changed = (song.uri if song else None) != (self.song.uri if self.song else None)
        self.song = song
        self._match(at_seconds)
        return changed

    def verdict(self) -> str:
        """Why the demonstration failed, in one line; empty when it did not."""
        good = [sighting for sighting in self.sightings.values() if not sighting.missing]
        if len(good) >= WANTED_MOODS:
            return ""
        reasons = [sighting.missing for sighting in self.sightings.values() if sighting.missing]
        if len(self.sightings) < WANTED_MOODS:
            found = ", ".join(self.sightings) or "none"
            reasons.insert(0, f"{WANTED_MOODS} different moods were to be recognised, not {found}")
        return "; ".join(reasons)

    def _match(self, at_seconds: float) -> None:
        sighting = self.sightings.get(self.mood)
        if sighting and sighting.song is None and self.song and self.song.suits(self.mood):
            sighting.song, sighting.song_at_seconds = self.song, at_seconds


def table(evidence: Evidence) -> str:
    """The summary: one mood a line."""
    rows: list[tuple[str, ...]] = [("mood", "after", "face", "voice", "broker", "played by MPD", "fits")]
    for one in evidence.sightings.values():
        song = f"{one.song.line} after {one.song_at_seconds:.0f} s" if one.song else "nothing that suits"
        senses = [one.senses.get(sense, "–") for sense in SENSES]
        broker = "read back" if one.read_back else "no"
        rows.append((one.mood, f"{one.at_seconds:.0f} s", *senses, broker, song, "yes" if one.song else "no"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _note_sense(sighting: Sighting, name: str, sense: dict[str, Any]) -> None:
    weight = float(sense["weight"] or 0.0)
    rank = (sense["label"] == sighting.mood, weight)
    if weight >= FusionSettings().smallest_weight and rank > sighting.ranks.get(name, (False, 0.0)):
        sighting.ranks[name] = rank
        sighting.senses[name] = f"{sense['label']} {float(sense['probability'] or 0.0):.2f}"
