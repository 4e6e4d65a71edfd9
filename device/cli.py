"""The command `moodify`: reads the arguments, runs what they ask for, and turns trouble into one line."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from device import __version__
from device.cli_library import add_library
from device.cli_options import Commands
from device.cli_options import add_command as _command
from device.cli_options import add_config_option as _config_option
from device.cli_options import config_of as _config
from device.config import Config, state_folder
from device.errors import SetupError, run_command
from web_ui.pairing import PairingStore

if TYPE_CHECKING:
    from device.lab.evaluate import Report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 good, 1 not good, 78 wrong set-up, 130 stopped by Ctrl-C."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for ours in ("device", "web_ui"):
        logging.getLogger(ours).setLevel(logging.DEBUG if options.verbose else logging.INFO)
    return run_command("moodify", lambda: options.command(options))


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
    add_library(commands)
    _add_pair(commands)
    _add_demo(commands)
    return parser


def _add_run(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "run", "run the speaker until it is stopped", _run)
    _config_option(parser)
    parser.add_argument("--scene", type=Path, metavar="FILE", help="replay a scene instead of camera and microphone")


def _add_replay(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "replay", "play scenes through the senses and tell what was recognised", _replay)
    _config_option(parser)
    parser.add_argument("scene", type=Path, nargs="+", help="scene files (docs/scenes.md)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--against", type=Path, metavar="FILE", help="compare with the JSON of another box; 1 when an answer differs"
    )


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
        choices=("auto", "ai-edge-litert", "tflite-runtime"),
        default="auto",
        help="which interpreter (face, voice)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="also draw what was found (face, voice)")


def _add_bench(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(
        commands, "bench", "measure how fast the speaker, the model runtimes or the library are here", _bench
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--repeats", type=int, default=50, metavar="N", help="runs of each measurement (default 50)")
    parser.add_argument("what", nargs="?", choices=("speaker", "runtimes", "library"), default="speaker")
    library = parser.add_argument_group("library", "how the catalogue grows; the largest sizes take minutes each")
    sizes = (1_000, 10_000, 100_000, 500_000, 1_000_000)
    library.add_argument("--sizes", type=int, nargs="+", default=sizes, metavar="N", help="tracks in the catalogue")
    library.add_argument("--files", type=int, default=50_000, metavar="N", help="real files to scan (default 50000)")


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


def _run(options: argparse.Namespace) -> int:
    from device.adapters.scene import load_scene
    from device.daemon import run

    config = _config(options)
    scene = load_scene(options.scene) if options.scene else None
    # One write a line: another thread's log line must not come between the words and their end.
    return run(config, scene, lambda line: print(f"{line}\n", end="", flush=True))


def _replay(options: argparse.Namespace) -> int:
    from device.adapters.scene import load_scene
    from device.lab.replay import Recognised, plain, replay, right_answers, table
    from device.lab.replay_elsewhere import compare, read_replay, text
    from device.senses import build_ears, build_eyes

    config = _config(options)
    there = read_replay(options.against) if options.against else None
    scenes = [load_scene(path) for path in options.scene]
    eyes = build_eyes(config)
    spans: list[Recognised] = []
    for number, scene in enumerate(scenes, start=1):
        spans += replay(scene, eyes, build_ears(config), config.brain, config.camera.rate_hz)
        _progress(number, len(scenes), "scenes")
    if options.json:
        print(json.dumps(plain(spans), indent=2))
    else:
        print(table(spans))
        right = right_answers(spans)
        print("right: " + ", ".join(f"{name} {hits} of {asked}" for name, (hits, asked) in right.items()))
    if there is None:
        return 0
    comparison = compare(spans, there)
    print(text(comparison), file=sys.stderr if options.json else sys.stdout)
    return 1 if comparison.differing else 0


def _check(options: argparse.Namespace) -> int:
    from device.lab.checkup import check

    return check(_config(options))


def _evaluate(options: argparse.Namespace) -> int:
    if options.pictures and options.modality == "music":
        raise SetupError("--pictures: nothing is drawn of music; draw face or voice")
    report = _measured(options, options.models or Config().paths.models)
    if options.pictures:
        from device.lab.pictures import draw

        for path in draw(options.modality, report.figures, options.pictures):
            print(path, file=sys.stderr)
    print(json.dumps(report.figures, indent=2) if options.json else report.text)
    return 0


def _measured(options: argparse.Namespace, models: Path) -> Report:
    if options.modality == "music":
        from device.lab.music import evaluate_music

        return evaluate_music(models, options.data)
    if options.modality == "face":
        from device.lab.evaluate_face import evaluate_face

        return evaluate_face(models, options.data, options.runtime)
    from device.lab.evaluate_voice import evaluate_voice

    return evaluate_voice(models, options.data, options.runtime)


def _bench(options: argparse.Namespace) -> int:
    if options.what == "library":
        return _bench_library(options)
    if options.what == "runtimes":
        return _bench_runtimes(options)
    from device.lab.bench import bench

    figures = bench(options.repeats)
    print(json.dumps(figures.plain, indent=2) if options.json else figures.text)
    return 0


def _bench_runtimes(options: argparse.Namespace) -> int:
    from device.lab.bench_runtimes import bench_runtimes, plain, table

    rows = bench_runtimes(Config().paths.models, options.repeats)
    print(json.dumps(plain(rows), indent=2) if options.json else table(rows))
    return 0


def _bench_library(options: argparse.Namespace) -> int:
    from device.lab.bench_library import bench_library

    growth = bench_library(options.sizes, options.files, lambda line: print(line, file=sys.stderr, flush=True))
    print(json.dumps(growth.plain, indent=2) if options.json else growth.text)
    return 0


def _progress(done: int, total: int, what: str = "files") -> None:
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        print(f"\r{done} of {total} {what}", end=end, file=sys.stderr, flush=True)


def _pair(options: argparse.Namespace) -> int:
    store = PairingStore(state_folder(_config(options)))
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
