"""What Home Assistant is told so that the speaker shows up by itself as one device (MQTT device discovery)."""

from __future__ import annotations

from dataclasses import dataclass

from device import __version__
from device.domain.goal import GOALS
from device.domain.labels import LABELS, MOODS
from device.wire import Json

AUTO = "auto"
"""What `select` shows, and what a person writes to `command/override`, for "no override"."""

STATE_LENGTH = 250
"""Home Assistant refuses states of more than 255 characters."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Every topic of one speaker."""

    root: str
    """<topic>/<device_id>"""
    discovery_prefix: str
    device_id: str

    @property
    def availability(self) -> str:
        """`online` or `offline`, retained."""
        return f"{self.root}/availability"

    @property
    def state(self) -> str:
        """The snapshot as JSON, retained."""
        return f"{self.root}/state"

    @property
    def mood(self) -> str:
        """One word, retained."""
        return f"{self.root}/mood"

    @property
    def event(self) -> str:
        """What just happened, as JSON; not retained."""
        return f"{self.root}/event"

    @property
    def error(self) -> str:
        """Why a command was refused, one line; not retained."""
        return f"{self.root}/error"

    def command(self, name: str) -> str:
        """Where the command `name` is taken; "+" for all."""
        return f"{self.root}/command/{name}"

    @property
    def birth(self) -> str:
        """Where Home Assistant says that it has started."""
        return f"{self.discovery_prefix}/status"

    @property
    def discovery(self) -> str:
        """Where Home Assistant looks for devices."""
        return f"{self.discovery_prefix}/device/moodify-{self.device_id}/config"


def discovery_json(topics: Topics) -> Json:
    """The one message that describes the device and all its components."""
    identity = f"moodify-{topics.device_id}"
    return {
        "device": {
            "identifiers": [identity],
            "name": f"Moodify {topics.device_id}",
            "manufacturer": "Moodify",
            "model": "Mood-aware speaker",
            "sw_version": __version__,
        },
        "origin": {"name": "Moodify", "sw_version": __version__},
        "availability_topic": topics.availability,
        "qos": 1,
        "components": {
            key: {"unique_id": f"{identity}-{key}", **component} for key, component in _components(topics).items()
        },
    }


def _components(topics: Topics) -> dict[str, Json]:
    return {
        "mood": {
            "platform": "sensor",
            "name": "Mood",
            "icon": "mdi:emoticon-outline",
            "device_class": "enum",
            "options": list(MOODS),
            "state_topic": topics.mood,
            "json_attributes_topic": topics.state,
            "json_attributes_template": "{{ {'reason': value_json.reason, 'sensed': value_json.sensed_mood,"
            " 'valence': value_json.affect.valence, 'arousal': value_json.affect.arousal} | tojson }}",
        },
        "confidence": {
            "platform": "sensor",
            "name": "Confidence",
            "icon": "mdi:gauge",
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "state_topic": topics.state,
            "value_template": "{{ (value_json.confidence * 100) | round | int }}",
        },
        "people": {
            "platform": "sensor",
            "name": "People",
            "icon": "mdi:account-multiple-outline",
            "state_class": "measurement",
            "state_topic": topics.state,
            "value_template": "{{ value_json.people }}",
        },
        "song": {
            "platform": "sensor",
            "name": "Song",
            "icon": "mdi:music-note",
            "state_topic": topics.state,
            "value_template": "{{ ([value_json.player.artist, value_json.player.title] | select | join(' – '))"
            f"[:{STATE_LENGTH}] }}}}",
        },
        "override": {
            "platform": "select",
            "name": "Override",
            "icon": "mdi:hand-back-right-outline",
            "options": [AUTO, *LABELS],
            "state_topic": topics.state,
            "value_template": "{{ value_json.override.mood if value_json.override else '" + AUTO + "' }}",
            "command_topic": topics.command("override"),
        },
        "goal": {
            "platform": "select",
            "name": "Goal",
            "icon": "mdi:bullseye-arrow",
            "options": list(GOALS),
            "state_topic": topics.state,
            "value_template": "{{ value_json.goal }}",
            "command_topic": topics.command("goal"),
            "command_template": '{"goal": "{{ value }}"}',
        },
        "not_now": _button(topics, "not-now", "Not in this mood", "mdi:music-off"),
        "learn_neutral": _button(topics, "learn-neutral", "Learn our neutral face", "mdi:emoticon-neutral-outline"),
        "forget_neutral": _button(topics, "forget-neutral", "Forget our neutral face", "mdi:eraser"),
        "next": _button(topics, "next", "Next song", "mdi:skip-next"),
        "play": _button(topics, "play", "Play", "mdi:play"),
        "pause": _button(topics, "pause", "Pause", "mdi:pause"),
        "volume": {
            "platform": "number",
            "name": "Volume",
            "icon": "mdi:volume-high",
            "min": 0,
            "max": 100,
            "step": 1,
            "unit_of_measurement": "%",
            "state_topic": topics.state,
            "value_template": "{{ value_json.player.volume_percent }}",
            "command_topic": topics.command("volume"),
            "command_template": '{"percent": {{ value | int }}}',
        },
        "camera": _switch(topics, "face", "Camera", "mdi:camera"),
        "microphone": _switch(topics, "voice", "Microphone", "mdi:microphone"),
    }


def _button(topics: Topics, command: str, name: str, icon: str) -> Json:
    return {
        "platform": "button",
        "name": name,
        "icon": icon,
        "command_topic": topics.command(command),
        "payload_press": "{}",
    }


def _switch(topics: Topics, modality: str, name: str, icon: str) -> Json:
    return {
        "platform": "switch",
        "name": name,
        "icon": icon,
        "state_topic": topics.state,
        "value_template": f"{{{{ 'OFF' if value_json.senses.{modality}.state == 'off' else 'ON' }}}}",
        "state_on": "ON",
        "state_off": "OFF",
        "command_topic": topics.command("sense"),
        "payload_on": f'{{"modality": "{modality}", "on": true}}',
        "payload_off": f'{{"modality": "{modality}", "on": false}}',
    }
