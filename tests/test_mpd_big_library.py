"""A library and a queue of ten thousand songs: what MPD is asked stays as small as with ten."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing

import pytest

from device.domain.events import PlayerChanged, PlayerRefused, StickersRead
from device.domain.player import ChangeVolume, CountPlay, Enqueue, Pause, PlayState, Resume, SkipNext, Sticker, TurnTo
from tests.mpd_listener import RATE_HZ, Relay, connected, heard, play
from tests.mpd_server import MpdServer, needs_mpd, wait_until, write_tone

__all__ = ["heard", "play"]

SONGS = 10_000
FOLDERS = 20
URIS = [f"folder {number % FOLDERS:02}/a song with a name of usual length {number:05}.wav" for number in range(SONGS)]
BYTES_OF_A_STATUS = 4_000
"""MPD's status, a song and five that follow; the whole queue is two megabytes."""


pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def big_server(tmp_path_factory):
    """An MPD with 10 000 songs (one file under many names), stickers on each, and all of them in its queue."""
    needs_mpd()
    server = MpdServer(tmp_path_factory.mktemp("big") / "mpd")
    tone = write_tone(server.folder / "tone.wav", seconds=30, rate_hz=RATE_HZ)
    for folder in sorted({uri.partition("/")[0] for uri in URIS}):
        (server.music / folder).mkdir()
    for uri in URIS:
        os.link(tone, server.music / uri)
    server.start()
    server.update(patience_seconds=240)
    server.stop()
    with closing(sqlite3.connect(server.folder / "sticker.sql")) as database, database:
        rows = [("song", uri, name, "3") for uri in URIS for name in ("playCount", "lastPlayed")]
        database.executemany("INSERT INTO sticker(type, uri, name, value) VALUES (?, ?, ?, ?)", rows)
    server.start()
    with server.client() as client:
        assert client.stats()["songs"] == str(SONGS)
        client.add("")
        client.play(SONGS // 2)
    yield server
    server.stop()


@pytest.fixture
def relay(big_server):
    relay = Relay(big_server.port)
    yield relay
    relay.close()


def test_a_long_queue_is_never_asked_for_as_a_whole(big_server, relay, play, heard, monkeypatch):
    monkeypatch.setattr("device.adapters.mpd_player.SETTLE_SECONDS", 3600.0)
    player = connected(play, heard, big_server, port=relay.port)
    first = heard.wait_for_status(lambda s: s.song and len(s.upcoming) == 5, "a song and five more").song
    for action, condition in (
        (Enqueue(URIS[0]), lambda s: True),
        (SkipNext(), lambda s: s.song.song_id != first.song_id),
        (Pause(), lambda s: s.state is PlayState.PAUSE),
        (Resume(), lambda s: s.state is PlayState.PLAY),
        (ChangeVolume(40), lambda s: s.volume_percent == 40),
        (TurnTo(URIS[7]), lambda s: s.song.uri == URIS[7]),
        (Enqueue(URIS[8], start=True), lambda s: s.song.uri == URIS[8]),
    ):
        player.submit(action)
        heard.wait_for_status(condition, f"{action}")
    time.sleep(0.5)
    assert relay.bytes_said < BYTES_OF_A_STATUS * len(heard.all(PlayerChanged)) + 60_000
    assert heard.all(PlayerRefused) == []


def test_the_stickers_of_a_big_library_are_read_while_commands_are_obeyed(big_server, play, heard, monkeypatch):
    monkeypatch.setattr("device.adapters.mpd_player.SETTLE_SECONDS", 0.0)
    player = connected(play, heard, big_server)
    for percent in range(20, 60):
        player.submit(ChangeVolume(percent))
    heard.wait_for_status(lambda s: s.volume_percent == 59, "the volume")
    stickers = heard.wait_for(StickersRead).stickers
    assert set(stickers) == {Sticker(uri, 3, last_played_unix=3) for uri in URIS}
    player.submit(CountPlay(URIS[5], 9))
    with big_server.client() as client:
        wait_until(lambda: client.sticker_list("song", URIS[5]) == {"playCount": "4", "lastPlayed": "9"}, "the count")
        client.sticker_set("song", URIS[6], "like", 0)
    assert heard.wait_for(StickersRead, count=2).stickers == (Sticker(URIS[6], 3, last_played_unix=3, like=0),)
