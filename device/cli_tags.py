"""`moodify library write-tags` and `undo`: moods into the files' own tags, and back."""

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
from device.config import Config, state_folder
from device.domain.tracks import Origin
from device.errors import SetupError
from device.library import household_lexicon
from device.meter import Meter
from device.tagging import ORIGINS, TaggingReport, Write, plan_writes

_WHO = {Origin.PERSON: "a person said so", Origin.ANALYSIS: "by its sound"}


def add_write_arguments(action: argparse.ArgumentParser) -> None:
    """Of `write-tags`, besides --config and --json."""
    add_undo_arguments(action)
    action.add_argument("--dry-run", action="store_true", help="only tell what would be written")
    action.add_argument(
        "--only", choices=tuple(ORIGINS), default="all", help="moods that a person corrected, or that were heard"
    )


def add_undo_arguments(action: argparse.ArgumentParser) -> None:
    """Of `undo`, besides --config and --json."""
    action.add_argument("--music", type=Path, metavar="DIR", help="music folder instead of the configured one")
    action.add_argument("--yes", action="store_true", help="do not ask")


def write_tags(options: argparse.Namespace) -> int:
    """Write what the catalogue knows into the tags; 1 when some files were left alone."""
    config = config_of(options)
    writes = _plan(options, config)
    if options.dry_run or (writes and not options.json):
        _tell_plan(writes, options.json)
    if options.dry_run:
        return 0
    if writes:
        _ask(options, f"Write moods into {_files(len(writes))}? `moodify library undo` takes it back.")
    with Meter("files") as meter:
        report = tagging.write_tags(writes, _music(options, config), config.paths.state, meter)
    return _tell(report, options.json, "written")


def undo(options: argparse.Namespace) -> int:
    """Put the tags back as they were; 1 when some files were left alone."""
    config = config_of(options)
    _ask(options, "Put back the moods that stood in the tags before write-tags?")
    with _catalogue(config) as catalogue, Meter("files") as meter:
        report = tagging.undo(_music(options, config), config.paths.state, catalogue.each_track(), meter)
    return _tell(report, options.json, "put back")


def _plan(options: argparse.Namespace, config: Config) -> tuple[Write, ...]:
    with _catalogue(config) as catalogue:
        said = {uri: correction.words for uri, correction in catalogue.corrections().items()}
        return plan_writes(catalogue.each_track(), household_lexicon(config.paths.state), options.only, said)


def _catalogue(config: Config) -> Catalogue:
    return Catalogue(state_folder(config) / "catalogue.sqlite")


def _music(options: argparse.Namespace, config: Config) -> Path:
    folder: Path = options.music or config.library.music_folder
    if not folder.is_dir():
        raise SetupError(f"library.music_folder: {folder}: no such folder; name the folder that holds the music")
    return folder


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
