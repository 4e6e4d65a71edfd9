"""What is to be played: keeps a fitting song queued ahead, and keeps out of the way of what a person does by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from device.domain.labels import CALM, UNKNOWN, affect_of
from device.domain.player import (
    Enqueue,
    Pause,
    PlayerAction,
    PlayerStatus,
    PlayState,
    QueuedSong,
    Remove,
    Resume,
    SkipNext,
)
from device.domain.selection import Play, SelectionSettings, Shelf, choose, fits, shelve
from device.domain.tracks import Track

ENDED_BY_ITSELF_SECONDS = 3.0
"""A song that stopped with no more than this left has ended; with more, a person stopped it."""


@dataclass(frozen=True, slots=True)
class MusicSettings:
    """[music]: when music starts and what is queued."""

    autoplay: bool = True
    """Start music by itself once a mood is known and nobody stopped it."""
    seed: int = 1
    """Of the draw among the best tracks."""
    confirm_seconds: float = field(default=5.0, metadata={"range": (1.0, 60.0)})
    """How long a queued song may take to show up in MPD before it is queued again."""
    history_songs: int = field(default=500, metadata={"range": (1, 100000)})
    """How many plays are remembered for freshness."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A track the speaker queued, and the mood it was for."""

    track: Track
    mood: str
    at_seconds: float


@dataclass(frozen=True, slots=True)
class Programme:
    """Everything known about the music."""

    shelf: Shelf = field(default_factory=lambda: shelve(()))
    status: PlayerStatus | None = None
    """None while MPD cannot be reached."""
    wants_music: bool = True
    """False once a person stopped the music, until one starts it again."""
    mood: str = UNKNOWN
    """The mood that music is chosen for: the last one known."""
    plays: tuple[Play, ...] = ()
    """Newest last."""
    chosen: tuple[Chosen, ...] = ()
    """What the speaker queued lately, newest last."""
    pending: Chosen | None = None
    """Queued, but not yet seen in MPD's queue."""
    asked_at_seconds: float | None = None
    """When a person's play or next was passed on, until MPD says what came of it."""
    disliked: frozenset[str] = frozenset()
    """Tracks that a person does not want to hear."""
    refused: frozenset[str] = frozenset()
    """Tracks that MPD could not play, until the catalogue is read again."""
    draws: int = 0


CHOSEN_KEPT = 20


def listen_to_player(
    programme: Programme, status: PlayerStatus, settings: MusicSettings
) -> tuple[Programme, Play | None]:
    """Take in what MPD says; also the play that has just begun, if one has."""
    before = programme.status
    wants_music = _still_wanted(programme, status)
    programme = replace(programme, status=status, wants_music=wants_music, asked_at_seconds=None)
    if status.state is not PlayState.PLAY or status.song is None:
        return programme, None
    if before and before.song and before.song.song_id == status.song.song_id and before.state is not PlayState.STOP:
        return programme, None
    if programme.plays and programme.plays[-1].uri == status.song.uri and before is None:
        return programme, None
    play = Play(status.song.uri, status.song.artist, status.song.album, status.at_seconds)
    return replace(programme, plays=(*programme.plays, play)[-settings.history_songs :]), play


def arrange(
    programme: Programme, mood: str, now_seconds: float, settings: MusicSettings, selection: SelectionSettings
) -> tuple[Programme, tuple[PlayerAction, ...]]:
    """Keep one fitting song queued behind the one that plays; start the music when it should start."""
    if mood != UNKNOWN:
        programme = replace(programme, mood=mood)
    programme = _confirm(programme, now_seconds, settings)
    status = programme.status
    awaited = programme.pending or _awaited(programme.asked_at_seconds, now_seconds, settings)
    if status is None or awaited or not programme.wants_music or status.state is PlayState.PAUSE:
        return programme, ()
    if status.state is PlayState.STOP:
        begins = settings.autoplay and programme.mood != UNKNOWN
        return _queue(programme, now_seconds, settings, selection, start=True) if begins else (programme, ())
    if not status.upcoming:
        return _queue(programme, now_seconds, settings, selection)
    misfit = _misfit(programme, status.upcoming[0], selection)
    if misfit is None:
        return programme, ()
    programme, actions = _queue(programme, now_seconds, settings, selection)
    return programme, (Remove(misfit.song_id), *actions) if actions else ()


