"""The conductor's decisions: music, override, senses; everything as recorded events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from device.domain.brain import BrainSettings, RecordPlay, RecordRating, State, handle, wishes_of
from device.domain.events import (
    Asked,
    CatalogueChanged,
    ClearOverride,
    HeraldChanged,
    Perceived,
    PlayerChanged,
    PlayerLost,
    PlayerRefused,
    PressNext,
    PressPause,
    PressPlay,
    RateSong,
    SenseChanged,
    SenseState,
    SetOverride,
    SetVolume,
    SwitchSense,
    Tick,
)
from device.domain.labels import AFFECT_OF_LABEL, LABELS, UNKNOWN
from device.domain.mood import MoodSettings
from device.domain.picture import picture
from device.domain.player import (
    ChangeVolume,
    Enqueue,
    Pause,
    PlayerStatus,
    PlayState,
    QueuedSong,
    Remove,
    Resume,
    SkipNext,
)
from device.domain.reading import Modality, Posterior, Reading
from device.domain.tracks import Origin, Track

SETTINGS = BrainSettings(mood=MoodSettings(smoothing_seconds=0.5, dwell_seconds=1.0))


def track(name: str, mood: str) -> Track:
    return Track(f"{name}.ogg", name, f"artist of {name}", "", 200.0, (mood,), AFFECT_OF_LABEL[mood], Origin.TAG)


LIBRARY = tuple(track(f"{mood}-{n}", mood) for mood in ("happy", "sad", "angry", "neutral") for n in range(3))


def song(name: str, song_id: int) -> QueuedSong:
    return QueuedSong(song_id, f"{name}.ogg", name, f"artist of {name}", "", 200.0)


def queued(effect: Enqueue, song_id: int) -> QueuedSong:
    return song(effect.uri.removesuffix(".ogg"), song_id)


class Day:
    """Feeds events to the brain and keeps what it wants done."""

    def __init__(self, settings: BrainSettings = SETTINGS) -> None:
        self.settings = settings
        self.state = State()
        self.at = 0.0
        self.done: list[object] = []

    def tell(self, event_type, *values) -> list[object]:
        self.state, effects = handle(self.state, event_type(*values, self.at), self.settings)
        self.done += effects
        return list(effects)

    def ask(self, command) -> list[object]:
        return self.tell(Asked, command, "test")

    def feel(self, label: str, seconds: float = 6.0) -> list[object]:
        rest = 0.1 / (len(LABELS) - 1)
        posterior = Posterior(tuple(0.9 if name == label else rest for name in LABELS))
        effects: list[object] = []
        for _ in range(int(seconds * 2)):
            self.at += 0.5
            effects += self.tell(Perceived, Reading(Modality.FACE, posterior, 1.0, self.at))
        return effects

    def wait(self, seconds: float) -> list[object]:
        effects: list[object] = []
        for _ in range(int(seconds)):
            self.at += 1.0
            effects += self.tell(Tick)
        return effects

    def player(self, state: PlayState, playing=None, upcoming=(), elapsed=0.0, volume=50) -> list[object]:
        return self.tell(PlayerChanged, PlayerStatus(state, playing, tuple(upcoming), elapsed, self.at, volume))

    def begin(self, mood: str) -> Enqueue:
        """Feel `mood` until a song starts, and have the player play it; returns what is then queued ahead."""
        (start,) = [effect for effect in self.feel(mood) if isinstance(effect, Enqueue)]
        (ahead,) = [e for e in self.player(PlayState.PLAY, queued(start, 1)) if isinstance(e, Enqueue)]
        return ahead

    @property
    def picture(self):
        return picture(self.state, 1)


@pytest.fixture
def day() -> Day:
    day = Day()
    day.tell(CatalogueChanged, LIBRARY, "")
    day.player(PlayState.STOP)
    return day


def mood_of(uri: str) -> str:
    return uri.split("-", maxsplit=1)[0]


def test_music_starts_by_itself_when_a_mood_is_known(day: Day) -> None:
    assert not day.wait(30)
    (start,) = [effect for effect in day.feel("happy") if isinstance(effect, Enqueue)]
    assert start.start
    assert mood_of(start.uri) == "happy"


def test_the_next_song_is_queued_ahead_once(day: Day) -> None:
    ahead = day.begin("happy")
    assert not ahead.start
    assert mood_of(ahead.uri) == "happy"
    assert not day.wait(3)
    playing = day.state.programme.status.song
    assert not day.player(PlayState.PLAY, playing, [queued(ahead, 2)])
    assert not day.wait(100)


def test_a_song_that_mpd_lost_is_queued_again(day: Day) -> None:
    day.feel("happy")
    day.player(PlayState.PLAY, song("happy-0", 1))
    assert any(isinstance(effect, Enqueue) for effect in day.wait(7))


def test_a_mood_change_never_touches_the_running_song_but_replaces_the_next(day: Day) -> None:
    ahead = day.begin("happy")
    day.player(PlayState.PLAY, day.state.programme.status.song, [queued(ahead, 2)])
    effects = day.feel("sad")
    assert effects[0] == Remove(2)
    assert isinstance(effects[1], Enqueue)
    assert not effects[1].start
    assert mood_of(effects[1].uri) == "sad"
    assert len(effects) == 2


def test_what_a_person_queued_stays_and_plays_first(day: Day) -> None:
    day.feel("happy")
    day.player(PlayState.PLAY, song("happy-0", 1), [song("sad-2", 9)])
    assert not day.feel("angry")


def test_music_that_a_person_stopped_is_not_started_again(day: Day) -> None:
    day.feel("happy")
    day.player(PlayState.PLAY, song("happy-0", 1), [song("happy-1", 2)], elapsed=20.0)
    day.player(PlayState.STOP, None, [song("happy-1", 2)])
    assert not day.feel("sad", 60)
    assert day.ask(PressPlay()) == [Resume()]


def test_music_goes_on_when_the_queue_ran_out_by_itself(day: Day) -> None:
    day.feel("happy")
    day.player(PlayState.PLAY, song("happy-0", 1), elapsed=199.0)
    day.at += 1
    assert any(isinstance(effect, Enqueue) and effect.start for effect in day.player(PlayState.STOP))


def test_a_paused_player_is_left_alone(day: Day) -> None:
    day.feel("happy")
    day.player(PlayState.PAUSE, song("happy-0", 1))
    assert not day.feel("sad", 30)


def test_music_starts_again_after_mpd_was_gone(day: Day) -> None:
    day.feel("happy")
    day.player(PlayState.PLAY, song("happy-0", 1), [song("happy-1", 2)])
    day.tell(PlayerLost, "MPD at 127.0.0.1:6600: connection refused")
    assert not day.feel("happy", 10)
    assert day.picture.player.detail.startswith("MPD at")
    assert any(isinstance(effect, Enqueue) and effect.start for effect in day.player(PlayState.STOP))


def test_a_song_that_mpd_refuses_is_not_tried_again(day: Day) -> None:
    (start,) = [effect for effect in day.feel("happy") if isinstance(effect, Enqueue)]
    refused = {start.uri}
    for _ in range(2):
        (again,) = day.tell(PlayerRefused, "no such song", start.uri)
        assert again.uri not in refused
        refused.add(again.uri)
        start = again


def test_a_refused_song_gets_another_chance_when_the_music_folder_was_read_again() -> None:
    day = Day()
    day.tell(CatalogueChanged, (track("happy-0", "happy"),), "")
    day.player(PlayState.STOP)
    (start,) = [effect for effect in day.feel("happy") if isinstance(effect, Enqueue)]
    assert not day.tell(PlayerRefused, "no such song", start.uri)
    assert day.tell(CatalogueChanged, (track("happy-0", "happy"),), "") == [start]


def test_an_override_rules_until_its_end_and_says_so(day: Day) -> None:
    day.feel("happy")
    day.ask(SetOverride("sad", 60.0))
    seen = day.picture
    assert (seen.mood, seen.sensed_mood, seen.overridden, seen.confidence) == ("sad", "happy", True, 1.0)
    assert seen.override and seen.override.ends_in_seconds == pytest.approx(60.0)
    assert seen.reason.startswith("set by hand; face happy")
    day.feel("happy", 61)
    assert day.picture.mood == "happy"
    assert day.picture.override is None


def test_an_override_can_be_taken_back(day: Day) -> None:
    day.feel("happy")
    day.ask(SetOverride("angry", 600.0))
    day.ask(ClearOverride())
    assert day.picture.mood == "happy"


def test_an_override_starts_fitting_music_with_nobody_in_the_room(day: Day) -> None:
    (start,) = day.ask(SetOverride("sad", 600.0))
    assert mood_of(start.uri) == "sad"


def test_play_pause_next_and_volume_reach_the_player(day: Day) -> None:
    day.feel("happy")
    day.player(PlayState.PLAY, song("happy-0", 1), [song("happy-1", 2)])
    assert day.ask(PressPause()) == [Pause()]
    day.player(PlayState.PAUSE, song("happy-0", 1), [song("happy-1", 2)])
    assert day.ask(PressPlay()) == [Resume()]
    day.player(PlayState.PLAY, song("happy-0", 1), [song("happy-1", 2)])
    assert day.ask(PressNext()) == [SkipNext()]
    assert day.ask(SetVolume(30)) == [ChangeVolume(30)]


def test_play_in_a_silent_room_begins_with_something_calm(day: Day) -> None:
    (start,) = day.ask(PressPlay())
    assert start.start
    assert mood_of(start.uri) == "neutral"


def test_next_with_an_empty_queue_starts_another_song(day: Day) -> None:
    day.feel("happy")
    day.state = replace(day.state, programme=replace(day.state.programme, pending=None))
    day.player(PlayState.PLAY, song("happy-0", 1))
    (skip,) = day.ask(PressNext())
    assert isinstance(skip, Enqueue)
    assert skip.start
    assert skip.uri != "happy-0.ogg"


def test_a_play_is_written_down_once(day: Day) -> None:
    day.feel("happy")
    plays = [e for e in day.player(PlayState.PLAY, song("happy-0", 1)) if isinstance(e, RecordPlay)]
    assert [p.play.uri for p in plays] == ["happy-0.ogg"]
    assert not [e for e in day.player(PlayState.PLAY, song("happy-0", 1), volume=10) if isinstance(e, RecordPlay)]


def test_a_disliked_song_is_not_chosen_again(day: Day) -> None:
    day.feel("happy")
    day.player(PlayState.PLAY, song("happy-0", 1))
    assert RecordRating("happy-0.ogg", False) in day.ask(RateSong(False))
    for n in range(30):
        day.player(PlayState.STOP)
        (start,) = [e for e in day.ask(PressNext()) if isinstance(e, Enqueue)]
        assert start.uri != "happy-0.ogg", n


def test_a_sense_switched_off_says_nothing_more_and_stays_off(day: Day) -> None:
    day.tell(SenseChanged, Modality.FACE, SenseState.ON, "")
    day.feel("happy")
    assert day.ask(SwitchSense(Modality.FACE, False)) == [SwitchSense(Modality.FACE, False)]
    day.tell(SenseChanged, Modality.FACE, SenseState.OFF, "")
    assert day.picture.reason == "camera and microphone are off"
    assert wishes_of(day.state).face_on is False
    day.wait(30)
    assert day.picture.mood == UNKNOWN


def test_trouble_with_the_broker_is_shown(day: Day) -> None:
    day.tell(HeraldChanged, False, "broker at 127.0.0.1:1883: connection refused")
    assert not day.picture.broker_connected
    assert "refused" in day.picture.broker_detail


def test_an_empty_library_is_shown_and_nothing_is_queued() -> None:
    day = Day()
    day.tell(CatalogueChanged, (), "no music in /music; put tagged files there")
    day.player(PlayState.STOP)
    assert not day.feel("happy", 20)
    assert day.picture.track_count == 0
    assert "no music" in day.picture.catalogue_detail


def test_the_same_day_plays_again_exactly() -> None:
    def live() -> list[object]:
        day = Day()
        day.tell(CatalogueChanged, LIBRARY, "")
        day.player(PlayState.STOP)
        day.feel("happy")
        day.player(PlayState.PLAY, song("happy-0", 1))
        day.feel("sad")
        day.ask(SetOverride("angry", 5.0))
        day.wait(20)
        return day.done

    assert live() == live()
