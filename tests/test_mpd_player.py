"""The player against a real MPD: it commands, tells what happens, and outlives every trouble MPD can have."""

from __future__ import annotations

import gc
import socket
import sys
import threading
import time

import pytest
from mpd import MPDError

from device.adapters.mpd_player import MpdPlayer
from device.adapters.mpd_player_wire import Wire
from device.adapters.mpd_player_words import MOST_LETTERS, status_of
from device.config import MpdConfig
from device.domain.events import PlayerChanged, PlayerLost, PlayerRefused, PlayerUpdated
from device.domain.player import ChangeVolume, Enqueue, Pause, PlayState, Remove, Resume, SkipNext
from device.errors import SetupError
from tests.mpd_listener import Relay, connected, heard, play, with_songs
from tests.mpd_server import MpdServer, mpd_server, needs_mpd, wait_until, write_tone

__all__ = ["heard", "mpd_server", "play"]


def test_a_queued_song_plays_and_the_next_one_follows_it(mpd_server, play, heard):
    player = connected(play, heard, with_songs(mpd_server, "a.wav", "b.flac"))
    player.submit(Enqueue("a.wav", start=True))
    player.submit(Enqueue("b.flac"))
    status = heard.wait_for_status(lambda s: s.song and s.upcoming, "a song and one behind it")
    assert (status.state, status.song.uri, status.song.title) == (PlayState.PLAY, "a.wav", "a")
    assert [song.uri for song in status.upcoming] == ["b.flac"]
    assert status.song.duration_seconds == pytest.approx(20, abs=0.1)
    with mpd_server.client() as client:
        assert client.status()["state"] == "play"
        assert [song["file"] for song in client.playlistinfo()] == ["a.wav", "b.flac"]


def test_pause_resume_next_volume_and_remove_reach_mpd(mpd_server, play, heard):
    player = connected(play, heard, with_songs(mpd_server, "a.wav", "b.ogg", "c.wav"))
    player.submit(Enqueue("a.wav", start=True))
    player.submit(Enqueue("b.ogg"))
    player.submit(Enqueue("c.wav"))
    player.submit(Pause())
    heard.wait_for_status(lambda s: s.state is PlayState.PAUSE and len(s.upcoming) == 2, "pause")
    player.submit(Resume())
    heard.wait_for_status(lambda s: s.state is PlayState.PLAY, "play")
    player.submit(ChangeVolume(37))
    heard.wait_for_status(lambda s: s.volume_percent == 37, "the volume")
    player.submit(SkipNext())
    status = heard.wait_for_status(lambda s: s.song and s.song.uri == "b.ogg" and s.upcoming, "the next song")
    gone = status.upcoming[0].song_id
    player.submit(Remove(gone))
    player.submit(Remove(gone))
    heard.wait_for_status(lambda s: not s.upcoming, "the removed song to go")
    with mpd_server.client() as client:
        assert client.status()["volume"] == "37"
        assert client.currentsong()["file"] == "b.ogg"
    assert heard.all(PlayerRefused) == []


def test_what_another_client_does_is_told(mpd_server, play, heard):
    connected(play, heard, with_songs(mpd_server, "a.wav"))
    wait_until(lambda: len(heard.all(PlayerChanged)) >= 2, "the listening connection")
    with mpd_server.client() as client:
        client.add("a.wav")
        client.play()
    heard.wait_for_status(lambda s: s.state is PlayState.PLAY and s.song.uri == "a.wav", "another client's play")


def test_with_random_on_only_the_next_song_is_told(mpd_server, play, heard):
    names = [f"{number}.wav" for number in range(8)]
    connected(play, heard, with_songs(mpd_server, *names))
    with mpd_server.client() as client:
        client.random(1)
        for name in names:
            client.add(name)
        client.play(3)
        following = wait_until(lambda: client.status().get("nextsongid"), "MPD to know the next song")
    status = heard.wait_for_status(lambda s: s.song and s.upcoming and len(s.upcoming) == 1, "the next song")
    assert status.upcoming[0].song_id == int(following)


