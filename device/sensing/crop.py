"""Cuts a face out of a frame and normalises it, the same way when training and on the box."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

CROP_PIXELS = 48
CLIP = 3.0
LEAST_STD = 4.0
GREY_LEVELS = np.arange(256, dtype=np.float32)


class Box(Protocol):
    """A face rectangle in pixels of the frame; x, y is its top left corner and may lie outside the frame."""

    @property
    def x(self) -> float: ...

    @property
    def y(self) -> float: ...

    @property
    def width(self) -> float: ...

    @property
    def height(self) -> float: ...


@dataclass(frozen=True, slots=True)
class CropGeometry:
    """How the square the model was trained on lies relative to the detector's box; measured, kept in the card."""

    scale: float = 1.0
    """Side of the square in box sides (a box side is the root of width × height)."""
    shift_x: float = 0.0
    """Way from the box's centre to the square's centre, to the right, in box widths."""
    shift_y: float = 0.0
    """Way from the box's centre to the square's centre, downwards, in box heights."""


def crop_face(frame: NDArray[np.uint8], box: Box, geometry: CropGeometry) -> NDArray[np.uint8]:
    """Cut the face in `box` out of `frame` (uint8, grey [H, W] or RGB [H, W, 3]) as grey uint8 [48, 48].

    The square may reach over the border: the frame's edge pixels are repeated there. Raises ValueError for any other
    frame and for a box without an area.
    """
    if frame.shape[2:] not in ((), (3,)) or frame.ndim < 2 or frame.dtype != np.uint8 or frame.size == 0:
        raise ValueError(f"frame: uint8 [H, W] or [H, W, 3] needed, not {frame.dtype} {list(frame.shape)}")
    left, top, side = _square(box, geometry)
    patch = _cut(frame, left, top, side)
    if patch.ndim == 3:
        patch = np.asarray(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    shrinking = side > CROP_PIXELS
    method = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(patch, (CROP_PIXELS, CROP_PIXELS), interpolation=method), dtype=np.uint8)


def normalise_crop(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Standardise a crop (uint8 [S, S], S = 48 on the box) to float32 [S, S, 1]: mean 0, deviation 1, clipped to ±3.

    Brightness and contrast of the room drop out. A nearly flat crop is not blown up: its deviation counts as
    at least 4 grey levels.
    """
    mean, deviation = cv2.meanStdDev(crop)
    levels = (GREY_LEVELS - np.float32(mean[0, 0])) / np.float32(max(deviation[0, 0], LEAST_STD))
    return np.asarray(cv2.LUT(crop, np.clip(levels, -CLIP, CLIP))[:, :, np.newaxis], dtype=np.float32)


def _square(box: Box, geometry: CropGeometry) -> tuple[int, int, int]:
    """Left, top and side in whole pixels of the square that `geometry` puts on `box`."""
    measures = (box.x, box.y, box.width, box.height)
    if not all(math.isfinite(measure) for measure in measures) or box.width <= 0 or box.height <= 0:
        raise ValueError(f"box: finite and with an area needed, not {measures}")
    side = math.sqrt(box.width * box.height) * geometry.scale
    centre_x = box.x + box.width * (0.5 + geometry.shift_x)
    centre_y = box.y + box.height * (0.5 + geometry.shift_y)
    return round(centre_x - side / 2), round(centre_y - side / 2), max(round(side), 1)


def _cut(frame: NDArray[np.uint8], left: int, top: int, side: int) -> NDArray[np.uint8]:
    """The square as uint8 [side, side, …]; beyond the border the nearest pixel of the frame stands in."""
    height, width = frame.shape[:2]
    right, bottom = left + side, top + side
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return frame[top:bottom, left:right]
    columns = np.clip(np.arange(left, right), 0, width - 1)
    rows = np.clip(np.arange(top, bottom), 0, height - 1)
    patch: NDArray[np.uint8] = frame[np.ix_(rows, columns)]
    return patch
