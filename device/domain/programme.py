"""What is to be played: keeps a fitting song queued ahead, and keeps out of the way of what a person does by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from device.domain import preference as taste
from device.domain.goal import Goal, GoalSettings, target
from device.domain.labels import CALM, MIXED, UNKNOWN, Affect, affect_of
from device.domain.listening import Ending, begun, ended_by_itself, ending
from device.domain.night import ROUNDING_PERCENT, QuietSettings
from device.domain.player import (
    ChangeVolume,
    Enqueue,
    Pause,
    PlayerAction,
    PlayerStatus,
    PlayState,
    QueuedSong,
    Remove,
    Resume,
    SkipNext,
    Sticker,
    TurnTo,
)
from device.domain.preference import Outcome, OutcomeKind, Preference, PreferenceSettings
from device.domain.selection import Pick, Play, SelectionSettings, Wish, choose, fits, with_keys
from device.domain.shelf import Shelf, shelve

SAME_PLAY_SECONDS = 3600.0
"""A sticker's time that lies so near to a play that is known is that play, noted at its end."""
LIKED_KEPT = 5
"""So many of the songs liked last say what is wanted to sound alike."""
CHOSEN_KEPT = 20
EAGER_REFUSALS = 8
"""After so many songs that MPD would not play the next one is tried only every `confirm_seconds`."""
RESUME_SECONDS = 10.0
"""How often music that nobody stopped is resumed when MPD paused it, as its output was away."""


@dataclass(frozen=True, slots=True)
class MusicSettings:
    """[music]: when music starts and what is queued."""

    autoplay: bool = True
    """Start music by itself once a mood is known and nobody stopped it."""
    seed: int = field(default=1, metadata={"range": (0, 2**31)})
    """Of the draw among the best tracks."""
    songs_between_turns: int = field(default=3, metadata={"range": (1, 50)})
    """So many songs are played before the music follows another mood; a person's word counts at once."""
    confirm_seconds: float = field(default=5.0, metadata={"range": (1.0, 60.0)})
    """How long a queued song may take to show up in MPD before it is queued again."""
    history_songs: int = field(default=500, metadata={"range": (1, 100000)})
    """How many plays are remembered for freshness."""


@dataclass(frozen=True, slots=True)
class Rules:
    """All settings that the programme depends on."""

    music: MusicSettings = field(default_factory=MusicSettings)
    selection: SelectionSettings = field(default_factory=SelectionSettings)
    goal: GoalSettings = field(default_factory=GoalSettings)
    quiet: QuietSettings = field(default_factory=QuietSettings)
    preference: PreferenceSettings = field(default_factory=PreferenceSettings)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A track the speaker queued, and what it was for."""

    pick: Pick
    mood: str
    goal: Goal
    aimed: Affect
    at_seconds: float


@dataclass(frozen=True, slots=True)
class Course:
    """Which way the music goes."""

    mood: str = UNKNOWN
    """The mood that the songs are for, since the first of them began."""
    songs: int = 0
    """Begun since then."""
    steps: int = 0
    """Begun since then or since the goal was set: how far the way to it is gone."""
    by_hand: bool = False
    """A person has just set the mood or the goal, and no song for it has begun: the next one may turn at once."""


@dataclass(frozen=True, slots=True)
class Programme:
    """Everything known about the music."""

    shelf: Shelf = field(default_factory=lambda: shelve(()))
    status: PlayerStatus | None = None
    """None while MPD cannot be reached."""
    wants_music: bool = True
    """False once a person stopped the music, until one starts it again."""
    goal: Goal = Goal.MATCH
    mood: str = UNKNOWN
    """The last mood known."""
    course: Course = field(default_factory=Course)
    quiet: bool = False
    """These are quiet hours."""
    volume_before_night: int | None = None
    """Percent, to go back to in the morning; None when the volume was not lowered for the night."""
    volume_at_night: int | None = None
    """What MPD said once it was asked for the cap: a mixer rounds. None until it has."""
    lowering: bool = False
    """MPD has just been asked for the cap, and has not answered yet."""
    plays: tuple[Play, ...] = ()
    """Newest last."""
    preference: Preference = field(default_factory=Preference)
    liked: tuple[bytes, ...] = ()
    """Timbres of the songs liked last, newest last."""
    chosen: tuple[Chosen, ...] = ()
    """What the speaker queued lately, newest last."""
    pending: Chosen | None = None
    """Queued, but not yet seen in MPD's queue."""
    to_turn: bool = False
    """A person set the mood: what plays gives way as soon as it can."""
    turning: bool = False
    """The song that plays is being cut short by the speaker itself."""
    failed_at_seconds: float | None = None
    """When MPD paused by itself, or was last told to go on; None when it plays or a person paused it."""
    asked_at_seconds: float | None = None
    """When a person's play or next was passed on, until MPD says what came of it."""
    disliked: frozenset[str] = frozenset()
    """Tracks that a person does not want to hear."""
    disliked_since: frozenset[str] = frozenset()
    forgiven_since: frozenset[str] = frozenset()
    """What was said of tracks since the start, here or in another client: it counts before what the catalogue says."""
    refused: frozenset[str] = frozenset()
    """Tracks that MPD could not play, until the catalogue or MPD's own is read again."""
    draws: int = 0