def test_at_most_five_following_songs_are_told_and_none_of_those_behind(mpd_server, play, heard):
    names = [f"{number}.wav" for number in range(8)]
    connected(play, heard, with_songs(mpd_server, *names))
    with mpd_server.client() as client:
        for name in names:
            client.add(name)
        client.play(1)
    status = heard.wait_for_status(lambda s: s.song and s.song.uri == "1.wav", "the second song")
    assert [song.uri for song in status.upcoming] == names[2:7]
    with mpd_server.client() as client:
        client.stop()
    status = heard.wait_for_status(lambda s: s.state is PlayState.STOP, "the stop")
    assert (status.song, [song.uri for song in status.upcoming]) == (None, names[:5])


def test_nothing_a_person_set_is_changed_on_connecting(mpd_server, play, heard):
    with_songs(mpd_server, "a.wav")
    with mpd_server.client() as client:
        client.consume(1)
        client.crossfade(4)
        client.setvol(61)
        before = client.status()
        connected(play, heard, mpd_server)
        after = client.status()
    kept = ("consume", "random", "single", "repeat", "xfade", "volume", "playlist", "state")
    assert [after.get(key) for key in kept] == [before.get(key) for key in kept]


def test_killed_and_started_again_mpd_obeys_again(mpd_server, play, heard):
    player = connected(play, heard, with_songs(mpd_server, "a.wav"))
    mpd_server.kill()
    lost = heard.wait_for(PlayerLost)
    assert lost.detail.startswith(f"MPD at 127.0.0.1:{mpd_server.port}: ")
    assert "\n" not in lost.detail
    seen = len(heard.all(PlayerChanged))
    mpd_server.start()
    wait_until(lambda: len(heard.all(PlayerChanged)) > seen, "MPD to be found again")
    assert len(heard.all(PlayerLost)) == 1, "told once per loss"
    player.submit(Enqueue("a.wav", start=True))
    heard.wait_for_status(lambda s: s.state is PlayState.PLAY and s.song.uri == "a.wav", "the song")


def test_frozen_mpd_is_found_lost_without_being_asked_and_recovers(mpd_server, play, heard):
    player = connected(play, heard, with_songs(mpd_server, "a.wav"), timeout_seconds=1.0)
    mpd_server.freeze()
    assert "no answer in time" in heard.wait_for(PlayerLost).detail
    seen = len(heard.all(PlayerChanged))
    mpd_server.thaw()
    wait_until(lambda: len(heard.all(PlayerChanged)) > seen, "MPD to be found again")
    player.submit(Enqueue("a.wav", start=True))
    heard.wait_for_status(lambda s: s.state is PlayState.PLAY, "the song")


def test_an_action_without_a_connection_is_dropped_and_said_so(tmp_path, play, heard):
    needs_mpd()
    server = MpdServer(tmp_path / "mpd")
    player = play(server)
    heard.wait_for(PlayerLost)
    player.submit(Pause())
    lost = heard.wait_for(PlayerLost, count=2)
    assert "refused" in lost.detail
    server.start()
    try:
        heard.wait_for(PlayerChanged)
    finally:
        server.stop()


def test_a_newline_in_a_uri_never_reaches_mpd(mpd_server, play, heard):
    player = connected(play, heard, with_songs(mpd_server, "a.wav"))
    with mpd_server.client() as client:
        client.setvol(80)
    player.submit(Enqueue('a.wav"\nsetvol "3', start=True))
    refused = heard.wait_for(PlayerRefused)
    assert "control character" in refused.detail and "\n" not in refused.detail
    player.submit(Enqueue("a.wav", start=True))
    heard.wait_for_status(lambda s: s.state is PlayState.PLAY, "the song")
    with mpd_server.client() as client:
        assert client.status()["volume"] == "80"


def test_a_song_mpd_does_not_know_is_refused_and_looked_for_once(mpd_server, play, heard):
    player = connected(play, heard, with_songs(mpd_server, "a.wav"))
    write_tone(mpd_server.music / "new" / "late.wav")
    player.submit(Enqueue("new/late.wav"))
    refused = heard.wait_for(PlayerRefused)
    assert refused.uri == "new/late.wav"
    assert "update" in refused.detail
    with mpd_server.client() as client:
        wait_until(lambda: client.find("file", "new/late.wav"), "MPD to find the new song")
    player.submit(Enqueue("new/late.wav", start=True))
    heard.wait_for_status(lambda s: s.song and s.song.uri == "new/late.wav", "the new song")
    for _ in range(2):
        player.submit(Enqueue("nowhere.wav"))
    assert "update" not in heard.wait_for(PlayerRefused, count=3).detail


