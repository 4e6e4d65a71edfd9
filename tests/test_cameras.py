"""Both cameras give the newest frame in time or say what is wrong; neither hangs, neither stays open."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from device.adapters import camera_picamera2, camera_v4l2
from device.adapters.camera_picamera2 import PicameraCamera
from device.adapters.camera_v4l2 import V4l2Camera
from device.config import CameraConfig
from device.errors import PeripheralError
from tests.fakes_eyes import StubPicamera2, stub_picamera2

RED, BLUE = 0, 2


@pytest.fixture
def picamera() -> Iterator[type[StubPicamera2]]:
    with stub_picamera2() as stub:
        yield stub


# --- picamera2 ----------------------------------------------------------------------------------------------------


def test_the_csi_camera_gives_rgb_of_the_size_asked_for(picamera: type[StubPicamera2]) -> None:
    config = CameraConfig(width=600, height=450)
    with PicameraCamera(config, lambda: 12.5) as camera:
        frame = camera.read(1.0)
    assert frame.rgb.shape == (450, 600, 3) and frame.rgb.dtype == np.uint8 and frame.rgb.flags["C_CONTIGUOUS"]
    assert frame.at_seconds == 12.5
    assert (frame.rgb[..., RED] > 230).all() and (frame.rgb[..., BLUE] < 30).all()


def test_the_csi_camera_looks_at_the_whole_room_and_holds_no_old_frame(picamera: type[StubPicamera2]) -> None:
    with PicameraCamera(CameraConfig(width=320, height=240), time.monotonic):
        config = picamera.made[0].camera_configuration()
    assert config["main"]["size"] == (1280, 960) and config["lores"]["size"] == (320, 240)
    assert config["queue"] is False and config["controls"]["FrameRate"] >= 15


@pytest.mark.parametrize("size", [(160, 120), (1920, 1080), (641, 481)])
def test_every_permitted_size_is_one_the_csi_camera_takes(picamera: type[StubPicamera2], size: tuple[int, int]) -> None:
    with PicameraCamera(CameraConfig(width=size[0], height=size[1]), time.monotonic) as camera:
        assert camera.read(1.0).rgb.shape[:2] == (size[1] // 2 * 2, size[0] // 2 * 2)


def test_the_csi_camera_is_closed_at_the_end(picamera: type[StubPicamera2]) -> None:
    with PicameraCamera(CameraConfig(), time.monotonic):
        assert not picamera.made[0].closed
    assert picamera.made[0].closed


def test_a_wedged_csi_camera_is_lost_after_the_time_limit(picamera: type[StubPicamera2]) -> None:
    picamera.wedged = True
    with (
        pytest.raises(PeripheralError, match=r"no frame for 0\.5 s; check the ribbon cable"),
        PicameraCamera(CameraConfig(), time.monotonic) as camera,
    ):
        camera.read(0.5)
    assert picamera.made[0].closed


def test_a_csi_camera_that_is_pulled_out_is_lost_even_if_it_cannot_be_closed(picamera: type[StubPicamera2]) -> None:
    with (
        pytest.raises(PeripheralError, match="Input/output error"),
        PicameraCamera(CameraConfig(), time.monotonic) as camera,
    ):
        picamera.unplugged = True
        camera.read(0.5)
    assert picamera.made[0].closed


def test_no_csi_camera_says_what_to_look_at(picamera: type[StubPicamera2]) -> None:
    picamera.present = False
    with pytest.raises(PeripheralError, match=r"libcamera sees none; .*rpicam-hello"):
        PicameraCamera(CameraConfig(), time.monotonic).__enter__()


WEBCAM = {"Model": "C270", "Id": "/base/scb/pcie@7d500000,0/pci@0,0/usb@0,0-1.1:1.0-046d:0825"}


def test_a_webcam_that_libcamera_lists_is_not_taken_for_the_camera_module(picamera: type[StubPicamera2]) -> None:
    picamera.webcams = (WEBCAM,)
    with PicameraCamera(CameraConfig(), time.monotonic):
        assert picamera.made[0].camera_num == 1
    picamera.present = False
    with pytest.raises(PeripheralError, match="libcamera sees none"):
        PicameraCamera(CameraConfig(), time.monotonic).__enter__()


@pytest.mark.parametrize("webcams", [(), (WEBCAM,)])
@pytest.mark.parametrize(
    ("source", "module", "node", "takes_module"),
    [
        ("auto", True, True, True),
        ("auto", True, False, True),
        ("auto", False, True, False),
        ("auto", False, False, True),  # so that it is said what to look at
        ("picamera2", False, True, True),
        ("v4l2", True, True, False),
    ],
)
def test_auto_takes_a_webcam_where_no_camera_module_is_plugged_in(
    picamera: type[StubPicamera2], tmp_path: Path, webcams, source, module, node, takes_module
) -> None:
    picamera.present, picamera.webcams = module, webcams
    if node:
        (tmp_path / "video0").touch()
    assert camera_picamera2.is_chosen(CameraConfig(source=source, device=str(tmp_path / "video0"))) == takes_module


def test_auto_takes_a_webcam_where_picamera2_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    assert not camera_picamera2.is_chosen(CameraConfig(device="/dev/video99"))


def test_a_csi_camera_that_cannot_start_is_closed_again(
    picamera: type[StubPicamera2], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: StubPicamera2, config: object = None, show_preview: object = False) -> None:
        raise RuntimeError("Failed to start camera: Device or resource busy")

    monkeypatch.setattr(picamera, "start", refuse)
    with pytest.raises(PeripheralError, match="Device or resource busy"):
        PicameraCamera(CameraConfig(), time.monotonic).__enter__()
    assert picamera.made[0].closed


def test_a_machine_without_picamera2_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(PeripheralError, match="apt install python3-picamera2"):
        PicameraCamera(CameraConfig(), time.monotonic).__enter__()


# --- V4L2 ---------------------------------------------------------------------------------------------------------


class FilmCamera(V4l2Camera):
    """The same camera, reading a film through OpenCV's file back end where there is no webcam."""

    _backend = cv2.CAP_FFMPEG


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Half a minute of small red pictures."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30.0, (160, 120))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write MJPG")
    for _ in range(900):
        writer.write(np.full((120, 160, 3), (0, 0, 255), np.uint8))
    writer.release()
    return path


