"""Keeps what is known of the music in SQLite: tracks in three layers, unreadable files, plays and what people thought.

The tags say how a track feels, an analysis heard it, a person corrected it: a person's word wins over a tag, a tag over
the analysis, and none of them is lost to another.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np

from device.adapters import catalogue_sqlite_moves as moves
from device.adapters.catalogue_sqlite_file import CatalogueFile, Db, Row
from device.adapters.catalogue_sqlite_rows import (
    KNOWN,
    LIVE,
    Stamp,
    heard_of,
    reshelve,
    reshelve_all,
    track_of,
    write_heard,
    write_track,
)
from device.domain.hearing import Heard
from device.domain.labels import Affect
from device.domain.lexicon import folded
from device.domain.selection import Play
from device.domain.shelf import RECORD, Shelf
from device.domain.tracks import Track

__all__ = [
    "Catalogue",
    "Correction",
    "Counts",
    "Difference",
    "Layers",
    "PlayTally",
    "Problem",
    "Ratings",
    "SongOutcome",
    "Stamp",
    "Unheard",
]

CHUNK = 1_000
"""So many rows are written in one go, so that nobody waits long for the file."""

TURN = 100
"""So many tracks a scan settles before others may write: SQLite lets whoever waits look only now and then."""
LONGEST_BREAK_SECONDS = 0.25

SHELVED_AS = "shelved as"
SHELF_VERSION = f"1 {RECORD.descr}"
"""The catalogue's note on the shape of its shelf; grows when the same track would get another record."""

UNJUDGED = 1

_RETURNED = """
    gone_at_unix IS NOT NULL AND uri IN (SELECT uri FROM seen) AND uri NOT IN (SELECT uri FROM todo)
"""


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


@dataclass(frozen=True, slots=True)
class Correction:
    """How a track feels, by a person."""

    affect: Affect
    words: tuple[str, ...]
    at_unix: float


@dataclass(frozen=True, slots=True)
class SongOutcome:
    """What became of a song that was played; keys as in a shelf's record, 0 where they are not known."""

    uri: str
    kind: str
    mood: str
    at_unix: float
    artist_key: int = 0
    recording_key: int = 0
    affect: Affect | None = None
    """The song's."""
    aimed: Affect | None = None
    """What was asked for."""
    timbre: bytes = b""


@dataclass(frozen=True, slots=True)
class PlayTally:
    """How often and when a song was played and skipped, as players keep it in stickers."""

    play_count: int = 0
    skip_count: int = 0
    last_played_unix: float = 0.0
    """0: never."""
    last_skipped_unix: float = 0.0
    like: int = UNJUDGED
    """0 disliked, 1 nobody said, 2 liked."""


@dataclass(frozen=True, slots=True)
class Layers:
    """All that is known of one track, by who says it."""

    track: Track
    """The sum of it."""
    tag_affect: Affect | None
    heard: Heard | None
    correction: Correction | None
    tally: PlayTally
    copies: tuple[str, ...]
    """Uris of other files with the same recording."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is of what."""

    tracks: int
    with_affect: int
    """Tracks that may be chosen."""
    by_person: int
    by_tag: int
    by_analysis: int
    gone: int
    """Files that are gone and still remembered."""
    unreadable: int


@dataclass(frozen=True, slots=True)
class Difference:
    """How the music folder differs from the catalogue."""

    to_read: int
    """Files that are new or changed."""
    unchanged: int
    returned: int
    """Files that were gone and are back as they were."""
    removed: int


@dataclass(frozen=True, slots=True)
class Copy:
    """A track that may be a copy of another."""

    uri: str
    artist: str
    title: str
    recording_id: str

    @property
    def names(self) -> set[str]:
        """What copies have in common, one of it at least."""
        name = f"{folded(self.artist)}\n{folded(self.title)}" if self.artist and self.title else ""
        return {text for text in (name, self.recording_id) if text} or {self.uri}


@dataclass(frozen=True, slots=True)
class Unheard:
    """A track that the analysis has not listened to yet."""

    uri: str
    stamp: Stamp