def test_a_full_queue_is_no_songs_fault(tmp_path, play, heard):
    needs_mpd()
    server = MpdServer(tmp_path / "mpd", most_queued=2)
    server.start()
    try:
        player = connected(play, heard, with_songs(server, "a.wav"))
        for _ in range(3):
            player.submit(Enqueue("a.wav"))
        refused = heard.wait_for(PlayerRefused)
        assert refused.uri == ""
        assert "too large" in refused.detail and refused.detail.endswith("; clear its queue")
        with server.client() as client:
            assert len(client.playlistinfo()) == 2
    finally:
        server.stop()


def test_songs_of_ours_that_played_long_ago_leave_the_queue_and_a_persons_stay(mpd_server, play, heard, monkeypatch):
    monkeypatch.setattr("device.adapters.mpd_player.PLAYED_SONGS", 2)
    names = [f"{number}.wav" for number in range(5)]
    player = connected(play, heard, with_songs(mpd_server, "theirs.wav", *names))
    with mpd_server.client() as client:
        client.add("theirs.wav")
        client.play()
        heard.wait_for_status(lambda s: s.song and s.song.uri == "theirs.wav", "a person's song")
        for name in names:
            player.submit(Enqueue(name))
            player.submit(SkipNext())
            heard.wait_for_status(lambda s, name=name: s.song and s.song.uri == name, name)
        left = ["theirs.wav", "2.wav", "3.wav", "4.wav"]
        wait_until(lambda: [song["file"] for song in client.playlistinfo()] == left, "the songs of long ago to go")
        assert client.currentsong()["file"] == "4.wav"


def test_a_database_that_was_read_anew_is_told(mpd_server, play, heard):
    connected(play, heard, with_songs(mpd_server, "a.wav"))
    wait_until(lambda: len(heard.all(PlayerChanged)) >= 2, "the listening connection")
    before = len(heard.all(PlayerUpdated))
    with_songs(mpd_server, "b.wav")
    heard.wait_for(PlayerUpdated, before + 1)


def test_a_song_that_cannot_begin_is_refused_once_and_leaves_the_queue(mpd_server, play, heard):
    player = connected(play, heard, with_songs(mpd_server, "a.wav", "gone.wav"))
    (mpd_server.music / "gone.wav").unlink()
    player.submit(Enqueue("gone.wav", start=True))
    assert heard.wait_for(PlayerRefused).uri == "gone.wav"
    player.submit(Enqueue("a.wav", start=True))
    heard.wait_for_status(lambda s: s.state is PlayState.PLAY and s.song.uri == "a.wav", "a song that is there")
    with mpd_server.client() as client:
        wait_until(lambda: [song["file"] for song in client.playlistinfo()] == ["a.wav"], "the song to leave the queue")
    assert len(heard.all(PlayerRefused)) == 1


def test_a_queued_song_whose_file_is_gone_is_refused_when_its_turn_comes(mpd_server, play, heard):
    player = connected(play, heard, with_songs(mpd_server, "one.wav", "all one.wav", "b.wav"))
    (mpd_server.music / "all one.wav").unlink()
    player.submit(Enqueue("b.wav", start=True))
    player.submit(Enqueue("all one.wav"))
    player.submit(Enqueue("one.wav"))
    heard.wait_for_status(lambda s: len(s.upcoming) == 2, "the queue")
    player.submit(SkipNext())
    assert heard.wait_for(PlayerRefused).uri == "all one.wav"
    with mpd_server.client() as client:
        left = ["b.wav", "one.wav"]
        wait_until(lambda: [song["file"] for song in client.playlistinfo()] == left, "the song to leave the queue")
    player.submit(Resume())
    player.submit(SkipNext())
    player.submit(Enqueue("b.wav", start=True))
    heard.wait_for_status(lambda s: s.state is PlayState.PLAY and s.song.uri == "b.wav", "a song that is there")


