"""The whole speaker against real servers: what it does, and what it does without them."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from tests import pulse
from tests.broker import Broker, Listener
from tests.mpd_server import wait_until
from tests.speaker import ROOT, House, Speaker, house

__all__ = ["house"]

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def portrait_scene(tmp_path):
    """A smiling person in front of the camera, unplugged for some seconds; the microphone hears the room."""
    data = pytest.importorskip("skimage.data", reason="scikit-image is missing: it brings the portrait")
    cv2 = pytest.importorskip("cv2")
    face = data.astronaut()[0:300, 70:370]
    cv2.imwrite(str(tmp_path / "portrait.png"), cv2.cvtColor(face, cv2.COLOR_RGB2BGR))

    def write(camera: str) -> object:
        path = tmp_path / "scene.toml"
        path.write_text(f'title = "portrait"\nlength = 600\n{camera}', encoding="utf-8")
        return path

    return write


def shown(start: int, end: int, what: str = 'show = "file"\nfile = "portrait.png"') -> str:
    return f"[[camera]]\nfrom = {start}\nto = {end}\n{what}\n"


def song_in_mpd(house: House) -> dict:
    with house.mpd.client() as client:
        return {**client.status(), **client.currentsong()}


def broker_state(house: House) -> dict:
    with Listener(house.broker.port, "moodify/speaker/#") as second:
        return json.loads(second.wait_for("moodify/speaker/state"))


TOLD_TO_END_WHEREVER_IT_IS = """
import os, subprocess, sys
from queue import SimpleQueue
from device import daemon
stop = SimpleQueue()
daemon._end_on_signal(stop)
ring = f"import os; [os.kill({os.getpid()}, 15) for _ in range(20000)]"
bell = subprocess.Popen([sys.executable, "-c", ring])
while bell.poll() is None:
    daemon._ended(stop, 0.001)
print("awake")
"""


def test_a_signal_in_the_midst_of_another_or_of_the_wait_for_it_holds_nothing_up() -> None:
    told = subprocess.run(
        [sys.executable, "-c", TOLD_TO_END_WHEREVER_IT_IS],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    assert told.stdout == "awake\n", told.stderr


def test_a_face_becomes_a_mood_on_the_page_on_the_broker_and_a_fitting_song_in_mpd(house, portrait_scene) -> None:
    with house.speaker(portrait_scene(shown(0, 600))) as speaker:
        seen = speaker.until(lambda s: s["mood"] != "unknown" and s["player"]["state"] == "play", "a mood and music")
        assert seen["mood"] == "happy"
        assert seen["reason"].startswith("face happy")
        assert song_in_mpd(house)["file"].startswith("happy-")
        with Listener(house.broker.port, "moodify/speaker/#") as second:
            second.wait_for("moodify/speaker/mood", "happy")
            assert second.wait_for("moodify/speaker/availability") == "online"
            second.wait_for(
                "moodify/speaker/state", lambda text: json.loads(text)["player"]["title"].startswith("happy")
            )
        speaker.until(lambda s: s["player"]["next_title"], "the next song queued ahead")
        assert speaker.stop() == 0
    with Listener(house.broker.port, "moodify/speaker/#") as second:
        assert second.wait_for("moodify/speaker/availability") == "offline"


def test_an_override_from_the_page_or_the_broker_plays_fitting_music(house) -> None:
    with house.speaker() as speaker:
        speaker.until(lambda s: s["player"]["connected"] and s["catalogue"]["track_count"], "MPD and the catalogue")
        speaker.command("override", mood="sad", minutes=5)
        wait_until(lambda: song_in_mpd(house).get("file", "").startswith("sad-"), "a sad song in MPD")
        with Listener(house.broker.port, "moodify/speaker/#") as second:
            second.publish("moodify/speaker/command/override", "angry")
            second.wait_for("moodify/speaker/mood", "angry")
        tense = ("angry", "fear", "disgust")
        wait_until(lambda: song_in_mpd(house).get("file", "").startswith(tense), "a tense song in MPD, at once")
        seen = speaker.until(lambda s: s["player"]["why"].startswith("chosen for angry"), "the page to know it")
        assert seen["overridden"]
        speaker.until(lambda s: s["player"]["next_title"].startswith(tense), "another one queued ahead")
        wait_until(lambda: song_in_mpd(house)["volume"] == "100", "the volume to be back")


def test_a_sensed_mood_waits_for_the_songs_end_and_a_goal_for_the_next_song(house) -> None:
    with house.speaker() as speaker:
        speaker.until(lambda s: s["player"]["connected"] and s["catalogue"]["track_count"], "MPD and the catalogue")
        speaker.command("override", mood="sad", minutes=5)
        playing = speaker.until(lambda s: s["player"]["next_title"], "a song and the next one")["player"]["uri"]
        speaker.command("goal", goal="off")
        speaker.until(lambda s: s["goal"] == "off" and not s["player"]["next_title"], "the next one to be taken back")
        assert song_in_mpd(house)["file"] == playing
        speaker.command("goal", goal="calm")
        speaker.until(lambda s: s["goal"] == "calm" and s["player"]["next_title"], "a song on the way to calm")
        assert speaker.stop() == 0
        speaker.start()
        assert speaker.until(lambda s: s["player"]["connected"], "MPD")["goal"] == "calm"


def test_a_skip_a_like_and_a_correction_are_known_to_other_clients_and_after_a_restart(house) -> None:
    with house.speaker() as speaker:
        speaker.until(lambda s: s["player"]["connected"] and s["catalogue"]["track_count"], "MPD and the catalogue")
        speaker.command("override", mood="sad", minutes=60)
        first = speaker.until(lambda s: s["player"]["next_title"], "a song and the next one")["player"]["uri"]
        speaker.command("next")
        second = speaker.until(lambda s: s["player"]["uri"] not in ("", first), "another song")["player"]["uri"]
        speaker.command("rate", liked=True)
        speaker.command("correct", mood="angry")
        with house.mpd.client() as client:
            wait_until(lambda: client.sticker_list("song", first).get("skipCount") == "1", "the skip in MPD's stickers")
            wait_until(lambda: client.sticker_list("song", second).get("like") == "2", "the like in MPD's stickers")
        wait_until(lambda: library(speaker, "show", second)["track"]["origin"] == "person", "the correction")
        assert speaker.stop() == 0
    told = library(speaker, "show", first)
    assert told["tally"]["skip_count"] == 1
    assert library(speaker, "show", second)["track"]["affect"] == {"valence": -0.6, "arousal": 0.7}
    with speaker:
        speaker.until(lambda s: s["player"]["connected"] and s["catalogue"]["track_count"], "MPD and the catalogue")
        speaker.command("override", mood="angry", minutes=60)
        house_of_anger = {"angry-0.ogg", "angry-1.ogg", second}
        wait_until(lambda: song_in_mpd(house).get("file") in house_of_anger, "an angry song, or the corrected one")


def library(speaker: Speaker, action: str, *arguments: str) -> dict:
    """What `moodify library` tells with this speaker's configuration."""
    command = [sys.executable, "-m", "device", "library", action, *arguments, "--json", "--config", str(speaker.config)]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def test_a_song_disliked_and_a_sense_switched_off_are_remembered_over_a_restart(house, portrait_scene) -> None:
    with house.speaker(portrait_scene(shown(0, 600))) as speaker:
        speaker.until(lambda s: s["senses"]["face"]["state"] == "on", "the camera to be on")
        speaker.command("sense", modality="face", on=False)
        speaker.until(lambda s: s["senses"]["face"]["state"] == "off", "the camera to be off")
        assert speaker.stop() == 0
        speaker.start()
        speaker.until(lambda s: s["senses"]["voice"]["state"] == "on", "the microphone to be on")
        assert speaker.snapshot()["senses"]["face"]["state"] == "off"