class Catalogue:
    """The catalogue file at `path`, made when absent; every method may be called from any thread.

    A damaged file is moved aside and begun anew, as a scan brings its tracks back; `warning` then says so. SetupError
    when the file cannot be opened, PeripheralError when the disk fails later.
    """

    def __init__(self, path: Path) -> None:
        self._file = CatalogueFile(path)
        self._desk = self._file.second()
        """Where scans work, so that the music does not wait for them."""
        self.warning = self._file.warning
        if self.note(SHELVED_AS) != SHELF_VERSION:
            with self._file.writing() as db:
                reshelve_all(db)
                db.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (SHELVED_AS, SHELF_VERSION))

    def close(self) -> None:
        """Close the file; the catalogue is of no use afterwards."""
        self._desk.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What there is

    def tracks(self) -> tuple[Track, ...]:
        """All tracks, in the order of their uris: for small uses, see `shelf` and `tracks_page`."""
        return tuple(track_of(row) for row in self._file.rows(f"{KNOWN} WHERE t.{LIVE} ORDER BY t.uri"))

    def track(self, uri: str) -> Track | None:
        """The track at `uri`; None when there is none."""
        rows = self._file.rows(f"{KNOWN} WHERE t.uri = ? AND t.{LIVE}", uri)
        return track_of(rows[0]) if rows else None

    def layers(self, uri: str) -> Layers | None:
        """All that is known of the track at `uri`; None when there is none."""
        rows = self._file.rows(f"{KNOWN} WHERE t.uri = ? AND t.{LIVE}", uri)
        if not rows:
            return None
        tagged = None if rows[0]["valence"] is None else Affect(rows[0]["valence"], rows[0]["arousal"])
        query = f"""
            SELECT uri, artist, title, recording_id FROM track
            WHERE {LIVE} AND (song = ? OR recording_id = ? AND recording_id <> '') ORDER BY uri
        """
        alike = _alike([Copy(*row) for row in self._file.rows(query, rows[0]["song"], rows[0]["recording_id"])])
        copies = tuple(other for group in alike if uri in group for other in group if other != uri)
        return Layers(track_of(rows[0]), tagged, self.heard(uri), self.correction(uri), self.tally(uri), copies)

    def tracks_page(self, after_uri: str = "", limit: int = 100) -> tuple[Track, ...]:
        """The next tracks after `after_uri`, in the order of their uris."""
        query = f"{KNOWN} WHERE t.uri > ? AND t.{LIVE} ORDER BY t.uri LIMIT ?"
        return tuple(track_of(row) for row in self._file.rows(query, after_uri, limit))

    def each_track(self) -> Iterator[Track]:
        """All tracks one by one, in the order of their uris, without holding them all."""
        page = self.tracks_page(limit=CHUNK)
        while page:
            yield from page
            page = self.tracks_page(page[-1].uri, CHUNK)

    def shelf(self) -> Shelf:
        """The tracks whose affect is known, in the shape that choosing needs, in the order of their uris."""
        records, uris, ends = bytearray(), bytearray(), array("q")
        with self._file.reading() as db:
            answer = db.execute("SELECT record, CAST(uri AS BLOB) FROM shelf ORDER BY uri")
            while rows := answer.fetchmany(CHUNK):
                records += b"".join([record for record, _ in rows])
                uris += b"".join([uri for _, uri in rows])
                ends.extend([len(uri) for _, uri in rows])
        return Shelf(np.frombuffer(records, RECORD), bytes(uris), np.cumsum(np.frombuffer(ends, np.int64)))

    def version(self) -> int:
        """Another number whenever another process (a scan, the analysis) has written."""
        return self._file.version()

    def state(self) -> tuple[int, int]:
        """Another pair whenever anybody has written: what was counted may be counted anew."""
        return self._file.state()

    def counts(self) -> Counts:
        """How many tracks there are, and what is known of them."""
        by_said = self._file.rows(f"SELECT said, COUNT(*) AS count FROM track WHERE {LIVE} GROUP BY said")
        row = self._file.rows(
            f"""
            SELECT (SELECT COUNT(*) FROM shelf) AS with_affect,
                (SELECT COUNT(*) FROM track WHERE gone_at_unix IS NOT NULL) AS gone,
                (SELECT COUNT(*) FROM quarantine) AS unreadable,
                (SELECT COUNT(*) FROM correction JOIN track USING (uri) WHERE {LIVE}) AS by_person
            """
        )[0]
        said = sum(row["count"] for row in by_said if row["said"])
        return Counts(
            tracks=sum(row["count"] for row in by_said),
            with_affect=row["with_affect"],
            by_person=row["by_person"],
            by_tag=said - row["by_person"],
            by_analysis=row["with_affect"] - said,
            gone=row["gone"],
            unreadable=row["unreadable"],
        )

    def mood_words(self) -> Mapping[str, int]:
        """How many tracks have each mood word in their tags."""
        counts: Counter[str] = Counter()
        with self._file.reading() as db:
            query = f"SELECT moods, COUNT(*) FROM track WHERE {LIVE} AND moods <> '' GROUP BY moods"
            for moods, count in db.execute(query):
                for word in moods.splitlines():
                    counts[word] += count
        return counts

    def duplicates(self) -> tuple[tuple[str, ...], ...]:
        """Uris of copies of one recording: by artist and title, or by their MusicBrainz id."""
        query = f"""
            WITH known AS (
                SELECT *, CASE recording_id WHEN '' THEN song ELSE (
                    SELECT song FROM track first WHERE first.recording_id = track.recording_id
                    AND first.recording_id <> '' AND first.{LIVE} ORDER BY first.uri LIMIT 1
                ) END AS key FROM track WHERE {LIVE}
            )
            SELECT key, uri, artist, title, recording_id FROM known
            WHERE key IN (SELECT key FROM known GROUP BY key HAVING COUNT(*) > 1) ORDER BY uri
        """
        groups: dict[int, list[Copy]] = {}
        with self._file.reading() as db:
            for key, *copy in db.execute(query):
                groups.setdefault(key, []).append(Copy(*copy))
        return tuple(alike for group in groups.values() for alike in _alike(group))

    def problems(self) -> tuple[Problem, ...]:
        """All files that could not be taken in, in the order of their uris."""
        rows = self._file.rows("SELECT * FROM quarantine ORDER BY uri")
        return tuple(Problem(row["uri"], row["reason"]) for row in rows)

    def stamps(self) -> Mapping[str, Stamp]:
        """The stamp of each track's file at the time it was read, by uri."""
        rows = self._file.rows(f"SELECT uri, mtime_ns, size_bytes FROM track WHERE {LIVE}")
        return {row["uri"]: Stamp(row["mtime_ns"], row["size_bytes"]) for row in rows}

    # What a scan found

    def compare(self, found: Iterable[tuple[str, int, int]]) -> Difference:
        """Lay the files of the folder (uri, mtime_ns, size_bytes) beside the tracks; `to_read` and `settle` go on.

        Kept in a temporary table, so that a large folder takes little memory.
        """
        with self._desk.noting() as db:
            for name in ("seen", "todo"):
                db.execute(f"DROP TABLE IF EXISTS temp.{name}")
                db.execute(
                    f"""
                    CREATE TEMP TABLE {name}
                        (uri TEXT PRIMARY KEY, mtime_ns INTEGER NOT NULL, size_bytes INTEGER NOT NULL) WITHOUT ROWID
                    """
                )
        files = iter(found)
        while chunk := list(islice(files, CHUNK)):
            with self._desk.noting() as db:
                db.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", chunk)
        with self._desk.noting() as db:
            db.execute(
                """
                INSERT INTO todo SELECT uri, mtime_ns, size_bytes FROM seen EXCEPT
                SELECT uri, mtime_ns, size_bytes FROM track
                """
            )
            return _difference(db)

    def to_read(self, after_uri: str = "", limit: int = CHUNK) -> tuple[tuple[str, Stamp], ...]:
        """The next files that are new or changed, by the last `compare`."""
        query = "SELECT * FROM todo WHERE uri > ? ORDER BY uri LIMIT ?"
        rows = self._desk.rows(query, after_uri, limit)
        return tuple((row["uri"], Stamp(row["mtime_ns"], row["size_bytes"])) for row in rows)

    def settle(self, problems: Iterable[Problem] = (), now_unix: float | None = None) -> None:
        """Mark what is gone and take back what returned, by the last `compare`; `problems` came up on the way."""
        now = _now(now_unix)
        query = f"SELECT uri FROM track WHERE {LIVE} AND uri NOT IN (SELECT uri FROM seen)"
        for chunk in _turns([row["uri"] for row in self._desk.rows(query)]):
            with self._desk.writing() as db:
                moves.leave(db, chunk, now)
        query = f"SELECT uri FROM track WHERE {_RETURNED}"
        for chunk in _turns([row["uri"] for row in self._desk.rows(query)]):
            with self._desk.writing() as db:
                db.executemany("UPDATE track SET gone_at_unix = NULL WHERE uri = ?", [(uri,) for uri in chunk])
                reshelve(db, chunk)
        with self._desk.writing() as db:
            db.execute("DELETE FROM quarantine WHERE uri NOT IN (SELECT uri FROM todo)")
            _quarantine(db, problems, now)

    def finish(self, now_unix: float | None = None) -> None:
        """End a scan: hand on what is known of files whose sound is elsewhere now, forget what is gone for long."""
        with self._desk.writing() as db:
            moves.bequeath(db)
            moves.purge(db, _now(now_unix))
            for name in ("seen", "todo"):
                db.execute(f"DROP TABLE IF EXISTS temp.{name}")

    def upsert(
        self,
        read: Iterable[tuple[Track, Stamp]],
        broken: Iterable[Problem] = (),
        now_unix: float | None = None,
    ) -> None:
        """Put in tracks that were read and files that could not be: all of them, or none when it fails."""
        now = _now(now_unix)
        with self._desk.writing() as db:
            written = []
            for track, stamp in read:
                moves.arrive(db, track, stamp, now)
                write_track(db, track, stamp)
                written.append(track.uri)
            db.executemany("DELETE FROM quarantine WHERE uri = ?", [(uri,) for uri in written])
            reshelve(db, written)
            _quarantine(db, broken, now)

    def forget(self, uris: Iterable[str], now_unix: float | None = None) -> None:
        """Take out files that are gone; what is known of them is kept a while, plays and ratings for ever."""
        names = list(uris)
        with self._file.writing() as db:
            moves.leave(db, names, _now(now_unix))
            db.executemany("DELETE FROM quarantine WHERE uri = ?", [(uri,) for uri in names])

    def expire(self) -> None:
        """Make every track's stamp wrong, so that the next scan reads its file again."""
        with self._file.writing() as db:
            db.execute("UPDATE track SET mtime_ns = -1")

    # What the analysis heard

    def to_analyse(self, limit: int, model: str, all: bool = False) -> tuple[Unheard, ...]:
        """Tracks that `model` has not listened to: those nobody says anything of; with `all`, then the rest.

        What it failed on is left out until the file changes, the model does, or `analysis_forgives`.
        """
        unheard: list[Unheard] = []
        for said in (0, 1) if all else (0,):
            columns = f"SELECT uri, mtime_ns, size_bytes FROM track WHERE {LIVE} AND said = ?1"
            query = f"{columns} AND model < ?2 UNION ALL {columns} AND model > ?2 LIMIT ?3"
            rows = self._file.rows(query, said, model, limit - len(unheard))
            unheard += [Unheard(row["uri"], Stamp(row["mtime_ns"], row["size_bytes"])) for row in rows]
        return tuple(unheard)

    def write_heard(self, uri: str, stamp: Stamp, heard: Heard) -> bool:
        """Write down what the analysis heard; False when the file is gone or another by now."""
        with self._file.writing() as db:
            return _write_heard(db, uri, stamp, heard, "")

    def write_all_heard(self, all_heard: Iterable[tuple[str, Stamp, Heard]]) -> None:
        """Write down what the analysis heard in many files: all of it, or none when it fails."""
        with self._file.writing() as db:
            for uri, stamp, heard in all_heard:
                _write_heard(db, uri, stamp, heard, "")

    def analysis_failed(self, uri: str, stamp: Stamp, reason: str, model: str) -> bool:
        """Write down that `model` cannot listen to a file; False when the file is gone or another by now."""
        with self._file.writing() as db:
            return _write_heard(db, uri, stamp, Heard(None, 0.0, b"", {}, model), reason)

    def analysis_forgives(self) -> None:
        """Let what the analysis failed on be tried once more; until then it stays in `analysis_failures`."""
        with self._file.writing() as db:
            db.execute("UPDATE track SET model = '' WHERE sound IN (SELECT sound FROM heard WHERE reason <> '')")

    def heard(self, uri: str) -> Heard | None:
        """What the analysis heard in a track; None when it has not listened."""
        query = "SELECT * FROM heard WHERE sound = (SELECT sound FROM track WHERE uri = ?) AND reason = ''"
        rows = self._file.rows(query, uri)
        return heard_of(rows[0]) if rows else None

    def analysis_progress(self, model: str, all: bool = False) -> tuple[int, int]:
        """How many tracks `model` has listened to (or failed on), of how many it is to: see `to_analyse`."""
        query = f"SELECT COUNT(*) AS total, COALESCE(SUM(model = ?), 0) AS done FROM track WHERE {LIVE} AND said <= ?"
        row = self._file.rows(query, model, int(all))[0]
        return row["done"], row["total"]

    def analysis_failures(self) -> tuple[Problem, ...]:
        """Tracks that the analysis could not listen to."""
        query = f"SELECT uri, reason FROM track JOIN heard USING (sound) WHERE {LIVE} AND reason <> '' ORDER BY uri"
        return tuple(Problem(row["uri"], row["reason"]) for row in self._file.rows(query))

    # What people say and do

    def correct(self, uri: str, affect: Affect, words: Sequence[str] = (), at_unix: float | None = None) -> bool:
        """Write down how a track feels by a person's word; False when there is no such track."""
        row = uri, affect.valence, affect.arousal, "\n".join(words), _now(at_unix)
        with self._file.writing() as db:
            if not db.execute(f"UPDATE track SET said = 1 WHERE uri = ? AND {LIVE}", (uri,)).rowcount:
                return False
            db.execute("INSERT OR REPLACE INTO correction VALUES (?, ?, ?, ?, ?)", row)
            reshelve(db, [uri])
        return True

    def uncorrect(self, uri: str) -> bool:
        """Take a person's word back; False when there was none."""
        with self._file.writing() as db:
            if not db.execute("DELETE FROM correction WHERE uri = ?", (uri,)).rowcount:
                return False
            db.execute("UPDATE track SET said = valence IS NOT NULL WHERE uri = ?", (uri,))
            reshelve(db, [uri])
        return True

    def correction(self, uri: str) -> Correction | None:
        """What a person said of a track; None when nobody did."""
        rows = self._file.rows("SELECT * FROM correction WHERE uri = ?", uri)
        return _correction(rows[0]) if rows else None

    def corrections(self) -> Mapping[str, Correction]:
        """All that people said, by uri."""
        return {row["uri"]: _correction(row) for row in self._file.rows("SELECT * FROM correction ORDER BY uri")}

    def add_play(self, uri: str, artist: str, album: str, at_unix: float) -> None:
        """Write down that a song began."""
        with self._file.writing() as db:
            db.execute(
                "INSERT INTO plays (uri, artist, album, at_unix) VALUES (?, ?, ?, ?)", (uri, artist, album, at_unix)
            )
            tally = _tally(db, uri)
            last = max(tally.last_played_unix, at_unix)
            _write_tally(db, uri, replace(tally, play_count=tally.play_count + 1, last_played_unix=last))

    def recent_plays(self, limit: int, now_seconds: float, now_unix: float) -> tuple[Play, ...]:
        """The last `limit` plays, newest last, their times moved to the clock that says `now_seconds` at `now_unix`.

        Times before that clock's zero are negative; a play that lies in the future (the wall clock was wrong) is now.
        The last play before a song's last skip counts as skipped.
        """
        query = """
            SELECT plays.*, last_skipped_unix >= at_unix AND NOT EXISTS (
                SELECT 1 FROM plays later
                WHERE later.uri = plays.uri AND later.id > plays.id AND later.at_unix <= last_skipped_unix
            ) AS skipped FROM plays LEFT JOIN tally USING (uri) ORDER BY id DESC LIMIT ?
        """

        def play(row: Row) -> Play:
            at_seconds = now_seconds - max(0.0, now_unix - row["at_unix"])
            return Play(row["uri"], row["artist"], row["album"], at_seconds, skipped=bool(row["skipped"]))

        return tuple(play(row) for row in reversed(self._file.rows(query, limit)))

    def add_skip(self, uri: str, at_unix: float) -> None:
        """Count that a person skipped a song."""
        with self._file.writing() as db:
            tally = _tally(db, uri)
            last = max(tally.last_skipped_unix, at_unix)
            _write_tally(db, uri, replace(tally, skip_count=tally.skip_count + 1, last_skipped_unix=last))

    def add_feedback(self, uri: str, liked: bool, at_unix: float) -> None:
        """Write down what a person thinks of a song."""
        with self._file.writing() as db:
            db.execute("INSERT INTO feedback (uri, liked, at_unix) VALUES (?, ?, ?)", (uri, liked, at_unix))
            _write_tally(db, uri, replace(_tally(db, uri), like=2 * liked))

    def ratings(self) -> Mapping[str, Ratings]:
        """How often each rated song was liked and disliked, by uri."""
        rows = self._file.rows("SELECT uri, SUM(liked) AS liked, COUNT(*) AS total FROM feedback GROUP BY uri")
        return {row["uri"]: Ratings(row["liked"], row["total"] - row["liked"]) for row in rows}

    def disliked(self) -> frozenset[str]:
        """Songs whose last rating was bad."""
        rows = self._file.rows(
            "SELECT uri, liked FROM feedback WHERE id IN (SELECT MAX(id) FROM feedback GROUP BY uri)"
        )
        return frozenset(row["uri"] for row in rows if not row["liked"])

    def tally(self, uri: str) -> PlayTally:
        """How often and when a song was played and skipped; zeros for one nobody played."""
        rows = self._file.rows("SELECT * FROM tally WHERE uri = ?", uri)
        return _tally_of(rows[0]) if rows else PlayTally()

    def add_outcome(self, outcome: SongOutcome) -> None:
        """Write down what became of a song."""
        affect, aimed = outcome.affect, outcome.aimed
        row = (
            outcome.uri,
            outcome.artist_key,
            outcome.recording_key,
            outcome.kind,
            outcome.mood,
            outcome.at_unix,
            *((affect.valence, affect.arousal) if affect else (None, None)),
            *((aimed.valence, aimed.arousal) if aimed else (None, None)),
            outcome.timbre,
        )
        with self._file.writing() as db:
            db.execute(f"INSERT INTO outcome VALUES (NULL, {', '.join('?' * len(row))})", row)

    def outcomes(self, limit: int) -> tuple[SongOutcome, ...]:
        """The last `limit` outcomes, newest last."""
        rows = self._file.rows("SELECT * FROM outcome ORDER BY id DESC LIMIT ?", limit)
        return tuple(_outcome(row) for row in reversed(rows))

    def forget_outcomes(self, uri: str | None = None, mood: str | None = None, keep: int = 0) -> int:
        """Forget outcomes: of one song, of one mood, or all, but the newest `keep` of them; returns how many."""
        chosen = "(uri = ?1 OR ?1 IS NULL) AND (mood = ?2 OR ?2 IS NULL)"
        with self._file.writing() as db:
            return db.execute(
                f"""
                DELETE FROM outcome WHERE {chosen}
                AND id NOT IN (SELECT id FROM outcome WHERE {chosen} ORDER BY id DESC LIMIT ?3)
                """,
                (uri, mood, keep),
            ).rowcount

    # Notes

    def note(self, name: str) -> str:
        """A text that was written down under `name`; empty when none was."""
        rows = self._file.rows("SELECT text FROM note WHERE name = ?", name)
        return str(rows[0]["text"]) if rows else ""

    def write_note(self, name: str, text: str) -> None:
        """Write down `text` under `name`."""
        with self._file.writing() as db:
            db.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (name, text))


