"""The demo's servers are real, and nothing of them is left however the demo ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import soundfile
from paho.mqtt import publish

from device.demo import servers
from device.demo.servers import Child, PrivateBroker, PrivateMpd
from device.demo.witness import BrokerWitness, PlayerWitness, mood_words
from device.errors import SetupError

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 30.0

needs_mpd = pytest.mark.skipif(shutil.which("mpd") is None, reason="MPD is missing: apt install mpd")
needs_mosquitto = pytest.mark.skipif(
    shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None,
    reason="mosquitto is missing: apt install mosquitto",
)


def wait_until(condition, what: str):
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    pytest.fail(f"waited {PATIENCE_SECONDS:.0f} s in vain: {what}")


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie that nobody has collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A folder with one tagged song of half a minute."""
    import mutagen

    folder = tmp_path / "music" / 'with "quotes" and spaces'
    folder.mkdir(parents=True)
    path = folder / "song.flac"
    soundfile.write(path, [0.0] * 8000 * 30, 8000)
    tags = mutagen.File(path)
    tags["title"], tags["artist"], tags["mood"] = "Song", "Somebody", ["happy", "sunny"]
    tags.save()
    return folder


@needs_mpd
def test_mpd_plays_the_music_into_nothing_at_real_speed(tmp_path: Path, music: Path) -> None:
    with PrivateMpd(tmp_path / "mpd", music, live_output=False) as mpd, PlayerWitness(mpd, music) as looks:
        assert looks.playing() is None
        client = mpd.client()
        assert client.stats()["songs"] == "1"
        assert {output["plugin"] for output in client.outputs()} == {"null", "fifo"}
        client.add("song.flac")
        client.play()
        song = wait_until(looks.playing, "MPD to play")
        assert (song.title, song.artist, song.words) == ("Song", "Somebody", ("happy", "sunny"))
        assert song.suits("happy") and not song.suits("sad")
        client.disconnect()
    assert mpd.ended
    assert not mpd.fifo.exists()


@needs_mosquitto
def test_the_broker_keeps_and_hands_on(tmp_path: Path) -> None:
    with PrivateBroker(tmp_path) as broker, BrokerWitness(broker, "moodify/speaker") as hears:
        publish.single("moodify/speaker/mood", "happy", 1, True, hostname=broker.host, port=broker.port)
        publish.single("moodify/speaker/state", '{"mood": "happy"}', 1, True, hostname=broker.host, port=broker.port)
        assert hears.retained_mood() == "happy"
        assert wait_until(hears.states, "the state") == [{"mood": "happy"}]
    assert broker.ended


@needs_mpd
@needs_mosquitto
def test_an_error_inside_leaves_no_server(tmp_path: Path, music: Path) -> None:
    with (
        pytest.raises(RuntimeError),
        PrivateMpd(tmp_path, music, False) as mpd,
        PrivateBroker(tmp_path) as broker,
    ):
        raise RuntimeError("something")
    assert mpd.ended and broker.ended


@needs_mpd
@needs_mosquitto
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill-9"])
def test_nothing_is_left_when_the_demo_is(number: signal.Signals, tmp_path: Path, music: Path) -> None:
    program = f"""
        import time
        from pathlib import Path
        from device.demo.servers import Child, PrivateBroker, PrivateMpd
        folder, music = Path({str(tmp_path)!r}), Path({str(music)!r})
        with PrivateMpd(folder, music, False) as mpd, PrivateBroker(folder) as broker:
            print(mpd._child.process.pid, broker._child.process.pid, flush=True)
            time.sleep(600)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as demo:
        assert demo.stdout
        pids = [int(pid) for pid in demo.stdout.readline().split()]
        assert len(pids) == 2 and all(alive(pid) for pid in pids)
        demo.send_signal(number)
        demo.wait(PATIENCE_SECONDS)
    for pid in pids:
        wait_until(lambda pid=pid: not alive(pid), f"process {pid} to end")


@pytest.mark.parametrize("make", [lambda p: PrivateMpd(p, p, False), PrivateBroker], ids=["mpd", "mosquitto"])
def test_a_missing_server_is_one_line(make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers.shutil, "which", lambda _name, path="": None)
    with pytest.raises(SetupError, match=r"^\w+: not installed; apt install mpd mosquitto$"), make(tmp_path):
        pass


@needs_mpd
def test_a_server_that_does_not_start_is_one_line_with_its_own_words(tmp_path: Path, music: Path) -> None:
    mpd = PrivateMpd(tmp_path, music, False)
    (tmp_path / "playlists").write_text("in the way")
    with pytest.raises((SetupError, OSError)), mpd:
        pass
    assert mpd.ended


@needs_mosquitto
def test_a_port_that_is_taken_in_the_last_moment_is_not_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PrivateBroker(tmp_path / "first") as first:
        free = servers.free_port()
        ports = iter((first.port, free))
        monkeypatch.setattr(servers, "free_port", lambda: next(ports))
        with PrivateBroker(tmp_path / "second") as second:
            assert second.port == free


def test_a_child_that_does_not_listen_is_killed_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "FAREWELL_SECONDS", 0.5)
    script = "trap '' TERM; sleep 600 & echo $!; wait; sleep 600"
    child = Child(["/bin/sh", "-c", script], tmp_path / "log", tmp_path, {})
    grandchild = int(wait_until(lambda: (tmp_path / "log").read_text().strip(), "the child's first line"))
    child.close()
    wait_until(lambda: not alive(grandchild), "the grandchild to end")
    assert child.ended


def test_a_child_sees_our_surroundings_but_for_what_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/somewhere")
    child = Child(
        ["/bin/sh", "-c", 'echo "${STATE_DIRECTORY-none} $MORE"'], tmp_path / "log", tmp_path,
        {"STATE_DIRECTORY": "", "MORE": "more"},
    )  # fmt: skip
    wait_until(lambda: child.ended, "the child to end")
    assert child.close() == 0
    assert child.last_words() == "none more"


def test_a_file_without_moods_has_no_mood_words(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "plain.flac", [0.0] * 100, 8000)
    (tmp_path / "text.ogg").write_text("no music")
    assert mood_words(tmp_path / "plain.flac") == ()
    assert mood_words(tmp_path / "text.ogg") == ()
