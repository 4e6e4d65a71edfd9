"""The MQTT herald against a real mosquitto, seen by a second client."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import jinja2
import pytest

from device.adapters import mqtt_herald
from device.adapters.mqtt_herald import MqttHerald
from device.config import MqttConfig
from device.domain.events import (
    Asked,
    ClearOverride,
    ForgetNeutral,
    HeraldChanged,
    LearnNeutral,
    NotNow,
    PressNext,
    PressPause,
    PressPlay,
    SenseState,
    SetGoal,
    SetOverride,
    SetVolume,
    SwitchSense,
)
from device.domain.goal import Goal
from device.domain.labels import LABELS, Affect
from device.domain.player import PlayState
from device.domain.reading import UNIFORM, Modality
from device.domain.snapshot import OverrideView, PlayerView, SenseView, Snapshot
from device.errors import SetupError
from tests.broker import Broker, Listener, missing, wait_until

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"not installed: {missing()}")

ROOT = "moodify/speaker"
DISCOVERY = "homeassistant/device/moodify-speaker/config"
PLAYER = PlayerView(
    True, "", PlayState.PLAY, "a.flac", "Song", "Artist", "Album", 180.0, 1.0, "", "", 40, "chosen for happy"
)
SNAPSHOT = Snapshot(
    sequence=1,
    at_seconds=1.0,
    mood="happy",
    sensed_mood="happy",
    overridden=False,
    confidence=0.71,
    posterior=UNIFORM,
    affect=Affect(0.8, 0.5),
    reason="face happy 0.71",
    since_seconds=1.0,
    override=None,
    senses=(
        SenseView(Modality.FACE, SenseState.ON, "", "happy", 0.71, 0.5),
        SenseView(Modality.VOICE, SenseState.OFF, "", "unknown", 0.0, 0.0),
    ),
    player=PLAYER,
    broker_connected=True,
    broker_detail="",
    track_count=24,
    catalogue_detail="",
)


class Inbox(list):
    """The conductor's inbox."""

    @property
    def connections(self):
        return [event for event in self if isinstance(event, HeraldChanged)]

    @property
    def commands(self):
        return [event.command for event in self if isinstance(event, Asked)]


@pytest.fixture
def broker(tmp_path):
    with Broker(tmp_path) as running:
        yield running


@contextmanager
def herald_on(port, wait=True, **settings):
    inbox = Inbox()
    herald = MqttHerald(MqttConfig(port=port, **settings), inbox.append, time.monotonic)
    herald.start()
    try:
        if wait:
            wait_until(lambda: any(e.connected for e in inbox.connections), f"a connection: {inbox}")
        yield herald, inbox
    finally:
        herald.close()


def read_back(port, topic):
    with Listener(port, topic) as late:
        return late.wait_for(topic)


def subscribed(hub):
    """The herald subscribes before it says online, on one connection: whoever sees the one may count on the other."""
    hub.wait_for(f"{ROOT}/availability", "online")


def test_a_late_subscriber_reads_the_state_and_the_mood(broker):
    with herald_on(broker.port) as (herald, _):
        herald.publish(SNAPSHOT)
        with Listener(broker.port, f"{ROOT}/#") as early:
            early.wait_for(f"{ROOT}/mood", "happy")
        state = json.loads(read_back(broker.port, f"{ROOT}/state"))
        assert state["mood"] == "happy"
        assert state["player"]["title"] == "Song"
        assert read_back(broker.port, f"{ROOT}/mood") == "happy"
        assert read_back(broker.port, f"{ROOT}/availability") == "online"


def test_what_was_published_before_the_connection_is_told_once_there_is_one(broker):
    with herald_on(broker.port, wait=False) as (herald, _), Listener(broker.port, f"{ROOT}/#") as listener:
        herald.publish(SNAPSHOT)
        listener.wait_for(f"{ROOT}/mood", "happy")


def test_time_passing_alone_is_not_published(broker):
    with herald_on(broker.port) as (herald, _), Listener(broker.port, f"{ROOT}/#") as listener:
        overridden = replace(SNAPSHOT, overridden=True, override=OverrideView("happy", 60.0))
        herald.publish(overridden)
        listener.wait_for(f"{ROOT}/state")
        older = replace(
            overridden,
            sequence=2,
            at_seconds=9.0,
            since_seconds=9.0,
            override=OverrideView("happy", 52.0),
            player=replace(PLAYER, elapsed_seconds=9.0),
        )
        herald.publish(older)
        wait_until(lambda: not herald._outbox.fresh, "the herald to look at it")
        herald.publish(replace(older, mood="sad"))
        listener.wait_for(f"{ROOT}/mood", "sad")
        assert [json.loads(text)["sequence"] for text in listener.payloads(f"{ROOT}/state")] == [1, 2]
        assert [json.loads(text)["mood"] for text in listener.payloads(f"{ROOT}/state")] == ["happy", "sad"]


