"""The made-up households are the same for the same seed, and what they like is noticed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from device.domain.labels import affect_of
from device.domain.selection import SelectionSettings
from device.lab.household import (
    DAY,
    LISTENERS,
    STRATEGIES,
    Listener,
    Memory,
    Speaker,
    fall,
    heard_out,
    listen,
    live,
    make_days,
    make_library,
    plot,
    table,
)

LIBRARY = make_library(np.random.default_rng(1), tracks=600, artists=60, genres=6)
DAYS = make_days(np.random.default_rng(2), 3)

SELECTION = SelectionSettings()


@pytest.fixture(scope="module")
def reports():
    return live(0, 3, 1, SELECTION, ("fan", "by the clock"), 600)


def test_a_constant_taste_is_learned():
    harsh = LIBRARY.timbre[:, 1] > 0
    listener = Listener("constant", lambda mood, hour: (affect_of(mood),), np.where(harsh, -1.0, 0.2))

    def late_share(learns: bool, seed: int) -> float:
        chance = np.random.default_rng(seed)
        log = listen(LIBRARY, listener, Speaker(LIBRARY, 1, SELECTION, learns), DAYS, chance, SELECTION)
        return harsh[log.rows[len(log.rows) // 2 :]].mean()

    learned, unlearned = (np.mean([late_share(learns, seed) for seed in range(4, 8)]) for learns in (True, False))
    assert learned < 0.85 * unlearned


def test_the_same_seed_gives_the_same_weeks(reports):
    again = live(0, 3, 1, SELECTION, ("fan",), 600)
    assert again == [each for each in reports if each.listener == "fan"]


def test_every_listener_meets_every_strategy_on_the_same_days(reports):
    assert {(each.listener, each.strategy) for each in reports} == {
        (listener, strategy) for listener in ("fan", "by the clock") for strategy in STRATEGIES
    }
    assert all(0 <= each.possible_of_100 < each.skips_of_100 <= 100 for each in reports)


def test_the_speaker_never_repeats_a_song_within_its_rest(reports):
    assert all(each.repeats == 0 for each in reports if each.strategy in ("near and fresh", "learning"))
    assert all(each.repeats > 0 for each in reports if each.strategy == "nearest")


def test_the_table_names_everybody_and_the_figures_go_into_json_and_a_picture(reports, tmp_path):
    text = table(reports)
    assert all(name in text for name in (*STRATEGIES, "fan", "by the clock"))
    json.dumps([asdict(each) for each in reports])
    plot(reports, tmp_path / "skips.png")
    assert (tmp_path / "skips.png").read_bytes().startswith(b"\x89PNG")


def test_a_fall_lies_within_its_bounds(reports):
    middle, low, high = fall(reports, "nearest")
    assert low <= middle <= high


def test_a_day_has_two_to_four_hours():
    hours = np.zeros(3)
    for spell in DAYS:
        assert spell.from_seconds < spell.to_seconds
        hours[int(spell.from_seconds // DAY)] += (spell.to_seconds - spell.from_seconds) / 3600
    assert hours.min() >= 2 - 1e-6 and hours.max() <= 4 + 1e-6
    many = make_days(np.random.default_rng(2), 60)
    assert 0.05 < np.mean([spell.mood != spell.sensed for spell in many]) < 0.2


def test_what_is_liked_more_is_heard_out_more_often():
    chances = heard_out(np.linspace(-2, 2, 9))
    assert np.all(np.diff(chances) > 0) and chances[0] > 0 and chances[-1] < 1


@pytest.mark.parametrize("name", LISTENERS)
def test_listeners_tire_of_a_song(name):
    listener = LISTENERS[name](LIBRARY, np.random.default_rng(1))
    memory = Memory(np.full(600, -np.inf), np.full(LIBRARY.artists, -np.inf))
    fresh = listener.liking(LIBRARY, "sad", 1000.0, memory)
    memory.songs[7], memory.artists[LIBRARY.artist[7]] = 700.0, 700.0
    assert listener.liking(LIBRARY, "sad", 1000.0, memory)[7] < fresh[7] - 1


def test_runs_from_the_command_line():
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "device.lab.household", "--help"], cwd=root, capture_output=True, text=True, check=True
    )
    assert "--plot" in done.stdout
