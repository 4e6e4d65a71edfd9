"""Writes moods into the music files' own tags, when a person asks for it, and takes all of it back."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pwd
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from device.adapters.audio_identity import identity, sound_hash
from device.adapters.catalogue_sqlite import Problem
from device.adapters.tags_writer import (
    MoodTags,
    UnwritableTags,
    other_tags,
    read_moods,
    restore_moods,
    write_moods,
)
from device.domain.lexicon import Lexicon, folded, nearest_words
from device.domain.tags import mood_words
from device.domain.tracks import Origin, Track
from device.errors import MoodifyError

Only = Literal["corrected", "analysed", "all"]

ORIGINS: dict[Only, tuple[Origin, ...]] = {
    "corrected": (Origin.PERSON,),
    "analysed": (Origin.ANALYSIS,),
    "all": (Origin.PERSON, Origin.ANALYSIS),
}
WORDS_A_SONG = 2
UNDO_FILE = "written-tags.jsonl"
"""In the state folder: what stood in the tags before, one line a file, on the disk before the file is changed."""
COPY_PREFIX = ".moodify-tags-"
"""Names of copies that are being tagged; hidden, so that neither a scan nor MPD takes them for songs."""
SPARE_BYTES = 1 << 20

Progress = Callable[[int, int], None]


class TaggingBusy(MoodifyError):
    """Another command is writing tags at this moment."""


class LeftAlone(MoodifyError):
    """This one file is not changed; the message says why, without its name."""


@dataclass(frozen=True, slots=True)
class Write:
    """Mood words for one file."""

    uri: str
    words: tuple[str, ...]
    former: tuple[str, ...]
    """What its tags said at the last scan."""
    origin: Origin
    """Who says so: a person or the analysis."""
    identity: str
    """Of the recording that is meant; empty when it is not known."""


@dataclass(frozen=True, slots=True)
class TaggingReport:
    """What was done to the files."""

    changed: tuple[str, ...]
    """Uris of files that now say something else."""
    same: int
    """Files that said it already."""
    left_alone: tuple[Problem, ...]


def plan_writes(
    tracks: Iterable[Track],
    lexicon: Lexicon,
    only: Only = "all",
    said: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> tuple[Write, ...]:
    """Which files get which words: those whose mood a person corrected or the analysis heard, where the words differ.

    The words are those in which a person `said` it, by uri, else the nearest. Words in the tags that say nothing
    about the feeling, or that nobody knows, stay behind them.
    """
    writes = []
    for track in tracks:
        if track.affect and track.origin in ORIGINS[only]:
            own = mood_words(said.get(track.uri, ())) if track.origin is Origin.PERSON else ()
            fit = own or nearest_words(track.affect, lexicon, WORDS_A_SONG)
            kept = (word for word in track.moods if lexicon.affect_of(word) is None)
            words = tuple(dict.fromkeys((*fit, *kept)))
            if set(map(folded, words)) != set(map(folded, track.moods)):
                writes.append(Write(track.uri, words, track.moods, track.origin, track.identity))
    return tuple(writes)


def write_tags(
    writes: Sequence[Write],
    music_folder: Path,
    state_folder: Path,
    progress: Progress = lambda _done, _total: None,
) -> TaggingReport:
    """Write the words, one file after the other; what cannot be written is told and left as it is.

    May be interrupted at any time: a file is whole before and after, and what is missing is written the next time.
    """
    with _locked(state_folder), _Journal(state_folder) as journal:
        _sweep(journal.open_entries(), music_folder)

        def act(write: Write) -> bool:
            return _write(write, music_folder / write.uri, journal)

        return _each(writes, lambda write: write.uri, act, progress)


def undo(
    music_folder: Path,
    state_folder: Path,
    tracks: Iterable[Track] = (),
    progress: Progress = lambda _done, _total: None,
) -> TaggingReport:
    """Put back all that was written, as it stood; a song that was moved since is found by its track.

    A file whose moods were changed since by somebody else is left alone, and told each time.
    """
    places = {track.identity: track.uri for track in tracks if track.identity}
    with _locked(state_folder), _Journal(state_folder) as journal:
        entries = journal.open_entries()
        _sweep(entries, music_folder)
        # A copy that was written, too, has moods of its own to get back.
        moved = {key: uri for key, uri in places.items() if uri not in {entry.uri for entry in entries}}
        songs = [[entry for entry in entries if entry.uri == uri] for uri in dict.fromkeys(e.uri for e in entries)]

        def act(song: list[_Entry]) -> bool:
            return _put_back(song, _place_of(song[-1], music_folder, moved), journal)

        report = _each(songs, lambda song: song[-1].uri, act, progress)
        if not journal.open_entries():
            journal.forget()
    return report


def _each(
    things: Sequence[Any], uri_of: Callable[[Any], str], act: Callable[[Any], bool], progress: Progress
) -> TaggingReport:
    changed, left_alone = [], []
    for number, thing in enumerate(things, start=1):
        try:
            if act(thing):
                changed.append(uri_of(thing))
        except (LeftAlone, UnwritableTags) as error:
            left_alone.append(Problem(uri_of(thing), str(error)))
        except OSError as error:
            left_alone.append(Problem(uri_of(thing), (error.strerror or str(error)).lower()))
        progress(number, len(things))
    return TaggingReport(tuple(changed), len(things) - len(changed) - len(left_alone), tuple(left_alone))


def _write(write: Write, path: Path, journal: _Journal) -> bool:
    _check(path)
    now = identity(path)
    if write.identity and now != write.identity:
        raise LeftAlone("holds another recording than at the last scan; scan first")
    former = read_moods(path)
    if set(former.words()) == set(write.words):
        return False
    entry = journal.begin(write.uri, now, write.words, former)
    try:
        _rewrite(path, lambda copy: write_moods(copy, write.words))
    except (LeftAlone, UnwritableTags, OSError):
        if read_moods(path).same(former):
            journal.close_entries([entry])
        raise
    return True


def _put_back(song: Sequence[_Entry], path: Path, journal: _Journal) -> bool:
    """Go back through what was written, the last first, as far as the file says what was written."""
    if identity(path) != song[-1].identity:
        raise LeftAlone("holds another recording now")
    at = now = read_moods(path)
    undone: list[_Entry] = []
    for entry in reversed(song):
        if at.words() == entry.words:
            at = entry.former
        elif not at.same(entry.former):
            break
        undone.append(entry)
    if at is not now:
        _check(path)
        _rewrite(path, lambda copy: _restore(copy, at))
    journal.close_entries(undone)
    if len(undone) < len(song):
        raise LeftAlone(f"its moods were changed since by somebody else, to {', '.join(at.words()) or 'none'}")
    return at is not now


def _restore(copy: Path, former: MoodTags) -> None:
    restore_moods(copy, former)
    if not read_moods(copy).same(former):
        raise LeftAlone("would not say just what it said before")


def _place_of(entry: _Entry, music_folder: Path, places: dict[str, str]) -> Path:
    path = music_folder / entry.uri
    if not path.exists() and entry.identity in places:
        path = music_folder / places[entry.identity]
    if not path.exists():
        raise LeftAlone("is gone, or its disk is not there")
    return path


def _check(path: Path) -> None:
    """LeftAlone when the file may not be exchanged for another one. The modes count for root as well."""
    facts = path.lstat()
    if stat.S_ISLNK(facts.st_mode):
        raise LeftAlone("is a link; the file it leads to can be tagged")
    if not stat.S_ISREG(facts.st_mode):
        raise LeftAlone("is no file")
    if facts.st_nlink > 1:
        raise LeftAlone("has another name (a hard link), which would keep the former tags")
    if not facts.st_mode & 0o222:
        raise LeftAlone("is read-only")
    if not path.parent.stat().st_mode & 0o222:
        raise LeftAlone("its folder is read-only")
    if not _may(path, os.W_OK) or not _may(path.parent, os.W_OK | os.X_OK):
        raise LeftAlone(f"it or its folder may not be written by {_me()}; on the box run this with sudo")
    disk = os.statvfs(path.parent)
    if disk.f_bavail * disk.f_frsize < facts.st_size + SPARE_BYTES:
        raise LeftAlone("no space for a copy of it on its disk")


def _may(path: Path, mode: int) -> bool:
    """As the effective user, with the capabilities that it was given."""
    return os.access(path, mode, effective_ids=True)


def _me() -> str:
    """The name of the user who runs this."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"