def test_many_snapshots_become_few_messages_and_the_newest_is_the_last(broker):
    with herald_on(broker.port) as (herald, _), Listener(broker.port, f"{ROOT}/#") as listener:
        for number in range(200):
            herald.publish(replace(SNAPSHOT, sequence=number, track_count=number))
        listener.wait_for(f"{ROOT}/state", lambda text: json.loads(text)["catalogue"]["track_count"] == 199)
        assert len(listener.payloads(f"{ROOT}/state")) <= 10


def test_a_change_of_mood_is_an_event(broker):
    with herald_on(broker.port) as (herald, _), Listener(broker.port, f"{ROOT}/#") as listener:
        herald.publish(SNAPSHOT)
        herald.publish(replace(SNAPSHOT, mood="sad", reason="voice sad 0.80"))
        told = json.loads(listener.wait_for(f"{ROOT}/event"))
        assert told == {"event": "mood_changed", "from": "happy", "to": "sad", "reason": "voice sad 0.80"}
    with Listener(broker.port, f"{ROOT}/#") as late:
        late.wait_for(f"{ROOT}/mood", "sad")
        assert not late.payloads(f"{ROOT}/event")


COMMANDS = {
    ("override", '{"mood": "sad", "minutes": 5}'): SetOverride("sad", 300.0),
    ("override", "happy"): SetOverride("happy", 3600.0),
    ("override", "auto"): ClearOverride(),
    ("clear-override", ""): ClearOverride(),
    ("next", "{}"): PressNext(),
    ("play", ""): PressPlay(),
    ("pause", "{}"): PressPause(),
    ("volume", '{"percent": 40}'): SetVolume(40),
    ("sense", '{"modality": "voice", "on": false}'): SwitchSense(Modality.VOICE, False),
}


def test_commands_arrive_in_order(broker):
    with herald_on(broker.port) as (_, inbox), Listener(broker.port, f"{ROOT}/#") as hub:
        subscribed(hub)
        for name, payload in COMMANDS:
            hub.publish(f"{ROOT}/command/{name}", payload)
        wait_until(lambda: len(inbox.commands) == len(COMMANDS), f"the commands: {inbox}")
        assert inbox.commands == list(COMMANDS.values())
        assert not hub.payloads(f"{ROOT}/error")
        assert {event.origin for event in inbox if isinstance(event, Asked)} == {"mqtt"}


@pytest.mark.parametrize(
    ("topic", "payload", "says"),
    [
        ("explode", "{}", "no such command; known: override"),
        ("override", "jolly", "'jolly' is not one of angry"),
        ("override", "{", "not JSON"),
        ("override", b"\xff\xff", ""),
        ("volume", '{"percent": 400}', "whole number from 0 to 100"),
        ("volume", "[" * 3000, "3000 brackets are opened"),
    ],
)
def test_a_bad_command_is_answered_and_the_next_good_one_still_arrives(broker, topic, payload, says):
    with herald_on(broker.port) as (_, inbox), Listener(broker.port, f"{ROOT}/#") as hub:
        subscribed(hub)
        hub.publish(f"{ROOT}/command/{topic}", payload)
        answer = hub.wait_for(f"{ROOT}/error")
        assert says in answer and "\n" not in answer
        hub.publish(f"{ROOT}/command/next")
        wait_until(lambda: inbox.commands, "the good command")
        assert inbox.commands == [PressNext()]


def test_a_retained_command_is_not_done_and_says_why(broker):
    with Listener(broker.port, f"{ROOT}/#") as hub:
        hub.publish(f"{ROOT}/command/next", "{}", retain=True)
        with herald_on(broker.port) as (_, inbox):
            assert "publish commands without retain" in hub.wait_for(f"{ROOT}/error")
            assert not inbox.commands


def test_closing_says_offline(broker):
    with herald_on(broker.port):
        assert read_back(broker.port, f"{ROOT}/availability") == "online"
    assert read_back(broker.port, f"{ROOT}/availability") == "offline"


SPEAKER = """
import sys, time
from device.adapters.mqtt_herald import MqttHerald
from device.config import MqttConfig
MqttHerald(MqttConfig(port=int(sys.argv[1])), print, time.monotonic).start()
time.sleep(600)
"""


def test_a_killed_speaker_is_offline_by_its_last_will(broker):
    folder = Path(__file__).resolve().parent.parent
    with Listener(broker.port, f"{ROOT}/#") as hub:
        speaker = subprocess.Popen([sys.executable, "-c", SPEAKER, str(broker.port)], cwd=folder)
        try:
            hub.wait_for(f"{ROOT}/availability", "online")
        finally:
            speaker.send_signal(signal.SIGKILL)
            speaker.wait()
        hub.wait_for(f"{ROOT}/availability", "offline")


