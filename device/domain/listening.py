"""What came of a song: takes in what MPD says and tells what began, what was heard out and what was skipped."""

from __future__ import annotations

from dataclasses import dataclass

from device.domain.player import PlayerStatus, PlayState, QueuedSong
from device.domain.preference import OutcomeKind

ENDED_BY_ITSELF_SECONDS = 3.0
"""A song that stopped with no more than this left has ended; with more, a person stopped it."""
CROSSFADE_SECONDS = 15.0
"""A song that gave way with no more than this left was heard out: MPD may fade the next one in over it."""
EARLY_SECONDS = 30.0
"""A song that was skipped sooner was not wanted."""
COUNTS_AS_PLAYED = 0.5
"""Share of a song after which it counts as played."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a song ended that gave way to another."""

    song: QueuedSong
    kind: OutcomeKind | None
    """SKIPPED_EARLY, HEARD_OUT, or None where it says nothing."""
    played: bool
    """Heard long enough to count as played."""


def begun(before: PlayerStatus | None, status: PlayerStatus) -> QueuedSong | None:
    """The song that has just begun to play; None when none has."""
    if status.state is not PlayState.PLAY or status.song is None:
        return None
    same = before is not None and before.song is not None and before.song.song_id == status.song.song_id
    went_on = same and before is not None and before.state is not PlayState.STOP
    return None if went_on else status.song


def ending(before: PlayerStatus | None, status: PlayerStatus) -> Ending | None:
    """How the song before ended, if another took its place while it played; a stop tells nothing."""
    if before is None or before.song is None or before.state is not PlayState.PLAY:
        return None
    song, heard = before.song, heard_seconds(before, status.at_seconds)
    finished = bool(song.duration_seconds) and song.duration_seconds - heard <= CROSSFADE_SECONDS
    gave_way = status.song is not None and status.song.song_id != song.song_id
    ended = status.state is PlayState.STOP and ended_by_itself(before, status)
    if not (gave_way or ended):
        return None
    if finished and heard > EARLY_SECONDS / 2:
        return Ending(song, OutcomeKind.HEARD_OUT, True)
    early = heard < EARLY_SECONDS and not finished
    played = bool(song.duration_seconds) and heard >= COUNTS_AS_PLAYED * song.duration_seconds
    return Ending(song, OutcomeKind.SKIPPED_EARLY if early else None, played)


def ended_by_itself(before: PlayerStatus, status: PlayerStatus) -> bool:
    """Whether the last song of the queue came to its end, rather than being stopped."""
    if before.song is None or before.upcoming:
        return False
    return heard_seconds(before, status.at_seconds) >= before.song.duration_seconds - ENDED_BY_ITSELF_SECONDS


def heard_seconds(status: PlayerStatus, now_seconds: float) -> float:
    """How far the song has come by `now_seconds`."""
    return status.elapsed_seconds + max(0.0, now_seconds - status.at_seconds)
