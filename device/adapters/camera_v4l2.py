"""A USB webcam through OpenCV and V4L2; a thread of its own keeps a camera that hangs from hanging us."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from device.config import CameraConfig
from device.errors import PeripheralError
from device.ports import Clock, Frame, Image

OPEN_SECONDS = 6.0
CLOSE_SECONDS = 3.0
DRIVER_WAIT_SECONDS = 2
"""How long the driver waits for one picture before it gives up."""
LEAST_RATE_HZ = 15.0
"""The driver is asked for no more than this, unless more are wanted: pictures that nobody looks at cost time, too."""
ADVICE = "plug the webcam in, or set camera.device (v4l2-ctl --list-devices names them)"


class V4l2Camera:
    """A Source of frames: the newest picture of `config.device`. To be opened again and again."""

    _backend = cv2.CAP_V4L2

    def __init__(self, config: CameraConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._grabber: _Grabber | None = None

    def __enter__(self) -> Self:
        """Open the device; PeripheralError when it is absent, refused or silent."""
        _check_device(Path(self._config.device))
        if self._grabber and self._grabber.hangs:
            raise PeripheralError(f"camera {self._config.device}: the driver still does not answer; {ADVICE}")
        self._grabber = _Grabber(self._config, self._backend, self._clock)
        try:
            self._grabber.open(OPEN_SECONDS)
        except PeripheralError:
            self._grabber.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._grabber:
            self._grabber.close()

    def read(self, timeout_seconds: float) -> Frame:
        """The next picture; PeripheralError when none came in time or the webcam was pulled out."""
        assert self._grabber, "opened first"
        return self._grabber.next_frame(timeout_seconds)


class _Grabber:
    """Owns the capture and the thread that empties the driver's queue, so that a picture asked for is never old."""

    def __init__(self, config: CameraConfig, backend: int, clock: Clock) -> None:
        self._config = config
        self._backend = backend
        self._clock = clock
        self._changed = threading.Condition()
        self._opened = False
        self._closing = False
        self._wanted = False
        self._frame: Frame | None = None
        self._trouble = ""
        # A daemon thread: nothing can be done about one that hangs in the driver.
        self._thread = threading.Thread(target=self._run, name="webcam", daemon=True)

    def open(self, timeout_seconds: float) -> None:
        """Start the thread and wait until the device is open."""
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._opened or self._trouble, timeout_seconds)
            if not self._opened:
                raise PeripheralError(self._trouble or self._complain(f"did not open in {timeout_seconds:g} s"))

    def next_frame(self, timeout_seconds: float) -> Frame:
        """Ask for a picture and wait for it."""
        with self._changed:
            self._frame, self._wanted = None, True
            self._changed.wait_for(lambda: self._frame or self._trouble, timeout_seconds)
            if self._frame:
                return self._frame
            raise PeripheralError(self._trouble or self._complain(f"no picture for {timeout_seconds:g} s"))

    @property
    def hangs(self) -> bool:
        """Whether the thread has not come back from the driver, although it was to end."""
        return self._closing and self._thread.is_alive()

    def close(self) -> None:
        """End the thread, which closes the device."""
        self._closing = True
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        capture = _open_capture(self._config, self._backend)
        try:
            trouble = self._follow(capture)
        finally:
            capture.release()
        with self._changed:
            self._trouble = trouble
            self._changed.notify_all()

    def _follow(self, capture: cv2.VideoCapture) -> str:
        """Empty the queue, hand over what is asked for; the trouble that ended it, if any."""
        if not capture.isOpened():
            return self._complain("cannot be opened; another program may be using it")
        with self._changed:
            self._opened = True
            self._changed.notify_all()
        while not self._closing:
            if not capture.grab():
                return self._complain("gives no more pictures")
            if self._wanted:
                self._hand_over(capture)
        return ""

    def _hand_over(self, capture: cv2.VideoCapture) -> None:
        at_seconds = self._clock()
        rgb = _picture(capture)
        if rgb is None:
            # The next one is soon here.
            return
        frame = Frame(rgb, at_seconds)
        with self._changed:
            self._frame, self._wanted = frame, False
            self._changed.notify_all()

    def _complain(self, what: str) -> str:
        return f"camera {self._config.device}: {what}; {ADVICE}"


def _check_device(device: Path) -> None:
    if not device.exists():
        raise PeripheralError(f"camera {device}: not there; {ADVICE}")
    if not os.access(device, os.R_OK | os.W_OK):
        raise PeripheralError(f"camera {device}: no permission; add the user to the group video")


def _open_capture(config: CameraConfig, backend: int) -> cv2.VideoCapture:
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(DRIVER_WAIT_SECONDS))
    cv2.setLogLevel(0)
    capture = cv2.VideoCapture(config.device, backend)
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, config.width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, config.height)
    capture.set(cv2.CAP_PROP_FPS, max(config.fastest_hz, LEAST_RATE_HZ))
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 2)
    return capture


def _picture(capture: cv2.VideoCapture) -> Image | None:
    """What was grabbed last; None for a torn picture, as webcams give now and then, or an empty one (pulled out).

    Of a compressed one OpenCV says that all is well, and gives nothing or raises.
    """
    try:
        good, bgr = capture.retrieve()
    except cv2.error:
        return None
    if not good or bgr is None:
        return None
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