def test_a_broker_that_goes_and_comes_back_is_noticed_both_times_and_has_the_state_again(broker):
    with herald_on(broker.port) as (herald, inbox):
        herald.publish(SNAPSHOT)
        assert read_back(broker.port, f"{ROOT}/mood") == "happy"
        broker.kill()
        wait_until(lambda: not inbox.connections[-1].connected, "the loss")
        assert "trying again" in inbox.connections[-1].detail or "refused" in inbox.connections[-1].detail
        for number in range(50):
            herald.publish(replace(SNAPSHOT, mood="sad", sequence=number))
        broker.start()
        wait_until(lambda: inbox.connections[-1].connected, "the return")
        assert inbox.connections[-1].detail == ""
        assert read_back(broker.port, f"{ROOT}/mood") == "sad"
        assert json.loads(read_back(broker.port, f"{ROOT}/state"))["sequence"] == 49
        assert read_back(broker.port, f"{ROOT}/availability") == "online"
        assert read_back(broker.port, DISCOVERY)
        assert len(herald._client._out_messages) <= 1


def test_nothing_piles_up_behind_a_broker_that_hangs(broker):
    with herald_on(broker.port) as (herald, _):
        herald.publish(SNAPSHOT)
        assert read_back(broker.port, f"{ROOT}/mood") == "happy"
        broker.freeze()
        for number in range(100):
            herald.publish(replace(SNAPSHOT, mood=LABELS[number % 7], track_count=number))
        time.sleep(3 * mqtt_herald.SHORTEST_GAP_SECONDS)  # it may try: that is the point
        assert len(herald._client._out_messages) <= 1
        broker.thaw()
        with Listener(broker.port, f"{ROOT}/state") as late:
            late.wait_for(f"{ROOT}/state", lambda text: json.loads(text)["catalogue"]["track_count"] == 99)


def test_no_broker_at_all_costs_nothing_and_says_where_and_what_to_do(broker):
    broker.kill()
    with herald_on(broker.port, wait=False) as (herald, inbox):
        herald.publish(SNAPSHOT)
        wait_until(lambda: inbox.connections, "the refusal")
        assert re.fullmatch(
            rf"127\.0\.0\.1:{broker.port}: Connection refused; .*mqtt\.host.*", inbox.connections[0].detail
        )
        began = time.monotonic()
        for _ in range(10_000):
            herald.publish(SNAPSHOT)
        assert time.monotonic() - began < 5
        assert not herald._client._out_messages
        began = time.monotonic()
    assert time.monotonic() - began < 10


def test_an_unknown_host_is_named():
    with herald_on(1883, wait=False, host="no-such-host.invalid") as (_, inbox):
        wait_until(lambda: inbox.connections, "the refusal")
        assert inbox.connections[0].detail.startswith("no-such-host.invalid:1883: ")


@pytest.fixture
def guarded(tmp_path, monkeypatch):
    with Broker(tmp_path, users={"moodify": "right"}) as running:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        (tmp_path / "good").write_text("right\n", encoding="utf-8")
        (tmp_path / "bad").write_text("wrong\n", encoding="utf-8")
        yield running


def test_the_right_password_connects(guarded):
    with herald_on(guarded.port, username="moodify", password_credential="good") as (_, inbox):
        assert inbox.connections[-1].connected


def test_a_wrong_password_is_told_once_with_what_to_check(guarded):
    with herald_on(guarded.port, wait=False, username="moodify", password_credential="bad") as (_, inbox):
        wait_until(lambda: guarded.log().count("not authorised") >= 2, "two refusals")
        assert [event.connected for event in inbox.connections] == [False]
        detail = inbox.connections[0].detail
        assert f"127.0.0.1:{guarded.port}: the broker refuses: Not authorized" in detail
        assert "mqtt.password_credential" in detail
        assert "wrong" not in detail


def test_a_password_that_is_not_there_is_a_wrong_set_up(guarded):
    with pytest.raises(SetupError, match="'none-such'"):
        MqttHerald(MqttConfig(username="moodify", password_credential="none-such"), print, time.monotonic)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"device_id": "a/b"}, "mqtt.device_id"),
        ({"device_id": ""}, "mqtt.device_id"),
        ({"topic": "home/#"}, "mqtt.topic"),
        ({"topic": ""}, "mqtt.topic"),
        ({"topic": "$SYS"}, "mqtt.topic"),
        ({"discovery_prefix": "ha/+"}, "mqtt.discovery_prefix"),
    ],
)
def test_a_topic_that_mqtt_does_not_allow_is_a_wrong_set_up(settings, key):
    with pytest.raises(SetupError, match=re.escape(key)):
        MqttHerald(MqttConfig(**settings), print, time.monotonic)


