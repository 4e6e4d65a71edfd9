"""Makes the demo's faces: scikit-image's public-domain portrait of an astronaut, and other looks painted onto it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from device.errors import SetupError

Image = NDArray[np.uint8]

WIDTH, HEIGHT = 640, 480
SCALE = 1.5
"""The portrait is enlarged by this, so that its face is about 155 pixels wide: somebody a metre away."""
LEFT = 17
"""The column of the enlarged portrait that becomes the frame's left edge."""

Point = tuple[float, float]

MOUTH_X = 318.0
"""All points are pixels of the frame; right and left are the person's."""
RIGHT_BROW = ((268.0, 135.5), (286.0, 132.0), (304.0, 137.0))
"""Outer end, middle, inner end."""
LEFT_BROW = ((379.0, 142.5), (360.0, 138.5), (341.0, 139.5))
RIGHT_EYE, LEFT_EYE = (288.0, 152.5), (355.0, 155.0)

DARK, LIP, BROW, FOLD = (70, 35, 32), (178, 105, 98), (120, 85, 60), (150, 107, 85)


@dataclass(frozen=True, slots=True)
class Push:
    """Moves the skin around a point; the pull fades with a bell of this width."""

    at: Point
    by: Point
    width: float


@dataclass(frozen=True, slots=True)
class Stroke:
    """A soft line or a filled shape painted onto the skin."""

    points: tuple[Point, ...]
    tint: tuple[int, int, int]
    """Red, green, blue."""
    thickness: float
    """0 fills the shape."""
    strength: float = 1.0
    blur: float = 1.0


