"""Turning to another song: softly, and whatever happens in the middle, the volume goes where it belongs."""

from __future__ import annotations

import threading
import time

import pytest

from device.adapters.mpd_player_fade import Fade
from device.domain.events import PlayerRefused
from device.domain.player import ChangeVolume, Enqueue, Pause, PlayState, Remove, Resume, SkipNext, TurnTo
from tests.mpd_listener import connected, heard, play, with_songs
from tests.mpd_server import MpdServer, mpd_server, needs_mpd, wait_until

__all__ = ["heard", "mpd_server", "play"]

HOME = 80


class Ear:
    """A second client that writes down what is heard: (uri, volume), each change once."""

    def __init__(self, server: MpdServer) -> None:
        self.heard = []
        self._server = server
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()

    def _listen(self):
        with self._server.client() as client:
            while not self._done.wait(0.005):
                client.command_list_ok_begin()
                client.status()
                client.currentsong()
                status, song = client.command_list_end()
                now = (song.get("file"), int(status.get("volume", -1)))
                if status["state"] == "play" and self.heard[-1:] != [now]:
                    self.heard.append(now)

    def volumes_of(self, uri):
        return [volume for song, volume in self.heard if song == uri]


@pytest.fixture
def fading(mpd_server, play, heard, monkeypatch):
    """A player in the middle of a slow fade from a.wav to b.wav; p.wav is what a person queued."""
    monkeypatch.setattr("device.adapters.mpd_player_fade.OUT_SECONDS", 3.0)
    with_songs(mpd_server, "a.wav", "b.wav", "c.wav", "p.wav")
    player = playing(mpd_server, play, heard)
    player.submit(TurnTo("b.wav"))
    wait_for_mpd(mpd_server, lambda s: int(s["volume"]) < 60)
    return player


def playing(server, play, heard):
    player = connected(play, heard, server)
    with server.client() as client:
        client.setvol(HOME)
        client.add("a.wav")
        client.add("p.wav")
        client.play(0)
    heard.wait_for_status(lambda s: s.volume_percent == HOME and s.song and s.song.uri == "a.wav", "the song")
    return player


def wait_for_mpd(server, condition, what="MPD's status"):
    with server.client() as client:
        return wait_until(lambda: condition(status := {**client.status(), **client.currentsong()}) and status, what)


def in_fade_in(server):
    wait_for_mpd(server, lambda s: s.get("file") == "b.wav" and 5 < int(s["volume"]) < HOME - 20, "the fade-in")


def calm(server, **expected):
    """MPD's status once it is as expected, and whether it stays so."""
    wait_for_mpd(server, lambda s: expected.items() <= s.items(), f"{expected}")
    time.sleep(0.4)
    return wait_for_mpd(server, lambda s: True), expected


def assert_calm(server, **expected):
    status, expected = calm(server, **expected)
    assert {key: status.get(key) for key in expected} == expected


def queue_of(server):
    with server.client() as client:
        return [song["file"] for song in client.playlistinfo()]


def test_the_old_song_fades_out_the_new_one_in_and_the_volume_comes_back(mpd_server, play, heard):
    with_songs(mpd_server, "a.wav", "b.wav", "p.wav")
    player = playing(mpd_server, play, heard)
    known = len(heard.events)
    with Ear(mpd_server) as ear:
        player.submit(TurnTo("b.wav"))
        wait_for_mpd(mpd_server, lambda s: s["file"] == "b.wav" and s["volume"] == str(HOME), "the turn")
        assert_calm(mpd_server, file="b.wav", volume=str(HOME), state="play")
    out, back = ear.volumes_of("a.wav"), ear.volumes_of("b.wav")
    assert out == sorted(out, reverse=True) and out[0] == HOME and out[-1] <= 5 and len(out) > 5
    assert back == sorted(back) and back[0] <= 10 and back[-1] == HOME and len(back) > 5
    status = heard.wait_for_status(lambda s: s.song.uri == "b.wav", "the new song")
    assert [song.uri for song in status.upcoming] == ["p.wav"], "what a person queued comes after it"
    told = {event.status.volume_percent for event in heard.events[known:] if hasattr(event, "status")}
    assert told == {HOME}, "the page's slider does not dance"
    assert heard.all(PlayerRefused) == []


