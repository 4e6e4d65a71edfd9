"""The files of the music folder, as MPD would find them: hidden names and what .mpdignore lists are left out."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from device.adapters.catalogue_sqlite import Problem
from device.adapters.tags_mutagen import SUFFIXES
from device.domain.text import cleaned, flaw_in
from device.errors import SetupError

File = tuple[str, int, int]
"""A music file: its uri, its time of change in nanoseconds, its size in bytes. Plain, as there are very many."""

IGNORE_NAME = ".mpdignore"
LONGEST_IGNORE_BYTES = 1_000_000
FARTHEST_NS = 2**63 - 1
"""In the year 2262: later times of change, and those before 1677, do not fit into the catalogue and count as this."""

Ignored = re.Pattern[str] | None


def music_files(music_folder: Path, problems: list[Problem]) -> Iterator[File]:
    """All music files, links included and loops left out; what cannot be taken is added to `problems`.

    SetupError, at the first file, when there is no such folder.
    """
    try:
        os.scandir(music_folder).close()
    except OSError as error:
        raise SetupError(
            f"library.music_folder: {music_folder}: {_reason(error)}; name the folder that holds the music"
        ) from None
    walk = _Walk(problems)
    yield from walk.files(str(music_folder))


class _Walk:
    """Real folders first, then linked ones that were not seen yet."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._seen: set[tuple[int, int]] = set()
        self._folders: list[tuple[str, str, Ignored]] = []
        """Path, the beginning of the uris in it, and what is ignored in it."""
        self._linked: list[tuple[str, str, Ignored]] = []

    def files(self, folder: str) -> Iterator[File]:
        self._folders.append((folder, "", None))
        while self._folders or self._linked:
            path, prefix, ignored = self._folders.pop() if self._folders else self._linked.pop()
            try:
                facts = os.stat(path)  # noqa: PTH116 - names may be no valid text, and there are many
                if (facts.st_dev, facts.st_ino) in self._seen:
                    continue
                self._seen.add((facts.st_dev, facts.st_ino))
                with os.scandir(path) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name, reverse=True)
            except OSError as error:
                self._report(prefix.rstrip("/"), f"this folder cannot be opened: {_reason(error)}")
                continue
            yield from self._in_folder(entries, prefix, self._also_ignored(path, prefix, entries, ignored))

    def _in_folder(self, entries: list[os.DirEntry[str]], prefix: str, ignored: Ignored) -> Iterator[File]:
        for entry in entries:
            name = entry.name
            if name[0] == "." or (ignored and ignored.match(name)):
                continue
            if _is_folder(entry):
                where = self._linked if entry.is_symlink() else self._folders
                where.append((entry.path, f"{prefix}{name}/", ignored))
            elif name[name.rfind(".") :].lower() in SUFFIXES:
                file = self._file(entry, prefix + name)
                if file:
                    yield file

    def _file(self, entry: os.DirEntry[str], uri: str) -> File | None:
        if not uri.isprintable() and (flaw := flaw_in(uri)):
            self._report(cleaned(uri), flaw)
            return None
        try:
            facts = entry.stat()
        except OSError as error:
            self._report(uri, f"cannot be read: {_reason(error)}")
            return None
        if not stat.S_ISREG(facts.st_mode):
            return None
        return uri, max(-FARTHEST_NS, min(facts.st_mtime_ns, FARTHEST_NS)), facts.st_size

    def _also_ignored(self, path: str, prefix: str, entries: list[os.DirEntry[str]], ignored: Ignored) -> Ignored:
        """What is ignored in a folder: all that is ignored above it, and what its own list says."""
        if not any(entry.name == IGNORE_NAME for entry in entries):
            return ignored
        try:
            with open(os.path.join(path, IGNORE_NAME), "rb") as file:  # noqa: PTH118, PTH123 - may be no valid text
                lines = [line.strip() for line in os.fsdecode(file.read(LONGEST_IGNORE_BYTES)).split("\n")]
        except OSError as error:
            self._report(prefix + IGNORE_NAME, f"cannot be read: {_reason(error)}")
            return ignored
        patterns = [_expression(line) for line in lines if line and not line.startswith("#")]
        above = [ignored.pattern] if ignored else []
        return re.compile("|".join([*above, *patterns])) if patterns else ignored

    def _report(self, uri: str, reason: str) -> None:
        self._problems.append(Problem(cleaned(uri) or ".", reason))


def _expression(pattern: str) -> str:
    """A shell pattern as MPD takes it, with backslashes before characters that stand for themselves."""
    plain = re.sub(r"\\(.)|\[\^", lambda found: _itself(found[1]) if found[1] else "[!", pattern)
    return f"(?:{fnmatch.translate(plain)})"


def _itself(character: str) -> str:
    return f"[{character}]" if character in "*?[" else character


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