def press_play(
    programme: Programme, now_seconds: float, settings: MusicSettings, selection: SelectionSettings
) -> tuple[Programme, tuple[PlayerAction, ...]]:
    """A person wants music: go on, or begin."""
    programme = replace(programme, wants_music=True)
    status = programme.status
    if status is None or status.song or status.upcoming:
        return replace(programme, asked_at_seconds=now_seconds), (Resume(),)
    return _queue(programme, now_seconds, settings, selection, start=True)


def press_pause(programme: Programme) -> tuple[Programme, tuple[PlayerAction, ...]]:
    """A person wants quiet."""
    return programme, (Pause(),)


def press_next(
    programme: Programme, now_seconds: float, settings: MusicSettings, selection: SelectionSettings
) -> tuple[Programme, tuple[PlayerAction, ...]]:
    """A person wants another song, now."""
    programme = replace(programme, wants_music=True)
    status = programme.status
    if status is None or (status.upcoming and status.state is not PlayState.STOP):
        return replace(programme, asked_at_seconds=now_seconds), (SkipNext(),)
    return _queue(programme, now_seconds, settings, selection, start=True)


def refuse(programme: Programme, uri: str) -> Programme:
    """MPD would not play `uri`: leave it out until the catalogue is read again."""
    pending = programme.pending
    if pending and pending.track.uri == uri:
        pending = None
    return replace(programme, pending=pending, refused=programme.refused | ({uri} if uri else set()))


def restock(programme: Programme, tracks: Sequence[Track]) -> Programme:
    """The catalogue was read: what was refused before gets another chance."""
    return replace(programme, shelf=shelve(tracks), refused=frozenset())


def rate(programme: Programme, uri: str, liked: bool) -> Programme:
    """Leave a disliked track out from now on; a liked one is back."""
    disliked = programme.disliked - {uri} if liked else programme.disliked | {uri}
    return replace(programme, disliked=disliked)


def chosen_for(programme: Programme, uri: str) -> str:
    """The mood the speaker chose `uri` for; empty when a person queued it."""
    return next((chosen.mood for chosen in reversed(programme.chosen) if chosen.track.uri == uri), "")


def _still_wanted(programme: Programme, status: PlayerStatus) -> bool:
    before = programme.status
    if status.state is PlayState.PLAY:
        return True
    if status.state is PlayState.PAUSE or before is None or before.state is PlayState.STOP:
        return programme.wants_music
    if before.state is PlayState.PAUSE or before.upcoming or before.song is None:
        return False
    played = before.elapsed_seconds + status.at_seconds - before.at_seconds
    return programme.wants_music and played >= before.song.duration_seconds - ENDED_BY_ITSELF_SECONDS


def _awaited(since_seconds: float | None, now_seconds: float, settings: MusicSettings) -> bool:
    return since_seconds is not None and now_seconds - since_seconds <= settings.confirm_seconds


def _confirm(programme: Programme, now_seconds: float, settings: MusicSettings) -> Programme:
    pending, status = programme.pending, programme.status
    if pending is None:
        return programme
    queue = () if status is None else (status.song, *status.upcoming)
    arrived = any(song is not None and song.uri == pending.track.uri for song in queue)
    late = not _awaited(pending.at_seconds, now_seconds, settings)
    return replace(programme, pending=None) if arrived or late else programme


def _misfit(programme: Programme, song: QueuedSong, selection: SelectionSettings) -> QueuedSong | None:
    """The queued song, if the speaker chose it for a mood that has passed and it does not go with the present one."""
    chosen = next((c for c in reversed(programme.chosen) if c.track.uri == song.uri), None)
    if chosen is None or chosen.mood == programme.mood or chosen.track.affect is None:
        return None
    return None if fits(chosen.track.affect, affect_of(programme.mood), selection) else song


def _queue(
    programme: Programme,
    now_seconds: float,
    settings: MusicSettings,
    selection: SelectionSettings,
    start: bool = False,
) -> tuple[Programme, tuple[PlayerAction, ...]]:
    status = programme.status
    present = {status.song.uri} if status and status.song else set()
    target = CALM if programme.mood == UNKNOWN else affect_of(programme.mood)
    seed = settings.seed * 1_000_003 + programme.draws
    exclude = programme.disliked | programme.refused | present
    track = choose(programme.shelf, target, programme.plays, now_seconds, seed, selection, exclude)
    if track is None:
        return programme, ()
    chosen = Chosen(track, programme.mood, now_seconds)
    programme = replace(
        programme,
        pending=chosen,
        chosen=(*programme.chosen, chosen)[-CHOSEN_KEPT:],
        draws=programme.draws + 1,
    )
    return programme, (Enqueue(track.uri, start),)