def _rewrite(path: Path, change: Callable[[Path], None]) -> None:
    """Change a copy, make sure that nothing but the moods differs, and put it in the file's place."""
    copy = _copy_of(path)
    copy.unlink(missing_ok=True)
    try:
        before = path.stat()
        _copy(path, copy)
        change(copy)
        _sync(copy)
        _stayed(path, before)
        _compare(path, copy)
        _stayed(path, before)
        copy.replace(path)
        _sync(path.parent)
    finally:
        copy.unlink(missing_ok=True)


def _stayed(path: Path, before: os.stat_result) -> None:
    after = path.stat()
    if (before.st_mtime_ns, before.st_size, before.st_ino) != (after.st_mtime_ns, after.st_size, after.st_ino):
        raise LeftAlone("was changed at this moment by another program; try again")


def _copy_of(path: Path) -> Path:
    """The suffix stays, as programs go by it; the same name each time, so that a later run finds what one left."""
    name = hashlib.blake2b(os.fsencode(path.name), digest_size=12).hexdigest()
    return path.with_name(f"{COPY_PREFIX}{name}{path.suffix}")


def _copy(path: Path, copy: Path) -> None:
    """With owner, mode and extended attributes, which hold the access list too."""
    with (
        path.open("rb") as source,
        os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target,
    ):
        shutil.copyfileobj(source, target, 1 << 20)
        facts = os.fstat(source.fileno())
        if (facts.st_uid, facts.st_gid) != (os.getuid(), os.getgid()):
            try:
                os.fchown(target.fileno(), facts.st_uid, facts.st_gid)
            except PermissionError:
                raise LeftAlone("belongs to another user, which would not stay so") from None
        os.fchmod(target.fileno(), stat.S_IMODE(facts.st_mode))
        _copy_attributes(source.fileno(), target.fileno())


