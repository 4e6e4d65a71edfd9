"""A scene gives camera and microphone what its file says, at its time, and refuses what it does not understand."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from device.adapters.scene import Scene, SceneCamera, SceneMicrophone, load_scene
from device.errors import PeripheralError, SetupError
from device.ports import SAMPLE_RATE_HZ
from tests.sounds import rms

FULL = """
title = "A visit"
length = 12.0

[[camera]]
from = 1
to = 3
file = "face.png"
face_pixels = 200
at = [200, 220]

[[camera]]
from = 3
to = 5
show = "dark"

[[camera]]
from = 6.5
to = 8
show = "unplugged"

[[microphone]]
from = 2
to = 8
file = "tone.wav"
repeat = true
gain_db = -6.0

[[microphone]]
from = 8
to = 9
play = "noise"

[[microphone]]
from = 10
to = 11
play = "unplugged"

[[expect]]
from = 1
to = 3
face = "happy"
mood = "happy"

[[expect]]
from = 3
to = 5
mood = "unknown"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a red picture, a grey face and a second of a tone at 44.1 kHz, in stereo."""
    cv2.imwrite(str(tmp_path / "red.png"), np.full((100, 100, 3), (0, 0, 255), np.uint8))
    cv2.imwrite(str(tmp_path / "face.png"), np.full((48, 48), 30, np.uint8))
    tone = 0.5 * np.sin(2 * np.pi * 441 * np.arange(44_100) / 44_100)
    soundfile.write(tmp_path / "tone.wav", np.stack([tone, tone], axis=1), 44_100)
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = folder / "visit.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def scene(write) -> Scene:
    return load_scene(write(FULL))


def test_a_scene_says_what_it_is(scene: Scene) -> None:
    assert (scene.title, scene.length_seconds, scene.loop) == ("A visit", 12.0, False)
    first, second = scene.expectations
    assert (first.from_seconds, first.to_seconds, first.face, first.voice, first.mood) == (
        1.0,
        3.0,
        "happy",
        "",
        "happy",
    )
    assert second.mood == "unknown"


def test_title_and_length_need_not_be_written(write) -> None:
    scene = load_scene(write('[[camera]]\nfrom = 0\nto = 7\nshow = "nobody"\n'))
    assert (scene.title, scene.length_seconds) == ("visit", 7.0)


# --- the camera ---


def test_the_camera_sees_nobody_where_nothing_is_written_and_after_the_end(scene: Scene) -> None:
    wall = scene.frame_at(0.5)
    assert wall.shape == (480, 640, 3)
    assert wall.dtype == np.uint8
    assert np.array_equal(scene.frame_at(5.5), wall)
    assert np.array_equal(scene.frame_at(99.0), wall)


def test_a_face_stands_on_the_wall_at_its_place_and_size(scene: Scene) -> None:
    frame = scene.frame_at(2.0)
    rows, columns = np.nonzero(frame[:, :, 0] < 60)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (120, 319, 100, 299)
    assert np.array_equal(frame[400:], scene.frame_at(0.5)[400:])


def test_darkness_is_dark(scene: Scene) -> None:
    assert scene.frame_at(4.0).mean() < 10


def test_a_picture_is_fitted_in_whole_and_in_its_colours(write) -> None:
    scene = load_scene(write('[[camera]]\nfrom = 0\nto = 1\nfile = "red.png"\n'))
    assert scene.frame_at(0.5).reshape(-1, 3).mean(axis=0) == pytest.approx([255, 0, 0], abs=1)


def test_who_draws_in_a_frame_does_not_change_the_scene(scene: Scene) -> None:
    for at in (0.5, 2.0, 4.0):
        scene.frame_at(at)[:] = 0
        assert scene.frame_at(at).any()


def test_a_video_is_shown_at_its_speed_and_backwards_too(write, folder: Path) -> None:
    video = cv2.VideoWriter(str(folder / "steps.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (640, 480))
    for step in range(20):
        video.write(np.full((480, 640, 3), step * 10, np.uint8))
    video.release()
    scene = load_scene(write('[[camera]]\nfrom = 1\nto = 9\nfile = "steps.avi"\n'))
    levels = [float(scene.frame_at(at).mean()) for at in (1.0, 1.5, 2.0, 1.2, 8.9)]
    assert levels == pytest.approx([0, 50, 100, 20, 190], abs=6)


def test_an_unplugged_camera_is_a_lost_peripheral_and_comes_back(scene: Scene) -> None:
    with pytest.raises(PeripheralError, match="unplugged"):
        scene.frame_at(7.0)
    assert scene.frame_at(8.0).any()


# --- the microphone ---


def test_a_sound_file_is_heard_at_its_time_repeated_resampled_and_with_its_gain(scene: Scene) -> None:
    heard = scene.sound_between(2.0, 8.0)
    assert heard.dtype == np.float32
    assert len(heard) == 6 * SAMPLE_RATE_HZ
    assert int(np.abs(np.fft.rfft(heard[:SAMPLE_RATE_HZ])).argmax()) == 441
    assert rms(heard) == pytest.approx(0.5 / 2**0.5 * 10 ** (-6 / 20), rel=0.02)
    assert rms(heard[-SAMPLE_RATE_HZ:]) == pytest.approx(rms(heard[:SAMPLE_RATE_HZ]), rel=0.01)


def test_without_repeat_a_sound_ends_when_it_ends(write) -> None:
    scene = load_scene(write('[[microphone]]\nfrom = 0\nto = 3\nfile = "tone.wav"\n'))
    assert rms(scene.sound_between(0.0, 0.9)) > 0.3
    assert rms(scene.sound_between(1.1, 3.0)) < 0.001


def test_a_room_is_never_digitally_silent(scene: Scene) -> None:
    for span in ((0.0, 1.9), (9.1, 9.9), (50.0, 52.0)):
        quiet = scene.sound_between(*span)
        assert np.ptp(quiet) > 0
        assert rms(quiet) < 0.001


def test_noise_is_louder_than_the_room(scene: Scene) -> None:
    assert rms(scene.sound_between(8.0, 9.0)) > 20 * rms(scene.sound_between(0.0, 1.0))


def test_an_unplugged_microphone_is_a_lost_peripheral_and_comes_back(scene: Scene) -> None:
    with pytest.raises(PeripheralError, match="unplugged"):
        scene.sound_between(9.95, 10.05)
    assert len(scene.sound_between(11.0, 11.1)) == 1600


@pytest.mark.parametrize("loop", ["true", "false"])
def test_adjoining_spans_join_up_to_the_whole(write, loop: str) -> None:
    scene = load_scene(write(f"loop = {loop}\n" + FULL.replace('play = "unplugged"', 'play = "silence"')))
    edges = np.cumsum(np.random.default_rng(5).uniform(0.0, 0.7, 90))
    pieces = [scene.sound_between(begin, end) for begin, end in itertools.pairwise(edges)]
    whole = scene.sound_between(edges[0], edges[-1])
    assert edges[-1] > 2 * scene.length_seconds
    assert np.allclose(np.concatenate(pieces), whole, atol=1e-6)


def test_a_loop_begins_again(write) -> None:
    scene = load_scene(write("loop = true\n" + FULL))
    assert np.array_equal(scene.frame_at(14.0), scene.frame_at(2.0))
    assert rms(scene.sound_between(14.0, 15.0)) > 0.1
    assert rms(scene.sound_between(12.5, 13.5)) < 0.001


# --- as sources ---


class FastClock:
    """Runs a hundred times as fast as the real one, from an arbitrary beginning."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self) -> float:
        return 5000.0 + 100 * (time.monotonic() - self._began)


