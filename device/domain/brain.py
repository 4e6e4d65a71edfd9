"""The conductor's mind: one pure function from state and event to the next state and what is to be done."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from device.domain import programme as music
from device.domain.events import (
    Asked,
    CatalogueChanged,
    ClearOverride,
    Command,
    CorrectMood,
    Event,
    ForgetNeutral,
    ForgetTaste,
    HeraldChanged,
    LearnNeutral,
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
from device.domain.fusion import Fused, FusionSettings, fuse
from device.domain.goal import Goal, LowSpell, endure
from device.domain.labels import Affect, affect_of
from device.domain.listening import Ending
from device.domain.mood import Mood, MoodSettings, step
from device.domain.neutral import Baseline, Looking, at_home, learn, take_look
from device.domain.night import is_quiet
from device.domain.player import PlayerAction, PlayState
from device.domain.preference import Outcome, OutcomeKind, forget
from device.domain.programme import Programme, Rules
from device.domain.reading import Modality, Reading
from device.domain.selection import Play

PLAYED_LATELY = 3
"""A person's word about one of the last songs may still be on its way."""
REFUSAL_SHOWN_SECONDS = 60.0
"""So long people are told what MPD refused, unless a song begins before."""


@dataclass(frozen=True, slots=True)
class BrainSettings:
    """Everything that the decisions depend on besides the events."""

    fusion: FusionSettings = field(default_factory=FusionSettings)
    mood: MoodSettings = field(default_factory=MoodSettings)
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True, slots=True)
class Override:
    """A mood that a person set, and when it ends."""

    mood: str
    ends_at_seconds: float


@dataclass(frozen=True, slots=True)
class SenseStatus:
    """How a sense is doing, and its last reading."""

    modality: Modality
    state: SenseState = SenseState.OFF
    detail: str = ""
    reading: Reading | None = None
    wanted: bool = True
    """False while a person has switched it off."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person set and expects to find again after a restart."""

    face_on: bool = True
    voice_on: bool = True
    override: Override | None = None
    goal: Goal = Goal.MATCH
    neutral: Baseline | None = None
    wants_music: bool = True
    """False once a person stopped the music."""
    volume_before_night: int | None = None
    """Percent, to go back to in the morning."""
    volume_at_night: int | None = None
    """Percent, what MPD made of the night's cap."""


@dataclass(frozen=True, slots=True)
class State:
    """Everything the speaker knows; owned by the conductor."""

    now_seconds: float = 0.0
    face: SenseStatus = SenseStatus(Modality.FACE)
    voice: SenseStatus = SenseStatus(Modality.VOICE)
    fused: Fused | None = None
    mood: Mood = field(default_factory=Mood)
    people: int = 0
    """How many faces are in view."""
    neutral: Baseline | None = None
    """The home's neutral face; None until it was learned."""
    looking: Looking | None = None
    """While it is being learned."""
    neutral_detail: str = ""
    """Why it was not learned; empty when nothing went wrong."""
    override: Override | None = None
    spell: LowSpell = field(default_factory=LowSpell)
    unix_offset: float | None = None
    """Add it to our seconds to get the wall clock's; None before the first tick."""
    programme: Programme = field(default_factory=Programme)
    player_detail: str = "not connected yet"
    """Why MPD is not there, or what it refused lately."""
    refused_at_seconds: float = 0.0
    broker_connected: bool = False
    broker_detail: str = "not connected yet"
    track_count: int = 0
    catalogue_detail: str = "not read yet"

    offered: bool = False
    """Low music has lasted: a way out is offered."""

    @property
    def effective_mood(self) -> str:
        """The override while one is in force, else what is sensed."""
        return self.override.mood if self.override else self.mood.label


@dataclass(frozen=True, slots=True)
class RecordPlay:
    """Write down that a song began."""

    play: Play


