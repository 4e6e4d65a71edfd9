"""Files that are renamed, moved or gone, and what people thought of them: it goes where the sound goes."""

from __future__ import annotations

from collections.abc import Iterable

from device.adapters.catalogue_sqlite_file import Db, Row
from device.adapters.catalogue_sqlite_rows import KNOWN, LIVE, Stamp, reshelve, sound_of, track_of
from device.domain.tracks import Track, recording_key

REMEMBERED_SECONDS = 30 * 86400.0
"""So long everything about a file that is gone is kept; its plays and ratings stay for ever."""

LONGEST_GAP_SECONDS = 2 * 86400.0
"""Between two scans no more than this counts: the box was off, or its clock was put right."""

SCANNED = "scanned"
"""The catalogue's note of when the last scan ended."""

CLOCK_IS_SET = 1_600_000_000.0
"""Before this, a box without a clock of its own does not know the time yet."""

PARKED = "/"
"""How no uri begins: whose file has another song in it now is kept under such a name."""

_HISTORY = ("plays", "feedback", "outcome")


def arrive(db: Db, track: Track, stamp: Stamp, now_unix: float) -> None:
    """Before a track is written: what was known of the same song under another name becomes this track's."""
    old = db.execute(f"{KNOWN} WHERE t.uri = ?", (track.uri,)).fetchone()
    if old and _is_another(old, track):
        _park(db, old, now_unix)
        old = None
    if old is None:
        source = _gone_with_same_identity(db, track) or _gone_with_same_recording(db, track)
        if source:
            _inherit_heard(db, source["sound"], sound_of(track, stamp))
            move(db, source["uri"], track.uri)


def leave(db: Db, uris: Iterable[str], now_unix: float) -> None:
    """Mark files as gone; all that is known of them is remembered for a while."""
    for uri in uris:
        db.execute(f"UPDATE track SET gone_at_unix = ? WHERE uri = ? AND {LIVE}", (now_unix, uri))
        reshelve(db, [uri])


def bequeath(db: Db) -> None:
    """What is known of files that are gone goes to another file with the same sound, where there is one."""
    query = f"""
        SELECT gone.uri AS old, MIN(twin.uri) AS new FROM track gone CROSS JOIN track twin ON twin.sound = gone.sound
        WHERE gone.gone_at_unix IS NOT NULL AND gone.identity <> '' AND twin.{LIVE}
        GROUP BY +gone.uri
    """  # CROSS and + keep SQLite from going through all tracks for the few that are gone
    for row in db.execute(query).fetchall():
        move(db, row["old"], row["new"])
        _settle(db, row["new"])


def purge(db: Db, now_unix: float) -> None:
    """Forget files that are gone for long, but not how often they were played and liked."""
    db.execute("UPDATE track SET gone_at_unix = ? WHERE gone_at_unix < ?", (now_unix, CLOCK_IS_SET))
    noted = db.execute("SELECT text FROM note WHERE name = ?", (SCANNED,)).fetchone()
    before_unix = float(noted["text"]) if noted else now_unix
    surplus = now_unix - before_unix - LONGEST_GAP_SECONDS
    if surplus > 0:
        db.execute("UPDATE track SET gone_at_unix = gone_at_unix + ? WHERE gone_at_unix <= ?", (surplus, before_unix))
    db.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (SCANNED, str(now_unix)))
    over = "gone_at_unix < ?"
    end = (now_unix - REMEMBERED_SECONDS,)
    db.execute(f"DELETE FROM correction WHERE uri IN (SELECT uri FROM track WHERE {over})", end)
    if db.execute(f"DELETE FROM track WHERE {over}", end).rowcount:
        db.execute("DELETE FROM heard WHERE sound NOT IN (SELECT sound FROM track)")


def move(db: Db, old: str, new: str) -> None:
    """Everything known of `old` is of `new` from now on; `old` is forgotten."""
    _move_history(db, old, new)
    db.execute("DELETE FROM track WHERE uri = ?", (old,))
    db.execute("DELETE FROM shelf WHERE uri = ?", (old,))


def _move_history(db: Db, old: str, new: str) -> None:
    for table in _HISTORY:
        db.execute(f"UPDATE {table} SET uri = ? WHERE uri = ?", (new, old))
    _move_tally(db, old, new)
    db.execute("UPDATE OR IGNORE correction SET uri = ? WHERE uri = ?", (new, old))
    db.execute("DELETE FROM correction WHERE uri = ?", (old,))


def _is_another(old: Row, new: Track) -> bool:
    """Whether there is another song in the file, as when two files change names; not a better copy of the same."""
    before = track_of(old)
    if not before.identity or not new.identity or before.identity == new.identity:
        return False
    if before.recording_id and before.recording_id == new.recording_id:
        return False
    return bool(old["song"] != recording_key(new))


def _park(db: Db, old: Row, now_unix: float) -> None:
    """Remember what was in a file that has another song in it now, as if it were gone."""
    uri, parked = old["uri"], PARKED + old["identity"]
    db.execute("DELETE FROM track WHERE uri = ?", (parked,))
    db.execute("UPDATE track SET uri = ?, gone_at_unix = ? WHERE uri = ?", (parked, now_unix, uri))
    _move_history(db, uri, parked)


def _gone_with_same_identity(db: Db, track: Track) -> Row | None:
    row: Row | None = db.execute(
        """
        SELECT uri, sound FROM track WHERE sound = ? AND gone_at_unix IS NOT NULL AND uri <> ?
        ORDER BY gone_at_unix DESC, uri LIMIT 1
        """,
        (track.identity, track.uri),
    ).fetchone()
    return row


def _gone_with_same_recording(db: Db, track: Track) -> Row | None:
    """Only where no other file that is there has the recording, as else it would be a copy of that."""
    rows = db.execute(
        """
        SELECT uri, sound, gone_at_unix FROM track WHERE recording_id = ? AND recording_id <> '' AND uri <> ?
        ORDER BY gone_at_unix DESC, uri
        """,
        (track.recording_id, track.uri),
    ).fetchall()
    return rows[0] if rows and all(row["gone_at_unix"] is not None for row in rows) else None


def _inherit_heard(db: Db, old_sound: str, new_sound: str) -> None:
    """What was heard in one encoding of a recording stands for another until that is heard itself."""
    db.execute(
        """
        INSERT OR IGNORE INTO heard SELECT ?, valence, arousal, uncertainty, timbre, numbers, model, reason
        FROM heard WHERE sound = ?
        """,
        (new_sound, old_sound),
    )


def _move_tally(db: Db, old: str, new: str) -> None:
    """Counts add up; the newer judgement stays where the older has none."""
    db.execute(
        """
        INSERT INTO tally SELECT ?, play_count, skip_count, last_played_unix, last_skipped_unix, "like"
        FROM tally WHERE uri = ?
        ON CONFLICT (uri) DO UPDATE SET
            play_count = play_count + excluded.play_count, skip_count = skip_count + excluded.skip_count,
            last_played_unix = MAX(last_played_unix, excluded.last_played_unix),
            last_skipped_unix = MAX(last_skipped_unix, excluded.last_skipped_unix),
            "like" = CASE "like" WHEN 1 THEN excluded."like" ELSE "like" END
        """,
        (new, old),
    )
    db.execute("DELETE FROM tally WHERE uri = ?", (old,))


def _settle(db: Db, uri: str) -> None:
    """Bring a track that was there already in line with a correction that it got."""
    db.execute("UPDATE track SET said = 1 WHERE uri IN (SELECT uri FROM correction) AND uri = ?", (uri,))
    reshelve(db, [uri])
