"""Tells the smart home over MQTT (paho-mqtt): retained state and mood, events, commands, Home Assistant discovery."""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from device.adapters.mqtt_herald_discovery import AUTO, Topics, discovery_json
from device.config import MqttConfig, credential
from device.domain.events import Asked, ClearOverride, Command, HeraldChanged
from device.domain.snapshot import Snapshot
from device.errors import SetupError
from device.ports import Clock, Post
from device.wire import Json, json_text, parse_command, parse_json, snapshot_json

log = logging.getLogger(__name__)

SHORTEST_GAP_SECONDS = 0.5
"""Between two states."""
SLICE_SECONDS = 0.5
"""No wait is longer without a look at whether it is still wanted."""
FAREWELL_SECONDS = 1.0
KEEPALIVE_SECONDS = 30
CONNECT_SECONDS = 3.0
RECONNECT_SECONDS = (1, 30)
"""First and longest wait between two tries; paho doubles it."""
EVENTS_KEPT = 16


@dataclass(slots=True)
class _Outbox:
    """What is to be sent; guarded by the herald's condition."""

    connected: bool = False
    closed: bool = False
    greet: bool = False
    """Say online, describe the device, and send the whole state."""
    newest: Snapshot | None = None
    fresh: bool = False
    """`newest` has not been looked at by the sender."""
    events: deque[Json] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))

    @property
    def has_work(self) -> bool:
        return self.closed or (self.connected and (self.greet or self.fresh))


