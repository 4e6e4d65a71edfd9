"""Looks at the speaker from outside, as a second client: of the broker with paho, of MPD with python-mpd2."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import mutagen
from mpd import CommandError, MPDClient, MPDError
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from device.demo.servers import PrivateBroker, PrivateMpd
from device.demo.verdict import Song
from device.domain.lexicon import affect_of_words, parse_lexicon

ANSWER_SECONDS = 5.0
LEXICON = Path(__file__).resolve().parent.parent / "lexicon.toml"


class BrokerWitness:
    """Hears what the speaker publishes under `topic`; used in a `with` block."""

    def __init__(self, broker: PrivateBroker, topic: str) -> None:
        self._broker = broker
        self._topic = topic
        self._states: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="demo-witness")
        self._client.on_connect = lambda client, *_: client.subscribe(f"{topic}/state", 1)
        self._client.on_message = self._heard

    def __enter__(self) -> Self:
        self._client.connect_async(self._broker.host, self._broker.port)
        self._client.loop_start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def states(self) -> list[dict[str, Any]]:
        """The states that came since the last call, oldest first."""
        heard = []
        with contextlib.suppress(queue.Empty):
            while True:
                heard.append(json.loads(self._states.get_nowait()))
        return heard

    def press_next(self) -> None:
        """What a person does who wants another song."""
        self._client.publish(f"{self._topic}/command/next", "{}", qos=1)

    def retained_mood(self) -> str:
        """The mood that the broker hands to a client that has just come; empty when there is none."""
        arrived = threading.Event()
        words: list[str] = []
        client = Client(CallbackAPIVersion.VERSION2)

        def keep(_client: Client, _userdata: object, message: MQTTMessage) -> None:
            if message.retain:
                words.append(message.payload.decode("utf-8", "replace"))
                arrived.set()

        client.on_connect = lambda client, *_: client.subscribe(f"{self._topic}/mood", 1)
        client.on_message = keep
        client.connect_async(self._broker.host, self._broker.port)
        client.loop_start()
        arrived.wait(ANSWER_SECONDS)
        client.disconnect()
        client.loop_stop()
        return words[0] if words else ""

    def _heard(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self._states.put(bytes(message.payload))


class PlayerWitness:
    """Asks MPD what it plays, and the song's own file what it is."""

    def __init__(self, server: PrivateMpd, music: Path) -> None:
        self._server = server
        self._music = music
        self._client: MPDClient | None = None
        self._lexicon = parse_lexicon(LEXICON.read_text(encoding="utf-8"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()

    def playing(self) -> Song | None:
        """The song that plays now; None when none does or MPD does not answer."""
        status, song, _ = self._ask()
        return self._song(song) if status.get("state") == "play" and song.get("file") else None

    def next_up(self) -> Song | None:
        """The song that comes next."""
        _, _, song = self._ask()
        return self._song(song) if song.get("file") else None

    def _ask(self) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        """MPD's status, its song and the one behind it; empty when it does not answer."""
        try:
            client = self._client = self._client or self._server.client()
            status = client.status()
            return status, client.currentsong(), _behind(client, status)
        except (OSError, MPDError):
            self._drop()
            return {}, {}, {}

    def _drop(self) -> None:
        if self._client:
            with contextlib.suppress(OSError, MPDError):
                self._client.disconnect()
        self._client = None

    def _song(self, song: dict[str, str]) -> Song:
        words = mood_words(self._music / song["file"])
        affect = affect_of_words(words, self._lexicon)
        return Song(song["file"], song.get("title", "?"), song.get("artist", "?"), words, affect)


def mood_words(path: Path) -> tuple[str, ...]:
    """The mood words in the tags of an Ogg, FLAC or MP3 file."""
    try:
        tags = mutagen.File(path).tags or {}
    except (mutagen.MutagenError, AttributeError):
        return ()
    frame = tags.get("TMOO") or tags.get("TXXX:MOOD")
    return tuple(str(word) for word in (frame.text if frame else tags.get("mood", ())))


def _behind(client: MPDClient, status: dict[str, str]) -> dict[str, str]:
    """The song behind the present one; empty when there is none, or when it was taken out this moment."""
    if "nextsongid" not in status:
        return {}
    try:
        return next(iter(client.playlistid(status["nextsongid"])), {})
    except CommandError:
        return {}
