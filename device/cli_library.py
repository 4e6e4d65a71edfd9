"""`moodify library`: read the music folder, look into the catalogue, and set right how a track feels."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from device.adapters.catalogue_sqlite import Catalogue, Layers
from device.cli_analyse import add_analyse_options, run_analyse
from device.cli_options import Commands, add_command, add_config_option, config_of
from device.cli_tags import add_undo_arguments, add_write_arguments, undo, write_tags
from device.config import state_folder
from device.domain.labels import Affect
from device.domain.lexicon import Lexicon, affect_of_words, unknown_words
from device.domain.tracks import Track
from device.errors import SetupError
from device.meter import Meter


def add_library(commands: Commands) -> None:  # type: ignore[valid-type]
    """The command and all its actions."""
    parser = commands.add_parser("library", help="read, list and set right the music library")  # type: ignore[attr-defined]
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    for name, text, run in (
        ("scan", "read what changed in the music folder", _scan),
        ("list", "list the tracks and how they feel", _list),
        ("show", "tell all that is known of a track", _show),
        ("moods", "list the mood words in the tags and where each lies", _moods),
        ("problems", "list the files that could not be read or heard", _problems),
        ("analyse", "listen to the songs that no tag and nobody says the mood of", run_analyse),
        ("write-tags", "write moods into the files' own tags (--dry-run shows what)", write_tags),
        ("undo", "put the tags back as they were before write-tags", undo),
        ("correct", "say how a track feels, in mood words or numbers", _correct),
    ):
        action = add_command(actions, name, text, run)
        add_config_option(action)
        action.add_argument("--json", action="store_true", help="print JSON")
        if name in _OPTIONS:
            _OPTIONS[name](action)


def _scan_options(action: argparse.ArgumentParser) -> None:
    action.add_argument("--music", type=Path, metavar="DIR", help="music folder instead of the configured one")


def _list_options(action: argparse.ArgumentParser) -> None:
    _scan_options(action)
    action.add_argument("--duplicates", action="store_true", help="only copies of one recording, side by side")


def _show_options(action: argparse.ArgumentParser) -> None:
    action.add_argument("uri", metavar="URI", help="as `moodify library list` shows it")


def _correct_options(action: argparse.ArgumentParser) -> None:
    _show_options(action)
    action.add_argument("words", nargs="*", metavar="WORD", help="mood words: their mean place counts")
    action.add_argument("--valence", type=_number, metavar="V", help="-1 unpleasant … 1 pleasant")
    action.add_argument("--arousal", type=_number, metavar="A", help="-1 calm … 1 excited")
    action.add_argument("--forget", action="store_true", help="take back what was said before")


_OPTIONS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "scan": _scan_options,
    "list": _list_options,
    "show": _show_options,
    "problems": _scan_options,
    "analyse": add_analyse_options,
    "write-tags": add_write_arguments,
    "undo": add_undo_arguments,
    "correct": _correct_options,
}


def _number(text: str) -> float:
    number = float(text)
    if not -1 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not -1 … 1")
    return number


@contextmanager
def _catalogue(options: argparse.Namespace) -> Iterator[tuple[Catalogue, Path]]:
    """The catalogue and the music folder that the arguments and the configuration name."""
    config = config_of(options)
    with Catalogue(state_folder(config) / "catalogue.sqlite") as catalogue:
        yield catalogue, getattr(options, "music", None) or config.library.music_folder


def _scan(options: argparse.Namespace) -> int:
    from device.library import household_lexicon, scan

    lexicon = household_lexicon(state_folder(config_of(options)))
    with _catalogue(options) as (catalogue, folder), Meter("files") as meter:
        report = scan(folder, catalogue, meter, lexicon)
    if options.json:
        _print_json(asdict(report))
        return 0
    print(f"{report.read} read, {report.unchanged} unchanged, {report.removed} removed")
    for problem in report.quarantined:
        print(f"cannot be read: {problem.uri}: {problem.reason}")
    if report.unknown_words:
        print(f"mood words nobody knows: {', '.join(report.unknown_words)}")
    if report.track_count == 0:
        print(f"no music in {folder}; put tagged files there")
    return 0


def _list(options: argparse.Namespace) -> int:
    with _catalogue(options) as (catalogue, _):
        if options.duplicates:
            return _list_duplicates(catalogue, options.json)
        if options.json:
            _print_json_list(plain_track(track) for track in catalogue.each_track())
            return 0
        for track in catalogue.each_track():
            print(_line(track))
        counts = catalogue.counts()
        print(f"{counts.tracks} tracks, {counts.with_affect} with a known mood")
    return 0


def _list_duplicates(catalogue: Catalogue, as_json: bool) -> int:
    groups = [[catalogue.track(uri) for uri in group] for group in catalogue.duplicates()]
    copies = [[track for track in group if track] for group in groups]
    if as_json:
        _print_json([[plain_track(track) for track in group] for group in copies])
        return 0
    for group in copies:
        print(f"{group[0].artist} – {group[0].title}" if group[0].artist else group[0].title)
        for track in group:
            print(f"    {track.uri}")
    print(f"{len(copies)} recordings in more than one file")
    return 0


def _show(options: argparse.Namespace) -> int:
    with _catalogue(options) as (catalogue, _):
        layers = catalogue.layers(options.uri)
        if layers is None:
            raise SetupError(f"{options.uri}: no such track; `moodify library list` shows them")
    if options.json:
        _print_json(_plain_layers(layers))
        return 0
    for name, text in _told(layers):
        print(f"{name:<16}{text}")
    return 0


def _moods(options: argparse.Namespace) -> int:
    from device.library import household_lexicon

    lexicon = household_lexicon(state_folder(config_of(options)))
    with _catalogue(options) as (catalogue, _):
        counts = catalogue.mood_words()
    words = sorted(counts, key=lambda word: (-counts[word], word))
    if options.json:
        _print_json([_plain_word(word, counts[word], lexicon) for word in words])
        return 0
    for word in words:
        note = "unknown" if not lexicon.knows(word) else lexicon.source_of(word)
        print(f"{counts[word]:>7}  {_point(lexicon.affect_of(word))}  {word:<20}  {note}")
    unknown = sum(not lexicon.knows(word) for word in words)
    print(f"{len(words)} mood words, {unknown} of them unknown")
    return 0


def _problems(options: argparse.Namespace) -> int:
    with _catalogue(options) as (catalogue, _):
        unread, unheard = catalogue.problems(), catalogue.analysis_failures()
    if options.json:
        kinds = ((unread, "read"), (unheard, "heard"))
        _print_json([asdict(problem) | {"cannot_be": kind} for found, kind in kinds for problem in found])
        return 0
    for problem in unread:
        print(f"{problem.uri}: {problem.reason}")
    for problem in unheard:
        print(f"{problem.uri}: cannot be heard: {problem.reason}")
    print(f"{len(unread)} files could not be read")
    if unheard:
        print(f"{len(unheard)} files could not be heard")
    return 0


def _correct(options: argparse.Namespace) -> int:
    with _catalogue(options) as (catalogue, _):
        if options.forget:
            done = catalogue.uncorrect(options.uri)
            missing = "nobody corrected it; `moodify library show` tells all that is known of it"
        else:
            done = catalogue.correct(options.uri, _wanted(options), tuple(options.words))
            missing = "no such track; `moodify library list` shows them"
        if not done:
            raise SetupError(f"{options.uri}: {missing}")
        layers = catalogue.layers(options.uri)
    assert layers
    if options.json:
        _print_json(plain_track(layers.track))
    else:
        print(_line(layers.track))
    return 0


def _wanted(options: argparse.Namespace) -> Affect:
    """The place that the words or the numbers name; numbers stand above words, one each."""
    from device.library import household_lexicon

    lexicon = household_lexicon(state_folder(config_of(options)))
    unknown = unknown_words(options.words, lexicon)
    if unknown:
        raise SetupError(f"{', '.join(unknown)}: nobody knows this word; say it in others, or --valence and --arousal")
    by_words = affect_of_words(options.words, lexicon)
    valence, arousal = options.valence, options.arousal
    if by_words:
        valence = by_words.valence if valence is None else valence
        arousal = by_words.arousal if arousal is None else arousal
    if valence is None or arousal is None:
        raise SetupError("correct: how does it feel? Name mood words, or both --valence and --arousal")
    return Affect(valence, arousal)


def plain_track(track: Track) -> dict[str, Any]:
    """A track for JSON: the timbre as signed numbers."""
    timbre = list(memoryview(track.timbre).cast("b"))
    return asdict(track) | {"origin": track.origin.value, "timbre": timbre}


def _plain_layers(layers: Layers) -> dict[str, Any]:
    return {
        "track": plain_track(layers.track),
        "tags": {"moods": layers.track.moods, "affect": layers.tag_affect and asdict(layers.tag_affect)},
        "heard": layers.heard and asdict(layers.heard) | {"timbre": list(memoryview(layers.heard.timbre).cast("b"))},
        "correction": layers.correction and asdict(layers.correction),
        "tally": asdict(layers.tally),
        "copies": list(layers.copies),
    }


def _plain_word(word: str, count: int, lexicon: Lexicon) -> dict[str, Any]:
    place = lexicon.affect_of(word)
    return {
        "word": word,
        "tracks": count,
        "affect": place and asdict(place),
        "known": lexicon.knows(word),
        "source": lexicon.source_of(word),
    }


def _line(track: Track) -> str:
    words = ", ".join(track.moods)
    return f"{_point(track.affect)}  {track.origin.value:<8}  {track.artist} – {track.title}  [{words}]  {track.uri}"


def _told(layers: Layers) -> Iterator[tuple[str, str]]:
    """All that is known of a track, line by line; what nobody knows is left out."""
    track, heard, said, tally = layers.track, layers.heard, layers.correction, layers.tally
    minutes, seconds = divmod(round(track.duration_seconds), 60)
    lines = (
        ("uri", track.uri),
        ("title", track.title),
        ("artist", track.artist),
        ("album", track.album),
        ("album artist", track.album_artist + (" (compilation)" if track.compilation else "")),
        ("genre", track.genre),
        ("year", str(track.year or "")),
        ("length", f"{minutes}:{seconds:02}"),
        ("marked", "explicit" if track.explicit else ""),
        ("rating", "★" * track.rating),
        ("recording id", track.recording_id),
        ("identity", track.identity),
        (
            "feels",
            f"{_point(track.affect)}  by {track.origin.value}, ± {track.uncertainty:.2f}" if track.affect else "?",
        ),
        ("  the tags", f"{_point(layers.tag_affect)}  [{', '.join(track.moods)}]"),
        ("  the analysis", f"{_point(heard.affect)}  ± {heard.uncertainty:.2f}, {heard.model}" if heard else ""),
        ("  a person", f"{_point(said.affect)}  [{', '.join(said.words)}], {_day(said.at_unix)}" if said else ""),
        ("measured", ", ".join(f"{name} {value:g}" for name, value in heard.numbers.items()) if heard else ""),
        ("played", f"{tally.play_count} times, last {_day(tally.last_played_unix)}" if tally.play_count else ""),
        ("skipped", f"{tally.skip_count} times, last {_day(tally.last_skipped_unix)}" if tally.skip_count else ""),
        ("judged", ("disliked", "", "liked")[tally.like]),
        *(("also in", uri) for uri in layers.copies),
    )
    return ((name, text) for name, text in lines if text)


def _point(affect: Affect | None) -> str:
    return f"{affect.valence:+.2f} {affect.arousal:+.2f}" if affect else "     ?     "


def _day(at_unix: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(at_unix))


def _print_json(plain: object) -> None:
    print(json.dumps(plain, indent=2))


def _print_json_list(items: Iterable[dict[str, Any]]) -> None:
    """Item by item, as there may be very many."""
    sys.stdout.write("[")
    for number, item in enumerate(items):
        sys.stdout.write((",\n" if number else "\n") + json.dumps(item))
    print("\n]")