Step = tuple[Programme, tuple[PlayerAction, ...]]


@dataclass(frozen=True, slots=True)
class Heard:
    """What MPD's news amount to."""

    play: Play | None = None
    """The song that has just begun."""
    ending: Ending | None = None
    outcome: Outcome | None = None
    """What the ending says about the song, when it says something."""


# --- what happens -------------------------------------------------------------------------------------------------


def listen_to_player(programme: Programme, status: PlayerStatus, rules: Rules) -> tuple[Programme, Heard]:
    """Take in what MPD says, and tell what it means."""
    before = programme.status
    ended = None if programme.turning else ending(before, status)
    outcome = _outcome(programme, ended.song.uri, ended.kind, status.at_seconds) if ended and ended.kind else None
    if ended and ended.kind:
        programme = _learn(programme, outcome, ended.song.uri, ended.kind, rules)
    programme = replace(
        programme,
        status=status,
        wants_music=_still_wanted(programme, status),
        failed_at_seconds=_failed_at(programme, status),
        asked_at_seconds=None,
    )
    song = begun(before, status)
    if song is None or (before is None and programme.plays and programme.plays[-1].uri == song.uri):
        return programme, Heard(None, ended, outcome)
    play = with_keys(Play(song.uri, song.artist, song.album, status.at_seconds), programme.shelf)
    plays = (*programme.plays, play)[-rules.music.history_songs :]
    course = _course_with(programme, chosen_for(programme, song))
    return replace(programme, plays=plays, course=course, turning=False), Heard(play, ended, outcome)


def restock(programme: Programme, shelf: Shelf) -> Programme:
    """The catalogue was read: what was refused before gets another chance."""
    plays = tuple(with_keys(play, shelf) for play in programme.plays)
    return replace(programme, shelf=shelf, plays=plays, refused=frozenset())


def recall_dislikes(programme: Programme, disliked: frozenset[str]) -> Programme:
    """The catalogue's dislikes, under the names that its songs have now."""
    return replace(programme, disliked=(disliked | programme.disliked_since) - programme.forgiven_since)


def forgive(programme: Programme) -> Programme:
    """MPD has read its music folder: what it would not play may be played now."""
    return replace(programme, refused=frozenset())


def refuse(programme: Programme, uri: str) -> Programme:
    """MPD would not play `uri`: leave it out until the catalogue or MPD's own is read again; empty: no song's fault."""
    pending, refused = programme.pending, programme.refused | ({uri} if uri else set())
    if pending and pending.pick.uri == uri and len(refused) < EAGER_REFUSALS:
        pending = None
    return replace(programme, pending=pending, refused=refused, turning=False)


