"""The lookout: glances at every frame, and has the eyes look at those that are worth it."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from device.domain.pace import Pace, PaceSettings, glanced, looked, wait_seconds, wants_look, warmed
from device.domain.reading import Reading
from device.ports import Frame, Image

THUMBNAIL_SIZE = (64, 48)
"""Width and height: a hundred pixels in one, so the camera's noise drops out, and a person still covers many."""
MOVED_LEVELS = 10
"""A pixel of the thumbnail that changes by more grey levels is no noise …"""
MOVED_PIXELS = 6
"""… and so many of them are a movement."""
THERMOMETER_SECONDS = 10.0


class Lookout:
    """Decides frame by frame whether the eyes look; keeps a thumbnail of the frame before, no more.

    Use from one thread.
    """

    def __init__(
        self,
        look: Callable[[Frame], Reading | None],
        settings: PaceSettings,
        celsius: Callable[[], float | None] = lambda: None,
        forget_people: Callable[[], None] = lambda: None,
    ) -> None:
        """`look` reads the faces in a frame, `forget_people` ends what it remembers of them.

        `celsius` says how hot the board is (None: unknown).
        """
        self._forget_people = forget_people
        self._look = look
        self._settings = settings
        self._celsius = celsius
        self.forget()

    def forget(self) -> None:
        """Start afresh: the camera was closed."""
        self._forget_people()
        self._pace = Pace()
        self._thumbnail: NDArray[np.uint8] | None = None
        self._at_seconds = 0.0
        self._measured_seconds = float("-inf")

    def watch(self, frame: Frame) -> Reading | None:
        """A reading where the frame was worth a look and somebody was seen."""
        self._at_seconds = at_seconds = frame.at_seconds
        self._take_temperature()
        self._pace = glanced(self._pace, at_seconds, self._moved(frame.rgb))
        if not wants_look(self._pace, at_seconds):
            return None
        reading = self._look(frame)
        self._pace = looked(self._pace, at_seconds, seen=reading is not None)
        return reading

    def wait_seconds(self) -> float:
        """From the frame watched last to the next."""
        return wait_seconds(self._pace, self._at_seconds, self._settings)

    def _moved(self, rgb: Image) -> bool:
        """Whether this frame differs from the one before; the first one counts as news."""
        before, self._thumbnail = self._thumbnail, thumbnail_of(rgb)
        if before is None:
            return True
        return int(np.count_nonzero(cv2.absdiff(before, self._thumbnail) > MOVED_LEVELS)) >= MOVED_PIXELS

    def _take_temperature(self) -> None:
        if self._at_seconds - self._measured_seconds >= THERMOMETER_SECONDS:
            self._measured_seconds = self._at_seconds
            self._pace = warmed(self._pace, self._celsius(), self._settings)


def thumbnail_of(rgb: Image) -> NDArray[np.uint8]:
    """`rgb` [H, W, 3] uint8 as a small grey picture, uint8 [48, 64]."""
    # Halved first, which is quick for exactly two by two pixels: then there is a quarter left to turn grey.
    half = cv2.resize(rgb, (rgb.shape[1] // 2, rgb.shape[0] // 2), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(half, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, THUMBNAIL_SIZE, interpolation=cv2.INTER_AREA), dtype=np.uint8)
