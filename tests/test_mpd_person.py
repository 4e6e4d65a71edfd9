"""The player beside a person with another client: their queue, their hand and their modes come first."""

from __future__ import annotations

import contextlib

import pytest
from mpd import CommandError

from device.domain.events import PlayerChanged, PlayerRefused
from device.domain.player import Enqueue, PlayState, SkipNext, TurnTo
from tests.mpd_listener import RATE_HZ, connected, heard, play, with_songs
from tests.mpd_server import mpd_server, wait_until, write_tone

__all__ = ["heard", "mpd_server", "play"]

MODES = ("consume", "single", "random", "repeat")


def with_songs_of(server, seconds):
    for number, name in enumerate(("a.wav", "b.wav")):
        write_tone(server.music / name, seconds=seconds, pitch_hz=200 + 50 * number, rate_hz=RATE_HZ)
    server.update()
    return server


def seek(client, seconds):
    """MPD 0.24 refuses it for a moment when a song has just begun."""

    def done():
        with contextlib.suppress(CommandError):
            client.seekcur(seconds)
            return True

    wait_until(done, "the place in the song")


def uris(status):
    return [song.uri for song in status.upcoming]


def test_what_a_person_queues_before_and_behind_ours_keeps_its_place(mpd_server, play, heard):
    player = connected(play, heard, with_songs(mpd_server, "ours.wav", "front.wav", "behind.wav", "now.wav"))
    player.submit(Enqueue("now.wav", start=True))
    player.submit(Enqueue("ours.wav"))
    heard.wait_for_status(lambda s: uris(s) == ["ours.wav"], "our song")
    with mpd_server.client() as client:
        client.addid("front.wav", 1)
        client.add("behind.wav")
        heard.wait_for_status(lambda s: uris(s) == ["front.wav", "ours.wav", "behind.wav"], "the order they chose")
        for uri in ("front.wav", "ours.wav", "behind.wav"):
            client.next()
            heard.wait_for_status(lambda s, uri=uri: s.song and s.song.uri == uri, f"{uri} to play")


def test_a_place_in_the_song_that_a_person_chose_is_told_and_kept(mpd_server, play, heard):
    player = connected(play, heard, with_songs(mpd_server, "a.wav", "b.wav"))
    player.submit(Enqueue("a.wav", start=True))
    heard.wait_for_status(lambda s: s.state is PlayState.PLAY, "the song")
    with mpd_server.client() as client:
        seek(client, 12)
        status = heard.wait_for_status(lambda s: s.elapsed_seconds >= 11.5, "the place")
        assert status.song.uri == "a.wav"
        player.submit(Enqueue("b.wav"))
        heard.wait_for_status(lambda s: s.upcoming, "the next song")
        assert float(client.status()["elapsed"]) >= 11.5


def test_a_queued_song_follows_without_a_stop_between(mpd_server, play, heard):
    player = connected(play, heard, with_songs_of(mpd_server, seconds=8))
    player.submit(Enqueue("a.wav", start=True))
    player.submit(Enqueue("b.wav"))
    heard.wait_for_status(lambda s: s.song and uris(s) == ["b.wav"], "the first song with the second behind it")
    states = []
    with mpd_server.client() as client:

        def second():
            states.append(client.status()["state"])
            return client.currentsong().get("file") == "b.wav"

        wait_until(second, "the second song")
        states.append(client.status()["state"])
    assert set(states) == {"play"}
    heard.wait_for_status(lambda s: s.song and s.song.uri == "b.wav", "the second song")
    said = [event.status for event in heard.all(PlayerChanged)]
    first = next(n for n, status in enumerate(said) if status.song)
    last = next(n for n, status in enumerate(said) if status.song and status.song.uri == "b.wav")
    assert {status.state for status in said[first:last]} == {PlayState.PLAY}


def test_a_crossfade_that_a_person_set_reaches_over_to_our_next_song(mpd_server, play, heard):
    with_songs_of(mpd_server, seconds=24)  # MPD fades into no song of less than twenty
    with mpd_server.client() as client:
        client.crossfade(4)
        player = connected(play, heard, mpd_server)
        player.submit(Enqueue("a.wav", start=True))
        player.submit(Enqueue("b.wav"))
        heard.wait_for_status(lambda s: s.song and s.upcoming, "both songs")
        seek(client, 16)
        wait_until(lambda: client.currentsong().get("file") == "b.wav", "the second song")
        place = wait_until(lambda: float(client.status()["elapsed"]), "its place")
        assert 4 <= place < 6, "the second song began under the end of the first one"
        assert client.status()["xfade"] == "4"


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_that_a_person_set_stays_and_our_song_plays_in_it(mpd_server, play, heard, mode):
    with_songs(mpd_server, "a.wav", "b.wav", "c.wav", "d.wav")
    with mpd_server.client() as client:
        getattr(client, mode)(1)
        player = connected(play, heard, mpd_server)
        player.submit(Enqueue("a.wav", start=True))
        player.submit(Enqueue("b.wav"))
        heard.wait_for_status(lambda s: s.song and s.song.uri == "a.wav" and uris(s) == ["b.wav"], "both songs")
        player.submit(SkipNext())
        heard.wait_for_status(lambda s: s.song and s.song.uri == "b.wav", "the next song")
        player.submit(Enqueue("c.wav"))
        player.submit(TurnTo("d.wav"))
        status = heard.wait_for_status(lambda s: s.song and s.song.uri == "d.wav", "the song turned to")
        assert status.state is PlayState.PLAY
        assert {name: client.status()[name] for name in MODES} == {name: str(int(name == mode)) for name in MODES}
        left = [song["file"] for song in client.playlistinfo()]
        heard_already = ["b.wav"] if mode == "consume" else ["a.wav", "b.wav"]  # MPD consumes no song that was cut off
        assert left == [*heard_already, "d.wav", "c.wav"]
    assert heard.all(PlayerRefused) == []