def take_stickers(
    programme: Programme,
    stickers: Sequence[Sticker],
    unix_offset: float | None,
    now_seconds: float,
    settings: MusicSettings,
) -> Programme:
    """What other clients noted: likes, and when songs were played; `unix_offset` leads from our clock to unix."""
    disliked = frozenset(sticker.uri for sticker in stickers if sticker.like == 0)
    forgiven = frozenset(sticker.uri for sticker in stickers if sticker.like in (1, 2))
    programme = _judge(programme, disliked, forgiven)
    if unix_offset is None:
        return programme
    known = {play.uri: play.at_seconds for play in programme.plays}
    elsewhere = []
    for sticker in stickers:
        at_seconds = sticker.last_played_unix - unix_offset
        earliest = known.get(sticker.uri, -math.inf) + SAME_PLAY_SECONDS
        # What lies in the future was noted before our clock was set.
        if sticker.last_played_unix and earliest < at_seconds <= now_seconds + SAME_PLAY_SECONDS:
            elsewhere.append((at_seconds, sticker.uri))
    newest = sorted(elsewhere)[-settings.history_songs :]
    played = [with_keys(Play(uri, "", "", at_seconds), programme.shelf) for at_seconds, uri in newest]
    plays = sorted((*played, *programme.plays), key=lambda play: play.at_seconds)
    return replace(programme, plays=tuple(plays[-settings.history_songs :]))


# --- what a person asks -------------------------------------------------------------------------------------------


def press_play(programme: Programme, now_seconds: float, rules: Rules) -> Step:
    """A person wants music: go on, or begin."""
    programme = replace(programme, wants_music=True)
    status = programme.status
    if status is None or status.song or status.upcoming or programme.goal is Goal.OFF:
        return replace(programme, asked_at_seconds=now_seconds), (Resume(),)
    return _queue(programme, now_seconds, rules, start=True)


def press_pause(programme: Programme) -> Step:
    """A person wants quiet."""
    return replace(programme, failed_at_seconds=None), (Pause(),)


def press_next(programme: Programme, now_seconds: float, rules: Rules) -> Step:
    """A person wants another song, now."""
    programme = replace(programme, wants_music=True)
    status = programme.status
    behind = status is None or (status.upcoming and status.state is not PlayState.STOP)
    if behind or programme.goal is Goal.OFF:
        return replace(programme, asked_at_seconds=now_seconds), (SkipNext(),)
    return _queue(programme, now_seconds, rules, start=True)


def rate(
    programme: Programme, uri: str, liked: bool, now_seconds: float, rules: Rules
) -> tuple[Programme, Outcome | None]:
    """Leave a disliked track and its copies out from now on; liked ones are back, and what sounds alike is wanted."""
    kind = OutcomeKind.LIKED if liked else OutcomeKind.DISLIKED
    outcome = _outcome(programme, uri, kind, now_seconds)
    if liked:
        programme = _judge(programme, forgiven=frozenset({uri, *disliked_copies(programme, uri)}))
    else:
        programme = _judge(programme, disliked=frozenset({uri}))
    timbre = outcome.timbre if outcome else b""
    timbres = (*programme.liked, timbre)[-LIKED_KEPT:] if liked and timbre else programme.liked
    return _learn(replace(programme, liked=timbres), outcome, uri, kind, rules), outcome


def disliked_copies(programme: Programme, uri: str) -> tuple[str, ...]:
    """Disliked tracks that are the same recording as `uri`, without itself."""
    shelf, row = programme.shelf, programme.shelf.row_of(uri)
    if row is None:
        return ()
    copies = {shelf.uri(int(copy)) for copy in shelf.rows("recording", int(shelf.records["recording"][row]))}
    return tuple(sorted(copies & programme.disliked - {uri}))


def _judge(
    programme: Programme, disliked: frozenset[str] = frozenset(), forgiven: frozenset[str] = frozenset()
) -> Programme:
    """Somebody has just said what is not wanted and what may come again."""
    return replace(
        programme,
        disliked=(programme.disliked | disliked) - forgiven,
        disliked_since=(programme.disliked_since | disliked) - forgiven,
        forgiven_since=(programme.forgiven_since - disliked) | forgiven,
    )


def not_now(programme: Programme, now_seconds: float, rules: Rules) -> tuple[Programme, Outcome | None]:
    """The song that plays does not go with this mood; the others of it stay as they are."""
    song = programme.status.song if programme.status else None
    if song is None:
        return programme, None
    outcome = _outcome(programme, song.uri, OutcomeKind.NOT_IN_THIS_MOOD, now_seconds)
    return _learn(replace(programme, turning=True), outcome, song.uri, OutcomeKind.NOT_IN_THIS_MOOD, rules), outcome


