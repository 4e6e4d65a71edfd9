"""The conductor's mind: one pure function from state and event to the next state and what is to be done."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from device.domain import programme as music
from device.domain.events import (
    Asked,
    CatalogueChanged,
    ClearOverride,
    Command,
    Event,
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
    StickersRead,
    SwitchSense,
    Tick,
)
from device.domain.fusion import Fused, FusionSettings, fuse
from device.domain.mood import Mood, MoodSettings, step
from device.domain.player import ChangeVolume, PlayerAction
from device.domain.programme import MusicSettings, Programme
from device.domain.reading import Modality, Reading
from device.domain.selection import Play, SelectionSettings


@dataclass(frozen=True, slots=True)
class BrainSettings:
    """Everything that the decisions depend on besides the events."""

    fusion: FusionSettings = field(default_factory=FusionSettings)
    mood: MoodSettings = field(default_factory=MoodSettings)
    music: MusicSettings = field(default_factory=MusicSettings)
    selection: SelectionSettings = field(default_factory=SelectionSettings)


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


@dataclass(frozen=True, slots=True)
class State:
    """Everything the speaker knows; owned by the conductor."""

    now_seconds: float = 0.0
    face: SenseStatus = SenseStatus(Modality.FACE)
    voice: SenseStatus = SenseStatus(Modality.VOICE)
    fused: Fused | None = None
    mood: Mood = field(default_factory=Mood)
    override: Override | None = None
    programme: Programme = field(default_factory=Programme)
    player_detail: str = "not connected yet"
    broker_connected: bool = False
    broker_detail: str = "not connected yet"
    track_count: int = 0
    catalogue_detail: str = "not read yet"

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


Effect = PlayerAction | SwitchSense | RecordPlay | RecordRating


def handle(state: State, event: Event, settings: BrainSettings) -> tuple[State, tuple[Effect, ...]]:
    """Take in one event: the next state, and what is to be done about it, in order."""
    state = replace(state, now_seconds=event.at_seconds)
    state, effects = _take_in(state, event, settings)
    state = _feel(state, settings)
    arranged, actions = music.arrange(
        state.programme, state.effective_mood, state.now_seconds, settings.music, settings.selection
    )
    return replace(state, programme=arranged), (*effects, *actions)


def wishes_of(state: State) -> Wishes:
    """What is to be kept over a restart."""
    return Wishes(state.face.wanted, state.voice.wanted, state.override)


def state_with(wishes: Wishes, programme: Programme) -> State:
    """The state to start from: what a person set before, and what is known of the music."""
    return State(
        face=SenseStatus(Modality.FACE, wanted=wishes.face_on),
        voice=SenseStatus(Modality.VOICE, wanted=wishes.voice_on),
        override=wishes.override,
        programme=programme,
    )


def _take_in(state: State, event: Event, settings: BrainSettings) -> tuple[State, tuple[Effect, ...]]:
    match event:
        case Perceived(reading):
            sense = replace(_sense(state, reading.modality), reading=reading)
            return _with_sense(state, sense), ()
        case SenseChanged(modality, sense_state, detail):
            return _with_sense(state, _sense_changed(_sense(state, modality), sense_state, detail)), ()
        case PlayerChanged(status):
            programme, play = music.listen_to_player(state.programme, status, settings.music)
            state = replace(state, programme=programme, player_detail="")
            return state, (RecordPlay(play),) if play else ()
        case PlayerLost(detail):
            programme = replace(state.programme, status=None, pending=None)
            return replace(state, programme=programme, player_detail=detail), ()
        case PlayerRefused(detail, uri):
            return replace(state, programme=music.refuse(state.programme, uri), player_detail=detail), ()
        case StickersRead():
            return state, ()
        case HeraldChanged(connected, detail):
            return replace(state, broker_connected=connected, broker_detail=detail), ()
        case CatalogueChanged(tracks, detail):
            programme = music.restock(state.programme, tracks)
            return replace(state, programme=programme, track_count=len(tracks), catalogue_detail=detail), ()
        case Asked(command):
            return _obey(state, command, settings)
        case Tick():
            return state, ()


def _obey(state: State, command: Command, settings: BrainSettings) -> tuple[State, tuple[Effect, ...]]:
    now, programme = state.now_seconds, state.programme
    match command:
        case SetOverride(mood, duration_seconds):
            return replace(state, override=Override(mood, now + duration_seconds)), ()
        case ClearOverride():
            return replace(state, override=None), ()
        case SwitchSense(modality, on):
            return _with_sense(state, replace(_sense(state, modality), wanted=on)), (command,)
        case SetVolume(percent):
            return state, (ChangeVolume(percent),)
        case RateSong(liked):
            return _rate(state, liked)
        case PressPlay():
            programme, actions = music.press_play(programme, now, settings.music, settings.selection)
        case PressPause():
            programme, actions = music.press_pause(programme)
        case PressNext():
            programme, actions = music.press_next(programme, now, settings.music, settings.selection)
    return replace(state, programme=programme), actions


def _rate(state: State, liked: bool) -> tuple[State, tuple[Effect, ...]]:
    status = state.programme.status
    if status is None or status.song is None:
        return state, ()
    uri = status.song.uri
    return replace(state, programme=music.rate(state.programme, uri, liked)), (RecordRating(uri, liked),)


def _feel(state: State, settings: BrainSettings) -> State:
    now = state.now_seconds
    readings = [sense.reading for sense in (state.face, state.voice) if sense.reading]
    fused = fuse(readings, now, settings.fusion)
    override = state.override if state.override and now < state.override.ends_at_seconds else None
    return replace(state, fused=fused, mood=step(state.mood, fused, now, settings.mood), override=override)


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
