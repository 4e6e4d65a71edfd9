"""The Raspberry Pi's own camera, through picamera2 and libcamera."""

from __future__ import annotations

import importlib.util
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np

from device.config import CameraConfig
from device.errors import PeripheralError
from device.ports import Clock, Frame, Image

WIDE_SIZE = (1280, 960)
"""Least size of the main stream: below it libcamera picks a sensor mode that sees only the middle of the room."""
LEAST_RATE_HZ = 15.0
"""The sensor runs at least this fast, so that the exposure is short enough for people who move."""
BUFFERS = 3
ADVICE = "check the ribbon cable and `rpicam-hello --list-cameras`, or plug a webcam in"


def is_chosen(config: CameraConfig) -> bool:
    """Whether the camera module is to be opened and not a webcam: "auto" takes a webcam where there is no module."""
    if config.source != "auto":
        return config.source == "picamera2"
    if not importlib.util.find_spec("picamera2"):
        return False
    return bool(camera_modules()) or not Path(config.device).exists()


def camera_modules() -> dict[int, str]:
    """The models of the cameras on the ribbon cables by libcamera's numbers; PeripheralError without picamera2.

    Webcams on USB, which libcamera lists, too, are none: they cannot deliver the streams that are asked for.
    """
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:WARN")
    try:
        from picamera2 import Picamera2
    except ImportError as error:
        raise PeripheralError(f"camera: {error}; apt install python3-picamera2, or set camera.source") from None
    try:
        listed = Picamera2.global_camera_info()
    except (RuntimeError, OSError) as error:
        raise PeripheralError(f"camera: {_line(error)}; {ADVICE}") from None
    return {number: each["Model"] for number, each in enumerate(listed) if "usb" not in each["Id"].lower()}


class PicameraCamera:
    """A Source of frames: the small (lores) stream of the first CSI camera."""

    def __init__(self, config: CameraConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._size = (config.width, config.height)
        self._camera: Any = None

    def __enter__(self) -> Self:
        """Open and start the camera; PeripheralError when picamera2 or the camera is not there."""
        modules = camera_modules()
        if not modules:
            raise PeripheralError(f"camera: libcamera sees none; {ADVICE}")
        from libcamera import ColorSpace
        from picamera2 import Picamera2

        try:
            self._camera = Picamera2(min(modules))
            self._start(ColorSpace.Smpte170m())
        except (RuntimeError, IndexError, OSError) as error:
            self._close()
            raise PeripheralError(f"camera: {_line(error)}; {ADVICE}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def read(self, timeout_seconds: float) -> Frame:
        """The next frame; PeripheralError when none came in time."""
        try:
            # Without a time limit a wedged sensor would hold this thread for ever.
            planes = self._camera.capture_array("lores", wait=timeout_seconds)
        except TimeoutError:
            raise PeripheralError(f"camera: no frame for {timeout_seconds:g} s; {ADVICE}") from None
        except (RuntimeError, OSError) as error:
            raise PeripheralError(f"camera: {_line(error)}; {ADVICE}") from None
        return Frame(_rgb(planes, *self._size), self._clock())

    def _start(self, colour_space: Any) -> None:
        camera, size = self._camera, (self._config.width // 2 * 2, self._config.height // 2 * 2)
        rate_hz = max(self._config.fastest_hz, LEAST_RATE_HZ)
        camera.configure(
            camera.create_video_configuration(
                main={"size": (max(size[0], WIDE_SIZE[0]), max(size[1], WIDE_SIZE[1])), "format": "YUV420"},
                # The only format that every Pi can deliver here.
                lores={"size": size, "format": "YUV420"},
                # OpenCV turns YUV into RGB by this standard.
                colour_space=colour_space,
                buffer_count=BUFFERS,
                controls={"FrameRate": rate_hz},
                # No frame is held back: what is read was exposed after the call.
                queue=False,
            )
        )
        self._size = camera.camera_configuration()["lores"]["size"]
        camera.start()

    def _close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is None:
            return
        # A camera that was pulled out cannot be closed in good order either.
        with suppress(RuntimeError, OSError):
            camera.close()


def _rgb(planes: Image, width: int, height: int) -> Image:
    """RGB [height, width, 3] from I420 planes [height × 3/2, stride]; the stride may exceed the width."""
    return np.ascontiguousarray(cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420)[:height, :width])


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