def test_mpd_killed_is_told_and_music_goes_on_when_it_is_back(house) -> None:
    with house.speaker() as speaker:
        speaker.until(lambda s: s["player"]["connected"] and s["catalogue"]["track_count"], "MPD and the catalogue")
        speaker.command("override", mood="happy", minutes=60)
        speaker.until(lambda s: s["player"]["state"] == "play", "music")
        house.mpd.kill()
        lost = speaker.until(lambda s: not s["player"]["connected"], "the page to say that MPD is lost")
        assert str(house.mpd.port) in lost["player"]["detail"]
        wait_until(lambda: not broker_state(house)["player"]["connected"], "the broker to have it")
        speaker.command("override", mood="sad", minutes=60)
        speaker.until(lambda s: s["mood"] == "sad", "a command to work without MPD")
        house.mpd.start()
        speaker.until(lambda s: s["player"]["connected"] and s["player"]["detail"] == "", "MPD to be found again")


def test_a_broker_killed_is_told_and_has_the_mood_when_it_is_back(house) -> None:
    with house.speaker() as speaker:
        speaker.until(lambda s: s["broker"]["connected"], "the broker")
        house.broker.kill()
        lost = speaker.until(lambda s: not s["broker"]["connected"], "the page to say that the broker is lost")
        assert str(house.broker.port) in lost["broker"]["detail"]
        speaker.command("override", mood="sad", minutes=60)
        house.broker.start()
        speaker.until(lambda s: s["broker"]["connected"], "the broker to be found again", 90)
        with Listener(house.broker.port, "moodify/speaker/#") as second:
            second.wait_for("moodify/speaker/mood", "sad")


def test_a_camera_unplugged_is_told_and_used_again_when_it_is_back(house, portrait_scene) -> None:
    scene = portrait_scene(shown(0, 6) + shown(6, 14, 'show = "unplugged"') + shown(14, 600))
    with house.speaker(scene) as speaker:
        speaker.until(lambda s: s["senses"]["face"]["label"] == "happy", "a happy face")
        lost = speaker.until(lambda s: s["senses"]["face"]["state"] == "lost", "the camera to be lost")
        assert lost["senses"]["face"]["detail"]
        assert lost["senses"]["voice"]["state"] == "on"
        wait_until(lambda: broker_state(house)["senses"]["face"]["state"] == "lost", "the broker to have it")
        speaker.until(lambda s: s["senses"]["face"]["label"] == "happy", "the face to be seen again", 90)