@dataclass(frozen=True, slots=True)
class RecordRating:
    """Write down what a person thinks of a song."""

    uri: str
    liked: bool


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """Write down what came of a song."""

    uri: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class RecordEnding:
    """Count a play or a skip."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class RecordCorrection:
    """A person says how a song feels: keep it, and put it on the shelf."""

    uri: str
    mood: str
    affect: Affect


@dataclass(frozen=True, slots=True)
class RecordForgetting:
    """Wipe what was learned of this house's taste."""

    mood: str
    """Of this mood only; empty: of all."""


Effect = (
    PlayerAction
    | SwitchSense
    | RecordPlay
    | RecordRating
    | RecordOutcome
    | RecordEnding
    | RecordCorrection
    | RecordForgetting
)


def handle(state: State, event: Event, settings: BrainSettings) -> tuple[State, tuple[Effect, ...]]:
    """Take in one event: the next state, and what is to be done about it, in order."""
    state = replace(state, now_seconds=event.at_seconds)
    state, effects = _take_in(state, event, settings)
    state = _feel(state, settings)
    arranged, actions = music.arrange(state.programme, state.effective_mood, state.now_seconds, settings.rules)
    return replace(state, programme=arranged), (*effects, *actions)


def wishes_of(state: State) -> Wishes:
    """What is to be kept over a restart."""
    programme = state.programme
    return Wishes(
        state.face.wanted,
        state.voice.wanted,
        state.override,
        programme.goal,
        state.neutral,
        programme.wants_music,
        programme.volume_before_night,
        programme.volume_at_night,
    )


def state_with(wishes: Wishes, programme: Programme) -> State:
    """The state to start from: what a person set before, and what is known of the music."""
    programme = replace(
        programme,
        goal=wishes.goal,
        wants_music=wishes.wants_music,
        quiet=wishes.volume_before_night is not None,
        volume_before_night=wishes.volume_before_night,
        volume_at_night=wishes.volume_at_night,
    )
    return State(
        face=SenseStatus(Modality.FACE, wanted=wishes.face_on),
        voice=SenseStatus(Modality.VOICE, wanted=wishes.voice_on),
        override=wishes.override,
        neutral=wishes.neutral,
        programme=programme,
    )


def _take_in(state: State, event: Event, settings: BrainSettings) -> tuple[State, tuple[Effect, ...]]:
    match event:
        case Perceived(reading):
            return _perceive(state, reading), ()
        case SenseChanged(modality, sense_state, detail):
            state = _with_sense(state, _sense_changed(_sense(state, modality), sense_state, detail))
            if state.looking and state.face.state is not SenseState.ON:
                state = replace(state, looking=None, neutral_detail="the camera went off")
            return state, ()
        case PlayerChanged(status):
            programme, heard = music.listen_to_player(state.programme, status, settings.rules)
            before = state.programme.status
            resumed = status.state is PlayState.PLAY and before is not None and before.state is not PlayState.PLAY
            told = "" if before is None or resumed or heard.play else state.player_detail
            return replace(state, programme=programme, player_detail=told), _records(heard)
        case StickersRead(stickers):
            programme = music.take_stickers(
                state.programme, stickers, state.unix_offset, state.now_seconds, settings.rules.music
            )
            return replace(state, programme=programme), ()
        case PlayerLost(detail):
            programme = replace(state.programme, status=None, pending=None, turning=False)
            return replace(state, programme=programme, player_detail=detail), ()
        case PlayerUpdated():
            return replace(state, programme=music.forgive(state.programme)), ()
        case PlayerRefused(detail, uri):
            programme = music.refuse(state.programme, uri)
            return replace(state, programme=programme, player_detail=detail, refused_at_seconds=state.now_seconds), ()
        case HeraldChanged(connected, detail):
            return replace(state, broker_connected=connected, broker_detail=detail), ()
        case CatalogueChanged(shelf, track_count, detail, _, disliked):
            programme = music.restock(state.programme, shelf) if shelf else state.programme
            programme = music.recall_dislikes(programme, disliked) if disliked is not None else programme
            return replace(state, programme=programme, track_count=track_count, catalogue_detail=detail), ()
        case Asked(command):
            return _obey(state, command, settings)
        case Tick(at_seconds, unix_seconds, minute_of_day):
            quiet = is_quiet(minute_of_day, settings.rules.quiet)
            programme, actions = music.fall_quiet(state.programme, quiet, settings.rules)
            offset = None if unix_seconds is None else unix_seconds - at_seconds
            old = programme.status is not None and at_seconds - state.refused_at_seconds > REFUSAL_SHOWN_SECONDS
            told = "" if old else state.player_detail
            return replace(state, programme=programme, unix_offset=offset, player_detail=told), actions


