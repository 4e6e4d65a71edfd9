"""The music player: MPD, commanded by one thread; a second one waits for its news, a third one keeps its stickers."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from device.adapters.mpd_player_fade import GONE, STEP_SECONDS, Fade
from device.adapters.mpd_player_stickers import Noting, Stickers
from device.adapters.mpd_player_wire import LOST, Reason, Refused, Wire, spoken, why_lost
from device.adapters.mpd_player_words import one_of, songs_of, status_of, upcoming_songs, uri_in, volume_in
from device.backoff import Backoff
from device.config import MpdConfig, credential
from device.domain.events import PlayerChanged, PlayerLost, PlayerRefused, PlayerUpdated, StickersRead
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
from device.domain.text import cleaned, flaw_in
from device.errors import SetupError
from device.ports import Beat, Clock, Post

log = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 5.0
MOST_WAITING = 64
"""Actions that may wait while MPD is slow; more are refused."""
OWN_SONGS = 100
"""So many of the songs queued here are remembered as ours."""
PLAYED_SONGS = 20
"""So many of ours stay in the queue once they have played, to go back to; MPD keeps all, and has an end at 16,384."""
NO_SONGS_FAULT = (Reason.PASSWORD, Reason.PERMISSION, Reason.PLAYLIST_MAX)
BEAT_SECONDS = 1.0
CLOSE_SECONDS = 2.0
LAST_STEP_SECONDS = 0.5
"""So long a fade may take to end when the player is closed."""
NEWS = ("player", "playlist", "mixer", "options", "sticker", "database")
SETTLE_SECONDS = 3.0
"""Stickers that change together are read together."""
STICKER_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Look:
    """In the queue: there is news, ask for the status."""

    of_volume_only: bool = False


class MpdPlayer:
    """ports.Player on a Music Player Daemon, which may come and go as it likes.

    The commanding thread owns the truth: it alone says how the player is. The listening thread sits in MPD's `idle`
    and rings. A quiet commanding connection is checked every half timeout, so a frozen MPD is found within one and
    a half. The thread for stickers connects when there is something to write or to read, and nobody waits for it.
    A fade is a step of the commanding thread every STEP_SECONDS. Closing ends it well, and a lost MPD gets the volume
    back; only a daemon killed in the middle of one leaves the volume as it was just then.
    `beat` is called about once a second, and after at most a timeout and LONGEST_DELAY_SECONDS when MPD is not well.
    """

    def __init__(self, config: MpdConfig, post: Post, clock: Clock, beat: Beat | None = None) -> None:
        password = credential(config.password_credential)
        if password and flaw_in(password):
            raise SetupError(f"mpd.password_credential: {config.password_credential}: not one line of text")
        self._config = config
        self._post = post
        self._clock = clock
        self._beat = beat or (lambda: None)
        self._name = config.host if config.host.startswith(("/", "@")) else f"{config.host}:{config.port}"
        self._commands = Wire(config, password)
        self._news = Wire(config, password)
        self._news.client.idletimeout = None
        self._sticker_wire = Wire(config, password)
        self._queue: queue.Queue[PlayerAction | _Look] = queue.Queue(MOST_WAITING)
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._connected = False
        self._lost_detail = ""
        """Why MPD is not there, as it was posted; empty before the first loss and while connected."""
        self._listening = threading.Event()
        self._error_seen = ""
        """What went wrong with a song and was told: MPD shows it until another song plays."""
        self._songs: tuple[QueuedSong, ...] = ()
        """What the last status spoke of: an error is about one of these."""
        self._own: dict[int, str] = {}
        """Uris of what was queued here, by MPD's id."""
        self._playing_id = GONE
        self._played: deque[int] = deque()
        """Those of ours that have played, the oldest first."""
        self._fade: Fade | None = None
        """Outlives a lost connection: the volume is to come back."""
        self._next_step_at = 0.0
        self._updates_asked: set[str] = set()
        self._to_note: deque[Noting] = deque()
        """Counts and likes that were not written yet; they wait for MPD."""
        self._stickers_stale = threading.Event()
        self._sticker_bell = threading.Event()
        self._no_stickers = ""
        """Why MPD keeps none, as it was logged."""
        self._threads = (
            threading.Thread(target=self._command_for_ever, name="mpd-commands", daemon=True),
            threading.Thread(target=self._listen_for_ever, name="mpd-news", daemon=True),
            threading.Thread(target=self._keep_stickers_for_ever, name="mpd-stickers", daemon=True),
        )

    def start(self) -> None:
        """Start connecting, for ever; returns at once."""
        for thread in self._threads:
            thread.start()

    def submit(self, action: PlayerAction) -> None:
        """Have it done soon, in order; returns at once. Dropped with a PlayerLost when there is no connection.

        Counts and likes are no person's wait: they are written when MPD is there, and left out silently if it cannot.
        """
        if isinstance(action, Noting):
            self._note_later(action)
            return
        with self._lock:
            connected = self._connected
            if connected:
                try:
                    self._queue.put_nowait(action)
                    return
                except queue.Full:
                    pass
        if connected:
            self._refuse("MPD is too slow: this was left out", _uri_of(action))
        else:
            self._post(PlayerLost(self._lost_detail or f"MPD at {self._name}: not connected yet", self._clock()))

    def close(self) -> None:
        """Disconnect and end the threads; the music plays on."""
        self._closing.set()
        self._ring()
        self._sticker_bell.set()
        if self._fade:
            self._threads[0].join(LAST_STEP_SECONDS)
        self._commands.cut(for_good=True)
        self._news.cut(for_good=True)
        self._sticker_wire.cut(for_good=True)
        for thread in self._threads:
            if thread.ident:
                thread.join(CLOSE_SECONDS)

    # The commanding thread

    def _command_for_ever(self) -> None:
        backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, Random())
        while not self._closing.is_set():
            try:
                self._commands.connect()
                self._find_own()
                self._bring_volume_back()
                self._look()
                backoff.reset()
                self._serve()
            except LOST as error:
                self._lose(error)
            finally:
                self._commands.disconnect()
            self._beat()
            self._closing.wait(backoff.next_delay())

    def _serve(self) -> None:
        """Do what is asked, in order, and tell how things are after each; check the connection in quiet times."""
        quiet_since = self._clock()
        while not self._closing.is_set():
            self._beat()
            self._go_on_fading()
            try:
                task = self._queue.get(timeout=self._idle_seconds())
            except queue.Empty:
                if self._clock() - quiet_since < self._config.timeout_seconds / 2:
                    continue
                self._check()
            else:
                self._do(task)
            quiet_since = self._clock()
        if self._fade:
            with suppress(Refused):
                self._tell_amid(self._fade, ChangeVolume(self._fade.home_percent))

    def _idle_seconds(self) -> float:
        longest = min(BEAT_SECONDS, self._config.timeout_seconds / 2)
        return min(longest, max(0.0, self._next_step_at - self._clock())) if self._fade else longest

    def _check(self) -> None:
        """MPD must answer; without the listening connection its status is asked for, too."""
        if self._listening.is_set():
            self._commands.client.ping()
        else:
            self._look()

    def _do(self, task: PlayerAction | _Look) -> None:
        if isinstance(task, _Look):
            if self._queue.empty() and not (task.of_volume_only and self._fade):
                self._look()
            return
        uri = _uri_of(task)
        flaw = flaw_in(uri)
        if flaw:
            self._refuse(f"{cleaned(uri)}: {flaw}", uri)
            return
        told = ""
        try:
            if self._fade:
                self._tell_amid(self._fade, task)
            else:
                self._tell(task)
        except Refused as error:
            told = self._refused(error, uri)
        self._look(told)

    def _tell(self, action: PlayerAction) -> None:
        client = self._commands.client
        match action:
            case Enqueue(uri, start):
                song_id = self._add(uri)
                if start:
                    client.playid(song_id)
            case TurnTo(uri):
                self._turn_to(uri)
            case Remove(song_id):
                self._own.pop(song_id, None)
                _remove(client, song_id)
            case Resume():
                client.play()
            case Pause():
                client.pause(1)
            case SkipNext():
                client.next()
            case ChangeVolume(percent):
                client.setvol(percent)

    def _add(self, uri: str, *where: str) -> int:
        song_id = int(self._commands.client.addid(uri, *where))
        self._own[song_id] = uri
        if len(self._own) > OWN_SONGS:
            del self._own[next(iter(self._own))]
        return song_id

    def _refused(self, error: Refused, uri: str) -> str:
        """Tell that MPD did not do it, and leave nothing of it in the queue; gives MPD's words."""
        told = spoken(error)
        if error.errno in NO_SONGS_FAULT:
            advice = "; clear its queue" if error.errno is Reason.PLAYLIST_MAX else ""
            self._refuse(f"MPD refused: {told}{advice}", "")
            return told
        uri = uri or uri_in(told, self._songs)
        self._refuse(self._reason(error, uri), uri)
        self._take_out(uri)
        return told

    def _reason(self, error: Refused, uri: str) -> str:
        """What MPD did not like; a song it does not know makes it look for that song, once."""
        reason = spoken(error)
        if not uri or error.errno is not Reason.NO_EXIST:
            return f"{uri}: {reason}" if uri else f"MPD refused: {reason}"
        if uri in self._updates_asked:
            return f"{uri}: MPD does not know it ({reason})"
        self._updates_asked.add(uri)
        try:
            self._commands.client.update(uri)
        except Refused as refusal:
            return f"{uri}: MPD does not know it and would not look for it ({spoken(refusal)})"
        return f"{uri}: MPD does not know it ({reason}); it was asked to update its database"

    def _look(self, told: str = "") -> None:
        """Ask how things are and post it, and any song that could not be played unless `told` was just that.

        In a fade the volume is told as it was before it, and will be again.
        """
        status, error = self._read_status()
        if self._fade and status.volume_percent is not None:
            status = replace(status, volume_percent=self._fade.home_percent)
        status = replace(status, failed=error not in ("", self._error_seen))
        self._found()
        if error and error not in (self._error_seen, told):
            uri = uri_in(error, (*self._songs, *songs_of(status)))
            self._refuse(error, uri)
            self._take_out(uri)
        self._error_seen, self._songs = error, songs_of(status)
        self._tidy(status.song.song_id if status.song else GONE)
        self._post(PlayerChanged(status, status.at_seconds))

    def _tidy(self, playing_id: int) -> None:
        """Take songs of ours out of the queue that played long ago."""
        if playing_id == self._playing_id:
            return
        if self._playing_id in self._own:
            self._played.append(self._playing_id)
        self._playing_id = playing_id
        while len(self._played) > PLAYED_SONGS:
            oldest = self._played.popleft()
            if oldest != playing_id and self._own.pop(oldest, ""):
                _remove(self._commands.client, oldest)

    def _find_own(self) -> None:
        """After a lost connection: of the songs queued here, those still in the queue. A new MPD gives them new ids."""
        if not self._own:
            return
        queue = [(int(song["id"]), song["file"]) for song in self._commands.client.playlistinfo()]
        found: dict[int, tuple[int, str]] = {}
        for former_id, uri in self._own.items():
            same = [song_id for song_id, file in queue if file == uri and song_id not in found]
            if same:
                found[former_id if former_id in same else same[-1]] = former_id, uri
        now = {former_id: song_id for song_id, (former_id, _) in found.items()}
        self._own = {song_id: uri for song_id, (_, uri) in found.items()}
        self._played = deque(now[former_id] for former_id in self._played if former_id in now)

    def _take_out(self, uri: str) -> None:
        """A song of ours that cannot be played does not stay in the queue; what a person queued is theirs."""
        for song_id in [own for own, known in self._own.items() if known == uri]:
            del self._own[song_id]
            _remove(self._commands.client, song_id)

    def _read_status(self) -> tuple[PlayerStatus, str]:
        """MPD's status in our words, and the error it shows (of a song that could not be played), or empty."""
        client = self._commands.client
        client.command_list_ok_begin()
        client.status()
        client.currentsong()
        said, current = client.command_list_end()
        at_seconds = self._clock()
        try:
            upcoming = upcoming_songs(client, said)
        except Refused as error:
            if error.errno not in (Reason.ARG, Reason.NO_EXIST):
                raise
            upcoming = []  # the queue was changed between the two questions: its bell is about to ring
        return status_of(said, current, upcoming, at_seconds, self._own), cleaned(one_of(said.get("error")))

    # The fade, a step at a time between other tasks

    def _turn_to(self, uri: str) -> None:
        """Queue the track behind the song that plays, and fade over to it; what a person queued follows after it.

        Where nothing plays, or nothing is heard of it, it begins at once.
        """
        client, earlier = self._commands.client, self._fade
        said = client.status()
        song_id = self._add(uri, *(("+0",) if "song" in said else ()))
        self._give_up_turning()
        volume = volume_in(said)
        home = earlier.home_percent if earlier and earlier.explains(volume) else volume
        if said.get("state") == PlayState.PLAY.value and home > 0:
            now = self._clock()
            self._fade = Fade(uri, song_id, int(said["songid"]), home, volume, now, volume, volume)
            self._next_step_at = now
            return
        client.playid(song_id)
        if earlier:
            self._end_fade(home)

    def _go_on_fading(self) -> None:
        """The next step of the fade, if there is one and it is time."""
        fade, now = self._fade, self._clock()
        if not fade or now < self._next_step_at:
            return
        self._next_step_at = now + STEP_SECONDS
        try:
            self._step(fade, now)
        except Refused as error:
            self._end_fade(fade.home_percent)
            self._look(self._refused(error, fade.uri))

    def _step(self, fade: Fade, now: float) -> None:
        before, after = self._change_volume(fade.percent_at(now))
        volume, song_id = volume_in(before), int(before.get("songid", GONE))
        if not fade.explains(volume):
            self._turn(fade, song_id)
            self._end_fade(volume)
        elif before.get("state") != PlayState.PLAY.value or not fade.belongs(song_id) or fade.song_id == GONE:
            self._end_fade(fade.home_percent)
        elif not fade.is_over_at(now):
            self._fade = fade.after_step(fade.percent_at(now), volume_in(after))
        elif fade.inward:
            self._fade = None
        else:
            self._turn(fade, song_id)
            self._fade = fade.after_step(0, volume_in(after)).turned(now)

    def _change_volume(self, percent: int) -> tuple[dict[str, str], dict[str, str]]:
        """Set the mixer; MPD's status just before and just after it, with nobody in between."""
        client = self._commands.client
        client.command_list_ok_begin()
        client.status()
        client.setvol(percent)
        client.status()
        try:
            before, _, after = client.command_list_end()
        except Refused:  # there was a mixer, and now there is none
            before = after = client.status()
        return before, after

    def _turn(self, fade: Fade, playing_id: int) -> None:
        """Begin the track, unless it began already, by itself or in the fade's first half."""
        if not fade.inward and playing_id != fade.song_id != GONE:
            self._commands.client.playid(fade.song_id)

    def _tell_amid(self, fade: Fade, action: PlayerAction) -> None:
        """What a person asks in the middle of a fade wins at once, and the volume goes where it belongs."""
        match action:
            case TurnTo() | Resume() | Enqueue(start=False):
                self._tell(action)
            case Remove(song_id):
                self._tell(action)
                if song_id == fade.song_id:
                    self._fade = replace(fade, song_id=GONE)  # and up at the next step, unless a TurnTo is there first
                    self._next_step_at = self._clock() + STEP_SECONDS
            case _:
                try:
                    self._overrule(fade, action)
                finally:
                    self._end_fade(action.percent if isinstance(action, ChangeVolume) else fade.home_percent)

    def _overrule(self, fade: Fade, action: PlayerAction) -> None:
        """The new track is the one that is paused or skipped, or heard at the new volume."""
        match action:
            case Enqueue():
                self._tell(action)
                self._give_up_turning()
            case SkipNext() if not fade.inward:
                self._turn(fade, fade.leaving_id)
            case ChangeVolume():
                self._turn(fade, fade.leaving_id)
            case _:
                self._turn(fade, fade.leaving_id)
                self._tell(action)

    def _give_up_turning(self) -> None:
        """A track that did not begin yet leaves the queue again."""
        if self._fade and not self._fade.inward and self._fade.song_id != GONE:
            _remove(self._commands.client, self._fade.song_id)

    def _end_fade(self, percent: int) -> None:
        if percent >= 0:
            with suppress(Refused):
                self._commands.client.setvol(percent)
        self._fade = None

    def _bring_volume_back(self) -> None:
        """A connection that was lost in a fade left the volume low."""
        if self._fade:
            said = volume_in(self._commands.client.status())
            self._end_fade(max(said, self._fade.home_percent) if said >= 0 else said)

    def _found(self) -> None:
        with self._lock:
            news, self._connected, self._lost_detail = not self._connected, True, ""
        if news:
            log.info("MPD at %s: connected (protocol %s)", self._name, self._commands.client.mpd_version)

    def _lose(self, error: Exception) -> None:
        """Tell it once per loss, and drop what was asked: nobody wants it done minutes later."""
        if self._closing.is_set():
            return
        with self._lock:
            first = self._connected or not self._lost_detail
            self._connected = False
            if first:
                self._lost_detail = f"MPD at {self._name}: {why_lost(error)}; trying again"
            with suppress(queue.Empty):
                while True:
                    self._queue.get_nowait()
        self._error_seen = ""
        self._playing_id = GONE
        self._news.cut()
        if first:
            log.warning("%s", self._lost_detail)
            self._post(PlayerLost(self._lost_detail, self._clock()))

    def _refuse(self, detail: str, uri: str) -> None:
        self._post(PlayerRefused(detail, uri, self._clock()))

    # The listening thread

    def _listen_for_ever(self) -> None:
        backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, Random())
        while not self._closing.is_set():
            try:
                self._news.connect()
                self._listening.set()
                changed = list(NEWS)
                while not self._closing.is_set():
                    self._pass_on(changed)
                    changed = self._news.client.idle(*NEWS)
                    backoff.reset()
            except LOST as error:
                log.debug("MPD at %s: no news any more: %s", self._name, error)
            finally:
                self._listening.clear()
                self._news.disconnect()
            self._ring()
            self._closing.wait(backoff.next_delay())

    def _ring(self, of_volume_only: bool = False) -> None:
        """A full queue needs no bell: the status is asked for after each action anyway."""
        with suppress(queue.Full):
            self._queue.put_nowait(_Look(of_volume_only))

    def _pass_on(self, changed: list[str]) -> None:
        if "sticker" in changed:
            self._stickers_stale.set()
            self._sticker_bell.set()
        if "database" in changed:
            self._post(PlayerUpdated(self._clock()))
        if changed != ["sticker"]:
            self._ring(of_volume_only=changed == ["mixer"])

    # The thread for stickers: reading those of a big library takes a while, and nothing waits for it

    def _keep_stickers_for_ever(self) -> None:
        backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, Random())
        stickers = Stickers()
        while not self._closing.is_set():
            if not self._sticker_bell.wait(STICKER_WAIT_SECONDS) or self._closing.wait(SETTLE_SECONDS):
                continue
            self._sticker_bell.clear()
            try:
                self._sticker_wire.connect()
                self._keep(stickers)
                backoff.reset()
            except LOST as error:
                log.debug("MPD at %s: its stickers must wait: %s", self._name, error)
                self._sticker_bell.set()
                self._closing.wait(backoff.next_delay())
            finally:
                self._sticker_wire.disconnect()

    def _keep(self, stickers: Stickers) -> None:
        """Write what is to be noted, then read what others noted."""
        client = self._sticker_wire.client
        while self._to_note:
            self._try(lambda: stickers.note(client, self._to_note[0]))
            self._to_note.popleft()
        if self._stickers_stale.is_set():
            self._stickers_stale.clear()
            self._try(lambda: self._post_changes(stickers.read(client)))

    def _post_changes(self, changed: tuple[Sticker, ...]) -> None:
        if changed:
            self._post(StickersRead(changed, self._clock()))

    def _try(self, work: Callable[[], None]) -> None:
        """An MPD without stickers, or without that song, is no trouble of a person's."""
        try:
            work()
        except Refused as error:
            detail = why_lost(error)
            if error.errno is not Reason.NO_EXIST and detail != self._no_stickers:
                self._no_stickers = detail
                log.warning("MPD at %s keeps no counts and likes: %s", self._name, detail)

    def _note_later(self, action: Noting) -> None:
        if len(self._to_note) < MOST_WAITING and not flaw_in(action.uri):
            self._to_note.append(action)
            self._sticker_bell.set()


def _remove(client: Any, song_id: int) -> None:
    try:
        client.deleteid(song_id)
    except Refused as error:
        if error.errno is not Reason.NO_EXIST:
            raise


def _uri_of(action: PlayerAction) -> str:
    return action.uri if isinstance(action, Enqueue | TurnTo) else ""
