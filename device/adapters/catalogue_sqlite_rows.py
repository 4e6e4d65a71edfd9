"""The catalogue's rows and what they stand for: the three layers of what is known of a track, and their sum."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from device.adapters.catalogue_sqlite_file import Db, Row
from device.domain.hearing import Heard
from device.domain.labels import Affect
from device.domain.shelf import record_of
from device.domain.tracks import Origin, Track, recording_key

LIVE = "gone_at_unix IS NULL"

KNOWN = """
    SELECT t.*, h.valence AS heard_valence, h.arousal AS heard_arousal, h.uncertainty AS heard_uncertainty,
        h.timbre AS timbre, c.valence AS corrected_valence, c.arousal AS corrected_arousal
    FROM track t LEFT JOIN heard h ON h.sound = t.sound LEFT JOIN correction c ON c.uri = t.uri
"""
"""All layers of each track."""

_COLUMNS = 27


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells a changed file from an unchanged one."""

    mtime_ns: int
    size_bytes: int


def track_of(row: Row) -> Track:
    """A row of KNOWN: a person's word wins over a tag, a tag over the analysis."""
    affect, origin, uncertainty = _feeling(row)
    return Track(
        uri=row["uri"],
        title=row["title"],
        artist=row["artist"],
        album=row["album"],
        duration_seconds=row["duration_seconds"],
        moods=tuple(row["moods"].splitlines()),
        affect=affect,
        origin=origin,
        genre=row["genre"],
        year=row["year"],
        album_artist=row["album_artist"],
        compilation=bool(row["compilation"]),
        recording_id=row["recording_id"],
        release_id=row["release_id"],
        explicit=bool(row["explicit"]),
        rating=row["rating"],
        track_gain_db=row["track_gain_db"],
        album_gain_db=row["album_gain_db"],
        uncertainty=uncertainty,
        timbre=row["timbre"] or b"",
        identity=row["identity"],
    )


def heard_of(row: Row) -> Heard:
    """A row of `heard`."""
    affect = _affect(row["valence"], row["arousal"])
    return Heard(affect, row["uncertainty"], row["timbre"], json.loads(row["numbers"]), row["model"])


def sound_of(track: Track, stamp: Stamp) -> str:
    """The key to what is heard in a file: the same for files that sound the same, where that is known."""
    return track.identity or f"{track.uri}\n{stamp.mtime_ns}\n{stamp.size_bytes}"


def write_track(db: Db, track: Track, stamp: Stamp) -> None:
    """Put in what the tags say, and tie it to what was heard and corrected."""
    sound = sound_of(track, stamp)
    heard = db.execute("SELECT model FROM heard WHERE sound = ?", (sound,)).fetchone()
    said = track.affect is not None or has_correction(db, track.uri)
    row = (
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
        track.uncertainty,
        track.genre,
        track.year,
        track.album_artist,
        track.compilation,
        track.recording_id,
        track.release_id,
        track.explicit,
        track.rating,
        track.track_gain_db,
        track.album_gain_db,
        track.identity,
        recording_key(track),
        sound,
        heard["model"] if heard else "",
        said,
        None,
    )
    db.execute(f"INSERT OR REPLACE INTO track VALUES ({', '.join('?' * _COLUMNS)})", row)


def write_heard(db: Db, sound: str, heard: Heard, reason: str = "") -> None:
    """Put in what the analysis heard, or why it could not."""
    affect = (heard.affect.valence, heard.affect.arousal) if heard.affect else (None, None)
    numbers = json.dumps(dict(heard.numbers), sort_keys=True)
    db.execute(
        "INSERT OR REPLACE INTO heard VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (sound, *affect, heard.uncertainty, heard.timbre, numbers, heard.model, reason),
    )
    db.execute("UPDATE track SET model = ? WHERE sound = ?", (heard.model, sound))


def has_correction(db: Db, uri: str) -> bool:
    """Whether a person said how this track feels."""
    return db.execute("SELECT 1 FROM correction WHERE uri = ?", (uri,)).fetchone() is not None


def reshelve(db: Db, uris: Iterable[str]) -> None:
    """Bring the shelf up to date for these tracks and for all recordings that they are copies of."""
    for uri in _with_copies(db, uris):
        row = db.execute(f"{KNOWN} WHERE t.uri = ? AND t.{LIVE}", (uri,)).fetchone()
        record = _record(db, row) if row else None
        if record is None:
            db.execute("DELETE FROM shelf WHERE uri = ?", (uri,))
        else:
            db.execute("INSERT OR REPLACE INTO shelf VALUES (?, ?)", (uri, record))


def reshelve_all(db: Db) -> None:
    """Make the shelf anew."""
    db.execute("DELETE FROM shelf")
    for row in db.execute(f"{KNOWN} WHERE t.{LIVE}"):
        record = _record(db, row)
        if record is not None:
            db.execute("INSERT INTO shelf VALUES (?, ?)", (row["uri"], record))


def _with_copies(db: Db, uris: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for uri in uris:
        query = f"""
            SELECT copy.uri FROM track this JOIN track copy ON copy.recording_id = this.recording_id
            WHERE this.uri = ? AND this.recording_id <> '' AND copy.recording_id <> '' AND copy.{LIVE}
        """
        for name in (uri, *(row["uri"] for row in db.execute(query, (uri,)).fetchall())):
            if name not in seen:
                seen.add(name)
                yield name


def _record(db: Db, row: Row) -> bytes | None:
    """None where nobody knows how the track feels; copies of a recording get the key of the first."""
    track = track_of(row)
    if track.affect is None:
        return None
    record = record_of(track)
    if track.recording_id:
        first = db.execute(
            f"SELECT song FROM track WHERE recording_id = ? AND recording_id <> '' AND {LIVE} ORDER BY uri LIMIT 1",
            (track.recording_id,),
        ).fetchone()
        record["recording"] = first["song"]
    return record.tobytes()


def _feeling(row: Row) -> tuple[Affect | None, Origin, float]:
    for affect, origin, uncertainty in (
        (_affect(row["corrected_valence"], row["corrected_arousal"]), Origin.PERSON, 0.0),
        (_affect(row["valence"], row["arousal"]), Origin.TAG, row["uncertainty"]),
        (_affect(row["heard_valence"], row["heard_arousal"]), Origin.ANALYSIS, row["heard_uncertainty"]),
    ):
        if affect is not None:
            return affect, origin, uncertainty
    return None, Origin.NONE, 0.0


def _affect(valence: float | None, arousal: float | None) -> Affect | None:
    return None if valence is None or arousal is None else Affect(valence, arousal)