def _copy_attributes(source: int, target: int) -> None:
    for name in os.listxattr(source):
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            if name.startswith(("user.", "system.posix_acl")):
                raise LeftAlone(f"its attribute {name} would not stay: {error.strerror}") from None


def _compare(path: Path, copy: Path) -> None:
    if identity(copy) != identity(path) or sound_hash(copy) != sound_hash(path):
        raise LeftAlone("its sound would not stay as it is, bit for bit")
    if other_tags(copy) != other_tags(path):
        raise LeftAlone("its other tags would not stay as they are")


def _sync(path: Path) -> None:
    """Have the disk hold the file, or the folder's names."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _sweep(entries: Iterable[_Entry], music_folder: Path) -> None:
    """Remove copies that an interrupted run left."""
    for entry in entries:
        with contextlib.suppress(OSError):
            _copy_of(music_folder / entry.uri).unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(state_folder: Path) -> Iterator[None]:
    """Only one command at a time; the lock ends with the process, however it ends."""
    state_folder.mkdir(parents=True, exist_ok=True)
    with (state_folder / "tagging.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TaggingBusy("tags are being written already; wait until that is done") from None
        yield


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of the undo file."""

    number: int
    uri: str
    identity: str
    words: tuple[str, ...]
    """What was written."""
    former: MoodTags


class _Journal:
    """The undo file; a line that a power cut tore was of a file that was not touched yet."""

    def __init__(self, state_folder: Path) -> None:
        self._path = state_folder / UNDO_FILE

    def __enter__(self) -> _Journal:
        new = not self._path.exists()
        self._file = self._path.open("r+b" if not new else "w+b", buffering=0)
        content = self._file.read()
        self._file.truncate(content.rfind(b"\n") + 1)
        self._file.seek(0, os.SEEK_END)
        if new:
            _sync(self._path.parent)
        self._entries, self._count = _entries_of(content)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def open_entries(self) -> list[_Entry]:
        """What is written and not taken back, in the order of writing."""
        return list(self._entries.values())

    def begin(self, uri: str, sound: str, words: tuple[str, ...], former: MoodTags) -> _Entry:
        """Note what stands in a file, before it is touched."""
        self._count += 1
        entry = _Entry(self._count, uri, sound, words, former)
        line = {"number": entry.number, "uri": uri, "identity": sound, "words": words, "former": former.as_json()}
        self._append([line])
        self._entries[entry.number] = entry
        return entry

    def close_entries(self, entries: Iterable[_Entry]) -> None:
        """Note that these files are as they were."""
        entries = list(entries)
        self._append([{"closed": entry.number} for entry in entries])
        for entry in entries:
            del self._entries[entry.number]

    def forget(self) -> None:
        """Remove the file: all is as it was."""
        self._path.unlink(missing_ok=True)
        _sync(self._path.parent)

    def _append(self, lines: Iterable[dict[str, Any]]) -> None:
        end = self._file.tell()
        content = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)
        try:
            if self._file.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(end)
            self._file.seek(end)
            raise


def _entries_of(content: bytes) -> tuple[dict[int, _Entry], int]:
    """The open entries and the last number; a line that is none is left out, and stays in the file."""
    entries: dict[int, _Entry] = {}
    last = 0
    for line in content[: content.rfind(b"\n") + 1].splitlines():
        with contextlib.suppress(ValueError, LookupError, TypeError):
            plain = json.loads(line)
            if "closed" in plain:
                entries.pop(plain["closed"], None)
                continue
            entry = _Entry(
                int(plain["number"]),
                str(plain["uri"]),
                str(plain["identity"]),
                tuple(map(str, plain["words"])),
                MoodTags.of_json(plain["former"]),
            )
            entries[entry.number] = entry
            last = max(last, entry.number)
    return entries, last
