"""The JSON at the border, for MQTT and the page alike: snapshots out, commands in (docs/mqtt.md lists the keys)."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from device.domain.events import (
    ClearOverride,
    Command,
    CorrectMood,
    ForgetNeutral,
    ForgetTaste,
    LearnNeutral,
    NotNow,
    PressNext,
    PressPause,
    PressPlay,
    RateSong,
    SetGoal,
    SetOverride,
    SetVolume,
    SwitchSense,
    TurnDownOffer,
)
from device.domain.goal import GOALS, Goal
from device.domain.labels import LABELS
from device.domain.reading import Modality
from device.domain.snapshot import NeutralView, OverrideView, PlayerView, SenseView, Snapshot
from device.ports import LibraryReport

DEFAULT_OVERRIDE_MINUTES = 60
LONGEST_OVERRIDE_MINUTES = 1440
LONGEST_PAYLOAD_BYTES = 4096
"""No command is longer; more is refused before it is parsed."""
MOST_BRACKETS = 100
"""No command opens more, which keeps the parser far from the recursion limit (finalizers that run there fail)."""

Json = dict[str, Any]
"""A JSON object, as `json.dumps` takes it."""


def snapshot_json(snapshot: Snapshot) -> Json:
    """The snapshot as a JSON object; keys never go away and never change their type, null where there is nothing."""
    return {
        "sequence": snapshot.sequence,
        "mood": snapshot.mood,
        "sensed_mood": snapshot.sensed_mood,
        "overridden": snapshot.overridden,
        "override": _override_json(snapshot.override),
        "confidence": _rounded(snapshot.confidence, 3),
        "posterior": {label: _rounded(p, 3) for label, p in zip(LABELS, snapshot.posterior.values, strict=True)},
        "affect": {"valence": _rounded(snapshot.affect.valence, 3), "arousal": _rounded(snapshot.affect.arousal, 3)},
        "people": snapshot.people,
        "disagreement": _rounded(snapshot.disagreement, 2),
        "reason": snapshot.reason,
        "since_seconds": _rounded(snapshot.since_seconds, 1),
        "senses": {sense.modality.value: _sense_json(sense) for sense in snapshot.senses},
        "player": _player_json(snapshot.player),
        "broker": {"connected": snapshot.broker_connected, "detail": snapshot.broker_detail},
        "catalogue": {"track_count": snapshot.track_count, "detail": snapshot.catalogue_detail},
        "goal": snapshot.goal.value,
        "offer": snapshot.offer.value if snapshot.offer else None,
        "quiet": snapshot.quiet,
        "neutral": _neutral_json(snapshot.neutral),
    }


def library_json(report: LibraryReport) -> Json:
    """The library's report as a JSON object."""
    return {
        "origins": dict(report.by_origin),
        "analysis": {
            "done": report.listened,
            "total": report.to_listen,
            "seconds_left": None if report.seconds_left is None else _rounded(report.seconds_left, 0),
            "detail": report.listening_detail,
        },
        "problems": [{"uri": uri, "reason": reason} for uri, reason in report.problems],
        "problem_count": report.problem_count,
        "unknown_words": list(report.unknown_words),
    }


