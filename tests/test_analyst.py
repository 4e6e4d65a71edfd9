"""The analyst listens to what nobody says anything of, rests when it disturbs, and may end at any time."""

from __future__ import annotations

import json
import shutil
from threading import Event

import pytest

from device.adapters.board import Busyness, temperature_celsius
from device.adapters.catalogue_sqlite import Catalogue
from device.analyst import Going, analyse, how_it_goes
from device.domain.hearing import Heard
from device.domain.labels import Affect
from device.domain.tracks import Origin
from device.errors import MoodifyError
from device.library import scan
from tests.mpd_server import write_tone
from tests.test_library import song

MODEL = "ear 1"


@pytest.fixture
def music(tmp_path):
    folder = tmp_path / "music"
    song(folder / "tagged.flac", "happy")
    for number, name in enumerate("abc", start=1):
        write_tone(folder / f"{name}.flac", seconds=0.2 * number)
    return folder


@pytest.fixture
def catalogue(tmp_path, music):
    with Catalogue(tmp_path / "catalogue.sqlite") as catalogue:
        scan(music, catalogue)
        yield catalogue


def heard(path) -> Heard:
    return Heard(Affect(0.25, -0.5), 0.4, bytes(12), {"tempo_bpm": 90.0}, MODEL)


def test_songs_without_a_mood_get_one_and_tags_stay(music, catalogue):
    going = analyse(music, catalogue, heard, MODEL)
    assert (going.done, going.total, going.failed) == (3, 3, 0)
    assert catalogue.track("a.flac").origin is Origin.ANALYSIS
    assert catalogue.track("a.flac").affect == Affect(0.25, -0.5)
    assert catalogue.track("tagged.flac").origin is Origin.TAG
    assert len(catalogue.shelf()) == 4


def test_with_everything_the_tagged_are_heard_too_for_their_sound(music, catalogue):
    assert analyse(music, catalogue, heard, MODEL, everything=True).done == 4
    assert catalogue.track("tagged.flac").timbre == bytes(12)
    assert catalogue.track("tagged.flac").origin is Origin.TAG


def test_a_song_that_cannot_be_heard_is_noted_and_the_others_go_on(music, catalogue):
    def hear(path):
        if path.name == "b.flac":
            raise MoodifyError("holds no sound")
        return heard(path)

    going = analyse(music, catalogue, hear, MODEL)
    assert (going.done, going.failed) == (3, 1)
    assert [(problem.uri, problem.reason) for problem in catalogue.analysis_failures()] == [
        ("b.flac", "holds no sound")
    ]
    again = analyse(music, catalogue, lambda path: pytest.fail("it was tried again"), MODEL)
    assert again.done == 3


def test_a_disk_that_is_away_for_a_moment_costs_nothing(music, catalogue, tmp_path, monkeypatch):
    away = music.rename(tmp_path / "away")
    music.mkdir()
    assert analyse(music, catalogue, heard, MODEL).done == 0
    monkeypatch.setattr("device.analyst.MOST_MISSING", 2)
    assert analyse(music, catalogue, heard, MODEL).detail == f"many files are not in {music}; is the disk there?"
    assert how_it_goes(catalogue).detail.startswith("many files are not in")
    assert catalogue.analysis_failures() == ()
    music.rmdir()
    away.rename(music)
    going = analyse(music, catalogue, heard, MODEL)
    assert (going.done, going.total, going.failed) == (3, 3, 0)


def test_one_file_that_is_away_holds_no_other_up(music, catalogue):
    (music / "a.flac").unlink()
    assert analyse(music, catalogue, heard, MODEL).done == 2
    assert catalogue.analysis_failures() == ()


def test_what_a_newer_model_cannot_hear_stays_as_the_older_one_heard_it(music, catalogue):
    def deaf(path):
        raise MoodifyError("holds no sound")

    analyse(music, catalogue, heard, MODEL)
    assert analyse(music, catalogue, deaf, "ear 2").failed == 3
    assert catalogue.track("a.flac").affect == Affect(0.25, -0.5)
    assert len(catalogue.shelf()) == 4
    assert analyse(music, catalogue, lambda path: pytest.fail("it was tried again"), "ear 2").done == 3


