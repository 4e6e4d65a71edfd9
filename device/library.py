"""Reads the music folder into the catalogue: only what changed, and no broken file stops it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from device.adapters.catalogue_sqlite import Catalogue, Problem, Stamp
from device.adapters.tags_mutagen import READER_VERSION, SUFFIXES, UnreadableTrack, read_track
from device.domain.lexicon import Lexicon, parse_lexicon, unknown_words
from device.domain.text import cleaned, flaw_in
from device.domain.tracks import Track
from device.errors import SetupError

Progress = Callable[[int, int], None]
"""Files read so far, files to read."""

BATCH = 64
"""So many files are committed together: what an interrupted scan has read stays read."""

READ_WITH = "read with"
"""The catalogue's note on the reader and lexicon that its tracks were read with."""


@dataclass(frozen=True, slots=True)
class Found:
    """A music file in the folder."""

    uri: str
    path: Path
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything in the music folder that counts."""

    files: tuple[Found, ...]
    problems: tuple[Problem, ...]
    """Names that cannot be passed on and folders that cannot be opened."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a scan has to do."""

    to_read: tuple[Found, ...]
    unchanged: int
    removed: tuple[str, ...]
    """Uris of tracks that are gone."""


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What a scan did, and what it left."""

    read: int
    """Files read, because they were new or changed."""
    unchanged: int
    removed: int
    """Tracks whose files are gone."""
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
    inventory = take_inventory(music_folder)
    reader = _fingerprint(lexicon)
    if catalogue.note(READ_WITH) != reader:
        catalogue.expire()
        catalogue.write_note(READ_WITH, reader)
    todo = plan(inventory.files, catalogue.stamps())
    _clear(catalogue, inventory, todo)
    _read(todo.to_read, catalogue, lexicon, progress)
    return _report(todo, catalogue, lexicon)


def load_lexicon(path: Path | None = None) -> Lexicon:
    """The lexicon that comes with the program, with a person's own in `path` over it; SetupError when that is wrong."""
    shipped = parse_lexicon(resources.files("device").joinpath("lexicon.toml").read_text(encoding="utf-8"))
    if path is None:
        return shipped
    try:
        return shipped.extended(parse_lexicon(path.read_text(encoding="utf-8"), source=f"{path}"))
    except OSError as error:
        raise SetupError(f"lexicon {path}: {error.strerror}; name a file that can be read") from None
    except ValueError as error:
        raise SetupError(f"lexicon {path}: {error}") from None


def take_inventory(music_folder: Path) -> Inventory:
    """Look through the folder, links included and loops left out; hidden names are skipped, as MPD does."""
    try:
        entries = os.scandir(music_folder)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SetupError(
            f"library.music_folder: {music_folder}: {reason}; name the folder that holds the music"
        ) from None
    entries.close()
    files: list[Found] = []
    problems: list[Problem] = []
    for entry in _walk(music_folder, problems):
        uri = Path(entry.path).relative_to(music_folder).as_posix()
        flaw = flaw_in(uri)
        if flaw:
            problems.append(Problem(cleaned(uri), flaw))
            continue
        try:
            facts = entry.stat()
        except OSError as error:
            problems.append(Problem(uri, f"cannot be read: {(error.strerror or str(error)).lower()}"))
            continue
        if stat.S_ISREG(facts.st_mode):
            files.append(Found(uri, Path(entry.path), Stamp(facts.st_mtime_ns, facts.st_size)))
    return Inventory(tuple(sorted(files, key=lambda found: found.uri)), tuple(problems))


def plan(files: Iterable[Found], known: Mapping[str, Stamp]) -> Plan:
    """Which files to read and which tracks to forget, by their stamps."""
    files = tuple(files)
    to_read = tuple(found for found in files if known.get(found.uri) != found.stamp)
    removed = known.keys() - {found.uri for found in files}
    return Plan(to_read, len(files) - len(to_read), tuple(sorted(removed)))


def remark(report: ScanReport, music_folder: Path) -> str:
    """What a person should know about the catalogue, in one line; empty when all is well."""
    broken = len(report.quarantined)
    unread = f"{broken} {'file' if broken == 1 else 'files'} could not be read" if broken else ""
    if report.track_count == 0:
        empty = f"no music in {music_folder}; put music files there and scan again"
        return f"{empty} ({unread})" if unread else empty
    if report.without_mood == report.track_count:
        return f"none of the {report.track_count} tracks has a mood tag that is known; add MOOD tags to choose by"
    return unread


def _walk(folder: Path, problems: list[Problem]) -> Iterator[os.DirEntry[str]]:
    """Files with a music suffix: those of real folders first, then of linked ones that were not seen yet."""
    seen: set[tuple[int, int]] = set()
    folders, linked = [str(folder)], list[str]()
    while folders or linked:
        path = folders.pop() if folders else linked.pop()
        try:
            facts = os.stat(path)  # noqa: PTH116 - names may be no valid text, and there are many
            if (facts.st_dev, facts.st_ino) in seen:
                continue
            seen.add((facts.st_dev, facts.st_ino))
            with os.scandir(path) as listing:
                entries = sorted(listing, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            uri = cleaned(Path(path).relative_to(folder).as_posix())
            problems.append(Problem(uri, f"this folder cannot be opened: {(error.strerror or str(error)).lower()}"))
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                (linked if entry.is_symlink() else folders).append(entry.path)
            elif Path(entry.name).suffix.lower() in SUFFIXES:
                yield entry


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _clear(catalogue: Catalogue, inventory: Inventory, todo: Plan) -> None:
    """Forget what is gone; files in quarantine are tried again, so only what fails now is in there afterwards."""
    catalogue.forget([*todo.removed, *(problem.uri for problem in catalogue.problems())])
    catalogue.upsert((), inventory.problems)


def _read(files: Sequence[Found], catalogue: Catalogue, lexicon: Lexicon, progress: Progress) -> None:
    progress(0, len(files))
    for start in range(0, len(files), BATCH):
        tracks: list[tuple[Track, Stamp]] = []
        broken: list[Problem] = []
        for number, found in enumerate(files[start : start + BATCH], start=start + 1):
            try:
                tracks.append((read_track(found.path, found.uri, lexicon), found.stamp))
            except UnreadableTrack as error:
                broken.append(Problem(found.uri, str(error)))
            progress(number, len(files))
        catalogue.upsert(tracks, broken)


def _report(todo: Plan, catalogue: Catalogue, lexicon: Lexicon) -> ScanReport:
    tracks = catalogue.tracks()
    return ScanReport(
        read=len(todo.to_read),
        unchanged=todo.unchanged,
        removed=len(todo.removed),
        quarantined=catalogue.problems(),
        unknown_words=unknown_words((word for track in tracks for word in track.moods), lexicon),
        track_count=len(tracks),
        without_mood=sum(track.affect is None for track in tracks),
    )


def _fingerprint(lexicon: Lexicon) -> str:
    """Changes when the same file would give another track."""
    words = sorted((word, affect.valence, affect.arousal) for word, affect in lexicon.affects.items())
    return f"{READER_VERSION} {hashlib.sha256(repr(words).encode()).hexdigest()[:16]}"
