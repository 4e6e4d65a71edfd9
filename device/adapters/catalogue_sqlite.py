"""Keeps what is known of the music in SQLite: tracks, unreadable files, plays and what people thought of songs."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from device.domain.labels import Affect
from device.domain.selection import Play
from device.domain.tracks import Origin, Track
from device.errors import PeripheralError, SetupError

log = logging.getLogger(__name__)

BUSY_SECONDS = 5.0
"""How long a writer waits for another process (a scan from the command line, say)."""

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_MIGRATIONS = (
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
)
"""Step n leads from `user_version` n to n + 1; a step that was released is never changed."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells a changed file from an unchanged one."""

    mtime_ns: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that the scan could not take in."""

    uri: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ratings:
    """How often a song was liked and disliked."""

    liked: int
    disliked: int


class Catalogue:
    """The catalogue file at `path`, made when absent; every method may be called from any thread.

    A damaged file is moved aside and begun anew, as a scan brings its tracks back; `warning` then says so. SetupError
    when the file cannot be opened, PeripheralError when the disk fails later.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.warning = ""
        try:
            self._db = _open(path)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in _DAMAGE:
                raise SetupError(f"catalogue {path}: {error}; check the folder, its rights and its space") from None
            self.warning = f"catalogue {path}: it was damaged; kept as {_move_aside(path).name}, a new one is begun"
            log.warning("%s", self.warning)
            self._db = _open(path)

    def close(self) -> None:
        """Close the file; the catalogue is of no use afterwards."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def tracks(self) -> tuple[Track, ...]:
        """All tracks, in the order of their uris."""
        return tuple(_track(row) for row in self._rows("SELECT * FROM track ORDER BY uri"))

    def problems(self) -> tuple[Problem, ...]:
        """All files that could not be taken in, in the order of their uris."""
        return tuple(Problem(row["uri"], row["reason"]) for row in self._rows("SELECT * FROM quarantine ORDER BY uri"))

    def stamps(self) -> Mapping[str, Stamp]:
        """The stamp of each track's file at the time it was read, by uri."""
        rows = self._rows("SELECT uri, mtime_ns, size_bytes FROM track")
        return {row["uri"]: Stamp(row["mtime_ns"], row["size_bytes"]) for row in rows}

    def upsert(self, read: Iterable[tuple[Track, Stamp]], broken: Iterable[Problem] = ()) -> None:
        """Put in tracks that were read and files that could not be: all of them, or none when it fails."""
        tracks, problems = [_row(track, stamp) for track, stamp in read], [(p.uri, p.reason) for p in broken]
        with self._transaction() as db:
            db.executemany("DELETE FROM quarantine WHERE uri = ?", [row[:1] for row in tracks])
            db.executemany(f"INSERT OR REPLACE INTO track VALUES ({', '.join('?' * 13)})", tracks)
            db.executemany("DELETE FROM track WHERE uri = ?", [row[:1] for row in problems])
            db.executemany("INSERT OR REPLACE INTO quarantine VALUES (?, ?)", problems)

    def forget(self, uris: Iterable[str]) -> None:
        """Take out files that are gone; plays and ratings stay, for the day they come back."""
        rows = [(uri,) for uri in uris]
        with self._transaction() as db:
            db.executemany("DELETE FROM track WHERE uri = ?", rows)
            db.executemany("DELETE FROM quarantine WHERE uri = ?", rows)

    def expire(self) -> None:
        """Make every track's stamp wrong, so that the next scan reads its file again."""
        with self._transaction() as db:
            db.execute("UPDATE track SET mtime_ns = -1")

    def note(self, name: str) -> str:
        """A text that was written down under `name`; empty when none was."""
        rows = self._rows("SELECT text FROM note WHERE name = ?", name)
        return str(rows[0]["text"]) if rows else ""

    def write_note(self, name: str, text: str) -> None:
        """Write down `text` under `name`."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (name, text))

    def add_play(self, uri: str, artist: str, album: str, at_unix: float) -> None:
        """Write down that a song began."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO plays (uri, artist, album, at_unix) VALUES (?, ?, ?, ?)", (uri, artist, album, at_unix)
            )

    def recent_plays(self, limit: int, now_seconds: float, now_unix: float) -> tuple[Play, ...]:
        """The last `limit` plays, newest last, their times moved to the clock that says `now_seconds` at `now_unix`.

        Times before that clock's zero are negative; a play that lies in the future (the wall clock was wrong) is now.
        """
        rows = self._rows("SELECT * FROM plays ORDER BY id DESC LIMIT ?", limit)
        return tuple(
            Play(row["uri"], row["artist"], row["album"], now_seconds - max(0.0, now_unix - row["at_unix"]))
            for row in reversed(rows)
        )

    def add_feedback(self, uri: str, liked: bool, at_unix: float) -> None:
        """Write down what a person thinks of a song."""
        with self._transaction() as db:
            db.execute("INSERT INTO feedback (uri, liked, at_unix) VALUES (?, ?, ?)", (uri, liked, at_unix))

    def ratings(self) -> Mapping[str, Ratings]:
        """How often each rated song was liked and disliked, by uri."""
        rows = self._rows("SELECT uri, SUM(liked) AS liked, COUNT(*) AS total FROM feedback GROUP BY uri")
        return {row["uri"]: Ratings(row["liked"], row["total"] - row["liked"]) for row in rows}

    def disliked(self) -> frozenset[str]:
        """Songs whose last rating was bad."""
        rows = self._rows("SELECT uri, liked FROM feedback WHERE id IN (SELECT MAX(id) FROM feedback GROUP BY uri)")
        return frozenset(row["uri"] for row in rows if not row["liked"])

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._lock, self._translated():
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated(), self._db:
            yield self._db

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise PeripheralError(f"catalogue {self._path}: {error}; is the disk full or the file in use?") from None


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
    try:
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise _damage()
        _migrate(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _damage() -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError("its pages do not fit together")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    """Take the steps that are missing, in one transaction, as another process may have just taken them."""
    with db:
        db.execute("BEGIN IMMEDIATE")
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version > len(_MIGRATIONS):
            raise SetupError(f"catalogue {path}: written by a newer Moodify; install that, or move the file away")
        for statement in ";".join(_MIGRATIONS[version:]).split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")


def _move_aside(path: Path) -> Path:
    number = next(n for n in range(1, 1_000_000) if not path.with_name(f"{path.name}.damaged-{n}").exists())
    aside = path.with_name(f"{path.name}.damaged-{number}")
    path.rename(aside)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    return aside


def _row(track: Track, stamp: Stamp) -> tuple[object, ...]:
    return (
        track.uri,
        stamp.mtime_ns,
        stamp.size_bytes,
        track.title,
        track.artist,
        track.album,
        track.duration_seconds,
        "\n".join(track.moods),
        track.affect.valence if track.affect else None,
        track.affect.arousal if track.affect else None,
        track.origin.value,
        track.genre,
        track.year,
    )


def _track(row: sqlite3.Row) -> Track:
    affect = None if row["valence"] is None or row["arousal"] is None else Affect(row["valence"], row["arousal"])
    return Track(
        uri=row["uri"],
        title=row["title"],
        artist=row["artist"],
        album=row["album"],
        duration_seconds=row["duration_seconds"],
        moods=tuple(row["moods"].splitlines()),
        affect=affect,
        origin=Origin(row["origin"]),
        genre=row["genre"],
        year=row["year"],
    )
