"""The JSON at the border: what goes out is stable, what comes in is checked, and only ValueError says no."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from device.domain.events import (
    ClearOverride,
    CorrectMood,
    ForgetNeutral,
    ForgetTaste,
    LearnNeutral,
    NotNow,
    PressNext,
    PressPause,
    PressPlay,
    RateSong,
    SenseState,
    SetGoal,
    SetOverride,
    SetVolume,
    SwitchSense,
    TurnDownOffer,
)
from device.domain.goal import Goal
from device.domain.labels import LABELS, Affect
from device.domain.player import PlayState
from device.domain.reading import Modality, Posterior
from device.domain.snapshot import NeutralView, OverrideView, PlayerView, SenseView, Snapshot
from device.wire import COMMANDS, LONGEST_PAYLOAD_BYTES, json_text, parse_command, parse_json, snapshot_json

PLAYER = PlayerView(
    connected=True,
    detail="",
    state=PlayState.PLAY,
    uri="a/b.flac",
    title="Grüße",
    artist="Örtlich",
    album="",
    duration_seconds=180.04,
    elapsed_seconds=12.3456,
    next_title="Next",
    next_artist="Someone",
    volume_percent=None,
    why="chosen for happy",
)
SNAPSHOT = Snapshot(
    sequence=7,
    at_seconds=100.0,
    mood="happy",
    sensed_mood="sad",
    overridden=True,
    confidence=1.0,
    posterior=Posterior((0.05, 0.05, 0.1, 0.123456, 0.5, 0.1, 0.076544)),
    affect=Affect(0.8, 0.5),
    reason="face happy 0.71, voice ignored: own music",
    since_seconds=3.14159,
    override=OverrideView("happy", 59.96),
    senses=(
        SenseView(Modality.FACE, SenseState.ON, "", "happy", 0.7123, 0.4567),
        SenseView(Modality.VOICE, SenseState.LOST, "no microphone", "unknown", 0.0, 0.0),
    ),
    player=PLAYER,
    broker_connected=False,
    broker_detail="127.0.0.1:1883: refused",
    track_count=24,
    catalogue_detail="",
    people=2,
    disagreement=0.456,
    neutral=NeutralView(True, 12.34),
)


def test_a_snapshot_keeps_its_documented_keys():
    assert snapshot_json(SNAPSHOT) == {
        "sequence": 7,
        "mood": "happy",
        "sensed_mood": "sad",
        "overridden": True,
        "override": {"mood": "happy", "ends_in_seconds": 60.0},
        "confidence": 1.0,
        "posterior": {
            "angry": 0.05,
            "disgust": 0.05,
            "fear": 0.1,
            "happy": 0.123,
            "sad": 0.5,
            "surprise": 0.1,
            "neutral": 0.077,
        },
        "affect": {"valence": 0.8, "arousal": 0.5},
        "people": 2,
        "disagreement": 0.46,
        "reason": "face happy 0.71, voice ignored: own music",
        "since_seconds": 3.1,
        "senses": {
            "face": {"state": "on", "detail": "", "label": "happy", "probability": 0.712, "weight": 0.457},
            "voice": {
                "state": "lost",
                "detail": "no microphone",
                "label": "unknown",
                "probability": 0.0,
                "weight": 0.0,
            },
        },
        "player": {
            "connected": True,
            "detail": "",
            "state": "play",
            "uri": "a/b.flac",
            "title": "Grüße",
            "artist": "Örtlich",
            "album": "",
            "duration_seconds": 180.0,
            "elapsed_seconds": 12.3,
            "next_title": "Next",
            "next_artist": "Someone",
            "volume_percent": None,
            "why": "chosen for happy",
        },
        "broker": {"connected": False, "detail": "127.0.0.1:1883: refused"},
        "catalogue": {"track_count": 24, "detail": ""},
        "goal": "match",
        "offer": None,
        "quiet": False,
        "neutral": {"learned": True, "seconds_left": 12.3, "detail": ""},
    }


def test_the_text_is_one_line_of_ascii_and_reads_back_the_same():
    text = json_text(snapshot_json(SNAPSHOT))
    assert text.isascii() and "\n" not in text
    assert json.loads(text) == snapshot_json(SNAPSHOT)


def test_no_override_is_null_and_a_number_that_is_none_is_null():
    odd = replace(SNAPSHOT, override=None, player=replace(PLAYER, duration_seconds=math.inf, elapsed_seconds=math.nan))
    told = json.loads(json_text(snapshot_json(odd)))
    assert told["override"] is None
    assert told["player"]["duration_seconds"] is None
    assert told["player"]["elapsed_seconds"] is None


def test_a_title_with_a_lone_surrogate_still_becomes_text():
    odd = replace(SNAPSHOT, player=replace(PLAYER, title="a\udce9b"))
    assert json_text(snapshot_json(odd)).encode("utf-8")


@pytest.mark.parametrize(
    ("name", "payload", "command"),
    [
        ("override", {"mood": "happy", "minutes": 30}, SetOverride("happy", 1800.0)),
        ("override", {"mood": "sad"}, SetOverride("sad", 3600.0)),
        ("override", {"mood": "fear", "minutes": 0.5}, SetOverride("fear", 30.0)),
        ("override", {"mood": "fear", "minutes": 1440}, SetOverride("fear", 86400.0)),
        ("clear-override", {}, ClearOverride()),
        ("clear-override", None, ClearOverride()),
        ("play", None, PressPlay()),
        ("pause", {}, PressPause()),
        ("next", None, PressNext()),
        ("volume", {"percent": 0}, SetVolume(0)),
        ("volume", {"percent": 100}, SetVolume(100)),
        ("sense", {"modality": "face", "on": False}, SwitchSense(Modality.FACE, False)),
        ("sense", {"modality": "voice", "on": True}, SwitchSense(Modality.VOICE, True)),
        ("rate", {"liked": True}, RateSong(True)),
        ("rate", {"liked": True, "uri": "a/b.flac"}, RateSong(True, "a/b.flac")),
        ("not-now", {"uri": "a/b.flac"}, NotNow("a/b.flac")),
        ("correct", {"mood": "sad", "uri": "a/b.flac"}, CorrectMood("sad", "a/b.flac")),
        ("not-now", None, NotNow()),
        ("correct", {"mood": "sad"}, CorrectMood("sad")),
        ("goal", {"goal": "calm"}, SetGoal(Goal.CALM)),
        ("turn-down-offer", {}, TurnDownOffer()),
        ("forget-taste", {"mood": "angry"}, ForgetTaste("angry")),
        ("forget-taste", None, ForgetTaste("")),
        ("learn-neutral", None, LearnNeutral()),
        ("forget-neutral", {}, ForgetNeutral()),
    ],
)
def test_a_good_command_is_understood(name, payload, command):
    assert parse_command(name, payload) == command


@pytest.mark.parametrize(
    ("name", "payload", "says"),
    [
        ("explode", {}, "known: override, clear-override, play"),
        ("override", {"mood": "jolly"}, "override: mood: 'jolly' is not one of angry, disgust, fear"),
        ("override", {"mood": "unknown"}, "is not one of"),
        ("override", {"mood": ["happy"]}, "is not one of"),
        ("override", {}, 'mood is missing; write {"mood": "happy"'),
        ("override", None, "mood is missing"),
        ("override", {"mood": "happy", "minutes": 0}, "above 0, at most 1440"),
        ("override", {"mood": "happy", "minutes": 1441}, "above 0, at most 1440"),
        ("override", {"mood": "happy", "minutes": math.nan}, "above 0, at most 1440"),
        ("override", {"mood": "happy", "minutes": True}, "above 0, at most 1440"),
        ("override", {"mood": "happy", "minutes": "30"}, "above 0, at most 1440"),
        ("override", {"mood": "happy", "minutes": None}, "above 0, at most 1440"),
        ("override", {"mood": "happy", "hours": 1}, "'hours': no such key; known here: mood, minutes"),
        ("next", {"twice": True}, "'twice': no such key; known here: none"),
        ("next", 3, "3 is not a JSON object; write {}"),
        ("volume", {"percent": 101}, "whole number from 0 to 100"),
        ("volume", {"percent": -1}, "whole number from 0 to 100"),
        ("volume", {"percent": 40.5}, "whole number from 0 to 100"),
        ("volume", {"percent": True}, "whole number from 0 to 100"),
        ("sense", {"modality": "nose", "on": True}, "is not one of face, voice"),
        ("sense", {"modality": "face", "on": 1}, "sense: on: 1 is not true or false"),
        ("sense", {"modality": "face"}, "on is missing"),
        ("rate", {"liked": "yes"}, "is not true or false"),
        ("goal", {"goal": "joy"}, "goal: goal: 'joy' is not one of match, lift, calm, off"),
        ("correct", {"mood": "unknown"}, "is not one of angry"),
        ("override", {"mood": "mixed"}, "is not one of angry"),
        ("forget-taste", {"mood": 3}, "is not one of angry"),
    ],
)
def test_a_bad_command_is_refused_with_what_is_known(name, payload, says):
    with pytest.raises(ValueError) as refusal:
        parse_command(name, payload)
    assert says in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe\xfd{}", "not UTF-8"),
        (b'{"minutes": NaN}', "NaN is no number"),
        (b"[" * LONGEST_PAYLOAD_BYTES, "at most 100 are taken"),
        (b'{"mood":' * 101, "101 brackets are opened"),
        (b"x" * (LONGEST_PAYLOAD_BYTES + 1), "at most 4096"),
    ],
)
def test_text_that_says_nothing_clear_is_refused(text, says):
    with pytest.raises(ValueError, match=says):
        parse_json(text)


def test_empty_text_is_no_payload():
    assert parse_json(b"") is None
    assert parse_json(b" \n") is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(LABELS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
near_misses = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("mood", "minutes", "percent", "modality", "on", "liked", "other"), json_values),
)


def test_a_deeply_nested_value_is_refused_in_one_line():
    deep: object = 0
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError) as refusal:
        parse_command("override", {"mood": deep})
    assert len(str(refusal.value)) < 250


@given(name=st.sampled_from(COMMANDS) | st.text(), payload=json_values | near_misses)
@example(name="a\nb", payload=None)
def test_whatever_comes_only_a_one_line_value_error_says_no(name, payload):
    try:
        parse_command(name, payload)
    except ValueError as refusal:
        line = str(refusal)
        assert line.isprintable() and len(line) < 250, line


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_whatever_bytes_come_only_a_value_error_says_no(payload):
    try:
        value = parse_json(payload)
    except ValueError as refusal:
        assert "\n" not in str(refusal)
    else:
        assert value is None or json.dumps(value)
