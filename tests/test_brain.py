"""The conductor's decisions: music, override, senses; everything as recorded events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from device.domain.brain import (
    BrainSettings,
    RecordCorrection,
    RecordEnding,
    RecordForgetting,
    RecordOutcome,
    RecordPlay,
    RecordRating,
    State,
    handle,
    state_with,
    wishes_of,
)
from device.domain.events import (
    Asked,
    CatalogueChanged,
    ClearOverride,
    CorrectMood,
    ForgetTaste,
    HeraldChanged,
    NotNow,
    Perceived,
    PlayerChanged,
    PlayerLost,
    PlayerRefused,
    PlayerUpdated,
    PressNext,
    PressPause,
    PressPlay,
    RateSong,
    SenseChanged,
    SenseState,
    SetGoal,
    SetOverride,
    SetVolume,
    StickersRead,
    SwitchSense,
    Tick,
    TurnDownOffer,
)
from device.domain.goal import Goal, GoalSettings
from device.domain.labels import AFFECT_OF_LABEL, CALM, LABELS, MIXED, UNKNOWN, Affect
from device.domain.mood import MoodSettings
from device.domain.night import QuietSettings
from device.domain.people import reading_with
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
    Sticker,
    TurnTo,
)
from device.domain.preference import OutcomeKind, Preference
from device.domain.programme import Course, Programme, aim
from device.domain.reading import UNIFORM, Modality, Person, Posterior, Reading, normalised
from device.domain.shelf import shelve
from device.domain.tracks import Origin, Track

SETTINGS = BrainSettings(mood=MoodSettings(smoothing_seconds=0.5, dwell_seconds=1.0))


def track(name: str, mood: str) -> Track:
    return Track(f"{name}.ogg", name, f"artist of {name}", "", 200.0, (mood,), AFFECT_OF_LABEL[mood], Origin.TAG)


LIBRARY = tuple(track(f"{mood}-{n}", mood) for mood in ("happy", "sad", "angry", "neutral") for n in range(3))


def sure_of(label: str) -> Posterior:
    return Posterior(tuple(0.94 if name == label else 0.01 for name in LABELS))


def song(name: str, song_id: int) -> QueuedSong:
    return QueuedSong(song_id, f"{name}.ogg", name, f"artist of {name}", "", 200.0)


def queued(effect: Enqueue, song_id: int) -> QueuedSong:
    return replace(song(effect.uri.removesuffix(".ogg"), song_id), ours=True)


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

    def stock(self, tracks, detail="") -> list[object]:
        return self.tell(CatalogueChanged, shelve(tracks), len(tracks), detail)

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

    def player(self, state: PlayState, playing=None, upcoming=(), elapsed=0.0, volume=50, failed=False) -> list[object]:
        status = PlayerStatus(state, playing, tuple(upcoming), elapsed, self.at, volume, failed)
        return self.tell(PlayerChanged, status)

    def begin(self, mood: str) -> Enqueue:
        """Feel `mood` until a song starts, and have the player play it; returns what is then queued ahead."""
        (start,) = [effect for effect in self.feel(mood) if isinstance(effect, Enqueue)]
        (ahead,) = [e for e in self.player(PlayState.PLAY, queued(start, 1)) if isinstance(e, Enqueue)]
        return ahead

    def hear_songs(self, mood: str, count: int) -> QueuedSong:
        """Feel `mood` and hear songs for it; the last of them plays, and returned is what is queued behind it."""
        self.confirm_ahead([self.begin(mood)])
        for _ in range(count - 1):
            self.confirm_ahead(self.next_song())
        return self.state.programme.status.upcoming[0]

    def confirm_ahead(self, effects) -> None:
        """MPD has the song that the speaker wanted queued behind the one that plays."""
        (ahead,) = [effect for effect in effects if isinstance(effect, Enqueue)]
        playing = self.state.programme.status.song
        self.player(PlayState.PLAY, playing, [queued(ahead, playing.song_id + 1)], elapsed=self.elapsed)

    @property
    def elapsed(self) -> float:
        status = self.state.programme.status
        return status.elapsed_seconds + self.at - status.at_seconds

    def next_song(self, after: float = 195.0) -> list[object]:
        """The song plays to its end, or up to `after`, and gives way to the one behind it."""
        self.wait(max(0.0, after - self.elapsed))
        return self.player(PlayState.PLAY, self.state.programme.status.upcoming[0])

    @property
    def picture(self):
        return picture(self.state, 1)


@pytest.fixture
def day() -> Day:
    day = Day()
    day.stock(LIBRARY)
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
    ahead = day.hear_songs("happy", 3)
    effects = day.feel("sad")
    assert effects[0] == Remove(ahead.song_id)
    assert isinstance(effects[1], Enqueue)
    assert not effects[1].start
    assert mood_of(effects[1].uri) == "sad"
    assert len(effects) == 2


def test_the_music_turns_only_after_three_songs(day: Day) -> None:
    day.hear_songs("happy", 2)
    assert not day.feel("sad", 30)
    assert chosen(day.next_song()) == ["sad"]


def test_a_mood_that_passed_before_its_song_began_turns_nothing(day: Day) -> None:
    day.hear_songs("happy", 3)
    day.confirm_ahead(day.feel("sad"))
    removed, again = day.feel("happy")
    assert isinstance(removed, Remove)
    assert mood_of(again.uri) == "happy"


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
    day.begin("happy")
    day.player(PlayState.PLAY, day.state.programme.status.song, elapsed=199.0)
    day.at += 1
    day.player(PlayState.STOP)
    assert any(isinstance(effect, Enqueue) and effect.start for effect in day.wait(6))


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


def test_a_refused_song_gets_another_chance_when_the_music_folder_was_read_again_by_us_or_mpd() -> None:
    day = Day()
    day.stock([track("happy-0", "happy")])
    day.player(PlayState.STOP)
    (start,) = [effect for effect in day.feel("happy") if isinstance(effect, Enqueue)]
    assert not day.tell(PlayerRefused, "no such song", start.uri)
    assert day.stock([track("happy-0", "happy")]) == [start]
    assert not day.tell(PlayerRefused, "no such song", start.uri)
    assert day.tell(PlayerUpdated) == [start]


def test_a_refusal_that_is_no_songs_fault_is_tried_again_only_after_a_while(day: Day) -> None:
    day.feel("happy")
    assert not day.tell(PlayerRefused, "MPD refused: Playlist is too large; clear its queue", "")
    assert not day.state.programme.refused
    assert [effect for effect in day.wait(10) if isinstance(effect, Enqueue)]


def test_refusals_without_end_are_spaced() -> None:
    day = Day()
    day.stock([track(f"happy-{n}", "happy") for n in range(100)])
    day.player(PlayState.STOP)
    (tried,) = [effect for effect in day.feel("happy") if isinstance(effect, Enqueue)]
    at_once = 0
    while effects := [e for e in day.tell(PlayerRefused, "not known", tried.uri) if isinstance(e, Enqueue)]:
        (tried,) = effects
        at_once += 1
    assert at_once == 7
    tries = 0
    for _ in range(60):
        for tried in day.wait(1):
            tries += 1
            assert isinstance(tried, Enqueue)
            assert not day.tell(PlayerRefused, "not known", tried.uri)
    assert 8 <= tries <= 12


def test_what_mpd_refused_is_shown_until_a_song_begins_or_a_minute_has_passed(day: Day) -> None:
    ahead = day.begin("happy")
    playing = day.state.programme.status.song
    day.tell(PlayerRefused, "a.ogg: Decoder failed", "a.ogg")
    day.player(PlayState.PLAY, playing)
    assert day.picture.player.detail == "a.ogg: Decoder failed"
    day.player(PlayState.PLAY, queued(ahead, 2))
    assert day.picture.player.detail == ""
    day.tell(PlayerRefused, "b.ogg: Decoder failed", "b.ogg")
    day.wait(59)
    assert day.picture.player.detail
    day.wait(3)
    assert day.picture.player.detail == ""
    day.tell(PlayerLost, "MPD is gone")
    day.wait(100)
    assert day.picture.player.detail == "MPD is gone"


def test_music_goes_on_when_the_next_song_cannot_be_read(day: Day) -> None:
    ahead = day.begin("happy")
    playing = day.state.programme.status.song
    day.player(PlayState.PLAY, playing, [queued(ahead, 2)])
    day.wait(100)
    day.tell(PlayerRefused, f"{ahead.uri}: No such file", ahead.uri)
    (again,) = day.player(PlayState.STOP, None, [playing], failed=True)
    assert isinstance(again, Enqueue) and again.start and again.uri != ahead.uri


def test_music_that_mpd_paused_as_its_output_is_away_is_resumed_until_it_plays(day: Day) -> None:
    ahead = day.begin("happy")
    playing, behind = day.state.programme.status.song, [queued(ahead, 2)]
    day.player(PlayState.PLAY, playing, behind)
    assert not day.player(PlayState.PAUSE, playing, behind, failed=True)
    assert day.wait(45) == [Resume()] * 4
    assert not day.player(PlayState.PLAY, playing, behind)
    assert not day.wait(45)


def test_what_a_person_paused_stays_paused_though_mpd_fails_at_something(day: Day) -> None:
    ahead = day.begin("happy")
    playing, behind = day.state.programme.status.song, [queued(ahead, 2)]
    day.player(PlayState.PLAY, playing, behind)
    day.player(PlayState.PAUSE, playing, behind)
    day.player(PlayState.PAUSE, playing, behind, failed=True)
    assert not day.wait(60)
    day.player(PlayState.PLAY, playing, behind)
    day.player(PlayState.PAUSE, playing, behind, failed=True)
    day.ask(PressPause())
    assert not day.wait(60)


def test_a_room_that_differs_is_aimed_at_calmly_and_nothing_is_cut_short(day: Day) -> None:
    day.begin("sad")
    happy, sad = (Person(sure_of(label), 1.0) for label in ("happy", "sad"))
    effects: list[object] = []
    for _ in range(100):
        day.at += 0.1
        plain = Reading(Modality.FACE, happy.posterior, 1.0, day.at)
        effects += day.tell(Perceived, reading_with(plain, (happy, sad)))
    assert day.picture.mood == MIXED and day.picture.people == 2
    assert not [effect for effect in effects if isinstance(effect, TurnTo | SkipNext)]
    assert aim(replace(day.state.programme, course=Course()), SETTINGS.rules) == CALM


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


def test_a_word_about_the_song_before_is_not_taken_for_one_about_this_one(day: Day) -> None:
    day.player(PlayState.PLAY, song("happy-0", 1), [song("happy-1", 2)])
    day.wait(60)
    day.player(PlayState.PLAY, song("happy-1", 2))
    assert RecordRating("happy-0.ogg", True) in day.ask(RateSong(True, "happy-0.ogg"))
    assert day.ask(CorrectMood("sad", "happy-0.ogg")) == [
        RecordCorrection("happy-0.ogg", "sad", AFFECT_OF_LABEL["sad"])
    ]
    assert not day.ask(NotNow("happy-0.ogg")), "it is gone already"
    assert [e for e in day.ask(NotNow("happy-1.ogg")) if isinstance(e, SkipNext | Enqueue)]
    assert not day.ask(RateSong(False, "never-played.ogg"))


def none_is_chosen(day: Day, *names: str) -> bool:
    """Whether none of these is played when a person asks for the next song again and again."""
    seen = set()
    for _ in range(30):
        day.player(PlayState.STOP)
        seen |= {effect.uri for effect in day.ask(PressNext()) if isinstance(effect, Enqueue)}
    assert seen
    return not seen & {f"{name}.ogg" for name in names}


def told_of(day: Day, tracks, *disliked: str) -> None:
    """The catalogue was read again, with its dislikes."""
    names = frozenset(f"{name}.ogg" for name in disliked)
    day.tell(lambda at: CatalogueChanged(shelve(tracks), len(tracks), "", at, names))


def test_a_disliked_song_that_is_renamed_stays_away_and_its_old_name_is_free_again(day: Day) -> None:
    day.state = replace(day.state, programme=replace(day.state.programme, disliked=frozenset({"happy-0.ogg"})))
    day.feel("happy")
    renamed = replace(LIBRARY[0], uri="happy-renamed.ogg")
    told_of(day, [renamed, *LIBRARY[1:]], "happy-renamed")
    assert none_is_chosen(day, "happy-renamed")
    told_of(day, [*LIBRARY, replace(renamed, title="another")], "happy-renamed")
    assert none_is_chosen(day, "happy-renamed")
    assert not none_is_chosen(day, "happy-0")


def test_what_was_just_said_counts_before_what_the_catalogue_was_read_to_say(day: Day) -> None:
    day.feel("happy")
    day.player(PlayState.PLAY, song("happy-0", 1))
    day.ask(RateSong(False))
    day.player(PlayState.PLAY, song("happy-1", 2))
    day.ask(RateSong(True))
    day.tell(StickersRead, (Sticker("happy-2.ogg", like=0),))
    told_of(day, LIBRARY, "happy-1", "sad-0")
    assert day.state.programme.disliked == {"happy-0.ogg", "happy-2.ogg", "sad-0.ogg"}
    day.tell(StickersRead, (Sticker("happy-0.ogg", like=2), Sticker("happy-1.ogg", like=0)))
    told_of(day, LIBRARY, "happy-0")
    assert day.state.programme.disliked == {"happy-1.ogg", "happy-2.ogg"}


def test_no_copy_of_a_disliked_song_is_chosen_until_one_of_them_is_liked(day: Day) -> None:
    copy = replace(LIBRARY[0], uri="happy-0-copy.ogg", album="Best Of")
    day.stock([copy, *LIBRARY])
    day.feel("happy")
    day.player(PlayState.PLAY, song("happy-0", 1))
    day.ask(RateSong(False))
    day.at += 30 * 86400.0
    assert none_is_chosen(day, "happy-0", "happy-0-copy")
    day.player(PlayState.PLAY, song("happy-0-copy", 2))
    ratings = [effect for effect in day.ask(RateSong(True)) if isinstance(effect, RecordRating)]
    assert ratings == [RecordRating("happy-0-copy.ogg", True), RecordRating("happy-0.ogg", True)]
    day.at += 30 * 86400.0
    assert not none_is_chosen(day, "happy-0", "happy-0-copy")


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
    day.stock([], "no music in /music; put tagged files there")
    day.player(PlayState.STOP)
    assert not day.feel("happy", 20)
    assert day.picture.track_count == 0
    assert "no music" in day.picture.catalogue_detail


def test_the_same_day_plays_again_exactly() -> None:
    def live() -> list[object]:
        day = Day()
        day.stock(LIBRARY)
        day.player(PlayState.STOP)
        day.feel("happy")
        day.player(PlayState.PLAY, song("happy-0", 1))
        day.feel("sad")
        day.ask(SetOverride("angry", 5.0))
        day.wait(20)
        return day.done

    assert live() == live()


# --- goals, offers, quiet hours -----------------------------------------------------------------------------------


def chosen(effects) -> list[str]:
    return [mood_of(effect.uri) for effect in effects if isinstance(effect, Enqueue | TurnTo)]


WIDE = tuple(
    Track(f"{v}/{a}.ogg", f"{v}/{a}", f"artist {v} {a}", "", 200.0, ("x",), Affect(v / 10, a / 10), Origin.TAG)
    for v in range(-10, 11)
    for a in range(-10, 11)
)


def place(effect) -> Affect:
    return next(track.affect for track in WIDE if track.uri == effect.uri)


def journey(goal: Goal, mood: str, songs: int, settings=SETTINGS) -> list[Affect]:
    """Where the songs lie that are played for a goal, to a listener who feels the same all the time."""
    day = Day(settings)
    day.stock(WIDE)
    day.player(PlayState.STOP)
    day.ask(SetGoal(goal))
    (start,) = [effect for effect in day.feel(mood) if isinstance(effect, Enqueue)]
    places, playing, ahead = [place(start)], 1, start
    for number in range(2, songs + 1):
        now = QueuedSong(playing, ahead.uri, "", "", "", 200.0, ours=True)
        (ahead,) = [e for e in day.player(PlayState.PLAY, now) if isinstance(e, Enqueue)]
        places.append(place(ahead))
        day.player(PlayState.PLAY, now, [QueuedSong(number, ahead.uri, "", "", "", 200.0, ours=True)])
        day.wait(190)
        playing = number
    return places


def test_lift_begins_where_the_listener_is_and_leads_up_song_by_song() -> None:
    way = journey(Goal.LIFT, "sad", 9)
    assert way[0].valence < -0.3
    assert way[-1].valence > 0.3
    middle = way[3].valence
    assert way[0].valence < middle < way[-1].valence


def test_calm_leads_down_from_anger() -> None:
    way = journey(Goal.CALM, "angry", 9)
    assert way[0].arousal > 0.3
    assert way[-1].arousal < -0.1


def test_match_stays_where_the_listener_is() -> None:
    assert all(point.valence < -0.2 for point in journey(Goal.MATCH, "sad", 9))


def test_without_steps_lift_goes_there_at_once() -> None:
    at_once = replace(SETTINGS, rules=replace(SETTINGS.rules, goal=GoalSettings(step_by_step=False)))
    assert journey(Goal.LIFT, "sad", 1, at_once)[0].valence > 0.2


def test_off_takes_back_what_the_speaker_queued_and_chooses_nothing(day: Day) -> None:
    ahead = day.hear_songs("happy", 1)
    assert day.ask(SetGoal(Goal.OFF)) == [Remove(ahead.song_id)]
    playing = day.state.programme.status.song
    assert not day.player(PlayState.PLAY, playing)
    assert not day.feel("sad", 30)
    assert not day.player(PlayState.STOP)
    assert day.ask(PressPlay()) == [Resume()]
    assert wishes_of(day.state).goal is Goal.OFF


def test_a_persons_queue_survives_off(day: Day) -> None:
    day.feel("happy")
    day.player(PlayState.PLAY, song("happy-0", 1), [song("sad-2", 9)])
    assert not day.ask(SetGoal(Goal.OFF))


def test_a_song_that_a_person_queued_is_theirs_though_the_speaker_chose_it_before(day: Day) -> None:
    day.hear_songs("happy", 2)
    chosen = day.state.programme.status.upcoming[0]
    theirs = replace(chosen, song_id=77, ours=False)
    day.player(PlayState.PLAY, theirs)
    assert day.picture.player.why == "queued by hand"
    assert not [e for e in day.ask(SetOverride("sad", 600.0)) if isinstance(e, TurnTo)]
    day.ask(SetGoal(Goal.OFF))
    assert not [e for e in day.player(PlayState.PLAY, song("angry-0", 60), [theirs]) if isinstance(e, Remove)]


def test_after_a_while_of_low_music_a_way_out_is_offered_and_never_forced(day: Day) -> None:
    day.hear_songs("sad", 1)
    day.wait(44 * 60)
    assert day.picture.offer is None
    before = len(day.done)
    day.wait(2 * 60)
    assert day.picture.offer is Goal.LIFT
    assert day.done[before:] == []
    assert day.picture.goal is Goal.MATCH
    day.ask(TurnDownOffer())
    assert day.picture.offer is None
    day.wait(46 * 60)
    assert day.picture.offer is Goal.LIFT
    day.ask(SetGoal(Goal.LIFT))
    assert day.picture.offer is None


def test_silence_and_glad_music_are_no_low_spell(day: Day) -> None:
    day.hear_songs("sad", 1)
    day.player(PlayState.PAUSE, day.state.programme.status.song)
    day.wait(60 * 60)
    assert day.picture.offer is None
    glad = Day()
    glad.stock(LIBRARY)
    glad.player(PlayState.STOP)
    glad.hear_songs("happy", 1)
    glad.wait(60 * 60)
    assert glad.picture.offer is None


NIGHT = replace(
    SETTINGS, rules=replace(SETTINGS.rules, quiet=QuietSettings(enabled=True, volume_percent=30, highest_arousal=-0.3))
)


def at_time(day: Day, clock: str) -> list[object]:
    hours, minutes = map(int, clock.split(":"))
    day.at += 1.0
    return day.tell(lambda at: Tick(at, 1e9 + at, hours * 60 + minutes))


def test_quiet_hours_cap_the_volume_and_give_it_back_in_the_morning() -> None:
    day = Day(NIGHT)
    day.stock(LIBRARY)
    day.player(PlayState.PAUSE, song("happy-0", 1), volume=70)
    assert not at_time(day, "21:59")
    assert at_time(day, "22:00") == [ChangeVolume(30)]
    day.player(PlayState.PAUSE, song("happy-0", 1), volume=30)
    assert not at_time(day, "23:30")
    assert day.ask(SetVolume(80)) == [ChangeVolume(30)]
    assert day.picture.quiet
    day.player(PlayState.PAUSE, song("happy-0", 1), volume=55)
    assert at_time(day, "03:00") == [ChangeVolume(30)]
    day.player(PlayState.PAUSE, song("happy-0", 1), volume=30)
    assert at_time(day, "07:00") == [ChangeVolume(70)]
    assert not day.picture.quiet


def restarted(day: Day) -> Day:
    """The same house after a power cut."""
    after = Day(day.settings)
    after.state = state_with(wishes_of(day.state), Programme())
    after.stock(LIBRARY)
    return after


def test_the_evenings_volume_comes_back_after_a_restart_at_night_and_waits_for_mpd() -> None:
    day = Day(NIGHT)
    day.player(PlayState.PAUSE, song("happy-0", 1), volume=70)
    at_time(day, "22:00")
    day.player(PlayState.PAUSE, song("happy-0", 1), volume=30)
    day = restarted(day)
    assert not at_time(day, "03:00")
    assert not at_time(day, "07:00")
    day.player(PlayState.PAUSE, song("happy-0", 1), volume=30)
    assert at_time(day, "07:01") == [ChangeVolume(70)]
    assert not at_time(day, "07:02")


def test_music_that_a_person_stopped_stays_stopped_over_a_restart(day: Day) -> None:
    day.hear_songs("happy", 1)
    day.player(PlayState.PAUSE, song("happy-0", 1))
    day.player(PlayState.STOP)
    day = restarted(day)
    day.player(PlayState.STOP)
    assert not day.feel("happy")
    assert [effect for effect in day.ask(PressPlay()) if isinstance(effect, Enqueue)]


def test_a_volume_that_a_person_lowered_at_night_stays() -> None:
    day = Day(NIGHT)
    day.stock(LIBRARY)
    day.player(PlayState.PAUSE, song("happy-0", 1), volume=70)
    at_time(day, "22:00")
    day.player(PlayState.PAUSE, song("happy-0", 1), volume=12)
    assert not at_time(day, "07:00")


class House:
    """A speaker at night whose mixer has so many steps and says where it went."""

    def __init__(self, steps: int, volume: int) -> None:
        self.day = Day(NIGHT)
        self.steps = steps
        self.turn_to(volume)

    def turn_to(self, percent: int) -> None:
        self.volume = round(round(percent / 100 * self.steps) / self.steps * 100)
        self.day.player(PlayState.PAUSE, song("happy-0", 1), volume=self.volume)

    def at(self, clock: str) -> list[int]:
        """What was asked of the mixer at this time."""
        asked = [effect.percent for effect in at_time(self.day, clock) if isinstance(effect, ChangeVolume)]
        for percent in asked:
            self.turn_to(percent)
        return asked

    def restart(self) -> None:
        self.day = restarted(self.day)
        self.turn_to(self.volume)


@pytest.mark.parametrize("evening", [70, 33])
@pytest.mark.parametrize("steps", [100, 87, 64, 31, 25, 15, 10])
def test_a_mixer_that_rounds_is_asked_once_a_night_and_goes_back_in_the_morning(steps: int, evening: int) -> None:
    house = House(steps, evening)
    before = house.volume
    assert [house.at("22:00"), house.at("22:00"), house.at("22:00")] == [[30] if before > 30 else [], [], []]
    house.restart()
    assert not house.at("03:00")
    house.at("07:00")
    assert house.volume == before


@pytest.mark.parametrize("steps", [100, 87, 31, 25, 15])
def test_a_persons_volume_in_the_night_wins_on_any_mixer(steps: int) -> None:
    house = House(steps, 70)
    house.at("22:00")
    house.at("22:01")
    house.turn_to(20)
    assert not house.at("03:00")
    assert not house.at("07:00")
    louder = House(steps, 70)
    louder.at("22:00")
    louder.at("22:01")
    louder.turn_to(60)
    assert louder.at("03:00") == [30]
    assert not louder.at("03:01")
    louder.at("07:00")
    assert louder.volume == House(steps, 70).volume


def test_a_volume_a_little_below_the_nights_is_a_persons_on_a_fine_mixer() -> None:
    house = House(100, 70)
    house.at("22:00")
    house.at("22:01")
    house.turn_to(28)
    assert not house.at("07:00")


def test_music_at_night_is_calmer() -> None:
    day = Day(NIGHT)
    day.stock(WIDE)
    at_time(day, "23:00")
    day.player(PlayState.STOP, volume=10)
    (start,) = [effect for effect in day.feel("angry") if isinstance(effect, Enqueue)]
    assert place(start).arousal <= -0.3


# --- a person's word ----------------------------------------------------------------------------------------------


def test_an_override_turns_the_music_at_once_and_gently(day: Day) -> None:
    ahead = day.hear_songs("happy", 1)
    removed, turn = day.ask(SetOverride("sad", 600.0))
    assert removed == Remove(ahead.song_id)
    assert isinstance(turn, TurnTo)
    assert mood_of(turn.uri) == "sad"
    assert not day.wait(2)
    noted = day.player(PlayState.PLAY, QueuedSong(9, turn.uri, "", "", "", 200.0, ours=True))
    assert not [e for e in noted if isinstance(e, RecordOutcome | RecordEnding)], "the speaker cut it, not a person"


def test_an_override_before_the_song_is_known_to_play_turns_it_when_it_is(day: Day) -> None:
    (start,) = [effect for effect in day.feel("happy") if isinstance(effect, Enqueue)]
    assert not day.ask(SetOverride("sad", 600.0))
    (turn,) = day.player(PlayState.PLAY, queued(start, 1))[-1:]
    assert isinstance(turn, TurnTo)
    assert mood_of(turn.uri) == "sad"


def test_an_override_leaves_a_fitting_song_and_a_persons_songs_alone(day: Day) -> None:
    day.hear_songs("happy", 1)
    assert not day.ask(SetOverride("happy", 600.0))
    by_hand = Day()
    by_hand.stock(LIBRARY)
    by_hand.feel("happy")
    by_hand.player(PlayState.PLAY, song("happy-0", 50), [song("angry-1", 51)])
    assert not by_hand.ask(SetOverride("sad", 600.0))


def test_a_song_heard_out_and_one_skipped_are_told_apart_and_counted(day: Day) -> None:
    day.hear_songs("happy", 1)
    first = day.state.programme.status.song.uri
    out = day.next_song()
    assert [e.outcome.kind for e in out if isinstance(e, RecordOutcome)] == [OutcomeKind.HEARD_OUT]
    assert [(e.ending.song.uri, e.ending.played) for e in out if isinstance(e, RecordEnding)] == [(first, True)]
    day.confirm_ahead(out)
    skipped = day.state.programme.status.song.uri
    out = day.next_song(after=5.0)
    (outcome,) = [e for e in out if isinstance(e, RecordOutcome)]
    assert (outcome.uri, outcome.outcome.kind, outcome.outcome.mood) == (skipped, OutcomeKind.SKIPPED_EARLY, "happy")
    assert [(e.ending.song.uri, e.ending.played) for e in out if isinstance(e, RecordEnding)] == [(skipped, False)]


def test_a_song_left_in_its_middle_says_nothing_but_counts_as_played_after_its_half(day: Day) -> None:
    day.hear_songs("happy", 1)
    out = day.next_song(after=120.0)
    assert not [e for e in out if isinstance(e, RecordOutcome)]
    assert [e.ending.played for e in out if isinstance(e, RecordEnding)] == [True]


def test_stopping_and_pausing_are_no_skips(day: Day) -> None:
    ahead = day.hear_songs("happy", 1)
    playing = day.state.programme.status.song
    day.wait(5)
    effects = [*day.player(PlayState.PAUSE, playing, [ahead]), *day.player(PlayState.STOP, None, [ahead])]
    assert not [e for e in effects if isinstance(e, RecordOutcome | RecordEnding)]


def test_a_song_that_does_not_go_with_the_mood_gives_way_and_is_rarer_in_it(day: Day) -> None:
    day.hear_songs("happy", 1)
    uri = day.state.programme.status.song.uri
    noted, skip = day.ask(NotNow())
    assert (noted.uri, noted.outcome.kind) == (uri, OutcomeKind.NOT_IN_THIS_MOOD)
    assert skip == SkipNext()
    again = day.next_song(after=0.0)
    assert not [e for e in again if isinstance(e, RecordOutcome)], "it was said already"
    assert day.state.programme.plays[-2].skipped


def test_a_correction_is_written_down_for_the_song_that_plays(day: Day) -> None:
    assert not day.ask(CorrectMood("sad"))
    day.hear_songs("happy", 1)
    uri = day.state.programme.status.song.uri
    assert day.ask(CorrectMood("sad")) == [RecordCorrection(uri, "sad", AFFECT_OF_LABEL["sad"])]


def test_what_was_learned_can_be_forgotten(day: Day) -> None:
    day.hear_songs("happy", 1)
    day.next_song(after=5.0)
    assert day.state.programme.preference != Preference()
    assert RecordForgetting("") in day.ask(ForgetTaste(""))
    assert not day.state.programme.preference.moods


def test_another_clients_dislike_counts_and_its_plays_rest(day: Day) -> None:
    day.tell(lambda at: Tick(at, 1e9 + at))
    day.tell(StickersRead, (Sticker("happy-0.ogg", like=0), Sticker("happy-1.ogg", last_played_unix=int(1e9) - 60)))
    (start,) = [effect for effect in day.feel("happy") if isinstance(effect, Enqueue)]
    assert start.uri == "happy-2.ogg"
    day.tell(StickersRead, (Sticker("happy-0.ogg", like=2),))
    assert not day.state.programme.disliked


def test_of_very_many_plays_in_other_clients_only_the_newest_are_looked_up(day: Day, monkeypatch) -> None:
    looked_up = []
    monkeypatch.setattr("device.domain.shelf.Shelf.row_of", lambda shelf, uri: looked_up.append(uri))
    day.tell(lambda at: Tick(at, 1e9 + at))
    stickers = [Sticker(f"{n}.ogg", last_played_unix=int(1e9) - 86400 + n) for n in range(2000)]
    day.tell(StickersRead, (*stickers[700:], *stickers[:700]))
    newest = [f"{n}.ogg" for n in range(1500, 2000)]
    assert [play.uri for play in day.state.programme.plays] == newest
    assert looked_up == newest


def test_what_was_noted_before_the_clock_was_set_lies_in_the_future_and_does_not_count(day: Day) -> None:
    day.tell(lambda at: Tick(at, 1e9 + at))
    day.tell(StickersRead, (Sticker("happy-1.ogg", last_played_unix=int(1e9) + 365 * 86400),))
    assert not day.state.programme.plays


def test_the_page_says_why_this_song(day: Day) -> None:
    day.ask(SetGoal(Goal.LIFT))
    day.hear_songs("sad", 1)
    assert day.picture.player.why == "chosen for sad, on the way up"
    day.player(PlayState.PLAY, song("angry-2", 77))
    assert day.picture.player.why == "queued by hand"


def test_a_mood_that_is_unknown_says_why(day: Day) -> None:
    day.tell(SenseChanged, Modality.FACE, SenseState.ON, "")
    assert day.picture.reason == "nobody seen or heard"
    unsure = Reading(Modality.FACE, normalised([0.3, 0.0, 0.0, 0.0, 0.35, 0.0, 0.35]), 1.0, day.at)
    day.tell(Perceived, unsure)
    assert day.picture.mood == UNKNOWN
    assert day.picture.reason == "not sure yet: face sad 0.35"
    day.feel("happy")
    assert day.picture.reason.startswith("face happy")


def test_a_mood_that_is_unknown_as_all_is_seen_badly_says_only_that(day: Day) -> None:
    day.tell(SenseChanged, Modality.FACE, SenseState.ON, "")
    day.tell(Perceived, Reading(Modality.FACE, UNIFORM, 1.0, day.at, "dark"))
    assert day.picture.reason == "face ignored: dark"