def test_mpd_that_stops_as_it_cannot_go_on_has_failed_and_one_that_is_stopped_has_not(mpd_server, play, heard):
    player = connected(play, heard, with_songs(mpd_server, "a.wav", "b.wav"))
    player.submit(Enqueue("a.wav", start=True))
    heard.wait_for_status(lambda s: s.state is PlayState.PLAY and not s.failed, "the song")
    with mpd_server.client() as client:
        client.stop()
    heard.wait_for_status(lambda s: s.state is PlayState.STOP, "the stop")
    player.submit(Resume())
    heard.wait_for_status(lambda s: s.state is PlayState.PLAY, "the song again")
    (mpd_server.music / "b.wav").unlink()
    player.submit(Enqueue("b.wav"))
    player.submit(SkipNext())
    assert heard.wait_for(PlayerRefused).uri == "b.wav"
    changed = wait_until(
        lambda: [e.status for e in heard.all(PlayerChanged) if e.status.failed], "a status that tells of the failure"
    )
    assert changed[0].state is PlayState.STOP
    assert not any(e.status.failed for e in heard.all(PlayerChanged) if e.status.state is PlayState.PLAY)


def test_mpd_that_pauses_without_an_output_has_failed(mpd_server, play, heard):
    player = connected(play, heard, with_songs(mpd_server, "a.wav"))
    player.submit(Enqueue("a.wav", start=True))
    heard.wait_for_status(lambda s: s.state is PlayState.PLAY, "the song")
    with mpd_server.client() as client:
        client.disableoutput(0)
        heard.wait_for_status(lambda s: s.state is PlayState.PAUSE, "the pause")
        assert next(e.status.failed for e in heard.all(PlayerChanged) if e.status.state is PlayState.PAUSE)
        client.enableoutput(0)
    player.submit(Resume())
    heard.wait_for_status(lambda s: s.state is PlayState.PLAY, "the song again")


def test_what_the_speaker_queued_is_told_apart_from_the_same_song_queued_by_a_person(mpd_server, play, heard):
    relay = Relay(mpd_server.port)
    try:
        server = with_songs(mpd_server, "a.wav", "b.wav", "c.wav")
        player = connected(play, heard, server, port=relay.port, timeout_seconds=1.0)
        player.submit(Enqueue("a.wav", start=True))
        player.submit(Enqueue("b.wav"))
        heard.wait_for_status(lambda s: s.song and s.upcoming, "the speaker's two")
        with mpd_server.client() as client:
            client.add("b.wav")
        heard.wait_for_status(lambda s: len(s.upcoming) == 2, "both")
        assert heard.status.song.ours
        assert [(song.uri, song.ours) for song in heard.status.upcoming] == [("b.wav", True), ("b.wav", False)]
        relay.pull()
        heard.wait_for(PlayerLost)
        wait_until(lambda: isinstance(heard.events[-1], PlayerChanged), "MPD to be found again")
        assert [song.ours for song in (heard.status.song, *heard.status.upcoming)] == [True, True, False]
    finally:
        relay.close()


def test_after_a_restart_of_mpd_what_the_speaker_queued_is_known_again(mpd_server, play, heard):
    player = connected(play, heard, with_songs(mpd_server, "a.wav", "b.wav", "c.wav"))
    player.submit(Enqueue("c.wav"))
    player.submit(Remove(heard.wait_for_status(lambda s: s.upcoming, "a song").upcoming[0].song_id))
    player.submit(Enqueue("a.wav", start=True))
    player.submit(Enqueue("b.wav"))
    heard.wait_for_status(lambda s: s.song and s.upcoming, "the speaker's two")
    with mpd_server.client() as client:
        client.add("c.wav")
    heard.wait_for_status(lambda s: s.song and len(s.upcoming) == 2, "three songs")
    mpd_server.stop()
    heard.wait_for(PlayerLost)
    mpd_server.start()
    wait_until(lambda: isinstance(heard.events[-1], PlayerChanged), "MPD to be found again")
    status = heard.wait_for_status(lambda s: s.song and len(s.upcoming) == 2, "the same three songs")
    assert [(s.uri, s.ours) for s in (status.song, *status.upcoming)] == [
        ("a.wav", True), ("b.wav", True), ("c.wav", False)
    ]  # fmt: skip