def _write_heard(db: Db, uri: str, stamp: Stamp, heard: Heard, reason: str) -> bool:
    query = f"SELECT sound FROM track WHERE uri = ? AND mtime_ns = ? AND size_bytes = ? AND {LIVE}"
    row = db.execute(query, (uri, stamp.mtime_ns, stamp.size_bytes)).fetchone()
    if row is None:
        return False
    if reason and db.execute("SELECT 1 FROM heard WHERE sound = ? AND reason = ''", (row["sound"],)).fetchone():
        # What another model heard stays.
        db.execute("UPDATE track SET model = ? WHERE sound = ?", (heard.model, row["sound"]))
        return True
    write_heard(db, row["sound"], heard, reason)
    alike = db.execute("SELECT uri FROM track WHERE sound = ?", (row["sound"],)).fetchall()
    reshelve(db, [other["uri"] for other in alike])
    return True


def _alike(group: Iterable[Copy]) -> Iterator[tuple[str, ...]]:
    """Those of one key that are copies indeed: two names of a large library may share a key by chance."""
    together: list[tuple[set[str], list[str]]] = []
    for copy in group:
        names, uris = copy.names, [copy.uri]
        for other in [other for other in together if names & other[0]]:
            together.remove(other)
            names, uris = names | other[0], other[1] + uris
        together.append((names, uris))
    return (tuple(uris) for _, uris in together if len(uris) > 1)


