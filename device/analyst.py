"""Listens to the songs nobody says anything of, one by one, when nobody is disturbed by it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Event

from device.adapters.catalogue_sqlite import Catalogue, Unheard
from device.domain.hearing import Heard
from device.errors import MoodifyError

Hear = Callable[[Path], Heard]
"""Listens to one file; MoodifyError when it cannot."""
Obstacle = Callable[[], str]
"""Why not to work now ("78 °C"); empty when nothing is in the way."""

AT_ONCE = 16
"""Songs looked up together."""
MOST_MISSING = 100
"""With more files away the whole disk is, and another time is better."""
LOOK_AGAIN_SECONDS = 5.0
"""How long a pause lasts before the obstacle is looked at again."""
PACE_MEMORY = 0.9
"""How much of the pace known so far counts against that of the last song."""
NOTE = "analyst"
"""The catalogue's note in which other processes read how it goes."""


@dataclass(frozen=True, slots=True)
class Going:
    """How the analysis goes."""

    done: int = 0
    """Songs heard, or found not to be audible."""
    total: int = 0
    failed: int = 0
    """In this run."""
    seconds_a_song: float | None = None
    detail: str = ""
    """Why it rests; empty while it works."""

    @property
    def seconds_left(self) -> float | None:
        """None as long as the pace is not known."""
        return None if self.seconds_a_song is None else self.seconds_a_song * (self.total - self.done)


def analyse(
    music_folder: Path,
    catalogue: Catalogue,
    hear: Hear,
    model: str,
    everything: bool = False,
    obstacle: Obstacle = lambda: "",
    tell: Callable[[Going], None] = lambda _going: None,
    stop: Event | None = None,
) -> Going:
    """Listen to what `model` has not heard; with `everything` also to songs that have a mood, for their sound.

    Each song is written down when it was heard: interrupted at any time, the next run goes on where this one ended.
    Of a file that is away (a disk that is not mounted, say) nothing is written down: it is tried again in another run.
    """
    stop = stop or Event()
    done, total = catalogue.analysis_progress(model, everything)
    going = replace(how_it_goes(catalogue), done=done, total=total, failed=0)
    _note(catalogue, going, tell)
    missing: set[str] = set()
    while not stop.is_set() and (songs := _next_songs(catalogue, model, everything, missing)):
        for song in songs:
            if not (music_folder / song.uri).is_file():
                missing.add(song.uri)
                if len(missing) > MOST_MISSING:
                    going = replace(going, detail=f"many files are not in {music_folder}; is the disk there?")
                    _note(catalogue, going, tell)
                    return going
                continue
            going = _rest(catalogue, going, obstacle, tell, stop)
            if stop.is_set():
                break
            going = _listen(music_folder, catalogue, song, hear, model, going)
            _note(catalogue, going, tell)
    going = replace(going, detail="")
    _note(catalogue, going, tell)
    return going


def how_it_goes(catalogue: Catalogue) -> Going:
    """How the analysis goes in whatever process it runs; nothing done of nothing when it never ran."""
    try:
        noted = Going(**json.loads(catalogue.note(NOTE) or "{}"))
    except (ValueError, TypeError):
        return Going()
    return noted if noted.total else Going()


def _next_songs(catalogue: Catalogue, model: str, everything: bool, missing: set[str]) -> list[Unheard]:
    """Some of those that are to be heard and not missing."""
    songs = catalogue.to_analyse(AT_ONCE + len(missing), model, everything)
    return [song for song in songs if song.uri not in missing]


def _rest(catalogue: Catalogue, going: Going, obstacle: Obstacle, tell: Callable[[Going], None], stop: Event) -> Going:
    """Wait while something is in the way."""
    while (why := obstacle()) and not stop.is_set():
        if why != going.detail:
            going = replace(going, detail=why)
            _note(catalogue, going, tell)
        stop.wait(LOOK_AGAIN_SECONDS)
    return replace(going, detail="")


def _listen(music_folder: Path, catalogue: Catalogue, song: Unheard, hear: Hear, model: str, going: Going) -> Going:
    before = catalogue.heard(song.uri)
    if before and before.model == model:  # a copy of it was heard a moment ago
        return replace(going, done=going.done + 1)
    began = time.monotonic()
    failed = going.failed
    try:
        catalogue.write_heard(song.uri, song.stamp, replace(hear(music_folder / song.uri), model=model))
    except MoodifyError as error:
        catalogue.analysis_failed(song.uri, song.stamp, str(error), model)
        failed += 1
    took = time.monotonic() - began
    pace = took if going.seconds_a_song is None else PACE_MEMORY * going.seconds_a_song + (1 - PACE_MEMORY) * took
    return replace(going, done=going.done + 1, failed=failed, seconds_a_song=pace)


def _note(catalogue: Catalogue, going: Going, tell: Callable[[Going], None]) -> None:
    """Tell here, and whoever looks from another process; no news is not written, as it would wake those who look."""
    if going != how_it_goes(catalogue):
        catalogue.write_note(NOTE, json.dumps(asdict(going)))
    tell(going)