def test_mpds_socket_and_password_work(tmp_path, play, heard, monkeypatch):
    needs_mpd()
    server = MpdServer(tmp_path / "mpd", password="open sesame")
    server.start()
    try:
        credentials = tmp_path / "credentials"
        credentials.mkdir()
        (credentials / "mpd").write_text("open sesame\n")
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
        with_songs(server, "a.wav")
        player = connected(play, heard, server, host=str(server.socket_path), password_credential="mpd")
        player.submit(Enqueue("a.wav", start=True))
        heard.wait_for_status(lambda s: s.state is PlayState.PLAY, "the song")
    finally:
        server.stop()


def test_a_missing_password_is_said_so(tmp_path, play, heard):
    needs_mpd()
    server = MpdServer(tmp_path / "mpd", password="open sesame")
    server.start()
    try:
        play(server)
        assert "mpd.password_credential" in heard.wait_for(PlayerLost).detail
    finally:
        server.stop()


def test_a_password_of_two_lines_is_a_wrong_set_up(tmp_path, monkeypatch):
    (tmp_path / "mpd").write_text("one\ntwo")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(SetupError, match="one line"):
        MpdPlayer(MpdConfig(password_credential="mpd"), print, time.monotonic)


def test_closing_ends_the_threads_and_the_music_plays_on(mpd_server, play, heard):
    player = connected(play, heard, with_songs(mpd_server, "a.wav"))
    player.submit(Enqueue("a.wav", start=True))
    heard.wait_for_status(lambda s: s.state is PlayState.PLAY, "the song")
    player.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("mpd-")]
    assert heard.all(PlayerLost) == []
    with mpd_server.client() as client:
        assert client.status()["state"] == "play"


def test_the_loop_beats_with_and_without_mpd(mpd_server, heard):
    beats = []
    config = MpdConfig(port=mpd_server.port, timeout_seconds=1.0)
    player = MpdPlayer(config, heard, time.monotonic, beat=lambda: beats.append(1))
    player.start()
    try:
        heard.wait_for(PlayerChanged)
        wait_until(lambda: len(beats) >= 2, "beats while connected")
        mpd_server.kill()
        heard.wait_for(PlayerLost)
        seen = len(beats)
        wait_until(lambda: len(beats) >= seen + 2, "beats while lost")
    finally:
        player.close()


def test_after_a_pulled_cable_both_connections_are_made_anew(mpd_server, play, heard):
    relay = Relay(mpd_server.port)
    try:
        connected(play, heard, with_songs(mpd_server, "a.wav"), port=relay.port, timeout_seconds=1.0)
        wait_until(lambda: b"idle" in relay.asked, "the listening connection")
        relay.asked.clear()
        relay.pull()
        heard.wait_for(PlayerLost)
        wait_until(lambda: isinstance(heard.events[-1], PlayerChanged), "the commanding connection")
        wait_until(lambda: b"idle" in relay.asked, "the listening connection")
        with mpd_server.client() as client:
            client.add("a.wav")
            client.play()
        heard.wait_for_status(lambda s: s.state is PlayState.PLAY, "another client's play")
    finally:
        relay.close()


def test_a_book_in_a_tag_is_cut_short_for_those_who_are_shown_it():
    said = {"file": "a.flac", "title": "漢" * 12_000, "artist": "x" * MOST_LETTERS, "album": "y" * (MOST_LETTERS + 1)}
    song = status_of({"state": "play"}, said, (), 0.0).song
    assert song.title == "漢" * (MOST_LETTERS - 1) + "…"
    assert song.artist == said["artist"] and len(song.album) == MOST_LETTERS


def test_words_that_a_lost_connection_could_not_carry_raise_no_complaint(monkeypatch):
    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: complaints.append(told.exc_value))
    with socket.create_server(("127.0.0.1", 0)) as server:
        wire = Wire(MpdConfig(port=server.getsockname()[1]), None)
        greeter = threading.Thread(target=greet_and_go, args=(server,))
        greeter.start()
        wire.connect()
        greeter.join()
    with pytest.raises((OSError, MPDError)):
        while True:
            wire.client._write_command("ping")
    wire.disconnect()
    gc.collect()
    assert not complaints


def greet_and_go(server: socket.socket) -> None:
    connection, _ = server.accept()
    connection.sendall(b"OK MPD 0.23.5\n")
    connection.close()