def test_where_nothing_plays_the_track_begins_at_once(mpd_server, play, heard):
    with_songs(mpd_server, "a.wav", "b.wav")
    player = connected(play, heard, mpd_server)
    with mpd_server.client() as client:
        client.setvol(HOME)
    with Ear(mpd_server) as ear:
        player.submit(TurnTo("a.wav"))
        heard.wait_for_status(lambda s: s.state is PlayState.PLAY and s.song.uri == "a.wav", "the song")
        player.submit(Pause())
        player.submit(TurnTo("b.wav"))
        heard.wait_for_status(lambda s: s.state is PlayState.PLAY and s.song.uri == "b.wav", "the song after a pause")
        assert_calm(mpd_server, file="b.wav", volume=str(HOME))
    assert {volume for _, volume in ear.heard} == {HOME}


def test_without_a_mixer_the_track_simply_plays(tmp_path, play, heard):
    needs_mpd()
    server = MpdServer(tmp_path / "mpd", mixer="none")
    server.start()
    try:
        player = connected(play, heard, with_songs(server, "a.wav", "b.wav"))
        for uri in ("a.wav", "b.wav"):
            player.submit(TurnTo(uri))
            status = heard.wait_for_status(lambda s, uri=uri: s.song and s.song.uri == uri, "the song")
            assert (status.state, status.volume_percent) == (PlayState.PLAY, None)
        assert heard.all(PlayerRefused) == []
    finally:
        server.stop()


def test_a_pause_in_a_fade_holds_the_new_song_at_the_old_volume(mpd_server, fading):
    fading.submit(Pause())
    assert_calm(mpd_server, state="pause", file="b.wav", volume=str(HOME))
    fading.submit(TurnTo("c.wav"))
    wait_for_mpd(mpd_server, lambda s: s["state"] == "play" and s["file"] == "c.wav")


def test_a_volume_asked_for_in_a_fade_is_there_at_once_with_the_new_song(mpd_server, fading, heard):
    fading.submit(ChangeVolume(33))
    assert_calm(mpd_server, state="play", file="b.wav", volume="33")
    heard.wait_for_status(lambda s: s.volume_percent == 33, "the new volume")


def test_next_in_the_fade_out_turns_at_once_and_in_the_fade_in_skips_the_track(mpd_server, fading):
    fading.submit(SkipNext())
    assert_calm(mpd_server, state="play", file="b.wav", volume=str(HOME))
    fading.submit(TurnTo("c.wav"))
    wait_for_mpd(mpd_server, lambda s: s["file"] == "c.wav" and 5 < int(s["volume"]) < HOME - 20, "the fade-in")
    fading.submit(SkipNext())
    assert_calm(mpd_server, state="play", file="p.wav", volume=str(HOME))


@pytest.mark.parametrize("taken_out_first", [False, True])
def test_turning_again_in_a_fade_goes_on_fading_and_drops_the_first_track(mpd_server, fading, heard, taken_out_first):
    with Ear(mpd_server) as ear:
        if taken_out_first:
            status = heard.wait_for_status(lambda s: s.upcoming and s.upcoming[0].uri == "b.wav", "the track ahead")
            fading.submit(Remove(status.upcoming[0].song_id))
        fading.submit(TurnTo("c.wav"))
        wait_for_mpd(mpd_server, lambda s: s["file"] == "c.wav" and s["volume"] == str(HOME))
    assert queue_of(mpd_server) == ["a.wav", "c.wav", "p.wav"]
    assert ear.volumes_of("b.wav") == []
    assert max(ear.volumes_of("a.wav")) < 60, "it never got louder in between"
    assert heard.all(PlayerRefused) == []


def test_turning_again_in_the_fade_in_fades_out_from_there(mpd_server, fading):
    in_fade_in(mpd_server)
    with Ear(mpd_server) as ear:
        fading.submit(TurnTo("c.wav"))
        wait_for_mpd(mpd_server, lambda s: s["file"] == "c.wav" and s["volume"] == str(HOME))
    assert max(ear.volumes_of("b.wav")) < HOME
    assert ear.volumes_of("b.wav")[-1] <= 5


def test_a_track_taken_out_in_its_fade_leaves_the_old_song_at_the_old_volume(mpd_server, fading, heard):
    status = heard.wait_for_status(lambda s: s.upcoming and s.upcoming[0].uri == "b.wav", "the track ahead")
    fading.submit(Remove(status.upcoming[0].song_id))
    assert_calm(mpd_server, state="play", file="a.wav", volume=str(HOME))
    assert heard.all(PlayerRefused) == []


