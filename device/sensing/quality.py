"""How fit a face in a frame is for reading its expression: size, light, contrast, sharpness, pose, cut-off."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from device.ports import FaceBox

GOOD = 0.6
"""Below this quality the worst factor is named."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """A soft factor: 0 at `useless`, 1 at `good`, straight in between; either may be the greater."""

    useless: float
    good: float

    def __call__(self, value: float) -> float:
        return min(1.0, max(0.0, (value - self.useless) / (self.good - self.useless)))


SIZE = Ramp(18.0, 56.0)
"""Side of the box in pixels."""
DARK = Ramp(15.0, 55.0)
"""Mean grey level."""
GLARE = Ramp(250.0, 215.0)
"""Mean grey level."""
CONTRAST = Ramp(4.0, 18.0)
"""Standard deviation of the grey levels."""
SHARP = Ramp(0.01, 0.06)
"""Variance of the Laplacian over that of the grey levels: the share of fine detail."""
TURNED = Ramp(1.0, 0.4)
"""Way of the nose tip from the middle of the eyes, along the line of the eyes, in eye distances."""
VISIBLE = Ramp(0.4, 0.85)
"""Share of the box inside the frame."""


def face_quality(crop: NDArray[np.uint8], box: FaceBox, frame_shape: tuple[int, ...]) -> tuple[float, str]:
    """Quality 0 … 1 of the face in `box`, and what is worst about it ("" when it is good enough).

    `crop` is the face, uint8 [48, 48]; `frame_shape` is (height, width, …) of the frame the box belongs to.
    The factors are multiplied.
    """
    mean, deviation = float(crop.mean()), float(crop.std())
    factors = {
        "small": SIZE(math.sqrt(box.width * box.height)),
        "dark": DARK(mean),
        "glare": GLARE(mean),
        "no contrast": CONTRAST(deviation),
        "blurred": SHARP(_detail(crop, deviation)),
        "turned away": TURNED(_turn(box)),
        "cut off": VISIBLE(_visible_share(box, frame_shape)),
    }
    quality = math.prod(factors.values())
    return quality, "" if quality >= GOOD else min(factors, key=factors.__getitem__)


def _detail(crop: NDArray[np.uint8], deviation: float) -> float:
    """Share of fine detail; independent of brightness and contrast."""
    if deviation == 0:
        return 0.0
    return float(cv2.Laplacian(crop, cv2.CV_32F).var()) / deviation**2


def _turn(box: FaceBox) -> float:
    """How far the head is turned to a side: 0 frontal, about 1 in profile; 0 without key points."""
    if len(box.key_points) < 3:
        return 0.0
    right_eye, left_eye, nose = (np.asarray(point) for point in box.key_points[:3])
    eyes = left_eye - right_eye
    distance = float(np.hypot(*eyes))
    if distance == 0:
        return math.inf
    return abs(float((nose - (right_eye + left_eye) / 2) @ eyes)) / distance**2


def _visible_share(box: FaceBox, frame_shape: tuple[int, ...]) -> float:
    """Share of the box's area that lies inside the frame."""
    height, width = frame_shape[:2]
    across = min(box.x + box.width, width) - max(box.x, 0.0)
    down = min(box.y + box.height, height) - max(box.y, 0.0)
    return max(0.0, across) * max(0.0, down) / (box.width * box.height)
