"""The command line, as a stranger meets it: help, tables, JSON, and one line where something is wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mutagen.oggvorbis
import pytest

from device.domain.labels import LABELS
from tests.mpd_server import write_tone
from tests.speaker import ROOT
from web_ui.pairing import PairingStore


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run to its end in the project's folder."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, cwd=ROOT)


def moodify(*arguments: str, status: int = 0) -> str:
    """What the command prints; on failure its one line."""
    ended = python("-m", "device", *arguments)
    assert ended.returncode == status, ended.stderr
    assert "Traceback" not in ended.stderr
    if status:
        (line,) = [line for line in ended.stderr.splitlines() if line.startswith("moodify")]
        return line
    return ended.stdout


@pytest.mark.parametrize("command", ["fusion_rows", "gate", "held_out", "neutral", "own_music", "people"])
def test_measuring_without_the_data_sets_ends_in_one_line(command, tmp_path) -> None:
    out = ("--out", str(tmp_path / "out")) if command == "held_out" else ()
    ended = python("-m", f"device.lab.{command}", "--data", str(tmp_path / "nowhere"), *out)
    assert ended.returncode == 78, ended.stderr
    assert "Traceback" not in ended.stderr
    assert re.match(rf"{command}: {tmp_path}/nowhere\S*: .+; --data names the folder", ended.stderr.splitlines()[-1])


@pytest.fixture
def config(tmp_path):
    """A configuration with a music folder and a state folder of its own."""
    (tmp_path / "music").mkdir()
    path = tmp_path / "moodify.toml"
    path.write_text(f'[library]\nmusic_folder = "{tmp_path}/music"\n[paths]\nstate = "{tmp_path}/state"\n')
    return str(path)


def test_help_names_every_command() -> None:
    told = moodify("--help")
    for command in ("run", "replay", "check", "evaluate", "bench", "library", "pair", "demo"):
        assert re.search(rf"^ +{command} ", told, re.MULTILINE), command


def test_an_empty_music_folder_is_told(config) -> None:
    assert "no music in" in moodify("library", "scan", "--config", config)


def test_a_missing_music_folder_is_one_line(tmp_path) -> None:
    path = tmp_path / "moodify.toml"
    path.write_text(f'[library]\nmusic_folder = "/nowhere"\n[paths]\nstate = "{tmp_path}/state"\n')
    assert "library.music_folder: /nowhere" in moodify("library", "scan", "--config", str(path), status=78)


def test_tracks_moods_and_unreadable_files_are_listed(config, tmp_path) -> None:
    song = mutagen.oggvorbis.OggVorbis(write_tone(tmp_path / "music" / "good.ogg"))
    song.update(title="Good", artist="Somebody", mood="happy; zorpy")
    song.save()
    (tmp_path / "music" / "bad.mp3").write_bytes(b"not music")
    told = moodify("library", "scan", "--config", config)
    assert "cannot be read: bad.mp3: " in told
    assert "mood words nobody knows: zorpy" in told
    (track,) = json.loads(moodify("library", "list", "--json", "--config", config))
    assert (track["uri"], track["moods"], track["affect"]["valence"] > 0.5) == ("good.ogg", ["happy", "zorpy"], True)
    assert "Somebody – Good" in moodify("library", "list", "--config", config)
    assert moodify("library", "problems", "--config", config).startswith("bad.mp3: ")


def test_a_code_pairs_and_a_phone_is_listed_and_revoked(config, tmp_path) -> None:
    code = moodify("pair", "--config", config).splitlines()[0]
    assert PairingStore(tmp_path / "state").redeem(code, time.time(), "kitchen phone")
    phone = moodify("pair", "--list", "--config", config).split()
    assert phone[-2:] == ["kitchen", "phone"]
    moodify("pair", "--revoke", phone[0], "--config", config)
    assert moodify("pair", "--list", "--config", config) == ""
    assert "no such phone" in moodify("pair", "--revoke", phone[0], "--config", config, status=78)


NOBODY = 65534
"""Of Debian."""
AS_NOBODY = """
import os, sys
import device.cli, device.cli_tags, device.library
os.getuid() == 0 and os.setuid(int(sys.argv[1]))
sys.exit(device.cli.main(sys.argv[2:]))
"""


@pytest.mark.parametrize("command", ["library scan", "library list", "library moods", "library write-tags", "pair"])
def test_a_state_folder_of_another_user_is_one_line(command) -> None:
    # Settings and folder where nobody can see them: folders that pytest makes are closed to others.
    with tempfile.TemporaryDirectory() as made:
        open_to_all = Path(made)
        open_to_all.chmod(0o755)
        state = open_to_all / "state"
        state.mkdir(mode=0o500)
        config = open_to_all / "moodify.toml"
        config.write_text(f'[library]\nmusic_folder = "/usr"\n[paths]\nstate = "{state}"\n')
        ended = python("-c", AS_NOBODY, str(NOBODY), *command.split(), "--config", str(config))
        assert ended.returncode == 78, ended.stderr
        assert ended.stderr == (
            f"moodify: paths.state {state}: Permission denied; on the box run this with sudo, "
            "elsewhere name a folder that may be written\n"
        )


def test_a_scene_that_is_not_there_is_one_line() -> None:
    assert "/nowhere.toml" in moodify("replay", "/nowhere.toml", status=78)


@pytest.mark.parametrize("modality", ["face", "voice", "music"])
def test_data_that_is_not_there_is_one_line(modality) -> None:
    assert "--data names the folder" in moodify("evaluate", modality, "--data", "/nowhere", status=78)


def test_pictures_of_music_are_refused_before_the_work() -> None:
    told = moodify("evaluate", "music", "--data", "/nowhere", "--pictures", "/nowhere", status=78)
    assert "--pictures: nothing is drawn of music" in told


def test_a_replay_tells_what_was_shown_and_recognised(tmp_path) -> None:
    data = pytest.importorskip("skimage.data", reason="scikit-image is missing: it brings the portrait")
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(tmp_path / "face.png"), cv2.cvtColor(data.astronaut()[0:300, 70:370], cv2.COLOR_RGB2BGR))
    scene = tmp_path / "scene.toml"
    scene.write_text(
        'title = "smile"\nlength = 12\n[[camera]]\nfrom = 0\nto = 12\nfile = "face.png"\n'
        '[[expect]]\nfrom = 0\nto = 12\nface = "happy"\nmood = "happy"\n'
    )
    told = json.loads(moodify("replay", str(scene), "--json"))
    assert told["spans"][0]["answers"] == {"face": "happy", "voice": "unknown", "fused": "happy", "mood": "happy"}
    assert told["right"] == {"face": [1, 1], "voice": [0, 0], "fused": [1, 1], "mood": [1, 1]}
    evidence = told["spans"][0]["evidence"]
    assert sum(evidence["face"]) == pytest.approx(1, abs=0.001)
    assert max(evidence["face"]) == evidence["face"][LABELS.index("happy")]
    assert evidence["voice"] == [0] * len(LABELS)
    assert "happy ✓" in moodify("replay", str(scene))


def test_a_replay_leaves_the_running_speaker_what_is_played(tmp_path) -> None:
    fifo, config, scene = tmp_path / "played.fifo", tmp_path / "moodify.toml", tmp_path / "scene.toml"
    os.mkfifo(fifo)
    config.write_text(f'[microphone]\nown_music_fifo = "{fifo}"\n')
    scene.write_text('title = "noise"\nlength = 2\n[[microphone]]\nfrom = 0\nto = 2\nplay = "noise"\n')
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(fifo, os.O_WRONLY)
    try:
        os.write(writer, b"played")
        moodify("replay", "--config", str(config), str(scene))
        assert os.read(reader, 100) == b"played"
    finally:
        os.close(writer)
        os.close(reader)


def test_a_replay_is_compared_with_that_of_another_box(tmp_path) -> None:
    def scene(title: str) -> str:
        path = tmp_path / f"{title}.toml"
        path.write_text(f'title = "{title}"\nlength = 1\n[[camera]]\nfrom = 0\nto = 1\nshow = "nobody"\n')
        return str(path)

    there = tmp_path / "there.json"
    there.write_text(moodify("replay", scene("empty"), "--json"))
    assert "the same answers, spans: 1" in moodify("replay", scene("empty"), "--against", str(there))
    there.write_text(there.read_text().replace('"mood": "unknown"\n', '"mood": "happy"\n'))
    ended = python("-m", "device", "replay", scene("empty"), "--against", str(there))
    assert (ended.returncode, "empty: mood happy there, unknown here" in ended.stdout) == (1, True)
    assert "other scenes" in moodify("replay", scene("quiet"), "--against", str(there), status=78)
    there.write_text('{"spans": [{"scene": "empty"}]}')
    assert "write the file anew" in moodify("replay", scene("empty"), "--against", str(there), status=78)


def test_check_tells_what_is_there_and_what_is_missing(config) -> None:
    with open(config, "a") as file:  # noqa: PTH123
        file.write('[camera]\nsource = "v4l2"\ndevice = "/dev/video99"\n[mpd]\nport = 1\n[mqtt]\nhost = "a..b"\n')
    ended = python("-m", "device", "check", "--config", config)
    assert ended.returncode == 1, ended.stderr
    assert re.search(r"^ok +face model +moodify-face", ended.stdout, re.MULTILINE)
    assert re.search(r"^missing +camera +/dev/video99", ended.stdout, re.MULTILINE)
    assert re.search(r"^missing +broker +.*a\.\.b:\d+: not a host's name; start mosquitto", ended.stdout, re.MULTILINE)
    assert re.search(r"^missing +MPD +.*start mpd", ended.stdout, re.MULTILINE)