def test_what_touches_neither_song_nor_volume_does_not_end_a_fade(mpd_server, fading, heard):
    with Ear(mpd_server) as ear:
        fading.submit(Enqueue("c.wav"))
        fading.submit(Resume())
        fading.submit(Remove(999))
        wait_for_mpd(mpd_server, lambda s: s["file"] == "b.wav" and s["volume"] == str(HOME))
    assert max(ear.volumes_of("a.wav")) < 60 and ear.volumes_of("b.wav")[0] < 20
    assert queue_of(mpd_server) == ["a.wav", "b.wav", "p.wav", "c.wav"]


def test_another_song_started_in_a_fade_plays_at_the_old_volume(mpd_server, fading):
    fading.submit(Enqueue("c.wav", start=True))
    assert_calm(mpd_server, state="play", file="c.wav", volume=str(HOME))
    assert queue_of(mpd_server) == ["a.wav", "p.wav", "c.wav"]


@pytest.mark.parametrize("theirs", [25, 95])
def test_a_volume_another_client_sets_in_a_fade_is_kept(mpd_server, fading, heard, theirs):
    with mpd_server.client() as client:
        client.setvol(theirs)
    assert_calm(mpd_server, state="play", file="b.wav", volume=str(theirs))
    heard.wait_for_status(lambda s: s.volume_percent == theirs, "the volume told")


@pytest.mark.parametrize(("theirs", "state"), [("pause", "pause"), ("stop", "stop"), ("next", "play")])
def test_what_another_client_does_in_a_fade_stays_done(mpd_server, fading, theirs, state):
    with mpd_server.client() as client:
        client.deleteid(client.status()["nextsongid"])
        getattr(client, theirs)()
    assert_calm(mpd_server, state=state, volume=str(HOME))
    with mpd_server.client() as client:
        assert client.currentsong()["file"] == ("p.wav" if theirs == "next" else "a.wav")


def test_a_pause_by_another_client_keeps_the_old_song(mpd_server, fading):
    with mpd_server.client() as client:
        client.pause(1)
    assert_calm(mpd_server, state="pause", file="a.wav", volume=str(HOME))


def test_a_track_mpd_does_not_know_is_refused_and_nothing_fades(mpd_server, play, heard):
    with_songs(mpd_server, "a.wav", "p.wav")
    player = playing(mpd_server, play, heard)
    with Ear(mpd_server) as ear:
        player.submit(TurnTo("nowhere.wav"))
        assert heard.wait_for(PlayerRefused).uri == "nowhere.wav"
        assert_calm(mpd_server, state="play", file="a.wav", volume=str(HOME))
    assert ear.heard == [("a.wav", HOME)]


def test_a_track_whose_file_is_gone_is_refused_and_the_volume_comes_back(mpd_server, play, heard):
    with_songs(mpd_server, "a.wav", "b.wav", "p.wav")
    (mpd_server.music / "b.wav").unlink()
    player = playing(mpd_server, play, heard)
    player.submit(TurnTo("b.wav"))
    assert heard.wait_for(PlayerRefused).uri == "b.wav"
    assert_calm(mpd_server, volume=str(HOME))
    wait_until(lambda: queue_of(mpd_server) == ["a.wav", "p.wav"], "the track to leave the queue")
    assert len(heard.all(PlayerRefused)) == 1
    player.submit(TurnTo("a.wav"))
    wait_for_mpd(mpd_server, lambda s: s["state"] == "play" and s["file"] == "a.wav")


def test_an_mpd_that_dies_in_a_fade_has_the_old_volume_when_it_is_back(mpd_server, fading, heard):
    mpd_server.kill()
    (mpd_server.folder / "state").write_text("sw_volume: 11\n")
    mpd_server.start()
    assert_calm(mpd_server, volume=str(HOME))
    heard.wait_for_status(lambda s: s.volume_percent == HOME, "the volume told")


def test_closing_in_a_fade_leaves_the_new_song_at_the_old_volume(mpd_server, fading):
    fading.close()
    assert_calm(mpd_server, state="play", file="b.wav", volume=str(HOME))


def test_a_mixer_that_rounds_or_answers_late_is_no_persons_hand():
    fade = Fade("b", 2, 1, 80, 80, 0.0, 80, 80)
    exact, late = fade.after_step(50, 50), fade.after_step(50, 63)
    assert [exact.explains(volume) for volume in (50, 49, 51, -1)] == [True, False, False, True]
    assert [late.explains(volume) for volume in (50, 63, 57, 47, 66, 46, 67)] == [True] * 5 + [False] * 2
