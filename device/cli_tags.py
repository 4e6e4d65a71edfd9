"""The commands `moodify library write-tags` and `undo`: moods into the files' own tags, and back."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from device import tagging
from device.adapters.catalogue_sqlite import Catalogue
from device.cli_options import config_of
from device.config import Config
from device.domain.lexicon import Lexicon
from device.domain.tracks import Origin, Track
from device.errors import SetupError
from device.library import load_lexicon
from device.tagging import ORIGINS, TaggingReport, Write, plan_writes

_WHO = {Origin.PERSON: "a person said so", Origin.ANALYSIS: "by its sound"}


def add_write_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of write-tags, besides --config."""
    _add_common(parser)
    parser.add_argument("--dry-run", action="store_true", help="only tell what would be written")
    parser.add_argument("--yes", action="store_true", help="write without asking")
    parser.add_argument(
        "--only", choices=tuple(ORIGINS), default="all", help="moods that a person corrected, or that were heard"
    )


def add_undo_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of undo, besides --config."""
    _add_common(parser)
    parser.add_argument("--yes", action="store_true", help="put back without asking")


def write_tags(options: argparse.Namespace) -> int:
    """Write what the catalogue knows into the tags; 1 when some files were left alone."""
    config = config_of(options)
    writes = plan_writes(_tracks(config), _lexicon(config), options.only)
    if options.dry_run:
        _tell_plan(writes, options.json)
        return 0
    if not writes:
        return _tell(TaggingReport((), 0, ()), options.json, "written")
    if not options.json:
        _tell_plan(writes, False)
    _ask(options, f"Write moods into {_files(len(writes))}? `moodify library undo` takes it back.")
    report = tagging.write_tags(writes, _music(options, config), config.paths.state, _progress)
    return _tell(report, options.json, "written")


def undo(options: argparse.Namespace) -> int:
    """Put the tags back as they were; 1 when some files were left alone."""
    config = config_of(options)
    _ask(options, "Put back the moods that stood in the tags before write-tags?")
    report = tagging.undo(_music(options, config), config.paths.state, _tracks(config), _progress)
    return _tell(report, options.json, "put back")


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--music", type=Path, metavar="DIR", help="music folder instead of the configured one")


def _music(options: argparse.Namespace, config: Config) -> Path:
    folder: Path = options.music or config.library.music_folder
    if not folder.is_dir():
        raise SetupError(f"library.music_folder: {folder}: no such folder; name the folder that holds the music")
    return folder


def _tracks(config: Config) -> tuple[Track, ...]:
    config.paths.state.mkdir(parents=True, exist_ok=True)
    with Catalogue(config.paths.state / "catalogue.sqlite") as catalogue:
        return tuple(catalogue.tracks())


def _lexicon(config: Config) -> Lexicon:
    own = config.paths.state / "lexicon.toml"
    return load_lexicon(own if own.exists() else None)


def _ask(options: argparse.Namespace, question: str) -> None:
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise SetupError("nobody can be asked here; add --yes to change files, or look first with --dry-run")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise SetupError("nothing was changed")


def _tell_plan(writes: tuple[Write, ...], as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(write) for write in writes], indent=2, default=lambda kind: kind.value))
        return
    for write in writes:
        former = ", ".join(write.former) or "no moods"
        print(f"{write.uri}: {former} → {', '.join(write.words)} ({_WHO[write.origin]})")
    origins = Counter(write.origin for write in writes)
    print(f"{_files(len(writes))} to write: " + ", ".join(f"{origins[who]} {text}" for who, text in _WHO.items()))


def _tell(report: TaggingReport, as_json: bool, done: str) -> int:
    if as_json:
        print(json.dumps(asdict(report), indent=2))
    else:
        for problem in report.left_alone:
            print(f"left alone: {problem.uri}: {problem.reason}")
        left = f", {len(report.left_alone)} left alone" if report.left_alone else ""
        print(f"{_files(len(report.changed))} {done}, {report.same} as they should be{left}")
    return 1 if report.left_alone else 0


def _files(count: int) -> str:
    return f"{count} {'file' if count == 1 else 'files'}"


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {total} files", end="\n" if done == total else "", file=sys.stderr, flush=True)
