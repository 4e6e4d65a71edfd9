"""Writes down what was played and what people thought of it, and recalls what that taught."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from device.adapters.catalogue_sqlite import Catalogue, SongOutcome
from device.domain.labels import Affect
from device.domain.listening import Ending
from device.domain.preference import Outcome, OutcomeKind, Preference, PreferenceSettings, learn_all
from device.domain.selection import Play
from device.errors import PeripheralError
from device.ports import Clock

log = logging.getLogger(__name__)

OUTCOMES_RECALLED = 20_000
USED_AT = "used at"
"""The catalogue's note of when a person last asked for something, unix seconds."""


class CatalogueDiary:
    """Implements `ports.Diary` on the catalogue, by the wall clock; `corrected` is called after a correction."""

    def __init__(self, catalogue: Catalogue, corrected: Callable[[], None], wall_clock: Clock = time.time) -> None:
        self._catalogue = catalogue
        self._corrected = corrected
        self._now = wall_clock

    def record_use(self) -> None:
        """A person asked for something, now."""
        _or_say(lambda: self._catalogue.write_note(USED_AT, f"{self._now():.0f}"))

    def record_play(self, play: Play) -> None:
        """A song began, now."""
        _or_say(lambda: self._catalogue.add_play(play.uri, play.artist, play.album, self._now()))

    def record_ending(self, ending: Ending) -> None:
        """A song ended, now; skips are counted."""
        if ending.kind is OutcomeKind.SKIPPED_EARLY:
            _or_say(lambda: self._catalogue.add_skip(ending.song.uri, self._now()))

    def record_rating(self, uri: str, liked: bool) -> None:
        """A person likes or dislikes a song, now."""
        _or_say(lambda: self._catalogue.add_feedback(uri, liked, self._now()))

    def record_outcome(self, uri: str, outcome: Outcome) -> None:
        """What became of a song, now."""
        kept = SongOutcome(
            uri=uri,
            kind=outcome.kind.value,
            mood=outcome.mood,
            at_unix=self._now(),
            artist_key=outcome.artist,
            recording_key=outcome.recording,
            affect=outcome.affect,
            aimed=outcome.aimed,
            timbre=outcome.timbre,
        )
        _or_say(lambda: self._catalogue.add_outcome(kept))

    def record_correction(self, uri: str, mood: str, affect: Affect) -> None:
        """A person says how a song feels: kept, and on the shelf at once."""
        _or_say(lambda: self._catalogue.correct(uri, affect, (mood,)))
        self._corrected()

    def forget_taste(self, mood: str) -> None:
        """Wipe the outcomes of a mood; empty: of all."""
        _or_say(lambda: self._catalogue.forget_outcomes(mood=mood or None))


def recall(catalogue: Catalogue, settings: PreferenceSettings, now_seconds: float, now_unix: float) -> Preference:
    """What the outcomes in the catalogue teach; their times are moved to the clock that says `now_seconds` now."""
    kinds = {kind.value: kind for kind in OutcomeKind}
    return learn_all(
        (
            Outcome(
                kind=kinds[kept.kind],
                mood=kept.mood,
                affect=kept.affect,
                recording=kept.recording_key,
                artist=kept.artist_key,
                timbre=kept.timbre,
                aimed=kept.aimed,
                at_seconds=now_seconds - max(0.0, now_unix - kept.at_unix),
            )
            for kept in catalogue.outcomes(OUTCOMES_RECALLED)
            if kept.kind in kinds and kept.affect is not None
        ),
        settings,
    )


def _or_say(write: Callable[[], object]) -> None:
    """A full or broken disk costs the note, not the music."""
    try:
        write()
    except PeripheralError as error:
        log.warning("%s", error)
