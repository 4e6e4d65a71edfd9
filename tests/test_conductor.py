"""The conductor: one inbox, snapshots for whoever waits, wishes kept."""

from __future__ import annotations

import json
import threading
import time

import pytest

from device.adapters.memory_json import JsonMemory
from device.beats import Beats
from device.conductor import Conductor
from device.domain.brain import BrainSettings, Override, State, Wishes
from device.domain.events import Asked, HeraldChanged, PressPause, SwitchSense
from device.domain.player import Pause
from device.domain.reading import Modality
from tests.fakes import FakeDiary, FakeHerald, FakeMemory, FakePlayer, FakeSense


class House:
    """A conductor with fakes all round."""

    def __init__(self) -> None:
        self.beats = Beats(time.monotonic)
        beat = self.beats.loop("conductor", 5.0)
        self.conductor = Conductor(State(), BrainSettings(), time.monotonic, beat)
        self.player, self.herald, self.diary, self.memory = FakePlayer(), FakeHerald(), FakeDiary(), FakeMemory()
        self.camera = FakeSense()
        self.conductor.connect(self.player, self.herald, self.diary, self.memory, {Modality.FACE: self.camera})

    def until(self, condition) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.01)


@pytest.fixture
def house():
    house = House()
    house.conductor.start()
    yield house
    house.conductor.close()


def test_a_command_reaches_the_player(house) -> None:
    house.conductor.ask(PressPause(), "page")
    house.until(lambda: house.player.actions == [Pause()])


def test_switching_the_camera_off_waits_in_no_queue(house) -> None:
    house.conductor.ask(SwitchSense(Modality.FACE, False), "page")
    assert (house.camera.on, house.camera.switched_by) == (False, threading.current_thread().name)


def test_a_hub_can_switch_the_camera_off_by_an_event(house) -> None:
    house.conductor.post(Asked(SwitchSense(Modality.FACE, False), "mqtt", time.monotonic()))
    house.until(lambda: not house.camera.on)


def test_what_a_person_set_is_kept(house) -> None:
    house.conductor.ask(SwitchSense(Modality.FACE, False), "page")
    house.until(lambda: house.memory.saved == Wishes(face_on=False))


def test_who_waits_for_a_change_gets_it(house) -> None:
    house.until(lambda: house.conductor.snapshot.sequence > 0)
    before = house.conductor.snapshot.sequence
    house.conductor.post(HeraldChanged(True, "", time.monotonic()))
    house.until(lambda: house.conductor.snapshot.broker_connected)
    assert house.conductor.wait_for_change(before, 10.0).sequence > before
    assert house.herald.published[-1].broker_connected


def test_who_waits_in_vain_gets_nothing(house) -> None:
    assert house.conductor.wait_for_change(10**9, 0.05) is None


def test_a_loop_that_stops_beating_is_late() -> None:
    now = [0.0]
    beats = Beats(lambda: now[0])
    eyes, ears = beats.loop("eyes", 5.0), beats.loop("ears", 5.0)
    now[0] = 4.0
    eyes()
    now[0] = 6.0
    assert beats.late() == ("ears",)
    ears()
    assert beats.late() == ()


class TestMemory:
    """Wishes over a restart."""

    def memory(self, tmp_path, monotonic=100.0, wall=1000.0) -> JsonMemory:
        return JsonMemory(tmp_path / "wishes.json", lambda: monotonic, lambda: wall)

    def test_nothing_saved_means_all_on(self, tmp_path) -> None:
        assert self.memory(tmp_path).load() == Wishes()

    def test_a_camera_switched_off_stays_off(self, tmp_path) -> None:
        self.memory(tmp_path).save(Wishes(face_on=False))
        assert self.memory(tmp_path).load() == Wishes(face_on=False)

    def test_a_stop_and_the_evenings_volume_are_kept_and_nonsense_in_its_place_is_not(self, tmp_path) -> None:
        kept = Wishes(wants_music=False, volume_before_night=70, volume_at_night=33)
        self.memory(tmp_path).save(kept)
        assert self.memory(tmp_path).load() == kept
        text = (tmp_path / "wishes.json").read_text()
        (tmp_path / "wishes.json").write_text(text.replace("70", '"loud"').replace("33", "330"))
        assert self.memory(tmp_path).load() == Wishes(wants_music=False)

    def test_an_override_lasts_no_longer_on_a_box_whose_clock_is_not_set_yet(self, tmp_path) -> None:
        self.memory(tmp_path, wall=1e9).save(Wishes(override=Override("sad", 100.0 + 3600.0)))
        kept = self.memory(tmp_path, monotonic=5.0, wall=0.0).load().override
        assert kept == Override("sad", 5.0 + 3600.0)

    def test_the_neutral_face_is_kept_and_nonsense_in_its_place_is_not(self, tmp_path) -> None:
        face = (0.0, 0.0, 0.0, 0.0, 1.2, 0.0, 0.0)
        self.memory(tmp_path).save(Wishes(neutral=face))
        assert self.memory(tmp_path).load() == Wishes(neutral=face)
        text = (tmp_path / "wishes.json").read_text()
        for nonsense in ("99.0", "[1]", '"x"'):
            (tmp_path / "wishes.json").write_text(text.replace("1.2", nonsense))
            assert self.memory(tmp_path).load() == Wishes()

    def test_an_override_goes_on_for_the_time_that_is_left(self, tmp_path) -> None:
        self.memory(tmp_path).save(Wishes(override=Override("sad", 160.0)))
        after = self.memory(tmp_path, monotonic=5.0, wall=1020.0).load()
        assert after.override == Override("sad", 45.0)

    def test_an_override_that_ended_meanwhile_is_gone(self, tmp_path) -> None:
        self.memory(tmp_path).save(Wishes(override=Override("sad", 160.0)))
        assert self.memory(tmp_path, monotonic=5.0, wall=2000.0).load().override is None

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "null", '{"face_on": true}', json.dumps({"face_on": 1, "voice_on": 1})]
    )
    def test_a_damaged_file_means_senses_off(self, tmp_path, text) -> None:
        (tmp_path / "wishes.json").write_text(text)
        assert self.memory(tmp_path).load() == Wishes(face_on=False, voice_on=False)