def test_the_camera_keeps_its_rate_and_its_frames_bear_the_clocks_time(scene: Scene) -> None:
    clock = FastClock()
    with SceneCamera(scene, clock, rate_hz=5.0) as camera:
        times = [camera.read(10.0).at_seconds for _ in range(12)]
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) >= 0.2 - 1e-6
    assert 5000.0 <= times[0] <= times[-1] <= clock()


def test_the_microphone_leaves_nothing_out(scene: Scene) -> None:
    clock = FastClock()
    began = clock()
    with SceneMicrophone(scene, clock, began) as microphone:
        chunks = [microphone.read(10.0)]
        while chunks[-1].at_seconds < began + 5.0:
            chunks.append(microphone.read(10.0))
    heard = np.concatenate([chunk.samples for chunk in chunks])
    end = chunks[-1].at_seconds - began
    begin = end - len(heard) / SAMPLE_RATE_HZ
    assert np.allclose(heard, scene.sound_between(begin, end)[: len(heard)], atol=1e-6)
    assert begin < 2.0


def test_what_is_opened_anew_goes_on_where_the_scene_is(scene: Scene) -> None:
    with SceneCamera(scene, lambda: 1004.0, 5.0, began_seconds=1000.0) as camera:
        assert camera.read(1.0).rgb.mean() < 10


def test_unplugged_sources_are_lost_and_recover(scene: Scene) -> None:
    now = [107.0]
    camera = SceneCamera(scene, lambda: now[0], 5.0, began_seconds=100.0)
    with pytest.raises(PeripheralError, match="camera: unplugged"):
        camera.__enter__()
    now[0] = 108.5
    with camera:
        assert camera.read(1.0).at_seconds == 108.5
    microphone = SceneMicrophone(scene, lambda: now[0], began_seconds=100.0)
    with pytest.raises(PeripheralError, match="microphone: unplugged"), microphone:
        now[0] = 110.5
        microphone.read(1.0)
    now[0] = 111.5
    with microphone:
        now[0] = 112.0
        assert len(microphone.read(1.0).samples) == SAMPLE_RATE_HZ // 2