def webcam_threads() -> int:
    return sum(thread.name == "webcam" for thread in threading.enumerate())


def until(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_absent_webcam_is_named_with_what_to_do(tmp_path: Path) -> None:
    config = CameraConfig(device=str(tmp_path / "video7"))
    with pytest.raises(PeripheralError, match=r"video7: not there; plug the webcam in, or set camera\.device"):
        V4l2Camera(config, time.monotonic).__enter__()


def test_a_device_that_is_no_camera_is_refused_and_left_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PeripheralError, match=r"/dev/null: cannot be opened"):
        V4l2Camera(CameraConfig(device="/dev/null"), time.monotonic).__enter__()
    assert webcam_threads() == 0
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_webcam_without_permission_names_the_group(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.touch(mode=0)
    with pytest.raises(PeripheralError, match="no permission; add the user to the group video"):
        V4l2Camera(CameraConfig(device=str(device)), time.monotonic).__enter__()


def test_the_webcam_gives_rgb_and_the_time(film: Path) -> None:
    with FilmCamera(CameraConfig(device=str(film)), time.monotonic) as camera:
        before = time.monotonic()
        frame = camera.read(10.0)
    assert frame.rgb.shape == (120, 160, 3)
    assert frame.rgb[..., RED].mean() > 200 and frame.rgb[..., BLUE].mean() < 60
    assert before <= frame.at_seconds <= time.monotonic()
    assert webcam_threads() == 0


def test_a_webcam_that_stops_giving_pictures_is_lost(film: Path) -> None:
    with (
        pytest.raises(PeripheralError, match="gives no more pictures; plug the webcam in"),
        FilmCamera(CameraConfig(device=str(film)), time.monotonic) as camera,
    ):
        while True:
            camera.read(10.0)


def test_a_webcam_that_hangs_while_opening_is_lost_after_the_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "video9"
    os.mkfifo(pipe)
    monkeypatch.setattr(camera_v4l2, "OPEN_SECONDS", 0.5)
    monkeypatch.setattr(camera_v4l2, "CLOSE_SECONDS", 0.2)
    try:
        with pytest.raises(PeripheralError, match=r"did not open in 0\.5 s"):
            FilmCamera(CameraConfig(device=str(pipe)), time.monotonic).__enter__()
    finally:
        # Let the thread that hangs in open() go: it finds a film without pictures.
        os.close(os.open(pipe, os.O_RDWR))
        until(lambda: webcam_threads() == 0)


def test_a_webcam_whose_driver_never_returns_costs_one_thread_however_often_it_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "video9"
    os.mkfifo(pipe)
    monkeypatch.setattr(camera_v4l2, "OPEN_SECONDS", 0.3)
    monkeypatch.setattr(camera_v4l2, "CLOSE_SECONDS", 0.1)
    camera = FilmCamera(CameraConfig(device=str(pipe)), time.monotonic)
    try:
        with pytest.raises(PeripheralError, match=r"did not open in 0\.3 s"):
            camera.__enter__()
        for _ in range(3):
            with pytest.raises(PeripheralError, match="the driver still does not answer; plug the webcam in"):
                camera.__enter__()
        assert webcam_threads() == 1
    finally:
        os.close(os.open(pipe, os.O_RDWR))
        until(lambda: webcam_threads() == 0)
    pipe.unlink()
    pipe.touch()
    with pytest.raises(PeripheralError, match="cannot be opened"):
        camera.__enter__()


@pytest.mark.parametrize("jpeg", [np.zeros(0, np.uint8), np.zeros(2000, np.uint8)], ids=["empty", "torn"])
def test_pictures_in_which_nothing_is_are_left_out(
    film: Path, monkeypatch: pytest.MonkeyPatch, jpeg: np.ndarray
) -> None:
    class BrokenAtFirst:
        """Two JPEGs that are none, decoded as OpenCV's V4L2 does: nothing is said of them but by raising, or None."""

        def __init__(self, config: CameraConfig, backend: int) -> None:
            self._capture, self._broken = cv2.VideoCapture(config.device, backend), 2
            self.isOpened, self.grab = self._capture.isOpened, self._capture.grab
            self.release = self._capture.release

        def retrieve(self) -> tuple[bool, np.ndarray]:
            self._broken -= 1
            return (True, cv2.imdecode(jpeg, cv2.IMREAD_COLOR)) if self._broken >= 0 else self._capture.retrieve()

    monkeypatch.setattr(camera_v4l2, "_open_capture", BrokenAtFirst)
    with FilmCamera(CameraConfig(device=str(film)), time.monotonic) as camera:
        assert camera.read(10.0).rgb[..., RED].mean() > 200


def test_a_webcam_that_hangs_between_pictures_is_lost_after_the_time_limit(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    class StuckCapture:
        """A capture whose driver does not answer. (Not a subclass: OpenCV's types crash when one is collected.)"""

        def __init__(self, config: CameraConfig, backend: int) -> None:
            self._capture = cv2.VideoCapture(config.device, backend)
            self.isOpened, self.retrieve = self._capture.isOpened, self._capture.retrieve
            self.release = self._capture.release

        def grab(self) -> bool:
            go_on.wait(30)
            return self._capture.grab()

    monkeypatch.setattr(camera_v4l2, "CLOSE_SECONDS", 0.2)
    monkeypatch.setattr(camera_v4l2, "_open_capture", StuckCapture)
    with (
        pytest.raises(PeripheralError, match=r"no picture for 0\.3 s"),
        FilmCamera(CameraConfig(device=str(film)), time.monotonic) as camera,
    ):
        camera.read(0.3)
    go_on.set()
    until(lambda: webcam_threads() == 0)


def loopback() -> str:
    for name in Path("/sys/class/video4linux").glob("video*/name"):
        if "loopback" in name.read_text().lower() or "dummy" in name.read_text().lower():
            return f"/dev/{name.parent.name}"
    return ""


@pytest.mark.skipif(not loopback(), reason="no v4l2loopback device (modprobe v4l2loopback)")
@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is missing")
def test_a_real_v4l2_device_is_read_and_lost_when_its_pictures_stop() -> None:
    device = loopback()
    film = "-re -f lavfi -i color=red:size=640x480:rate=30 -pix_fmt yuv420p -f v4l2"
    feed = subprocess.Popen(["ffmpeg", "-loglevel", "error", *film.split(), device])
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                with V4l2Camera(CameraConfig(device=device), time.monotonic) as camera:
                    assert camera.read(5.0).rgb[..., RED].mean() > 200
                    feed.kill()
                    with pytest.raises(PeripheralError):
                        while True:
                            camera.read(1.0)
                    return
            except PeripheralError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
    finally:
        feed.kill()
        feed.wait()