def set_goal(programme: Programme, goal: Goal) -> Programme:
    """The way to the goal begins with the next song."""
    return replace(programme, goal=goal, course=replace(programme.course, steps=0, by_hand=True))


def change_volume(programme: Programme, percent: int, rules: Rules) -> Step:
    """A person's volume, capped in quiet hours."""
    capped = min(percent, rules.quiet.volume_percent) if programme.quiet else percent
    return programme, (ChangeVolume(capped),)


def fall_quiet(programme: Programme, quiet: bool, rules: Rules) -> Step:
    """Quiet hours begin, last or end: the volume is held under their cap, and goes back in the morning."""
    volume, cap = programme.status.volume_percent if programme.status else None, rules.quiet.volume_percent
    if not quiet:
        return _wake(programme, volume, cap)
    if not programme.quiet:
        programme = replace(programme, quiet=True, volume_before_night=None, volume_at_night=None)
    if volume is None:
        return programme, ()
    if programme.lowering:
        programme = _hear_mixer(programme, volume, cap)
    if volume <= cap or volume == programme.volume_at_night:
        return programme, ()
    before = max(programme.volume_before_night or 0, volume)
    return replace(programme, volume_before_night=before, lowering=True), (ChangeVolume(cap),)


def _hear_mixer(programme: Programme, volume: int, cap: int) -> Programme:
    """What MPD says after it was asked for the cap is as near as its mixer comes to it."""
    at_night = volume if abs(volume - cap) <= ROUNDING_PERCENT else programme.volume_at_night
    return replace(programme, volume_at_night=at_night, lowering=False)


def _wake(programme: Programme, volume: int | None, cap: int) -> Step:
    """The volume goes back, unless a person changed it in the night."""
    before = programme.volume_before_night
    if before is not None and volume is None:
        return replace(programme, quiet=False), ()  # MPD is away; it gets its volume back with it
    ours = volume in (cap, programme.volume_at_night)
    programme = replace(programme, quiet=False, volume_before_night=None, volume_at_night=None, lowering=False)
    return programme, (ChangeVolume(before),) if before is not None and ours else ()


def follow_hand(programme: Programme, mood: str) -> Programme:
    """A person says what the mood is: the music turns now, unless a person queued what plays or what comes next."""
    return replace(programme, mood=mood, course=replace(programme.course, by_hand=True), to_turn=True)


def leave_hand(programme: Programme) -> Programme:
    """A person's word about the mood is over: what is sensed may count with the next song."""
    return replace(programme, course=replace(programme.course, by_hand=True), to_turn=False)


# --- what is queued -----------------------------------------------------------------------------------------------


def arrange(programme: Programme, mood: str, now_seconds: float, rules: Rules) -> Step:
    """Keep one fitting song queued behind the one that plays; start the music when it should start."""
    if mood != UNKNOWN:
        programme = replace(programme, mood=mood)
    programme = _confirm(programme, now_seconds, rules.music)
    status = programme.status
    awaited = programme.pending or _awaited(programme.asked_at_seconds, now_seconds, rules.music)
    if status is None or awaited or not programme.wants_music:
        return programme, ()
    if status.state is PlayState.PAUSE:
        return _go_on(programme, now_seconds)
    ahead = status.upcoming[0] if status.upcoming else None
    if programme.goal is Goal.OFF:
        return programme, (Remove(ahead.song_id),) if ahead and _chosen(programme, ahead) else ()
    if status.state is PlayState.STOP:
        programme = replace(programme, to_turn=False)
        begins = rules.music.autoplay and programme.mood != UNKNOWN
        return _queue(programme, now_seconds, rules, start=True) if begins else (programme, ())
    if programme.to_turn:
        programme, turned = _turn(programme, status.song, ahead, now_seconds, rules)
        if turned:
            return programme, turned
    if ahead is None:
        return _queue(programme, now_seconds, rules)
    if not _misfits(programme, ahead, rules):
        return programme, ()
    programme, actions = _queue(programme, now_seconds, rules)
    return programme, (Remove(ahead.song_id), *actions) if actions else ()


def _go_on(programme: Programme, now_seconds: float) -> Step:
    """Resume, now and then, what MPD itself paused."""
    failed_at = programme.failed_at_seconds
    if failed_at is None or now_seconds - failed_at < RESUME_SECONDS:
        return programme, ()
    return replace(programme, failed_at_seconds=now_seconds), (Resume(),)


