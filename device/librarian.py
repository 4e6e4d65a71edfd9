"""Keeps the catalogue up with the music folder, in a thread of its own, and tells how the library is doing."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from device.adapters.catalogue_sqlite import Catalogue
from device.analyst import how_it_goes
from device.config import LibraryConfig
from device.domain.events import CatalogueChanged
from device.domain.lexicon import unknown_words
from device.domain.tracks import Origin
from device.errors import MoodifyError
from device.library import household_lexicon, lexicon_stamp, remark, scan
from device.ports import Clock, LibraryReport, Post

log = logging.getLogger(__name__)

RETRY_SECONDS = 30.0
BUSIEST = 0.05
"""Where music is missing, no more than this share of the time goes into looking for it."""
NEWS_SECONDS = 60.0
"""How soon what another process wrote (the analysis, a scan by hand) can be chosen from."""
FIRST_NEWS_SECONDS = 5.0
"""How soon there is something to choose from while a new library is read."""
MOST_SHOWN = 100

READING = "reading the music folder"


class _StoppedError(Exception):
    """The daemon ends in the middle of a scan."""


class Librarian:
    """Scans at the start and then now and then; tells the conductor what there is and what is wrong with it.

    Implements `ports.LibraryView`.
    """

    def __init__(
        self, config: LibraryConfig, state_folder: Path, catalogue: Catalogue, post: Post, clock: Clock
    ) -> None:
        self._config = config
        self._state_folder = state_folder
        self._catalogue = catalogue
        self._post = post
        self._clock = clock
        self._counted: tuple[tuple[object, ...], LibraryReport] | None = None
        self._told_seconds = 0.0
        self._told_tracks = 0
        self._patience_seconds = RETRY_SECONDS
        self._stop = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="librarian")

    def start(self) -> None:
        """Show what was known last time, then scan; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """End, in the middle of a scan if need be: what was read so far is kept."""
        self._stop.set()
        self._woken.set()
        self._thread.join(timeout=10.0)

    def look_again(self) -> None:
        """The catalogue was changed here: tell the conductor soon; returns at once."""
        self._woken.set()

    def report(self) -> LibraryReport:
        """How the library is doing; counted anew only when the catalogue or the household's own words changed."""
        key = (*self._catalogue.state(), lexicon_stamp(self._state_folder))
        known = self._counted
        if known and known[0] == key:
            return known[1]
        report = self._count()
        self._counted = key, report
        return report

    def _count(self) -> LibraryReport:
        counts, going = self._catalogue.counts(), how_it_goes(self._catalogue)
        problems = (*self._catalogue.problems(), *self._catalogue.analysis_failures())
        unknown = unknown_words(self._catalogue.mood_words(), household_lexicon(self._state_folder))
        return LibraryReport(
            by_origin={
                Origin.PERSON.value: counts.by_person,
                Origin.TAG.value: counts.by_tag,
                Origin.ANALYSIS.value: counts.by_analysis,
                Origin.NONE.value: counts.tracks - counts.with_affect,
            },
            listened=going.done,
            to_listen=going.total,
            seconds_left=going.seconds_left,
            listening_detail=going.detail,
            problems=tuple((problem.uri, problem.reason) for problem in problems[:MOST_SHOWN]),
            problem_count=len(problems),
            unknown_words=unknown[:MOST_SHOWN],
        )

    def _run(self) -> None:
        self._tell(READING)
        while not self._stop.is_set():
            detail, wait_seconds = self._scan()
            if self._stop.is_set():
                return
            self._tell(detail)
            self._wait(wait_seconds, detail)

    def _wait(self, seconds: float, detail: str) -> None:
        """Until the next scan; news from here are told at once, from other processes before long."""
        until, version = self._clock() + seconds, self._catalogue.version()
        while (left := until - self._clock()) > 0 and not self._stop.is_set():
            corrected = self._woken.wait(min(left, NEWS_SECONDS))
            self._woken.clear()
            before, version = version, self._catalogue.version()
            if not self._stop.is_set() and (corrected or version != before):
                self._tell(detail)

    def _scan(self) -> tuple[str, float]:
        """What is wrong with the library (or nothing), and when to look again."""
        began = self._clock()
        try:
            lexicon = household_lexicon(self._state_folder)
            report = scan(self._config.music_folder, self._catalogue, self._go_on, lexicon)
        except _StoppedError:
            return "", 0.0
        except MoodifyError as error:
            log.warning("%s", error)
            return str(error), RETRY_SECONDS
        return remark(report, self._config.music_folder), self._rest_seconds(self._clock() - began)

    def _rest_seconds(self, scan_seconds: float) -> float:
        """When to look again: soon while all or most of the music is gone, as a drive may be mounted late.

        An empty folder is looked at often, a half-empty one ever less often.
        """
        usual, counts = self._config.rescan_minutes * 60, self._catalogue.counts()
        if counts.tracks >= max(1, counts.gone):
            self._patience_seconds = RETRY_SECONDS
            return usual
        soon = RETRY_SECONDS
        if counts.tracks:
            soon = self._patience_seconds
            self._patience_seconds = min(2 * soon, usual)
        return min(usual, max(soon, scan_seconds / BUSIEST))

    def _go_on(self, done: int, total: int) -> None:
        """Called after each file: what was read is kept, and told now and then, or once something was changed here."""
        if self._stop.is_set():
            raise _StoppedError
        patience_seconds = NEWS_SECONDS if self._told_tracks else FIRST_NEWS_SECONDS
        if self._woken.is_set() or self._clock() - self._told_seconds >= patience_seconds:
            self._woken.clear()
            self._tell(f"{READING}: {done} of {total}" if total else READING)

    def _tell(self, detail: str) -> None:
        self._told_tracks = self._catalogue.counts().tracks
        shelf, disliked = self._catalogue.shelf(), self._catalogue.disliked()
        self._post(CatalogueChanged(shelf, self._told_tracks, detail, self._clock(), disliked))
        self._told_seconds = self._clock()