def test_a_clock_that_stands_still_does_not_hold_the_reader_for_ever(scene: Scene) -> None:
    with SceneMicrophone(scene, lambda: 1.0, 0.0) as microphone, pytest.raises(PeripheralError, match="nothing came"):
        microphone.read(0.1)


# --- what is refused ---

CAMERA = "[[camera]]\nfrom = 0\nto = 5\n"
SOUND = "[[microphone]]\nfrom = 0\nto = 5\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("titel = 'x'\n", "titel: no such key; known here: .*title, length, loop"),
        (
            CAMERA + 'show = "nobody"\ncolour = 1\n',
            r"\[\[camera\]\] 1: colour: no such key; known here: from, to, show",
        ),
        (CAMERA, r"\[\[camera\]\] 1: show: is missing"),
        (CAMERA + 'show = "red.png"\n', "'red.png' is not one of file, nobody, dark, unplugged"),
        (CAMERA + 'file = "none.png"\n', "none.png is not there; paths are relative to the scene file"),
        (CAMERA + 'file = "tone.wav"\n', "tone.wav can be read neither as an image nor as a video"),
        (CAMERA + 'file = "tone.wav"\nface_pixels = 100\n', "tone.wav cannot be read as an image"),
        (CAMERA + 'file = "face.png"\nface_pixels = 5\n', "face_pixels: 5 is outside 24 … 480"),
        (
            CAMERA + 'file = "face.png"\nface_pixels = 100\nat = [10, 10]\n',
            r"at: a face of 100×100 at \[10, 10\] leaves",
        ),
        (CAMERA + 'file = "face.png"\nface_pixels = 100\nat = "left"\n', "two whole numbers"),
        (CAMERA + 'file = "red.png"\nat = [1, 1]\n', "at: no such key"),
        (SOUND + 'file = "red.png"\n', "red.png cannot be read as sound"),
        (SOUND + 'play = "noise"\ngain_db = "loud"\n', "gain_db: a number is needed, not 'loud'"),
        (SOUND + 'play = "silence"\nrepeat = true\n', "repeat: no such key"),
        (SOUND + 'file = "tone.wav"\nrepeat = 1\n', "repeat: true or false is needed"),
        ("[[expect]]\nfrom = 0\nto = 5\nface = 'joy'\n", r"\[\[expect\]\] 1: face: 'joy' is not one of angry, disgust"),
        ("[[expect]]\nfrom = 0\nto = 5\n", "name a face, a voice or a mood"),
        ("[[camera]]\nfrom = 5\nto = 5\nshow = 'dark'\n", "to: 5 s must be later than from, 5 s"),
        ("[[camera]]\nfrom = -1\nto = 5\nshow = 'dark'\n", "which is 0 or more"),
        ("[[camera]]\nfrom = nan\nto = 5\nshow = 'dark'\n", "from: a number is needed"),
        (
            CAMERA + "show = 'dark'\n[[camera]]\nfrom = 4\nto = 6\nshow = 'dark'\n",
            r"\[\[camera\]\] 2: from: 4 s, but the entry before lasts until 5 s",
        ),
        ("length = 4\n" + CAMERA + "show = 'dark'\n", "length: 4 s, but entries last until 5 s"),
        ("title = 'empty'\n", r"no entries; add \[\[camera\]\] or \[\[microphone\]\]"),
        ("camera = 5\n", r"entries are written \[\[camera\]\]"),
        ("[[camera]\n", "not valid TOML"),
    ],
)
def test_a_scene_that_is_wrong_is_refused_by_name(write, text: str, complaint: str) -> None:
    with pytest.raises(SetupError, match=complaint) as refused:
        load_scene(write(text))
    assert "visit.toml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_scene_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"none\.toml: No such file or directory; name an existing scene file"):
        load_scene(tmp_path / "none.toml")


def test_the_example_of_the_manual_is_a_scene(folder: Path) -> None:
    manual = Path(__file__).resolve().parent.parent / "docs" / "scenes.md"
    example = manual.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    for name in ("happy.png", "portrait.jpg"):
        cv2.imwrite(str(folder / name), np.full((48, 48, 3), 90, np.uint8))
    (folder / "happy-voice.wav").write_bytes((folder / "tone.wav").read_bytes())
    (folder / "evening.toml").write_text(example, encoding="utf-8")
    assert load_scene(folder / "evening.toml").expectations