def _now(now_unix: float | None) -> float:
    return time.time() if now_unix is None else now_unix


def _turns(uris: Sequence[str]) -> Iterator[Sequence[str]]:
    """A few at a time, with a break after each that is as long as the work was, so that others may write."""
    for start in range(0, len(uris), TURN):
        began = time.monotonic()
        yield uris[start : start + TURN]
        if start + TURN < len(uris):
            time.sleep(min(time.monotonic() - began, LONGEST_BREAK_SECONDS))


def _difference(db: Db) -> Difference:
    to_read = db.execute("SELECT COUNT(*) FROM todo").fetchone()[0]
    seen = db.execute("SELECT COUNT(*) FROM seen").fetchone()[0]
    live = db.execute(f"SELECT COUNT(*) FROM track WHERE {LIVE}").fetchone()[0]
    kept = db.execute(f"SELECT COUNT(*) FROM seen JOIN track USING (uri) WHERE {LIVE}").fetchone()[0]
    returned = db.execute(f"SELECT COUNT(*) FROM track WHERE {_RETURNED}").fetchone()[0]
    return Difference(to_read, seen - to_read - returned, returned, live - kept)


def _quarantine(db: Db, problems: Iterable[Problem], now_unix: float) -> None:
    """Put files among the problems; a track whose file broke is remembered as if it were gone."""
    rows = [(problem.uri, problem.reason) for problem in problems]
    moves.leave(db, [uri for uri, _ in rows], now_unix)
    db.executemany("INSERT OR REPLACE INTO quarantine VALUES (?, ?)", rows)


