"""The command `moodify`: reads the arguments, runs what they ask for, and turns trouble into one line."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from device import __version__
from device.adapters.catalogue_sqlite import Catalogue
from device.config import Config, load_config
from device.errors import EXIT_SETUP, MoodifyError, SetupError
from web_ui.pairing import PairingStore

DEFAULT_CONFIG = Path("/etc/moodify/moodify.toml")
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 good, 1 not good, 78 wrong set-up, 130 stopped by Ctrl-C."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for ours in ("device", "web_ui"):
        logging.getLogger(ours).setLevel(logging.DEBUG if options.verbose else logging.INFO)
    try:
        return int(options.command(options))
    except MoodifyError as error:
        print(f"moodify: {error}", file=sys.stderr)
        return EXIT_SETUP if isinstance(error, SetupError) else 1
    except KeyboardInterrupt:
        print("moodify: stopped", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="moodify",
        description="A speaker that notices how the room feels and plays the household's own music accordingly.",
        epilog="Exit status: 0 good, 1 not good, 78 wrong set-up (one line says what, which and what to do).",
    )
    parser.add_argument("--version", action="version", version=f"moodify {__version__}")
    parser.add_argument("--verbose", action="store_true", help="log more")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_replay(commands)
    _add_check(commands)
    _add_evaluate(commands)
    _add_bench(commands)
    _add_library(commands)
    _add_pair(commands)
    _add_demo(commands)
    return parser


Commands = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _add_run(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "run", "run the speaker until it is stopped", _run)
    _config_option(parser)
    parser.add_argument("--scene", type=Path, metavar="FILE", help="replay a scene instead of camera and microphone")


def _add_replay(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "replay", "play scenes through the senses and tell what was recognised", _replay)
    _config_option(parser)
    parser.add_argument("scene", type=Path, nargs="+", help="scene files (docs/scenes.md)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_check(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "check", "look at the set-up and say what is there and what is missing", _check)
    _config_option(parser)


def _add_evaluate(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "evaluate", "measure a shipped model on its data sets", _evaluate)
    parser.add_argument("modality", choices=("face", "voice", "music"))
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with the data sets")
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder with the models (default: the shipped ones)")
    parser.add_argument(
        "--runtime",
        choices=("auto", "tflite-runtime", "ai-edge-litert"),
        default="auto",
        help="which interpreter (face, voice)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_bench(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "bench", "measure how fast the speaker is on this machine", _bench)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--repeats", type=int, default=50, metavar="N", help="runs of each measurement (default 50)")


def _add_library(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = commands.add_parser("library", help="read and list the music library")  # type: ignore[attr-defined]
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    for name, text, command in (
        ("scan", "read what changed in the music folder", _library_scan),
        ("list", "list the tracks and how they feel", _library_list),
        ("problems", "list the files that could not be read", _library_problems),
    ):
        action = _command(actions, name, text, command)
        _config_option(action)
        action.add_argument("--music", type=Path, metavar="DIR", help="music folder instead of the configured one")
        action.add_argument("--json", action="store_true", help="print JSON")


def _add_pair(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "pair", "let a phone use the page: show a code, list or revoke phones", _pair)
    _config_option(parser)
    parser.add_argument("--list", action="store_true", help="list paired phones")
    parser.add_argument("--revoke", metavar="ID", help="take a phone's access away")


def _add_demo(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "demo", "run the speaker on a replayed scene, with its own MPD and broker", _demo)
    parser.add_argument("--seconds", type=float, metavar="N", help="end after N seconds with a summary")
    parser.add_argument("--live", action="store_true", help="use the real camera and microphone")
    parser.add_argument("--sound", action="store_true", help="play aloud through the default output")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where the demo keeps its music and state")
    parser.add_argument("--port", type=int, default=8321, metavar="P", help="of the page (0: any free one)")


def _command(commands, name: str, text: str, run) -> argparse.ArgumentParser:  # type: ignore[no-untyped-def]  # noqa: ANN001
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text.capitalize() + ".")
    parser.set_defaults(command=run)
    return parser


def _config_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"configuration (default: {DEFAULT_CONFIG} where it exists)"
    )


def _config(options: argparse.Namespace) -> Config:
    if options.config is None and DEFAULT_CONFIG.exists():
        return load_config(DEFAULT_CONFIG)
    return load_config(options.config)


def _run(options: argparse.Namespace) -> int:
    from device.adapters.scene import load_scene
    from device.daemon import run

    config = _config(options)
    scene = load_scene(options.scene) if options.scene else None
    # One write a line: another thread's log line must not come between the words and their end.
    return run(config, scene, lambda line: print(f"{line}\n", end="", flush=True))


def _replay(options: argparse.Namespace) -> int:
    from device.adapters.scene import load_scene
    from device.domain.brain import BrainSettings
    from device.lab.replay import Recognised, replay, right_answers, table
    from device.senses import build_ears, build_eyes

    config = _config(options)
    settings = BrainSettings(config.fusion, config.mood, config.music, config.selection)
    scenes = [load_scene(path) for path in options.scene]
    eyes = build_eyes(config)
    spans: list[Recognised] = []
    for number, scene in enumerate(scenes, start=1):
        spans += replay(scene, eyes, build_ears(config, lambda: False), settings, config.camera.rate_hz)
        _progress(number, len(scenes), "scenes")
    right = right_answers(spans)
    if options.json:
        told = [{"scene": span.scene, "wanted": span.wanted, "answers": span.answers} for span in spans]
        print(json.dumps({"spans": told, "right": right}, indent=2))
    else:
        print(table(spans))
        print("right: " + ", ".join(f"{name} {hits} of {asked}" for name, (hits, asked) in right.items()))
    return 0


def _check(options: argparse.Namespace) -> int:
    from device.lab.checkup import check

    return check(_config(options))


def _evaluate(options: argparse.Namespace) -> int:
    from device.lab.evaluate import evaluate_face, evaluate_voice

    models = options.models or Config().paths.models
    if options.modality == "music":
        from device.lab.music import evaluate_music

        report = evaluate_music(models, options.data)
    else:
        evaluate = evaluate_face if options.modality == "face" else evaluate_voice
        report = evaluate(models, options.data, options.runtime)
    print(json.dumps(report.figures, indent=2) if options.json else report.text)
    return 0


def _bench(options: argparse.Namespace) -> int:
    from device.lab.bench import bench

    figures = bench(options.repeats)
    print(json.dumps(figures.plain, indent=2) if options.json else figures.text)
    return 0


def _library_scan(options: argparse.Namespace) -> int:
    from device.library import scan

    with _catalogue(options) as (catalogue, folder):
        report = scan(folder, catalogue, _progress)
        plain = asdict(report)
        if options.json:
            print(json.dumps(plain, indent=2, default=str))
            return 0
        print(f"{report.read} read, {report.unchanged} unchanged, {report.removed} removed")
        for problem in report.quarantined:
            print(f"cannot be read: {problem.uri}: {problem.reason}")
        if report.unknown_words:
            print(f"mood words nobody knows: {', '.join(report.unknown_words)}")
        if report.track_count == 0:
            print(f"no music in {folder}; put tagged files there")
    return 0


def _library_list(options: argparse.Namespace) -> int:
    with _catalogue(options) as (catalogue, _):
        tracks = catalogue.tracks()
        if options.json:
            print(json.dumps([asdict(track) for track in tracks], indent=2, default=lambda kind: kind.value))
            return 0
        for track in tracks:
            feel = f"{track.affect.valence:+.2f} {track.affect.arousal:+.2f}" if track.affect else "     ?     "
            print(f"{feel}  {track.artist} – {track.title}  [{', '.join(track.moods)}]  {track.uri}")
        print(f"{len(tracks)} tracks, {sum(track.affect is not None for track in tracks)} with a known mood")
    return 0


def _library_problems(options: argparse.Namespace) -> int:
    with _catalogue(options) as (catalogue, _):
        problems = catalogue.problems()
        if options.json:
            print(json.dumps([asdict(problem) for problem in problems], indent=2))
            return 0
        for problem in problems:
            print(f"{problem.uri}: {problem.reason}")
        print(f"{len(problems)} files could not be read")
    return 0


@contextmanager
def _catalogue(options: argparse.Namespace) -> Iterator[tuple[Catalogue, Path]]:
    """The catalogue and the music folder that the arguments and the configuration name."""
    config = _config(options)
    config.paths.state.mkdir(parents=True, exist_ok=True)
    with Catalogue(config.paths.state / "catalogue.sqlite") as catalogue:
        yield catalogue, options.music or config.library.music_folder


def _progress(done: int, total: int, what: str = "files") -> None:
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        print(f"\r{done} of {total} {what}", end=end, file=sys.stderr, flush=True)


def _pair(options: argparse.Namespace) -> int:
    store = PairingStore(_config(options).paths.state)
    if options.list:
        for phone in store.list():
            print(f"{phone.id}  {time.strftime('%Y-%m-%d', time.localtime(phone.created_at))}  {phone.name}")
        return 0
    if options.revoke:
        if store.revoke(options.revoke):
            print(f"{options.revoke}: may no longer use the page")
            return 0
        raise SetupError(f"--revoke {options.revoke}: no such phone; `moodify pair --list` shows them")
    print(f"{store.issue_code(time.time())}\nType this code into the page within five minutes; it works once.")
    return 0


def _demo(options: argparse.Namespace) -> int:
    from device.demo.run import run_demo

    return run_demo(options.seconds, options.live, options.folder, options.port, options.sound)
