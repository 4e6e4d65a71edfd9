"""One inbox, one thread, the owner of all state: hands events to the brain and does what it says."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import replace

from device.domain.brain import (
    BrainSettings,
    Effect,
    RecordCorrection,
    RecordEnding,
    RecordForgetting,
    RecordOutcome,
    RecordPlay,
    RecordRating,
    State,
    handle,
    wishes_of,
)
from device.domain.events import Asked, Command, Event, SenseState, SwitchSense, Tick
from device.domain.picture import picture
from device.domain.player import CountPlay, CountSkip, PlayerAction, SetLike
from device.domain.reading import Modality
from device.domain.snapshot import Snapshot
from device.ports import Beat, Clock, Diary, Herald, Memory, Player, SenseSwitch

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
LIKED, DISLIKED = 2, 0
"""As MPD's other clients write it."""
LIVELY_SECONDS = 0.5
"""Shortest time between two snapshots that differ only in numbers that move all the time."""


class Conductor:
    """Implements `ports.Controls`; everything else reaches it through `post`."""

    def __init__(
        self, state: State, settings: BrainSettings, clock: Clock, beat: Beat, wall_clock: Clock = time.time
    ) -> None:
        self._state = state
        self._settings = settings
        self._clock = clock
        self._beat = beat
        self._wall_clock = wall_clock
        self._inbox: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._snapshot = picture(state, 0)
        self._player: Player | None = None
        self._herald: Herald | None = None
        self._diary: Diary | None = None
        self._memory: Memory | None = None
        self._senses: Mapping[Modality, SenseSwitch] = {}
        self._thread = threading.Thread(target=self._run, name="conductor")

    def connect(
        self,
        player: Player,
        herald: Herald | None,
        diary: Diary,
        memory: Memory,
        senses: Mapping[Modality, SenseSwitch],
    ) -> None:
        """Hand over the parties it conducts; before `start`."""
        self._player, self._herald, self._diary, self._memory = player, herald, diary, memory
        self._senses = senses

    def start(self) -> None:
        """Begin to take in events."""
        self._thread.start()

    def close(self) -> None:
        """Take in what was posted so far, then end."""
        self._inbox.put(None)
        self._thread.join(timeout=5.0)

    def post(self, event: Event) -> None:
        """Put an event into the inbox; never blocks."""
        self._inbox.put(event)

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot."""
        with self._changed:
            return self._snapshot

    def ask(self, command: Command, origin: str) -> None:
        """Queue a command. A sense is switched off here and now: privacy waits in no queue."""
        if isinstance(command, SwitchSense) and command.modality in self._senses:
            self._senses[command.modality].switch(command.on)
        self.post(Asked(command, origin, self._clock()))

    def wait_for_change(self, after_sequence: int, timeout_seconds: float) -> Snapshot | None:
        """The newest snapshot as soon as its sequence exceeds `after_sequence`; None after the timeout."""
        with self._changed:
            if self._changed.wait_for(lambda: self._snapshot.sequence > after_sequence, timeout_seconds):
                return self._snapshot
            return None

    def _run(self) -> None:
        next_tick = self._clock()
        while True:
            event = self._next_event(next_tick)
            if event is None:
                return
            if isinstance(event, Tick):
                next_tick = event.at_seconds + TICK_SECONDS
            if isinstance(event, Asked) and self._diary:
                self._diary.record_use()
            before = self._state
            self._state, effects = handle(before, event, self._settings)
            for effect in effects:
                self._do(effect)
            if self._memory and wishes_of(self._state) != wishes_of(before):
                self._memory.save(wishes_of(self._state))
            self._publish()
            self._beat()

    def _next_event(self, next_tick: float) -> Event | None:
        try:
            wait = next_tick - self._clock()
            return self._inbox.get(timeout=wait) if wait > 0 else self._tick()
        except queue.Empty:
            return self._tick()

    def _tick(self) -> Tick:
        unix_seconds = self._wall_clock()
        local = time.localtime(unix_seconds)
        return Tick(self._clock(), unix_seconds, local.tm_hour * 60 + local.tm_min)

    def _do(self, effect: Effect) -> None:
        match effect:
            case SwitchSense(modality, on):
                if modality in self._senses:
                    self._senses[modality].switch(on)
            case RecordRating(uri, liked):
                self._write_down(effect)
                self._submit(SetLike(uri, LIKED if liked else DISLIKED))
            case RecordPlay() | RecordOutcome() | RecordCorrection() | RecordForgetting():
                self._write_down(effect)
            case RecordEnding(ending):
                count = CountPlay if ending.played else CountSkip
                self._submit(count(ending.song.uri, int(self._wall_clock())))
                self._write_down(effect)
            case _:
                self._submit(effect)

    def _write_down(self, effect: Effect) -> None:
        if self._diary:
            _write_down(effect, self._diary)

    def _submit(self, action: PlayerAction) -> None:
        if self._player:
            self._player.submit(action)

    def _publish(self) -> None:
        """Make a new snapshot when something changed: at once for what matters, now and then for moving numbers."""
        new = picture(self._state, self._snapshot.sequence + 1)
        old = self._snapshot
        too_soon = new.at_seconds - old.at_seconds < LIVELY_SECONDS
        if too_soon and _essence(new) == _essence(old):
            return
        _tell_the_log(old, new)
        with self._changed:
            self._snapshot = new
            self._changed.notify_all()
        if self._herald:
            self._herald.publish(new)


def _write_down(effect: Effect, diary: Diary) -> None:
    match effect:
        case RecordPlay(play):
            diary.record_play(play)
        case RecordEnding(ending):
            diary.record_ending(ending)
        case RecordRating(uri, liked):
            diary.record_rating(uri, liked)
        case RecordOutcome(uri, outcome):
            diary.record_outcome(uri, outcome)
        case RecordCorrection(uri, mood, affect):
            diary.record_correction(uri, mood, affect)
        case RecordForgetting(mood):
            diary.forget_taste(mood)


def _tell_the_log(old: Snapshot, new: Snapshot) -> None:
    """What a person would care about, when it changes; never what the senses make of anyone."""
    for before, after in zip(old.senses, new.senses, strict=True):
        if (before.state, before.detail) != (after.state, after.detail):
            level = logging.WARNING if after.state is SenseState.LOST else logging.INFO
            log.log(level, "%s: %s %s", after.modality.value, after.state.value, after.detail)
    for name, was, now, detail in (
        ("player", old.player.connected, new.player.connected, new.player.detail),
        ("broker", old.broker_connected, new.broker_connected, new.broker_detail),
    ):
        if was != now:
            log.log(logging.INFO if now else logging.WARNING, "%s: %s %s", name, "connected" if now else "lost", detail)
    if old.catalogue_detail != new.catalogue_detail:
        log.info("music: %d tracks; %s", new.track_count, new.catalogue_detail or "all well")


def _essence(snapshot: Snapshot) -> Snapshot:
    """The snapshot without the numbers that move all the time."""
    override = snapshot.override
    return replace(
        snapshot,
        sequence=0,
        at_seconds=0.0,
        confidence=0.0,
        posterior=None,  # type: ignore[arg-type]
        affect=None,  # type: ignore[arg-type]
        reason="",
        disagreement=0.0,
        neutral=replace(snapshot.neutral, seconds_left=None if snapshot.neutral.seconds_left is None else 0.0),
        since_seconds=0.0,
        override=replace(override, ends_in_seconds=0.0) if override else None,
        senses=tuple(replace(sense, probability=0.0, weight=0.0, label="") for sense in snapshot.senses),
        player=replace(snapshot.player, elapsed_seconds=0.0),
    )