def _turn(
    programme: Programme, song: QueuedSong | None, ahead: QueuedSong | None, now_seconds: float, rules: Rules
) -> Step:
    """Fade over to a song for what a person set, unless what plays goes with it or is a person's choice itself."""
    programme = replace(programme, to_turn=False)
    playing = _chosen(programme, song) if song else None
    if playing is None or (ahead and _chosen(programme, ahead) is None):
        return programme, ()
    if fits(playing.pick.affect, aim(programme, rules), rules.selection):
        return programme, ()
    programme, actions = _queue(programme, now_seconds, rules, turn=True)
    dropped = (Remove(ahead.song_id),) if ahead and actions else ()
    return replace(programme, turning=bool(actions)), (*dropped, *actions)


def heading(programme: Programme, settings: MusicSettings) -> str:
    """The mood that the next song is for: the present one, unless the music has only just turned to another."""
    course = programme.course
    settled = course.mood == UNKNOWN or course.by_hand or course.songs >= settings.songs_between_turns
    return programme.mood if settled or programme.mood == UNKNOWN else course.mood


def aim(programme: Programme, rules: Rules) -> Affect:
    """Where the next song should lie."""
    mood = heading(programme, rules.music)
    start = CALM if mood == UNKNOWN else affect_of(mood)
    if programme.goal is Goal.MATCH:
        return taste.aim(programme.preference, mood, start, rules.preference)
    steps = programme.course.steps if mood == programme.course.mood else 0
    return target(programme.goal, start, steps, rules.goal)


def chosen_for(programme: Programme, song: QueuedSong) -> str:
    """The mood the speaker chose `song` for; empty when a person queued it."""
    chosen = _chosen(programme, song)
    return chosen.mood if chosen else ""


def explain(programme: Programme, song: QueuedSong) -> str:
    """Why this song plays, for people: "chosen for sad, on the way up; liked when sad"."""
    chosen = _chosen(programme, song)
    if chosen is None:
        return "queued by hand"
    way = {Goal.LIFT: ", on the way up", Goal.CALM: ", on the way to calm"}.get(chosen.goal, "")
    record = programme.shelf.records[chosen.pick.row] if chosen.pick.row < len(programme.shelf) else None
    known = record is not None and programme.shelf.uri(chosen.pick.row) == song.uri
    learned = (
        taste.explain(programme.preference, chosen.mood, int(record["recording"]), int(record["artist"]))
        if known and record is not None
        else ""
    )
    room = "mixed company" if chosen.mood == MIXED else chosen.mood
    return f"chosen for {room}{way}" + (f"; {learned}" if learned else "")


def _queue(programme: Programme, now_seconds: float, rules: Rules, start: bool = False, turn: bool = False) -> Step:
    """Choose a song and have it queued, or played at once (`start`), or faded over to (`turn`)."""
    status = programme.status
    present = {status.song.uri} if status and status.song else set()
    mood, aimed = heading(programme, rules.music), aim(programme, rules)
    wish = Wish(
        affect=aimed,
        highest_arousal=rules.quiet.highest_arousal if programme.quiet else 1.0,
        sounds_like=_sounds(programme),
        exclude=frozenset(programme.refused | present),
        disliked=programme.disliked,
    )
    seed = rules.music.seed * 1_000_003 + programme.draws
    rng = np.random.default_rng([seed, 1])
    pick = choose(
        programme.shelf,
        wish,
        programme.plays,
        now_seconds,
        seed,
        rules.selection,
        lambda shelf, rows: taste.weights(programme.preference, mood, shelf, rows, rules.preference, rng),
    )
    if pick is None:
        return programme, ()
    chosen = Chosen(pick, mood, programme.goal, aimed, now_seconds)
    kept = (*programme.chosen, chosen)[-CHOSEN_KEPT:]
    programme = replace(programme, pending=chosen, chosen=kept, draws=programme.draws + 1)
    return programme, (TurnTo(pick.uri),) if turn else (Enqueue(pick.uri, start),)


