"""Counts and likes as stickers: shared with MPD's other clients under myMPD's names, and never a person's trouble."""

from __future__ import annotations

import time

import pytest

from device.domain.events import PlayerChanged, PlayerLost, PlayerRefused, StickersRead
from device.domain.player import CountPlay, CountSkip, Enqueue, PlayState, SetLike, Sticker
from tests.mpd_listener import connected, heard, play, with_songs
from tests.mpd_server import MpdServer, mpd_server, needs_mpd, wait_until

__all__ = ["heard", "mpd_server", "play"]


@pytest.fixture(autouse=True)
def prompt(monkeypatch):
    monkeypatch.setattr("device.adapters.mpd_player.SETTLE_SECONDS", 0.1)


def note(server, uri, **values):
    with server.client() as client:
        for name, value in values.items():
            client.sticker_set("song", uri, name, value)


def wait_for_stickers(server, uri, **values):
    expected = {name: str(value) for name, value in values.items()}
    with server.client() as client:
        wait_until(lambda: client.sticker_list("song", uri) == expected, f"{expected}")


def told(heard):
    return [event.stickers for event in heard.all(StickersRead)]


def test_counts_and_likes_are_written_under_mympds_names(mpd_server, play, heard):
    player = connected(play, heard, with_songs(mpd_server, "a.wav", 'the "b".wav'))
    note(mpd_server, "a.wav", playCount=7, rating=9)
    player.submit(CountPlay("a.wav", 1000))
    player.submit(CountPlay("a.wav", 2000))
    player.submit(CountSkip("a.wav", 3000))
    player.submit(SetLike("a.wav", 2))
    player.submit(CountSkip('the "b".wav', 4000))
    wait_for_stickers(
        mpd_server, "a.wav", playCount=9, rating=9, lastPlayed=2000, skipCount=1, lastSkipped=3000, like=2
    )
    wait_for_stickers(mpd_server, 'the "b".wav', skipCount=1, lastSkipped=4000)
    assert heard.all(PlayerRefused) == []


def test_what_was_noted_before_is_read_on_connecting(mpd_server, play, heard):
    with_songs(mpd_server, "a.wav", "b.wav", "c.wav")
    note(mpd_server, "a.wav", playCount=3, lastPlayed=1000, skipCount=2, lastSkipped=2000, like=0)
    note(mpd_server, "b.wav", like=1, rating=4)
    note(mpd_server, "c.wav", rating=4)
    connected(play, heard, mpd_server)
    stickers = heard.wait_for(StickersRead).stickers
    assert set(stickers) == {Sticker("a.wav", 3, 2, 1000, 2000, 0), Sticker("b.wav", like=1)}


def test_the_stickers_of_many_songs_are_all_read_window_by_window_where_mpd_has_windows(
    mpd_server, play, heard, monkeypatch
):
    monkeypatch.setattr("device.adapters.mpd_player_stickers.WINDOW_SONGS", 2)
    names = [f"{number}.wav" for number in range(5)]
    with_songs(mpd_server, *names)
    for name in names:
        note(mpd_server, name, playCount=3)
    connected(play, heard, mpd_server)
    assert heard.wait_for(StickersRead).stickers == tuple(Sticker(name, 3) for name in names)


def test_only_what_another_client_changed_is_told_and_never_what_was_written_here(mpd_server, play, heard):
    with_songs(mpd_server, "a.wav", "b.wav")
    note(mpd_server, "a.wav", playCount=3)
    player = connected(play, heard, mpd_server)
    heard.wait_for(StickersRead)
    player.submit(CountPlay("a.wav", 1000))
    player.submit(SetLike("b.wav", 2))
    wait_for_stickers(mpd_server, "b.wav", like=2)
    time.sleep(0.5)
    note(mpd_server, "b.wav", like=0)
    heard.wait_for(StickersRead, count=2)
    with mpd_server.client() as client:
        client.sticker_delete("song", "a.wav")
    heard.wait_for(StickersRead, count=3)
    time.sleep(0.5)
    assert told(heard) == [(Sticker("a.wav", 3),), (Sticker("b.wav", like=0),), (Sticker("a.wav"),)]


def test_nonsense_of_another_client_counts_as_nothing(mpd_server, play, heard):
    with_songs(mpd_server, "a.wav", "b.wav")
    note(mpd_server, "a.wav", playCount="many", skipCount="-3", lastPlayed="9" * 400, lastSkipped="", like="7")
    note(mpd_server, "b.wav", playCount="²", like="a=2", lastPlayed="12=1")
    player = connected(play, heard, mpd_server)
    assert set(heard.wait_for(StickersRead).stickers) == {Sticker("a.wav"), Sticker("b.wav")}
    player.submit(CountPlay("a.wav", 1000))
    wait_for_stickers(mpd_server, "a.wav", playCount=1, lastPlayed=1000, skipCount=-3, lastSkipped="", like=7)


def test_a_server_without_stickers_is_no_trouble_and_logged_once(tmp_path, play, heard, caplog):
    needs_mpd()
    server = MpdServer(tmp_path / "mpd", stickers=False)
    server.start()
    try:
        player = connected(play, heard, with_songs(server, "a.wav"))
        wait_until(lambda: "counts and likes" in caplog.text, "the log")
        for _ in range(3):
            player.submit(CountPlay("a.wav", 1000))
            player.submit(SetLike("a.wav", 0))
            time.sleep(0.2)
        player.submit(Enqueue("a.wav", start=True))
        heard.wait_for_status(lambda s: s.state is PlayState.PLAY, "the song")
        assert caplog.text.count("counts and likes") == 1
        assert heard.all(PlayerRefused) + heard.all(PlayerLost) == []
    finally:
        server.stop()


def test_a_song_mpd_does_not_know_is_left_out_silently(mpd_server, play, heard, caplog):
    player = connected(play, heard, with_songs(mpd_server, "a.wav"))
    player.submit(CountPlay("nowhere.wav", 1000))
    player.submit(SetLike('a.wav"\nsetvol "3', 0))
    player.submit(SetLike("a.wav", 1))
    wait_for_stickers(mpd_server, "a.wav", like=1)
    assert heard.all(PlayerRefused) == [] and "counts and likes" not in caplog.text


def test_counts_wait_for_an_mpd_that_is_away(mpd_server, play, heard):
    player = connected(play, heard, with_songs(mpd_server, "a.wav"))
    mpd_server.kill()
    heard.wait_for(PlayerLost)
    player.submit(CountPlay("a.wav", 1000))
    player.submit(SetLike("a.wav", 2))
    time.sleep(0.5)
    mpd_server.start()
    heard.wait_for(PlayerChanged, count=2)
    wait_for_stickers(mpd_server, "a.wav", playCount=1, lastPlayed=1000, like=2)
    assert len(heard.all(PlayerLost)) == 1
