"""Keeps the catalogue up with the music folder, in a thread of its own."""

from __future__ import annotations

import logging
import threading

from device.adapters.catalogue_sqlite import Catalogue
from device.config import LibraryConfig
from device.domain.events import CatalogueChanged
from device.domain.shelf import shelve
from device.errors import MoodifyError
from device.library import remark, scan
from device.ports import Clock, Post

log = logging.getLogger(__name__)

RETRY_SECONDS = 30.0


class _StoppedError(Exception):
    """The daemon ends in the middle of a scan."""


class Librarian:
    """Scans at the start and then now and then; tells the conductor what there is and what is wrong with it."""

    def __init__(self, config: LibraryConfig, catalogue: Catalogue, post: Post, clock: Clock) -> None:
        self._config = config
        self._catalogue = catalogue
        self._post = post
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="librarian")

    def start(self) -> None:
        """Show what was known last time, then scan; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """End, in the middle of a scan if need be: what was read so far is kept."""
        self._stop.set()
        self._thread.join(timeout=10.0)

    def _run(self) -> None:
        self._tell("reading the music folder")
        while not self._stop.is_set():
            detail, wait_seconds = self._scan()
            if self._stop.is_set():
                return
            self._tell(detail)
            self._stop.wait(wait_seconds)

    def _scan(self) -> tuple[str, float]:
        """What is wrong with the library (or nothing), and when to look again."""
        try:
            report = scan(self._config.music_folder, self._catalogue, self._go_on)
        except _StoppedError:
            return "", 0.0
        except MoodifyError as error:
            log.warning("%s", error)
            return str(error), RETRY_SECONDS
        return remark(report, self._config.music_folder), self._config.rescan_minutes * 60

    def _go_on(self, _done: int, _total: int) -> None:
        """Called after each file: what was read so far is kept."""
        if self._stop.is_set():
            raise _StoppedError

    def _tell(self, detail: str) -> None:
        tracks = self._catalogue.tracks()
        self._post(CatalogueChanged(shelve(tracks), len(tracks), detail, self._clock()))