def _sounds(programme: Programme) -> tuple[bytes, ...]:
    """Timbres of what plays and of what was liked."""
    song = programme.status.song if programme.status else None
    row = programme.shelf.row_of(song.uri) if song else None
    playing = programme.shelf.timbre(row) if row is not None else b""
    return (*programme.liked, *([playing] if playing else []))


def _misfits(programme: Programme, song: QueuedSong, rules: Rules) -> bool:
    """Whether the speaker chose the queued song for something that has passed, and it does not go with what is now."""
    chosen = _chosen(programme, song)
    if chosen is None or (chosen.mood, chosen.goal) == (heading(programme, rules.music), programme.goal):
        return False
    return not fits(chosen.pick.affect, aim(programme, rules), rules.selection)


def _chosen(programme: Programme, song: QueuedSong) -> Chosen | None:
    """What the speaker queued it for; None when a person did, though it be a song that was chosen before, too."""
    return _last_choice(programme, song.uri) if song.ours else None


def _last_choice(programme: Programme, uri: str) -> Chosen | None:
    return next((chosen for chosen in reversed(programme.chosen) if chosen.pick.uri == uri), None)


def _course_with(programme: Programme, mood: str) -> Course:
    """The course once a song begins that was chosen for `mood` (empty: by a person)."""
    course = programme.course
    by_hand = course.by_hand and mood != programme.mood
    if mood in ("", course.mood):
        return replace(course, songs=course.songs + 1, steps=course.steps + 1, by_hand=by_hand)
    return Course(mood, songs=1, steps=1, by_hand=by_hand)


def _outcome(programme: Programme, uri: str, kind: OutcomeKind, now_seconds: float) -> Outcome | None:
    """What became of a song, with what is known of it; None for one whose affect is not known."""
    shelf, row = programme.shelf, programme.shelf.row_of(uri)
    if row is None:
        return None
    chosen = _last_choice(programme, uri)
    return Outcome(
        kind=kind,
        mood=chosen.mood if chosen else programme.mood,
        affect=shelf.affect(row),
        recording=int(shelf.records["recording"][row]),
        artist=int(shelf.records["artist"][row]),
        timbre=shelf.timbre(row),
        aimed=chosen.aimed if chosen and chosen.goal is not Goal.MATCH else None,
        at_seconds=now_seconds,
    )


def _learn(programme: Programme, outcome: Outcome | None, uri: str, kind: OutcomeKind, rules: Rules) -> Programme:
    """Take in what became of a song; a skipped one is marked, so that it rests longer."""
    plays = programme.plays
    if kind in (OutcomeKind.SKIPPED_EARLY, OutcomeKind.NOT_IN_THIS_MOOD) and plays and plays[-1].uri == uri:
        plays = (*plays[:-1], replace(plays[-1], skipped=True))
    learned = taste.learn(programme.preference, outcome, rules.preference) if outcome else programme.preference
    return replace(programme, plays=plays, preference=learned)


def _still_wanted(programme: Programme, status: PlayerStatus) -> bool:
    before = programme.status
    if status.state is PlayState.PLAY:
        return True
    if status.failed:
        return programme.wants_music
    if status.state is PlayState.PAUSE or before is None or before.state is PlayState.STOP:
        return programme.wants_music
    if before.state is PlayState.PAUSE:
        return False
    return programme.wants_music and ended_by_itself(before, status)


def _failed_at(programme: Programme, status: PlayerStatus) -> float | None:
    """Since when MPD pauses by itself."""
    before = programme.status
    if status.state is not PlayState.PAUSE:
        return None
    stopped_by_itself = status.failed and before is not None and before.state is PlayState.PLAY
    return status.at_seconds if stopped_by_itself else programme.failed_at_seconds


def _awaited(since_seconds: float | None, now_seconds: float, settings: MusicSettings) -> bool:
    return since_seconds is not None and now_seconds - since_seconds <= settings.confirm_seconds


def _confirm(programme: Programme, now_seconds: float, settings: MusicSettings) -> Programme:
    pending, status = programme.pending, programme.status
    if pending is None:
        return programme
    queue = () if status is None else (status.song, *status.upcoming)
    arrived = any(song is not None and song.uri == pending.pick.uri for song in queue)
    late = not _awaited(pending.at_seconds, now_seconds, settings)
    return replace(programme, pending=None) if arrived or late else programme