def _correction(row: Row) -> Correction:
    return Correction(Affect(row["valence"], row["arousal"]), tuple(row["words"].splitlines()), row["at_unix"])


def _outcome(row: Row) -> SongOutcome:
    affect = None if row["valence"] is None else Affect(row["valence"], row["arousal"])
    aimed = None if row["aimed_valence"] is None else Affect(row["aimed_valence"], row["aimed_arousal"])
    keys = row["artist_key"], row["recording_key"]
    return SongOutcome(row["uri"], row["kind"], row["mood"], row["at_unix"], *keys, affect, aimed, row["timbre"])


def _tally(db: Db, uri: str) -> PlayTally:
    row = db.execute("SELECT * FROM tally WHERE uri = ?", (uri,)).fetchone()
    return _tally_of(row) if row else PlayTally()


def _tally_of(row: Row) -> PlayTally:
    last = row["last_played_unix"], row["last_skipped_unix"]
    return PlayTally(row["play_count"], row["skip_count"], *last, row["like"])


def _write_tally(db: Db, uri: str, tally: PlayTally) -> None:
    counts = tally.play_count, tally.skip_count, tally.last_played_unix, tally.last_skipped_unix, tally.like
    db.execute("INSERT OR REPLACE INTO tally VALUES (?, ?, ?, ?, ?, ?)", (uri, *counts))