def _obey(state: State, command: Command, settings: BrainSettings) -> tuple[State, tuple[Effect, ...]]:
    now, rules = state.now_seconds, settings.rules
    match command:
        case SetOverride(mood, duration_seconds):
            programme = music.follow_hand(state.programme, mood)
            return replace(state, override=Override(mood, now + duration_seconds), programme=programme), ()
        case ClearOverride():
            return replace(state, override=None, programme=music.leave_hand(state.programme)), ()
        case TurnDownOffer():
            return replace(state, spell=LowSpell(at_seconds=now)), ()
        case SwitchSense(modality, on):
            return _with_sense(state, replace(_sense(state, modality), wanted=on)), (command,)
        case RateSong() | CorrectMood() | NotNow():
            return _judge(state, command, rules)
        case LearnNeutral():
            return _begin_to_look(state), ()
        case ForgetNeutral():
            return replace(state, neutral=None, looking=None, neutral_detail=""), ()
        case ForgetTaste(mood):
            forgotten = forget(state.programme.preference, mood=mood or None)
            programme = replace(state.programme, preference=forgotten)
            return replace(state, programme=programme), (RecordForgetting(mood),)
        case _:
            programme, actions = _press(state.programme, command, now, rules)
            return replace(state, programme=programme), actions


def _press(programme: Programme, command: Command, now: float, rules: Rules) -> music.Step:
    """The buttons of a player, and what the music is for."""
    match command:
        case SetGoal(goal):
            return music.set_goal(programme, goal), ()
        case SetVolume(percent):
            return music.change_volume(programme, percent, rules)
        case PressPlay():
            return music.press_play(programme, now, rules)
        case PressPause():
            return music.press_pause(programme)
        case PressNext():
            return music.press_next(programme, now, rules)
        case _:
            return programme, ()


def _playing(state: State) -> str:
    """Uri of the song that plays; empty when none does."""
    status = state.programme.status
    return status.song.uri if status and status.song else ""


def _meant(state: State, uri: str) -> str:
    """The song that a person speaks of: it plays, or played until a moment ago; empty when it is neither."""
    playing = _playing(state)
    lately = [play.uri for play in state.programme.plays[-PLAYED_LATELY:]]
    return playing if uri in ("", playing) else uri if uri in lately else ""


def _judge(state: State, command: RateSong | CorrectMood | NotNow, rules: Rules) -> tuple[State, tuple[Effect, ...]]:
    """What a person says of the song that plays."""
    match command:
        case RateSong(liked, uri):
            return _rate(state, _meant(state, uri), liked, rules)
        case CorrectMood(mood, uri):
            uri = _meant(state, uri)
            return state, (RecordCorrection(uri, mood, affect_of(mood)),) if uri else ()
        case NotNow(uri):
            return _not_now(state, rules) if uri in ("", _playing(state)) else (state, ())


def _rate(state: State, uri: str, liked: bool, rules: Rules) -> tuple[State, tuple[Effect, ...]]:
    if not uri:
        return state, ()
    copies = music.disliked_copies(state.programme, uri) if liked else ()
    programme, outcome = music.rate(state.programme, uri, liked, state.now_seconds, rules)
    noted = (RecordOutcome(uri, outcome),) if outcome else ()
    return replace(state, programme=programme), (*(RecordRating(song, liked) for song in (uri, *copies)), *noted)