@pytest.mark.parametrize("host", ["", "192.168.1..5", "a" * 64, ".local"])
def test_a_host_that_cannot_be_one_is_a_wrong_set_up(host):
    with pytest.raises(SetupError, match=re.escape(f"mqtt.host: {host!r}")):
        MqttHerald(MqttConfig(host=host), print, time.monotonic)


def test_no_discovery_prefix_means_no_discovery(broker):
    with herald_on(broker.port, discovery_prefix="") as (herald, _), Listener(broker.port, "#") as listener:
        herald.publish(SNAPSHOT)
        listener.wait_for(f"{ROOT}/mood")
        assert {message.topic.split("/")[0] for message in listener.messages} == {"moodify"}


def test_home_assistants_birth_brings_the_description_again(broker):
    with herald_on(broker.port) as (herald, _), Listener(broker.port, "homeassistant/#", f"{ROOT}/#") as hub:
        herald.publish(SNAPSHOT)
        hub.wait_for(f"{ROOT}/mood")
        before = len(hub.payloads(DISCOVERY)), len(hub.payloads(f"{ROOT}/state"))
        hub.publish("homeassistant/status", "offline")
        hub.publish("homeassistant/status", "online")
        wait_until(lambda: len(hub.payloads(DISCOVERY)) > before[0], "the description again")
        wait_until(lambda: len(hub.payloads(f"{ROOT}/state")) > before[1], "the state again")
        assert len(hub.payloads(DISCOVERY)) == before[0] + 1


def render(template, **values):
    """As Home Assistant does it; an unknown name is an error here."""
    return jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(template).render(**values)


SHOWN = {
    "mood": "happy",
    "confidence": "71",
    "people": "0",
    "song": "Artist – Song",
    "override": "auto",
    "goal": "match",
    "volume": "40",
    "camera": "ON",
    "microphone": "OFF",
}


def test_every_component_of_the_description_shows_what_the_topics_say(broker):
    with herald_on(broker.port) as (herald, _), Listener(broker.port, "homeassistant/#", f"{ROOT}/#") as hub:
        herald.publish(SNAPSHOT)
        hub.wait_for(f"{ROOT}/mood")
        device = json.loads(hub.wait_for(DISCOVERY))
        assert hub.wait_for(device["availability_topic"]) == "online"
        assert device["device"]["identifiers"] and device["origin"]["name"] == "Moodify"
        shown = {}
        for key, component in device["components"].items():
            assert component["unique_id"].startswith("moodify-speaker-")
            if "state_topic" not in component:
                continue
            payload = hub.wait_for(component["state_topic"])
            template = component.get("value_template", "{{ value }}")
            value_json = json.loads(payload) if payload.startswith("{") else None
            shown[key] = render(template, value=payload, value_json=value_json)
            if "json_attributes_template" in component:
                state = json.loads(hub.wait_for(component["json_attributes_topic"]))
                assert json.loads(render(component["json_attributes_template"], value_json=state))["reason"]
            assert shown[key] in component.get("options", [shown[key]])
        assert shown == SHOWN
        override = device["components"]["override"]["value_template"]
        assert render(override, value_json={"override": {"mood": "sad"}}) == "sad"


def test_every_control_of_the_description_gives_its_command(broker):
    with herald_on(broker.port) as (herald, inbox), Listener(broker.port, "homeassistant/#", f"{ROOT}/#") as hub:
        herald.publish(SNAPSHOT)
        components = json.loads(hub.wait_for(DISCOVERY))["components"]
        subscribed(hub)
        pressed = []
        for component in components.values():
            template = component.get("command_template", "{{ value }}")
            values = {
                "select": component.get("options", []),
                "button": [component.get("payload_press")],
                "number": [55.0],
                "switch": [component.get("payload_on"), component.get("payload_off")],
                "sensor": [],
            }[component["platform"]]
            for value in values:
                hub.publish(component["command_topic"], render(template, value=value))
                pressed.append(value)
        wait_until(lambda: len(inbox.commands) == len(pressed) or hub.payloads(f"{ROOT}/error"), "the commands")
        assert not hub.payloads(f"{ROOT}/error")
        assert inbox.commands == [
            ClearOverride(),
            *(SetOverride(label, 3600.0) for label in LABELS),
            *(SetGoal(goal) for goal in Goal),
            NotNow(),
            LearnNeutral(),
            ForgetNeutral(),
            PressNext(),
            PressPlay(),
            PressPause(),
            SetVolume(55),
            SwitchSense(Modality.FACE, True),
            SwitchSense(Modality.FACE, False),
            SwitchSense(Modality.VOICE, True),
            SwitchSense(Modality.VOICE, False),
        ]