class MqttHerald:
    """Implements `ports.Herald`.

    paho's own thread connects, for ever, and takes commands. A second thread sends, one message at a time: it waits for
    the broker's receipt before the next, so nothing piles up behind a broker that hangs, and what paho repeats after a
    reconnect can never overtake something newer.
    """

    def __init__(self, config: MqttConfig, post: Post, clock: Clock) -> None:
        """SetupError for a topic that MQTT does not allow, or a password that is not there."""
        self._config = config
        self._post = post
        self._clock = clock
        self._topics = _checked_topics(config)
        _check_host(config.host)
        self._client = self._make_client()
        self._changed = threading.Condition()
        self._outbox = _Outbox()
        self._told = ""
        """The detail last posted."""
        self._receipts: set[int] = set()
        self._receipt_came = threading.Event()
        self._sent_state: Json | None = None
        self._sent_mood = ""
        self._sender = threading.Thread(target=self._send_for_ever, name="herald", daemon=True)

    def start(self) -> None:
        """Start connecting, for ever; returns at once."""
        self._client.connect_async(self._config.host, self._config.port, KEEPALIVE_SECONDS)
        self._client.loop_start()
        self._sender.start()

    def publish(self, snapshot: Snapshot) -> None:
        """Make this the retained state; returns at once. While there is no broker only the newest is kept."""
        with self._changed:
            before = self._outbox.newest
            self._outbox.newest, self._outbox.fresh = snapshot, True
            if self._outbox.connected:
                if before and before.mood != snapshot.mood:
                    self._outbox.events.append(_mood_changed(before, snapshot))
                self._changed.notify_all()

    def close(self) -> None:
        """Say goodbye (availability offline) and disconnect; takes a few seconds at most."""
        with self._changed:
            was_connected = self._outbox.connected
            self._outbox.closed = True
            self._changed.notify_all()
        if self._sender.is_alive():
            self._sender.join(timeout=2 * SLICE_SECONDS)
        if was_connected:
            self._say_offline()
        self._client.disconnect()
        ending = threading.Thread(target=self._client.loop_stop, name="herald-end", daemon=True)
        ending.start()
        ending.join(timeout=FAREWELL_SECONDS)

    # paho's thread ------------------------------------------------------------------------------------------------

    def _make_client(self) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id=f"moodify-{self._config.device_id}")
        if self._config.username:
            client.username_pw_set(self._config.username, credential(self._config.password_credential))
        client.will_set(self._topics.availability, "offline", qos=1, retain=True)
        client.reconnect_delay_set(*RECONNECT_SECONDS)
        client.connect_timeout = CONNECT_SECONDS
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        return client

    def _on_connect(
        self, client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        """Also called when the broker refuses."""
        if reason.is_failure:
            self._tell(False, f"the broker refuses: {reason}; {self._advice()}")
            return
        client.subscribe(self._topics.command("+"), qos=1)
        if self._topics.discovery_prefix:
            client.subscribe(self._topics.birth, qos=1)
        with self._changed:
            self._outbox.connected = self._outbox.greet = True
            self._changed.notify_all()
        self._tell(True, "")

    def _on_connect_fail(self, _client: Client, _data: Any) -> None:
        error = sys.exception()
        why = getattr(error, "strerror", None) or str(error or "") or "no answer"
        self._tell(False, f"{why}; is the broker running? see mqtt.host and mqtt.port")

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        with self._changed:
            was_connected, self._outbox.connected = self._outbox.connected, False
            self._outbox.events.clear()
            closed = self._outbox.closed
        if was_connected and not closed:
            self._tell(False, f"connection lost ({reason}); trying again")

    def _on_publish(
        self, _client: Client, _data: Any, mid: int, _reason: ReasonCode, _properties: Properties | None
    ) -> None:
        """paho holds its own lock here: take none of ours."""
        self._receipts.add(mid)
        self._receipt_came.set()

    def _on_message(self, client: Client, _data: Any, message: MQTTMessage) -> None:
        if message.topic == self._topics.birth:
            self._greet_hub(bytes(message.payload))
            return
        name = message.topic.rpartition("/")[2]
        try:
            command = _command(name, message)
        except ValueError as refusal:
            log.warning("MQTT command refused: %s", refusal)
            client.publish(self._topics.error, str(refusal), qos=0)
            return
        self._post(Asked(command, "mqtt", self._clock()))

    def _greet_hub(self, payload: bytes) -> None:
        if payload != b"online":
            return
        with self._changed:
            self._outbox.greet = True
            self._changed.notify_all()

    def _tell(self, connected: bool, detail: str) -> None:
        """Post and log how the connection is, on change only."""
        told = f"{self._config.host}:{self._config.port}: {detail or 'connected'}"
        if told == self._told:
            return
        self._told = told
        log.log(logging.INFO if connected else logging.WARNING, "MQTT %s", told)
        self._post(HeraldChanged(connected, "" if connected else told, self._clock()))

    def _advice(self) -> str:
        if not self._config.username:
            return "set mqtt.username and mqtt.password_credential, or allow anonymous speakers there"
        return f"check mqtt.username ({self._config.username}) and its password, mqtt.password_credential"

    # the sender's thread ------------------------------------------------------------------------------------------

    def _send_for_ever(self) -> None:
        while True:
            with self._changed:
                while not self._changed.wait_for(lambda: self._outbox.has_work, SLICE_SECONDS):
                    pass
                if self._outbox.closed:
                    return
                work = replace(self._outbox, events=deque(self._outbox.events))
                self._outbox.greet = self._outbox.fresh = False
                self._outbox.events.clear()
            self._send_work(work)
            with self._changed:
                self._changed.wait_for(lambda: self._outbox.closed, SHORTEST_GAP_SECONDS)

    def _send_work(self, work: _Outbox) -> None:
        if work.greet:
            self._sent_state, self._sent_mood = None, ""
            self._send(self._topics.availability, "online", retain=True)
            if self._topics.discovery_prefix:
                self._send(self._topics.discovery, json_text(discovery_json(self._topics)), retain=True)
        if work.newest is None:
            return
        # Whoever reads this has a connection to the broker: so have we.
        told = snapshot_json(replace(work.newest, broker_connected=True, broker_detail=""))
        if _steady(told) != self._sent_state:
            self._send(self._topics.state, json_text(told), retain=True)
            self._sent_state = _steady(told)
        if work.newest.mood != self._sent_mood:
            self._send(self._topics.mood, work.newest.mood, retain=True)
            self._sent_mood = work.newest.mood
        for event in work.events:
            self._send(self._topics.event, json_text(event), retain=False)

    def _send(self, topic: str, payload: str, retain: bool) -> None:
        """Publish at QoS 1 and wait for the receipt, however long it takes: never two on their way."""
        if not self._outbox.connected:
            return
        self._receipts.clear()
        mid = self._client.publish(topic, payload, qos=1, retain=retain).mid
        while True:
            self._receipt_came.clear()
            if mid in self._receipts or self._outbox.closed:
                return
            self._receipt_came.wait(SLICE_SECONDS)

    def _say_offline(self) -> None:
        receipt = self._client.publish(self._topics.availability, "offline", qos=1, retain=True)
        try:
            receipt.wait_for_publish(FAREWELL_SECONDS)
        except RuntimeError:
            log.debug("no broker to say goodbye to; its last will says so")


def _check_host(host: str) -> None:
    try:
        if host and host.encode("idna"):
            return
    except UnicodeError:
        pass
    raise SetupError(f'mqtt.host: {host!r} is no name or address of a host; name the broker\'s, or "127.0.0.1"')


def _command(name: str, message: MQTTMessage) -> Command:
    """The command in a message; ValueError when it is none that can be done now."""
    if message.retain:
        raise ValueError(f"{name!r}: an old command, kept by the broker, is not done; publish commands without retain")
    word = message.payload.strip()
    if name == "override" and not word.startswith(b"{"):
        return _plain_override(word.decode("utf-8"))
    return parse_command(name, parse_json(bytes(message.payload)))


def _plain_override(word: str) -> Command:
    return ClearOverride() if word == AUTO else parse_command("override", {"mood": word})


def _checked_topics(config: MqttConfig) -> Topics:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", config.device_id):
        raise SetupError(f"mqtt.device_id: {config.device_id!r}; use letters, digits, - and _")
    for key, prefix in (("topic", config.topic), ("discovery_prefix", config.discovery_prefix)):
        if (not prefix and key == "topic") or prefix.startswith("$") or re.search(r"[#+\x00-\x1f\x7f]|^/|/$", prefix):
            raise SetupError(f"mqtt.{key}: {prefix!r} is no start of a topic; use words and /, without # and +")
    return Topics(f"{config.topic}/{config.device_id}", config.discovery_prefix, config.device_id)


def _mood_changed(before: Snapshot, after: Snapshot) -> Json:
    return {"event": "mood_changed", "from": before.mood, "to": after.mood, "reason": after.reason}


def _steady(told: Json) -> Json:
    """What is told, without what changes by the mere passing of time."""
    override = told["override"]
    return {
        **told,
        "sequence": 0,
        "since_seconds": 0,
        "override": override and override["mood"],
        "neutral": {**told["neutral"], "seconds_left": told["neutral"]["seconds_left"] is not None},
        "player": {**told["player"], "elapsed_seconds": 0},
    }