def _not_now(state: State, rules: Rules) -> tuple[State, tuple[Effect, ...]]:
    """Another song, and this one not again in this mood."""
    uri = _playing(state)
    programme, outcome = music.not_now(state.programme, state.now_seconds, rules)
    if not uri:
        return state, ()
    programme, actions = music.press_next(programme, state.now_seconds, rules)
    return replace(state, programme=programme), (*((RecordOutcome(uri, outcome),) if outcome else ()), *actions)


def _records(heard: music.Heard) -> tuple[Effect, ...]:
    """What of MPD's news is written down."""
    ending, outcome, play = heard.ending, heard.outcome, heard.play
    skipped = ending is not None and ending.kind is OutcomeKind.SKIPPED_EARLY
    return (
        *((RecordEnding(ending),) if ending and (ending.played or skipped) else ()),
        *((RecordOutcome(ending.song.uri, outcome),) if ending and outcome else ()),
        *((RecordPlay(play),) if play else ()),
    )


def _feel(state: State, settings: BrainSettings) -> State:
    """Move on to now: the mood by what is perceived, and what ends by itself."""
    now = state.now_seconds
    if state.looking and state.looking.is_over(now):
        learned, detail = learn(state.looking)
        state = replace(state, neutral=learned or state.neutral, looking=None, neutral_detail=detail)
    readings = [sense.reading for sense in (state.face, state.voice) if sense.reading]
    fused = fuse(readings, now, settings.fusion)
    override, programme = state.override, state.programme
    if override and now >= override.ends_at_seconds:
        override, programme = None, music.leave_hand(programme)
    status = programme.status
    playing = status is not None and status.state is PlayState.PLAY
    low = affect_of(programme.course.mood)
    spell = endure(state.spell, low, programme.goal, playing, now, settings.rules.goal)
    offered = spell.offers(settings.rules.goal)
    mood = step(state.mood, fused, now, settings.mood)
    people = _people(state.face.reading, now, settings.fusion)
    state = replace(state, fused=fused, mood=mood, people=people)
    return replace(state, override=override, programme=programme, spell=spell, offered=offered)


def _perceive(state: State, reading: Reading) -> State:
    """Take a reading in; a face's as the home's faces are to be read, and as it is while their neutral is learned."""
    if reading.modality is Modality.FACE:
        if state.looking:
            state = replace(state, looking=take_look(state.looking, reading))
        reading = at_home(reading, state.neutral)
    return _with_sense(state, replace(_sense(state, reading.modality), reading=reading))


def _begin_to_look(state: State) -> State:
    """Learn the neutral face from now on, if there is a face to learn from."""
    if state.face.state is not SenseState.ON:
        return replace(state, looking=None, neutral_detail="the camera is off")
    if not state.people:
        return replace(state, looking=None, neutral_detail="nobody is seen; sit where the camera sees you")
    return replace(state, looking=Looking(state.now_seconds), neutral_detail="")


def _people(face: Reading | None, now: float, settings: FusionSettings) -> int:
    """How many were seen lately, however badly."""
    return len(face.people) if face and now - face.at_seconds <= settings.expiry_seconds else 0


def _sense(state: State, modality: Modality) -> SenseStatus:
    return state.face if modality is Modality.FACE else state.voice


def _with_sense(state: State, sense: SenseStatus) -> State:
    if sense.modality is Modality.FACE:
        return replace(state, face=sense)
    return replace(state, voice=sense)


def _sense_changed(sense: SenseStatus, state: SenseState, detail: str) -> SenseStatus:
    """A sense that is not on has nothing to say: what it saw before is forgotten at once."""
    reading = sense.reading if state is SenseState.ON else None
    return replace(sense, state=state, detail=detail, reading=reading)