def test_copies_of_one_sound_are_heard_once(music, catalogue):
    shutil.copy(music / "a.flac", music / "copy.flac")
    scan(music, catalogue)
    seen = []
    analyse(music, catalogue, lambda path: seen.append(path.name) or heard(path), MODEL)
    assert len(seen) == 3
    assert catalogue.track("copy.flac").origin is Origin.ANALYSIS


def test_a_newer_model_listens_again(music, catalogue):
    analyse(music, catalogue, heard, MODEL)
    heard_again = []
    analyse(music, catalogue, lambda path: heard_again.append(path.name) or heard(path), "ear 2")
    assert sorted(heard_again)[:3] == ["a.flac", "b.flac", "c.flac"]


def test_it_ends_when_it_is_told_and_goes_on_where_it_was(music, catalogue):
    stop, seen = Event(), []

    def hear(path):
        seen.append(path.name)
        stop.set()
        return heard(path)

    assert analyse(music, catalogue, hear, MODEL, stop=stop).done == 1
    assert analyse(music, catalogue, lambda path: seen.append(path.name) or heard(path), MODEL).done == 3
    assert sorted(seen) == ["a.flac", "b.flac", "c.flac"]


def test_it_rests_while_something_is_in_the_way_and_says_why(music, catalogue, monkeypatch):
    monkeypatch.setattr("device.analyst.LOOK_AGAIN_SECONDS", 0.01)
    obstacles = ["", "too hot: 81 °C", "too hot: 81 °C", "", ""]
    told: list[Going] = []
    going = analyse(music, catalogue, heard, MODEL, obstacle=lambda: obstacles.pop(0), tell=told.append)
    assert going.done == 3
    assert [step.detail for step in told if step.detail] == ["too hot: 81 °C"]
    assert told[-1].detail == ""


def test_another_process_can_read_how_it_goes(music, catalogue, tmp_path):
    assert how_it_goes(catalogue) == Going()
    analyse(music, catalogue, heard, MODEL)
    with Catalogue(tmp_path / "catalogue.sqlite") as other:
        going = how_it_goes(other)
    assert (going.done, going.total) == (3, 3)
    assert going.seconds_left == 0
    catalogue.write_note("analyst", json.dumps({"odd": 1}))
    assert how_it_goes(catalogue) == Going()


def test_looking_again_without_news_wakes_nobody(music, catalogue, tmp_path):
    (music / "a.flac").unlink()
    analyse(music, catalogue, heard, MODEL)
    with Catalogue(tmp_path / "catalogue.sqlite") as other:
        version = other.version()
        told: list[Going] = []
        analyse(music, catalogue, heard, MODEL, tell=told.append)
        assert other.version() == version
        assert told[-1].done == 2
        shutil.copy(music / "b.flac", music / "a.flac")
        analyse(music, catalogue, heard, MODEL)
        assert other.version() != version


def test_the_board_tells_its_hottest_zone(tmp_path):
    assert temperature_celsius(tmp_path) is None
    for zone, text in (("thermal_zone0", "48312\n"), ("thermal_zone1", "61500"), ("thermal_zone2", "broken")):
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "temp").write_text(text)
    assert temperature_celsius(tmp_path) == 61.5


def test_work_of_the_lowest_priority_counts_as_none(tmp_path):
    stat = tmp_path / "stat"
    stat.write_text("cpu 100 50 100 1000 0 0 0 0 0 0\ncpu0 1 1 1 1\n")
    busy = Busyness(stat)
    stat.write_text("cpu 130 550 110 1060 0 0 0 0 0 0\n")
    assert busy.share() == pytest.approx(40 / 600)
    assert busy.share() == 0.0
    assert Busyness(tmp_path / "none").share() == 0.0
