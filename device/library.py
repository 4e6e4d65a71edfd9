"""Reads the music folder into the catalogue: only what changed, and no broken file stops it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from device.adapters.catalogue_sqlite import Catalogue, Difference, Problem, Stamp
from device.adapters.tags_mutagen import READER_VERSION, UnreadableTrack, read_track
from device.domain.lexicon import Lexicon, parse_lexicon, unknown_words
from device.domain.tracks import Track
from device.errors import SetupError
from device.music_folder import music_files

Progress = Callable[[int, int], None]
"""Files read so far, files to read."""

BATCH = 64
"""So many files are committed together: what an interrupted scan has read stays read."""

OWN_LEXICON = "lexicon.toml"
READ_WITH = "read with"
"""The catalogue's note on the reader and lexicon that its tracks were read with."""


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What a scan did, and what it left."""

    read: int
    """Files read, because they were new or changed."""
    unchanged: int
    """Files not read, those that were gone and are back included."""
    removed: int
    """Tracks whose files are gone, or are elsewhere now."""
    quarantined: tuple[Problem, ...]
    """All files that could not be taken in, each with its reason."""
    unknown_words: tuple[str, ...]
    """Mood words in the tags that the lexicon does not know, the most frequent first."""
    track_count: int
    """Tracks now in the catalogue."""
    without_mood: int
    """Tracks that are never chosen, as nothing is known of how they feel."""


def scan(
    music_folder: Path,
    catalogue: Catalogue,
    progress: Progress = lambda _done, _total: None,
    lexicon: Lexicon | None = None,
) -> ScanReport:
    """Bring the catalogue up to date with the folder; SetupError when there is no such folder.

    May be interrupted at any time: the next scan goes on where this one ended.
    """
    lexicon = lexicon or load_lexicon()
    reader = _fingerprint(lexicon)
    if catalogue.note(READ_WITH) != reader:
        catalogue.expire()
        catalogue.write_note(READ_WITH, reader)
    problems: list[Problem] = []
    difference = catalogue.compare(music_files(music_folder, problems))
    catalogue.settle(problems)
    _read(music_folder, difference.to_read, catalogue, lexicon, progress)
    catalogue.finish()
    return _report(difference, catalogue, lexicon)


def load_lexicon(path: Path | None = None) -> Lexicon:
    """The lexicon that comes with the program, with a person's own in `path` over it; SetupError when that is wrong."""
    shipped = _shipped_lexicon()
    if path is None:
        return shipped
    try:
        return shipped.extended(parse_lexicon(path.read_text(encoding="utf-8"), source=f"{path}"))
    except OSError as error:
        raise SetupError(f"lexicon {path}: {error.strerror}; name a file that can be read") from None
    except ValueError as error:
        raise SetupError(f"lexicon {path}: {error}") from None


@cache
def _shipped_lexicon() -> Lexicon:
    return parse_lexicon(resources.files("device").joinpath("lexicon.toml").read_text(encoding="utf-8"))


def household_lexicon(state_folder: Path) -> Lexicon:
    """The lexicon with the household's own words in `lexicon.toml` of the state folder, where there is one."""
    own = state_folder / OWN_LEXICON
    return load_lexicon(own if own.exists() else None)


def lexicon_stamp(state_folder: Path) -> int:
    """Another number whenever the household's own words were changed; 0 where there are none."""
    try:
        return (state_folder / OWN_LEXICON).stat().st_mtime_ns
    except OSError:
        return 0


def remark(report: ScanReport, music_folder: Path) -> str:
    """What a person should know about the catalogue, in one line; empty when all is well."""
    broken = len(report.quarantined)
    unread = f"{broken} {'file' if broken == 1 else 'files'} could not be read" if broken else ""
    if report.track_count == 0:
        empty = f"no music in {music_folder}; put music files there and scan again"
        return f"{empty} ({unread})" if unread else empty
    if report.without_mood == report.track_count:
        ways = "add MOOD tags, or have them listened to: moodify library analyse"
        return f"none of the {report.track_count} tracks has a mood yet; {ways}"
    return unread


def _read(folder: Path, total: int, catalogue: Catalogue, lexicon: Lexicon, progress: Progress) -> None:
    """Read what is new or changed, batch by batch."""
    progress(0, total)
    done = 0
    batch = catalogue.to_read(limit=BATCH)
    while batch:
        tracks: list[tuple[Track, Stamp]] = []
        broken: list[Problem] = []
        for uri, stamp in batch:
            try:
                tracks.append((read_track(folder / uri, uri, lexicon), stamp))
            except UnreadableTrack as error:
                broken.append(Problem(uri, str(error)))
            done += 1
            progress(done, total)
        catalogue.upsert(tracks, broken)
        batch = catalogue.to_read(batch[-1][0], BATCH)


def _report(difference: Difference, catalogue: Catalogue, lexicon: Lexicon) -> ScanReport:
    counts, words = catalogue.counts(), catalogue.mood_words()
    return ScanReport(
        read=difference.to_read,
        unchanged=difference.unchanged + difference.returned,
        removed=difference.removed,
        quarantined=catalogue.problems(),
        unknown_words=unknown_words(words, lexicon),
        track_count=counts.tracks,
        without_mood=counts.tracks - counts.with_affect,
    )


def _fingerprint(lexicon: Lexicon) -> str:
    """Changes when the same file would give another track."""
    words = sorted((word, affect.valence, affect.arousal) for word, affect in lexicon.affects.items())
    return f"{READER_VERSION} {hashlib.sha256(repr(words).encode()).hexdigest()[:16]}"
