"""The demo passes only when two moods were recognised by both senses, suited by MPD's song and kept by the broker."""

from __future__ import annotations

from device.demo.verdict import Evidence, Song, table
from device.domain.fusion import FusionSettings
from device.domain.labels import Affect

CHEERFUL = Song("a.ogg", "A", "Somebody", ("happy",), Affect(0.8, 0.5))
GLOOMY = Song("b.ogg", "B", "Somebody", ("sad",), Affect(-0.7, -0.45))
UNTAGGED = Song("c.ogg", "C", "Somebody", (), None)


def state(mood: str, face: str = "same", voice: str = "same", overridden: bool = False) -> dict:
    def sense(label: str) -> dict:
        told = {"same": mood}.get(label, label)
        return {"label": told, "probability": 0.8, "weight": 0.0 if told == "unknown" else 0.5}

    return {"mood": mood, "overridden": overridden, "senses": {"face": sense(face), "voice": sense(voice)}}


def shown(mood: str, song: Song, evidence: Evidence, at_seconds: float = 0.0, **senses: str) -> None:
    evidence.take_state(state(mood, **senses), at_seconds)
    evidence.take_song(song, at_seconds + 1)
    if mood in evidence.sightings:
        evidence.sightings[mood].read_back = True


def test_two_moods_with_everything_pass() -> None:
    evidence = Evidence()
    shown("happy", CHEERFUL, evidence, 10)
    shown("sad", GLOOMY, evidence, 50)
    assert evidence.verdict() == ""
    assert "happy" in table(evidence) and "B – Somebody [sad] after 51 s" in table(evidence)


def test_one_mood_is_not_enough() -> None:
    evidence = Evidence()
    shown("unknown", CHEERFUL, evidence)
    shown("happy", CHEERFUL, evidence)
    assert evidence.verdict() == "2 different moods were to be recognised, not happy"


def test_nothing_at_all_fails() -> None:
    assert Evidence().verdict() == "2 different moods were to be recognised, not none"


def test_an_override_is_not_recognition() -> None:
    evidence = Evidence()
    shown("happy", CHEERFUL, evidence)
    evidence.take_state(state("sad", overridden=True), 5)
    evidence.take_song(GLOOMY, 6)
    assert list(evidence.sightings) == ["happy"]


def test_a_song_that_does_not_suit_fails() -> None:
    evidence = Evidence()
    shown("happy", CHEERFUL, evidence)
    shown("sad", CHEERFUL, evidence)
    shown("sad", UNTAGGED, evidence)
    assert evidence.verdict() == "sad: MPD played no song that suits it"


def test_a_song_that_comes_after_the_mood_has_passed_does_not_count() -> None:
    evidence = Evidence()
    shown("happy", CHEERFUL, evidence)
    shown("sad", CHEERFUL, evidence)
    evidence.take_state(state("unknown"), 60)
    evidence.take_song(GLOOMY, 61)
    assert evidence.verdict() == "sad: MPD played no song that suits it"


def test_a_song_that_already_plays_when_the_mood_comes_counts() -> None:
    evidence = Evidence()
    evidence.take_song(GLOOMY, 1)
    evidence.take_state(state("sad"), 2)
    assert evidence.sightings["sad"].song is GLOOMY


def test_a_mood_from_one_sense_alone_fails() -> None:
    evidence = Evidence()
    shown("happy", CHEERFUL, evidence, voice="unknown")
    shown("sad", GLOOMY, evidence)
    assert evidence.verdict() == "happy: voice had no part in it"


def test_a_mood_that_the_broker_does_not_hand_on_fails() -> None:
    evidence = Evidence()
    shown("happy", CHEERFUL, evidence)
    shown("sad", GLOOMY, evidence)
    evidence.sightings["sad"].read_back = False
    assert evidence.verdict() == "sad: the broker did not have it"


def test_a_third_mood_that_lacks_something_does_not_spoil_two_good_ones() -> None:
    evidence = Evidence()
    shown("happy", CHEERFUL, evidence)
    shown("sad", GLOOMY, evidence)
    shown("surprise", GLOOMY, evidence)
    assert evidence.verdict() == ""


def test_the_table_tells_what_each_sense_said_for_the_mood_when_it_counted_most() -> None:
    evidence = Evidence()
    evidence.take_state(state("happy"), 1)
    weaker = state("happy", voice="neutral")
    weaker["senses"]["voice"]["weight"] = 0.1
    evidence.take_state(weaker, 2)
    assert evidence.sightings["happy"].senses == {"face": "happy 0.80", "voice": "happy 0.80"}


def test_a_sense_too_unsure_to_be_used_had_no_part_in_it() -> None:
    evidence = Evidence()
    faint = state("happy")
    faint["senses"]["voice"]["weight"] = FusionSettings().smallest_weight / 2
    evidence.take_state(faint, 1)
    assert evidence.sightings["happy"].senses == {"face": "happy 0.80"}


def test_what_a_sense_says_for_another_mood_comes_second() -> None:
    evidence = Evidence()
    lagging = state("sad", face="happy")
    lagging["senses"]["face"]["weight"] = 0.9
    evidence.take_state(lagging, 1)
    assert evidence.sightings["sad"].senses["face"] == "happy 0.80"
    evidence.take_state(state("sad"), 2)
    evidence.take_state(lagging, 3)
    assert evidence.sightings["sad"].senses["face"] == "sad 0.80"
