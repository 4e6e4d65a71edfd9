"""How fit a face in a frame is for reading its expression: size, light, grain, sharpness, cover, pose, cut-off.

The ramps were chosen on FER-2013's PublicTest, shown worse and worse: a factor falls from 1 where the model's accuracy
begins to fall, and reaches 0 where more answers would be wrong than on good pictures; `moodify evaluate face` shows
what comes of it. Light and contrast alone count for little, as the crop is normalised: a dark room is known by its
grain, and a dark skin is not taken for one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from device.ports import FaceBox
from device.sensing.crop import LEAST_STD

GOOD = 0.6
"""Below this quality the worst factor is named."""

NOISE_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
NOISE_GAIN = math.sqrt(math.pi / 2) / 6
"""Mean absolute answer of the mask to a noise's standard deviation."""
FINE, COARSE = 1.0, 2.0
"""Widths, in pixels of the crop, of the two scales at which detail is compared."""
FINE_NOISE, COARSE_NOISE = 0.20, 0.029
"""What such a filter and a second difference leave of white noise's standard deviation."""
RIM = 3
"""Pixels of the crop's border that are left out of what filters say …"""
BENT = (np.s_[RIM + 1 : -RIM - 1, RIM:-RIM], np.s_[RIM:-RIM, RIM + 1 : -RIM - 1])
"""What that leaves of the second differences down and across …"""
SEAM = 4
"""… and on each side of the middle where two halves are compared: the edge of what covers one is in neither."""
SHADE = 13
"""Side in pixels of the neighbourhood whose light a detail is compared with …"""
BLACK = 20.0
"""… and grey levels added to it, so that detail in the dark does not count for ever more."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """A soft factor: 0 at `useless`, 1 at `good`, straight in between; either may be the greater."""

    useless: float
    good: float

    def __call__(self, value: float) -> float:
        return min(1.0, max(0.0, (value - self.useless) / (self.good - self.useless)))


SIZE = Ramp(18.0, 56.0)
"""Side of the box in pixels."""
DARK = Ramp(4.0, 20.0)
"""Mean grey level."""
GLARE = Ramp(250.0, 215.0)
"""Mean grey level."""
CONTRAST = Ramp(1.5, 6.0)
"""Standard deviation of the grey levels."""
GRAIN = Ramp(0.22, 0.10)
"""Standard deviation of the noise over that of the grey levels."""
SHARP = Ramp(1.7, 2.1)
"""How much stronger fine detail is than coarse detail, in the direction in which it is least (motion blurs one)."""
BALANCE = Ramp(0.25, 0.42)
"""Detail in the emptier half of the face (left or right, upper or lower) over that in the other half."""
TURNED = Ramp(1.0, 0.4)
"""Way of the nose tip from the middle of the eyes, along the line of the eyes, in eye distances."""
VISIBLE = Ramp(0.4, 0.85)
"""Share of the box inside the frame."""


def face_quality(crop: NDArray[np.uint8], box: FaceBox, frame_shape: tuple[int, ...]) -> tuple[float, str]:
    """Quality 0 … 1 of the face in `box`, and what is worst about it ("" when it is good enough).

    `crop` is the face, uint8 [48, 48]; `frame_shape` is (height, width, …) of the frame the box belongs to.
    The factors are multiplied.
    """
    grey = crop.astype(np.float32)
    mean, deviation = _mean_and_deviation(grey)
    noise = _noise(grey)
    fine = np.asarray(cv2.GaussianBlur(grey, (0, 0), FINE), np.float32)
    factors = {
        "small": SIZE(math.sqrt(box.width * box.height)),
        "dark": DARK(mean),
        "glare": GLARE(mean),
        "no contrast": CONTRAST(deviation),
        "grainy": GRAIN(noise / max(deviation, LEAST_STD)),
        "blurred": SHARP(_sharpness(grey, fine, noise)),
        "half covered": BALANCE(_balance(grey, fine)),
        "turned away": TURNED(_turn(box)),
        "cut off": VISIBLE(_visible_share(box, frame_shape)),
    }
    quality = math.prod(factors.values())
    return quality, "" if quality >= GOOD else min(factors, key=factors.__getitem__)


def _noise(grey: NDArray[np.float32]) -> float:
    """Standard deviation of the noise in grey levels (Immerkær, Fast Noise Variance Estimation, 1996)."""
    answers = cv2.filter2D(grey, -1, NOISE_MASK)[1:-1, 1:-1]
    return cv2.norm(answers, cv2.NORM_L1) / answers.size * NOISE_GAIN


def _sharpness(grey: NDArray[np.float32], fine: NDArray[np.float32], noise: float) -> float:
    """Amplitude of second differences at the fine scale over that at the coarse one, across or down: the lesser.

    Light, contrast and shadows drop out of the ratio, and the noise's share is taken off: grain is not detail.
    """
    coarse = np.asarray(cv2.GaussianBlur(grey, (0, 0), COARSE), np.float32)
    return min(
        _bend(fine, axis, FINE_NOISE * noise) / max(_bend(coarse, axis, COARSE_NOISE * noise), 1e-3) for axis in (0, 1)
    )


def _bend(grey: NDArray[np.float32], axis: int, noise: float) -> float:
    """Standard deviation of the second differences along an axis, without that of the noise in them."""
    differences = np.asarray(cv2.Sobel(grey, cv2.CV_32F, dx=2 * axis, dy=2 - 2 * axis, ksize=1), np.float32)
    _, deviation = _mean_and_deviation(differences[BENT[axis]])
    return math.sqrt(max(0.0, deviation**2 - noise**2))


def _balance(grey: NDArray[np.float32], fine: NDArray[np.float32]) -> float:
    """Detail in the emptier half over that in the other, relative to the light around it: one side may lie in shade."""
    detail = np.abs(cv2.Laplacian(fine, cv2.CV_32F)) / (cv2.blur(grey, (SHADE, SHADE)) + BLACK)
    inner = detail[RIM:-RIM, RIM:-RIM]
    near, far = slice(None, len(inner) // 2 - SEAM), slice(len(inner) // 2 + SEAM, None)
    pairs = (
        (cv2.mean(one)[0], cv2.mean(other)[0])
        for one, other in ((inner[near], inner[far]), (inner[:, near], inner[:, far]))
    )
    return min(min(pair) / max(*pair, 1e-6) for pair in pairs)


def _mean_and_deviation(grey: NDArray[np.float32]) -> tuple[float, float]:
    mean, deviation = cv2.meanStdDev(grey)
    return float(mean[0, 0]), float(deviation[0, 0])


def _turn(box: FaceBox) -> float:
    """How far the head is turned to a side: 0 frontal, about 1 in profile; 0 without key points."""
    if len(box.key_points) < 3:
        return 0.0
    (right_x, right_y), (left_x, left_y), (nose_x, nose_y) = box.key_points[:3]
    across, down = left_x - right_x, left_y - right_y
    distance = math.hypot(across, down)
    if distance == 0:
        return math.inf
    way_x, way_y = nose_x - (right_x + left_x) / 2, nose_y - (right_y + left_y) / 2
    return abs(way_x * across + way_y * down) / distance**2


def _visible_share(box: FaceBox, frame_shape: tuple[int, ...]) -> float:
    """Share of the box's area that lies inside the frame."""
    height, width = frame_shape[:2]
    across = min(box.x + box.width, width) - max(box.x, 0.0)
    down = min(box.y + box.height, height) - max(box.y, 0.0)
    return max(0.0, across) * max(0.0, down) / (box.width * box.height)
