"""Draws the snapshot that the world is told from the conductor's state."""

from __future__ import annotations

from device.domain.brain import Override, SenseStatus, State
from device.domain.events import SenseState
from device.domain.fusion import Share, explain
from device.domain.goal import Goal
from device.domain.labels import LABELS, UNKNOWN, affect_of
from device.domain.neutral import LOOK_SECONDS
from device.domain.player import PlayState
from device.domain.programme import Programme
from device.domain.programme import explain as explain_choice
from device.domain.snapshot import NeutralView, OverrideView, PlayerView, SenseView, Snapshot


def picture(state: State, sequence: int) -> Snapshot:
    """The snapshot of `state`."""
    mood = state.effective_mood
    shares = state.fused.shares if state.fused else ()
    return Snapshot(
        sequence=sequence,
        at_seconds=state.now_seconds,
        mood=mood,
        sensed_mood=state.mood.label,
        overridden=state.override is not None,
        confidence=_confidence(state),
        posterior=state.mood.smoothed,
        affect=affect_of(mood) if state.override else state.mood.smoothed.affect,
        reason=_reason(state, shares),
        since_seconds=max(0.0, state.now_seconds - state.mood.since_seconds),
        override=_override_view(state.override, state.now_seconds),
        senses=tuple(_sense_view(sense, shares) for sense in (state.face, state.voice)),
        player=_player_view(state.programme, state.player_detail, state.now_seconds),
        broker_connected=state.broker_connected,
        broker_detail=state.broker_detail,
        track_count=state.track_count,
        catalogue_detail=state.catalogue_detail,
        people=state.people,
        disagreement=state.mood.disagreement,
        neutral=_neutral_view(state),
        goal=state.programme.goal,
        offer=Goal.LIFT if state.offered else None,
        quiet=state.programme.quiet,
    )


def _confidence(state: State) -> float:
    if state.override:
        return 1.0
    if state.mood.label not in LABELS:
        return 0.0
    return state.mood.smoothed.values[LABELS.index(state.mood.label)]


def _reason(state: State, shares: tuple[Share, ...]) -> str:
    sensed = explain(shares) or _silence(state)
    if state.mood.label == UNKNOWN and any(not share.ignored for share in shares):
        sensed = f"not sure yet: {sensed}"
    return f"set by hand; {sensed}" if state.override else sensed


def _silence(state: State) -> str:
    """Why there is nothing to go by."""
    if state.face.state is SenseState.OFF and state.voice.state is SenseState.OFF:
        return "camera and microphone are off"
    return "nobody seen or heard"


def _override_view(override: Override | None, now_seconds: float) -> OverrideView | None:
    return OverrideView(override.mood, max(0.0, override.ends_at_seconds - now_seconds)) if override else None


def _neutral_view(state: State) -> NeutralView:
    looking = state.looking
    left = max(0.0, looking.from_seconds + LOOK_SECONDS - state.now_seconds) if looking else None
    return NeutralView(state.neutral is not None, left, state.neutral_detail)


def _sense_view(sense: SenseStatus, shares: tuple[Share, ...]) -> SenseView:
    share = next((s for s in shares if s.modality is sense.modality), None)
    if share is None:
        return SenseView(sense.modality, sense.state, sense.detail, UNKNOWN, 0.0, 0.0)
    return SenseView(sense.modality, sense.state, sense.detail, share.label, share.probability, share.weight)


def _player_view(programme: Programme, detail: str, now_seconds: float) -> PlayerView:
    status = programme.status
    song = status.song if status else None
    following = status.upcoming[0] if status and status.upcoming else None
    why = explain_choice(programme, song) if song else ""
    elapsed = status.elapsed_seconds if status else 0.0
    if status and song and status.state is PlayState.PLAY:
        elapsed = min(elapsed + now_seconds - status.at_seconds, song.duration_seconds or float("inf"))
    return PlayerView(
        connected=status is not None,
        detail=detail,
        state=status.state if status else PlayState.STOP,
        uri=song.uri if song else "",
        title=song.title if song else "",
        artist=song.artist if song else "",
        album=song.album if song else "",
        duration_seconds=song.duration_seconds if song else 0.0,
        elapsed_seconds=elapsed,
        next_title=following.title if following else "",
        next_artist=following.artist if following else "",
        volume_percent=status.volume_percent if status else None,
        why=why,
    )