def test_a_sound_server_killed_is_told_and_used_again_when_it_is_back(house, tmp_path) -> None:
    if pulse.missing():
        pytest.skip(f"missing: {pulse.missing()}")
    (tmp_path / "pulse").mkdir()
    with pulse.PulseServer(tmp_path / "pulse") as server:
        speaker = house.speaker(microphone={"source": "pyaudio"})
        try:
            speaker.start(server.environment)
            speaker.until(lambda s: s["senses"]["voice"]["state"] == "on", "the microphone to be on")
            server.kill()
            lost = speaker.until(lambda s: s["senses"]["voice"]["state"] == "lost", "the microphone to be lost")
            assert lost["senses"]["voice"]["detail"]
            wait_until(lambda: broker_state(house)["senses"]["voice"]["state"] == "lost", "the broker to have it")
            server.start()
            speaker.until(lambda s: s["senses"]["voice"]["state"] == "on", "the microphone to be on again", 120)
        finally:
            speaker.__exit__()


def test_without_camera_microphone_mpd_broker_and_music_it_runs_and_says_so(tmp_path) -> None:
    (tmp_path / "music").mkdir()
    sections = {
        "camera": {"source": "v4l2", "device": "/dev/video99"},
        "microphone": {"source": "pyaudio", "device": "no such microphone"},
        "mpd": {"port": 1},
        "mqtt": {"port": 1},
        "page": {"port": 0},
        "library": {"music_folder": str(tmp_path / "music")},
        "paths": {"state": str(tmp_path / "state")},
    }
    with Speaker(tmp_path, sections) as speaker:
        told = speaker.until(
            lambda s: (
                s["senses"]["face"]["state"] == "lost"
                and s["senses"]["voice"]["state"] == "lost"
                and "no music" in s["catalogue"]["detail"]
                and "refused" in (s["player"]["detail"] + s["broker"]["detail"]).lower()
            ),
            "everything that is missing to be told",
        )
        assert "/dev/video99" in told["senses"]["face"]["detail"]
        assert told["senses"]["voice"]["detail"]
        assert told["mood"] == "unknown"
        assert speaker.stop() == 0
        assert "Traceback" not in speaker.log()


def run_once(tmp_path, config: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "moodify.toml"
    path.write_text(config, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "device", "run", "--config", str(path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )


def assert_one_line(ended: subprocess.CompletedProcess[str], *parts: str) -> None:
    lines = [line for line in ended.stderr.splitlines() if line.startswith("moodify: ")]
    assert ended.returncode == 78, ended.stderr
    assert len(lines) == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    for part in parts:
        assert part in lines[0]


def test_a_wrong_key_ends_it_with_one_line(tmp_path) -> None:
    assert_one_line(run_once(tmp_path, "[mqtt]\nprot = 1\n"), "mqtt.prot", "known here")


def test_a_missing_model_ends_it_with_one_line(tmp_path) -> None:
    config = f'[paths]\nstate = "{tmp_path}/state"\nmodels = "{tmp_path}/models"\n'
    assert_one_line(run_once(tmp_path, config), f"{tmp_path}/models/face.card.json")


def test_a_model_that_is_not_the_cards_ends_it_with_one_line(tmp_path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for name in ("face.card.json", "face.tflite"):
        (models / name).write_bytes((ROOT / "models" / name).read_bytes())
    with (models / "face.tflite").open("ab") as model:
        model.write(b"\0")
    config = f'[paths]\nstate = "{tmp_path}/state"\nmodels = "{models}"\n'
    assert_one_line(run_once(tmp_path, config), "face.tflite", "sha256")


def test_a_port_in_use_ends_it_with_one_line(tmp_path) -> None:
    (tmp_path / "broker").mkdir()
    with Broker(tmp_path / "broker") as other:
        config = (
            f'[paths]\nstate = "{tmp_path}/state"\n[page]\nport = {other.port}\n'
            '[camera]\nsource = "none"\n[microphone]\nsource = "none"\n'
        )
        assert_one_line(run_once(tmp_path, config), f"page.port {other.port}: already in use")


def test_a_state_folder_that_cannot_be_made_ends_it_with_one_line(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    assert_one_line(run_once(tmp_path, f'[paths]\nstate = "{tmp_path}/file/state"\n'), "paths.state", "file/state")


def test_a_killed_speaker_is_offline_on_the_broker(house) -> None:
    with house.speaker() as speaker:
        speaker.until(lambda s: s["broker"]["connected"], "the broker")
        began = time.monotonic()
        speaker.process.kill()
        with Listener(house.broker.port, "moodify/speaker/#") as second:
            second.wait_for("moodify/speaker/availability", "offline")
        assert time.monotonic() - began < 60