def json_text(value: Json) -> str:
    """`value` on one line of ASCII (so that no odd tag can spoil an encoding)."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def parse_json(text: bytes) -> object:
    """What the JSON in `text` says, None for empty text; ValueError with one line when it says nothing clear."""
    if len(text) > LONGEST_PAYLOAD_BYTES:
        raise ValueError(f"{len(text)} bytes long; at most {LONGEST_PAYLOAD_BYTES} are taken")
    if not text.strip():
        return None
    opened = text.count(b"[") + text.count(b"{")
    if opened > MOST_BRACKETS:
        raise ValueError(f"not JSON for a command: {opened} brackets are opened; at most {MOST_BRACKETS} are taken")
    try:
        return json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    except UnicodeDecodeError:
        raise ValueError("not JSON: not UTF-8 text") from None


def parse_command(name: str, payload: object) -> Command:
    """The command `name` with its parsed JSON `payload` (None or an object); ValueError says what is known."""
    form = _FORMS.get(name)
    if form is None:
        raise ValueError(f"command {_shown(name)}: no such command; known: {', '.join(COMMANDS)}")
    if payload is None:
        payload = {}
    if not isinstance(payload, dict):
        raise ValueError(f"{name}: {_shown(payload)} is not a JSON object; write {form.example}")
    for key in payload:
        if key not in form.keys:
            known = ", ".join(form.keys) or "none"
            raise ValueError(f"{name}: {_shown(key)}: no such key; known here: {known}")
    return form.build(_Fields(name, payload, form.example))


@dataclass(frozen=True, slots=True)
class _Fields:
    """The keys of one command, each read with its check."""

    name: str
    values: Json
    example: str

    def choice(self, key: str, known: tuple[str, ...]) -> str:
        value = self._present(key)
        if not isinstance(value, str) or value not in known:
            self._refuse(key, f"is not one of {', '.join(known)}")
        return value

    def uri(self) -> str:
        """The song that is meant; empty when none is named."""
        value = self.values.get("uri", "")
        if not isinstance(value, str):
            self._refuse("uri", "is not text")
        return value

    def switch(self, key: str) -> bool:
        value = self._present(key)
        if not isinstance(value, bool):
            self._refuse(key, "is not true or false")
        return value

    def whole(self, key: str, low: int, high: int) -> int:
        value = self._present(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self._refuse(key, f"is not a whole number from {low} to {high}")
        return value

    def positive(self, key: str, default: float, high: float) -> float:
        value = self.values.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= high:
            self._refuse(key, f"is not a number above 0, at most {high}")
        return float(value)

    def _present(self, key: str) -> Any:
        if key not in self.values:
            raise ValueError(f"{self.name}: {key} is missing; write {self.example}")
        return self.values[key]

    def _refuse(self, key: str, why: str) -> NoReturn:
        raise ValueError(f"{self.name}: {key}: {_shown(self.values.get(key))} {why}")


@dataclass(frozen=True, slots=True)
class _Form:
    keys: tuple[str, ...]
    example: str
    build: Callable[[_Fields], Command]


def _override(given: _Fields) -> Command:
    mood = given.choice("mood", LABELS)
    minutes = given.positive("minutes", DEFAULT_OVERRIDE_MINUTES, LONGEST_OVERRIDE_MINUTES)
    return SetOverride(mood, minutes * 60.0)


def _sense(given: _Fields) -> Command:
    modality = Modality(given.choice("modality", tuple(modality.value for modality in Modality)))
    return SwitchSense(modality, given.switch("on"))


def _correct(given: _Fields) -> Command:
    return CorrectMood(given.choice("mood", LABELS), given.uri())


def _forget(given: _Fields) -> Command:
    return ForgetTaste(given.choice("mood", LABELS) if "mood" in given.values else "")


_FORMS: dict[str, _Form] = {
    "override": _Form(("mood", "minutes"), '{"mood": "happy", "minutes": 30}', _override),
    "clear-override": _Form((), "{}", lambda _: ClearOverride()),
    "play": _Form((), "{}", lambda _: PressPlay()),
    "pause": _Form((), "{}", lambda _: PressPause()),
    "next": _Form((), "{}", lambda _: PressNext()),
    "volume": _Form(("percent",), '{"percent": 40}', lambda given: SetVolume(given.whole("percent", 0, 100))),
    "sense": _Form(("modality", "on"), '{"modality": "face", "on": false}', _sense),
    "rate": _Form(("liked", "uri"), '{"liked": true}', lambda given: RateSong(given.switch("liked"), given.uri())),
    "not-now": _Form(("uri",), "{}", lambda given: NotNow(given.uri())),
    "correct": _Form(("mood", "uri"), '{"mood": "sad"}', _correct),
    "goal": _Form(("goal",), '{"goal": "lift"}', lambda given: SetGoal(Goal(given.choice("goal", GOALS)))),
    "turn-down-offer": _Form((), "{}", lambda _: TurnDownOffer()),
    "forget-taste": _Form(("mood",), '{"mood": "sad"}, or {} for all', _forget),
    "learn-neutral": _Form((), "{}", lambda _: LearnNeutral()),
    "forget-neutral": _Form((), "{}", lambda _: ForgetNeutral()),
}

COMMANDS: tuple[str, ...] = tuple(_FORMS)
"""Names of all commands."""


def _override_json(override: OverrideView | None) -> Json | None:
    if override is None:
        return None
    return {"mood": override.mood, "ends_in_seconds": _rounded(override.ends_in_seconds, 1)}


def _neutral_json(neutral: NeutralView) -> Json:
    left = neutral.seconds_left
    return {
        "learned": neutral.learned,
        "seconds_left": None if left is None else _rounded(left, 1),
        "detail": neutral.detail,
    }


def _sense_json(sense: SenseView) -> Json:
    return {
        "state": sense.state.value,
        "detail": sense.detail,
        "label": sense.label,
        "probability": _rounded(sense.probability, 3),
        "weight": _rounded(sense.weight, 3),
    }


def _player_json(player: PlayerView) -> Json:
    return {
        "connected": player.connected,
        "detail": player.detail,
        "state": player.state.value,
        "uri": player.uri,
        "title": player.title,
        "artist": player.artist,
        "album": player.album,
        "duration_seconds": _rounded(player.duration_seconds, 1),
        "elapsed_seconds": _rounded(player.elapsed_seconds, 1),
        "next_title": player.next_title,
        "next_artist": player.next_artist,
        "volume_percent": player.volume_percent,
        "why": player.why,
    }


def _rounded(value: float, digits: int) -> float | None:
    """JSON knows no infinity and no NaN: null."""
    return round(value, digits) if math.isfinite(value) else None


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"not JSON: {text} is no number")


def _shown(value: object) -> str:
    """A value from outside on one short line, control characters escaped, however deep it is nested."""
    text = reprlib.repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