def photograph() -> Image:
    """The portrait as it is, smiling, as a frame [480, 640, 3]; SetupError without scikit-image."""
    try:
        from skimage.data import astronaut
    except ImportError:
        raise SetupError("scikit-image: not installed; the demo's portrait comes from it: run scripts/setup") from None
    portrait = astronaut()  # type: ignore[no-untyped-call]
    large = cv2.resize(portrait, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(large[:HEIGHT, LEFT : LEFT + WIDTH])


def sad(image: Image) -> Image:
    """The same face with the corners of the mouth and of the eyes drooping and the brows drawn up inside."""
    left, right = (MOUTH_X - 25, 230.0), (MOUTH_X + 25, 230.0)
    image = _paint(
        _without_mouth(image),
        (
            Stroke(_arc(left, right, 11), LIP, 7, 0.9, 1.5),
            Stroke(_arc((MOUTH_X - 15, 235), (MOUTH_X + 15, 235), 3), LIP, 6, 0.8, 2.0),
            Stroke(_arc(left, right, 8), DARK, 3, 0.9, 1.0),
            Stroke(_arc((MOUTH_X - 12, 239), (MOUTH_X + 12, 239), 4), FOLD, 4, 0.5, 2.5),
        ),
    )
    inner = [Push(brow[2], (side, -6), 10) for brow, side in ((RIGHT_BROW, 1), (LEFT_BROW, -1))]
    outer = [Push(brow[0], (0, 3), 10) for brow in (RIGHT_BROW, LEFT_BROW)]
    lids = [Push((eye[0], eye[1] - 6), (0, 5), 8) for eye in (RIGHT_EYE, LEFT_EYE)]
    brows = [
        Stroke(((b[0][0], b[0][1] + 2), b[1], (b[2][0], b[2][1] - 6)), BROW, 3, 0.6) for b in (RIGHT_BROW, LEFT_BROW)
    ]
    frown = [Stroke(((x, 128), (x, 140)), FOLD, 2, 0.4) for x in (316, 329)]
    cheeks = [
        Stroke(_arc(*ends, 2), FOLD, 2, 0.4, 1.5) for ends in (((297, 190), (281, 217)), ((343, 190), (357, 217)))
    ]
    return _paint(_push(image, (*inner, *outer, *lids)), (*brows, *frown, *cheeks))


def surprised(image: Image) -> Image:
    """The same face with an open mouth, wide eyes and raised brows."""
    centre = (MOUTH_X, 230.0)
    image = _paint(
        _without_mouth(image),
        (Stroke(_oval(centre, 38, 38), LIP, 0, 0.9, 1.5), Stroke(_oval(centre, 28, 28), (45, 20, 20), 0, 1.0, 1.2)),
    )
    brows = [Push(brow[1], (0, -10), 16) for brow in (RIGHT_BROW, LEFT_BROW)]
    upper = [Push((eye[0], eye[1] - 5), (0, -4), 8) for eye in (RIGHT_EYE, LEFT_EYE)]
    lower = [Push((eye[0], eye[1] + 5), (0, 2.4), 8) for eye in (RIGHT_EYE, LEFT_EYE)]
    return _push(image, (*brows, *upper, *lower))


def write_portraits(folder: Path) -> None:
    """Write happy.png, sad.png and surprise.png, frames of 640 × 480, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    happy = photograph()
    for name, image in (("happy", happy), ("sad", sad(happy)), ("surprise", surprised(happy))):
        path = folder / f"{name}.png"
        if not cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
            raise SetupError(f"{path}: cannot be written; name a folder that may be written with --folder")


def _push(image: Image, pushes: Sequence[Push]) -> Image:
    """Warp `image` so that what lies at each push's point moves by its way."""
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    from_x, from_y = columns.copy(), rows.copy()
    for one in pushes:
        x, y = one.at[0] + one.by[0], one.at[1] + one.by[1]
        bell = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * one.width**2))
        from_x -= bell * np.float32(one.by[0])
        from_y -= bell * np.float32(one.by[1])
    return np.asarray(cv2.remap(image, from_x, from_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _paint(image: Image, strokes: Sequence[Stroke]) -> Image:
    """Paint the strokes, each softened at its edge."""
    canvas = image.astype(np.float32)
    for stroke in strokes:
        mask = np.zeros(image.shape[:2], dtype=np.uint8)
        points = np.round(np.array(stroke.points) * 16).astype(np.int32)
        if stroke.thickness:
            cv2.polylines(mask, [points], False, (255,), max(1, round(stroke.thickness)), cv2.LINE_AA, 4)
        else:
            cv2.fillPoly(mask, [points], (255,), cv2.LINE_AA, 4)
        soft = cv2.GaussianBlur(mask, (0, 0), stroke.blur).astype(np.float32)[:, :, np.newaxis] / 255
        canvas += soft * np.float32(stroke.strength) * (np.array(stroke.tint, np.float32) - canvas)
    return np.asarray(np.clip(np.rint(canvas), 0, 255), dtype=np.uint8)


def _arc(start: Point, end: Point, rise: float, count: int = 15) -> tuple[Point, ...]:
    """A curve from `start` to `end` whose middle lies `rise` pixels above the straight line."""
    t = np.linspace(0, 1, count)
    x = start[0] + t * (end[0] - start[0])
    y = start[1] + t * (end[1] - start[1]) - 4 * rise * t * (1 - t)
    return tuple(zip(x.tolist(), y.tolist(), strict=True))


def _oval(centre: Point, width: float, height: float) -> tuple[Point, ...]:
    """An ellipse's outline."""
    turn = np.linspace(0, 2 * np.pi, 40)
    x, y = centre[0] + width / 2 * np.cos(turn), centre[1] + height / 2 * np.sin(turn)
    return tuple(zip(x.tolist(), y.tolist(), strict=True))


def _without_mouth(image: Image) -> Image:
    """The same face with skin where the smile and its folds were."""
    mask = np.zeros(image.shape[:2], dtype=np.uint8)
    lips = (*_arc((283, 208), (354, 209), 4.0), *_arc((354, 209), (283, 208), -29.0)[1:])
    cv2.fillPoly(mask, [np.round(np.array(lips)).astype(np.int32)], (255,))
    folds = (((297, 187), (284, 197), (279, 210)), ((346, 187), (356, 197), (357, 210)))
    for fold in folds:
        cv2.polylines(mask, [np.array(fold, dtype=np.int32)], False, (255,), 5)
    return np.asarray(cv2.inpaint(image, mask, 5, cv2.INPAINT_TELEA), dtype=np.uint8)
