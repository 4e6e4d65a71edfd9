"""`moodify library analyse`: listens to the songs that nobody says the mood of."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from device.adapters.catalogue_sqlite import Catalogue
from device.analyst import Going, Hear, analyse
from device.cli_options import config_of
from device.config import Config, state_folder
from device.domain.hearing import Heard
from device.meter import Meter
from device.obstacles import Obstacles

WATCH_SECONDS = 60.0
"""How soon new songs are noticed."""


def add_analyse_options(action: argparse.ArgumentParser) -> None:
    """Of the action."""
    action.add_argument("--all", action="store_true", help="also listen to songs with a mood, for how they sound")
    action.add_argument("--watch", action="store_true", help="go on for ever, resting when it would disturb")


def run_analyse(options: argparse.Namespace) -> int:
    """Listen to what is new; may be stopped at any time and goes on where it was."""
    config = config_of(options)
    hear, model = _ear(config.paths.models)
    state = state_folder(config)
    _step_back()
    with Catalogue(state / "catalogue.sqlite") as catalogue:
        # A decoder may have been installed, a damaged disk repaired.
        catalogue.analysis_forgives()
        everything = options.all or (options.watch and config.analysis.everything)
        obstacle = Obstacles(config.analysis, catalogue) if options.watch else lambda: ""
        folder = config.library.music_folder
        while True:
            with Meter("songs") as meter:
                going = analyse(
                    folder,
                    catalogue,
                    hear,
                    model,
                    everything,
                    obstacle,
                    tell=lambda going: meter(going.done, going.total),
                )
            if not options.watch:
                return _tell(going, catalogue, options.json, config)
            time.sleep(WATCH_SECONDS)


def _tell(going: Going, catalogue: Catalogue, as_json: bool, config: Config) -> int:
    counts = catalogue.counts()
    if as_json:
        print(
            json.dumps({"analysis": asdict(going), "tracks": counts.tracks, "with_mood": counts.with_affect}, indent=2)
        )
        return 0
    if counts.tracks == 0:
        print(f"no tracks in the catalogue; `moodify library scan` reads {config.library.music_folder}")
    pace = f", {going.seconds_a_song:.1f} s a song" if going.seconds_a_song else ""
    print(f"{going.done} of {going.total} songs listened to{pace}; {going.failed} could not be heard")
    if going.detail:
        print(going.detail)
    print(f"{counts.tracks} tracks, {counts.with_affect} with a known mood")
    return 0


def _ear(models: Path) -> tuple[Hear, str]:
    """What listens to a file, and its name; slow to import, so only when it is needed."""
    from device.analysis.feeling import hear, load, read_music_card

    model, name = load(models), f"moodify-music {read_music_card(models).version}"

    def listen(path: Path) -> Heard:
        heard = hear(path, model)
        numbers = {
            "tempo_bpm": heard.tempo_bpm,
            "pulse_clarity": heard.pulse_clarity,
            "loudness_db": heard.loudness_db,
            "heard_seconds": heard.heard_seconds,
        }
        return Heard(heard.affect, heard.uncertainty, heard.timbre, numbers, name)

    return listen, name


def _step_back() -> None:
    """Let everybody else go first: the processors, and the disk where ionice is there."""
    with suppress(OSError):
        os.nice(19)
    if shutil.which("ionice"):
        subprocess.run(["ionice", "-c", "3", "-p", str(os.getpid())], check=False, timeout=5, capture_output=True)
