"""The catalogue's file: opened, checked and brought to the newest shape; one writer at a time, all of it or none."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from copy import copy
from pathlib import Path
from typing import Self

from device.errors import PeripheralError, SetupError

log = logging.getLogger(__name__)

Db = sqlite3.Connection
Row = sqlite3.Row

BUSY_SECONDS = 5.0
"""How long a writer waits for another process (a scan from the command line, say)."""

CHECKED_BYTES = 64 * 2**20
"""Files up to this are checked whole when they are opened; a larger one would keep the music waiting."""

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
"""What may be better a moment later: somebody else is writing, or the disk is full."""

_STEPS = (
    """
    CREATE TABLE track (
        uri TEXT PRIMARY KEY, mtime_ns INTEGER NOT NULL, size_bytes INTEGER NOT NULL,
        title TEXT NOT NULL, artist TEXT NOT NULL, album TEXT NOT NULL, duration_seconds REAL NOT NULL,
        moods TEXT NOT NULL, valence REAL, arousal REAL, origin TEXT NOT NULL, genre TEXT NOT NULL, year INTEGER
    ) WITHOUT ROWID;
    CREATE TABLE quarantine (uri TEXT PRIMARY KEY, reason TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE feedback (id INTEGER PRIMARY KEY, uri TEXT NOT NULL, liked INTEGER NOT NULL, at_unix REAL NOT NULL);
    CREATE INDEX feedback_uri ON feedback (uri);
    CREATE TABLE plays (
        id INTEGER PRIMARY KEY, uri TEXT NOT NULL, artist TEXT NOT NULL, album TEXT NOT NULL, at_unix REAL NOT NULL
    );
    CREATE TABLE note (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
    """,
    """
    CREATE TABLE track_2 (
        uri TEXT PRIMARY KEY, mtime_ns INTEGER NOT NULL, size_bytes INTEGER NOT NULL,
        title TEXT NOT NULL, artist TEXT NOT NULL, album TEXT NOT NULL, duration_seconds REAL NOT NULL,
        moods TEXT NOT NULL, valence REAL, arousal REAL, uncertainty REAL NOT NULL,
        genre TEXT NOT NULL, year INTEGER, album_artist TEXT NOT NULL, compilation INTEGER NOT NULL,
        recording_id TEXT NOT NULL, release_id TEXT NOT NULL, explicit INTEGER NOT NULL, rating INTEGER NOT NULL,
        track_gain_db REAL, album_gain_db REAL, identity TEXT NOT NULL,
        song INTEGER NOT NULL, sound TEXT NOT NULL, model TEXT NOT NULL, said INTEGER NOT NULL, gone_at_unix REAL
    ) WITHOUT ROWID;
    INSERT INTO track_2
        SELECT uri, -1, size_bytes, title, artist, album, duration_seconds, moods, valence, arousal, 0,
            genre, year, '', 0, '', '', 0, 0, NULL, NULL, '', 0, uri, '', valence IS NOT NULL, NULL
        FROM track;
    DROP TABLE track;
    ALTER TABLE track_2 RENAME TO track;
    CREATE INDEX track_stamp ON track (gone_at_unix, uri, mtime_ns, size_bytes);
    CREATE INDEX track_queue ON track (said, model) WHERE gone_at_unix IS NULL;
    CREATE INDEX track_sound ON track (sound);
    CREATE INDEX track_recording ON track (recording_id) WHERE recording_id <> '';
    CREATE TABLE shelf (uri TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE heard (
        sound TEXT PRIMARY KEY, valence REAL, arousal REAL, uncertainty REAL NOT NULL, timbre BLOB NOT NULL,
        numbers TEXT NOT NULL, model TEXT NOT NULL, reason TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE correction (
        uri TEXT PRIMARY KEY, valence REAL NOT NULL, arousal REAL NOT NULL, words TEXT NOT NULL, at_unix REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE outcome (
        id INTEGER PRIMARY KEY, uri TEXT NOT NULL, artist_key INTEGER NOT NULL, recording_key INTEGER NOT NULL,
        kind TEXT NOT NULL, mood TEXT NOT NULL, at_unix REAL NOT NULL, valence REAL, arousal REAL,
        aimed_valence REAL, aimed_arousal REAL, timbre BLOB NOT NULL
    );
    CREATE INDEX outcome_uri ON outcome (uri);
    CREATE INDEX plays_uri ON plays (uri);
    CREATE TABLE tally (
        uri TEXT PRIMARY KEY, play_count INTEGER NOT NULL, skip_count INTEGER NOT NULL,
        last_played_unix REAL NOT NULL, last_skipped_unix REAL NOT NULL, "like" INTEGER NOT NULL
    ) WITHOUT ROWID;
    INSERT INTO tally SELECT uri, COUNT(*), 0, MAX(at_unix), 0, 1 FROM plays GROUP BY uri;
    INSERT INTO tally SELECT uri, 0, 0, 0, 0, 2 * liked FROM feedback
        WHERE id IN (SELECT MAX(id) FROM feedback GROUP BY uri)
        ON CONFLICT (uri) DO UPDATE SET "like" = excluded."like";
    """,
)
"""Step n leads from `user_version` n to n + 1; a step that was released is never changed.

In `track` the moods, valence, arousal and uncertainty are what the tags say; `song` is its recording key, `sound` the
key to what the analysis heard (the identity, where there is one), `model` the analysis that heard it (empty: none yet),
and `said` 1 where a tag or a person says how it feels.
`shelf` has the tracks that may be chosen, packed, apart from the wide rows so that reading all of it is short.
"""


class CatalogueFile:
    """The open file; SetupError when it cannot be opened, PeripheralError when the disk is full or fails, now or later.

    A damaged file is moved aside and begun anew, as a scan brings its tracks back; `warning` then says so.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._suspect = path.with_name(path.name + ".suspect")
        self._lock = threading.Lock()
        self.warning = ""
        try:
            self._db = self._open()
        except sqlite3.DatabaseError as error:
            code = error.sqlite_errorcode & 0xFF
            if code in _PASSING:
                raise _trouble(path, error) from None
            if code not in _DAMAGE:
                raise SetupError(f"catalogue {path}: {error}; check the folder, its rights and its space") from None
            self.warning = f"catalogue {path}: it was damaged; kept as {_move_aside(path).name}, a new one is begun"
            log.warning("%s", self.warning)
            self._db = self._open()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def second(self) -> Self:
        """The same file once more, with temporary tables of its own, for work that nobody shall wait for."""
        other = copy(self)
        other._lock = threading.Lock()
        with self._translated():
            other._db = self._connect()
        return other

    def rows(self, query: str, *values: object) -> list[Row]:
        """All rows of a short answer."""
        with self._lock, self._translated():
            return self._db.execute(query, values).fetchall()

    def version(self) -> int:
        """Another number whenever another process has written."""
        with self._lock, self._translated():
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def state(self) -> tuple[int, int]:
        """Another pair whenever anybody has written, this process included."""
        with self._lock, self._translated():
            return int(self._db.execute("PRAGMA data_version").fetchone()[0]), self._db.total_changes

    @contextmanager
    def reading(self) -> Iterator[Db]:
        """A connection of its own for a long answer, so that nobody waits for it; it sees one moment."""
        with self._translated():
            db = sqlite3.connect(self._path, timeout=BUSY_SECONDS, check_same_thread=False)
            with closing(db):
                db.execute("PRAGMA query_only = 1")
                yield db

    @contextmanager
    def writing(self) -> Iterator[Db]:
        """One transaction, written when the block ends well and forgotten when it does not."""
        with self._lock, self._translated(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db

    @contextmanager
    def noting(self) -> Iterator[Db]:
        """Writing to temporary tables only, which keeps nobody from writing to the file."""
        with self._lock, self._translated(), self._db:
            yield self._db

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
                with suppress(OSError):
                    self._suspect.touch()
            raise _trouble(self._path, error) from None

    def _connect(self) -> Db:
        db = sqlite3.connect(self._path, timeout=BUSY_SECONDS, check_same_thread=False)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA synchronous = NORMAL")
        return db

    def _open(self) -> Db:
        db = self._connect()
        try:
            db.execute("PRAGMA journal_mode = WAL")
            if self._is_to_be_checked() and db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise _damage()
            _migrate(db, self._path)
        except BaseException:
            db.close()
            raise
        self._suspect.unlink(missing_ok=True)
        return db

    def _is_to_be_checked(self) -> bool:
        """Small enough, or found damaged while it was in use."""
        return self._path.stat().st_size <= CHECKED_BYTES or self._suspect.exists()


def _trouble(path: Path, error: sqlite3.Error) -> PeripheralError:
    return PeripheralError(f"catalogue {path}: {error}; is the disk full or the file in use?")


def _damage() -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError("its pages do not fit together")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _migrate(db: Db, path: Path) -> None:
    """Take the steps that are missing, in one transaction, as another process may have just taken them."""
    if _version(db) == len(_STEPS):
        return
    with db:
        db.execute("BEGIN IMMEDIATE")
        version = _version(db)
        if version > len(_STEPS):
            raise SetupError(f"catalogue {path}: written by a newer Moodify; install that, or move the file away")
        for statement in ";".join(_STEPS[version:]).split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(_STEPS)}")


def _version(db: Db) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _move_aside(path: Path) -> Path:
    number = next(n for n in range(1, 1_000_000) if not path.with_name(f"{path.name}.damaged-{n}").exists())
    aside = path.with_name(f"{path.name}.damaged-{number}")
    path.rename(aside)
    for ending in ("-wal", "-shm", ".suspect"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    return aside
