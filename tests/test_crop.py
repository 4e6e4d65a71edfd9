"""The face crop: where it lies, what stands beyond the border, and what light does to it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from device.sensing.crop import CLIP, CROP_PIXELS, CropGeometry, crop_face, normalise_crop

AS_IS = CropGeometry()


@dataclass(frozen=True, slots=True)
class Rectangle:
    x: float
    y: float
    width: float
    height: float


def frame_with_dot(x: int, y: int) -> np.ndarray:
    """A dark frame, 640×480, with a bright square of 9×9 pixels around (x, y)."""
    frame = np.full((480, 640), 20, np.uint8)
    frame[y - 4 : y + 5, x - 4 : x + 5] = 250
    return frame


def brightest(crop: np.ndarray) -> tuple[float, float]:
    """Centre (x, y) of what is bright in the crop."""
    rows, columns = np.nonzero(crop > 120)
    return float(columns.mean()), float(rows.mean())


@pytest.fixture
def face() -> np.ndarray:
    """A smooth pattern of mid greys, 48×48, that light can change without saturating."""
    down, across = np.mgrid[0:CROP_PIXELS, 0:CROP_PIXELS] / CROP_PIXELS
    return (110 + 40 * np.sin(7 * across) * np.cos(5 * down)).astype(np.uint8)


def test_the_middle_of_the_box_is_the_middle_of_the_crop() -> None:
    crop = crop_face(frame_with_dot(300, 200), Rectangle(252, 152, 96, 96), AS_IS)
    assert crop.shape == (CROP_PIXELS, CROP_PIXELS)
    assert crop.dtype == np.uint8
    assert brightest(crop) == pytest.approx((23.5, 23.5), abs=0.6)


def test_the_shift_moves_the_square_by_shares_of_the_box() -> None:
    geometry = CropGeometry(scale=1.0, shift_x=0.25, shift_y=-0.125)
    crop = crop_face(frame_with_dot(300, 200), Rectangle(252, 152, 96, 96), geometry)
    assert brightest(crop) == pytest.approx((23.5 - 12, 23.5 + 6), abs=0.6)


def test_a_larger_scale_shows_more_of_the_frame() -> None:
    frame = frame_with_dot(300, 200)
    box = Rectangle(252, 152, 96, 96)
    near = (crop_face(frame, box, AS_IS) > 120).sum()
    far = (crop_face(frame, box, CropGeometry(scale=2.0)) > 120).sum()
    assert far < near / 2
    assert brightest(crop_face(frame, box, CropGeometry(scale=2.0))) == pytest.approx((23.5, 23.5), abs=0.6)


def test_a_tall_box_gives_a_square_of_the_same_area() -> None:
    frame = np.zeros((480, 640), np.uint8)
    frame[:, 300:] = 200
    crop = crop_face(frame, Rectangle(268, 136, 64, 144), AS_IS)
    edge = int(np.argmax(crop[24] > 100))
    assert edge == pytest.approx(24, abs=1)
    wide = crop_face(frame, Rectangle(260, 160, 96, 96), AS_IS)
    assert int(np.argmax(wide[24] > 100)) == pytest.approx(20, abs=1)


def test_beyond_the_border_the_edge_is_repeated() -> None:
    frame = np.tile(np.arange(100, 140, dtype=np.uint8)[:, np.newaxis], (1, 64))
    crop = crop_face(frame, Rectangle(-48, -48, 48, 48), AS_IS)
    assert (crop == 100).all()
    below = crop_face(frame, Rectangle(8, 40, 48, 48), AS_IS)
    assert (below == 139).all()


def test_a_box_half_outside_keeps_its_inner_half_in_place() -> None:
    frame = frame_with_dot(6, 200)
    crop = crop_face(frame, Rectangle(-42, 152, 96, 96), AS_IS)
    assert brightest(crop) == pytest.approx((23.5, 23.5), abs=0.6)


def test_fine_stripes_shrink_to_their_mean_and_not_to_a_pattern() -> None:
    frame = np.zeros((480, 640), np.uint8)
    frame[:, ::2] = 200
    crop = crop_face(frame, Rectangle(100, 100, 192, 192), AS_IS)
    assert crop.std() < 1
    assert crop.mean() == pytest.approx(100, abs=1)


def test_cropping_leaves_the_frame_as_it_is() -> None:
    frame = frame_with_dot(300, 200)
    before = frame.copy()
    crop_face(frame, Rectangle(276, 176, 48, 48), AS_IS)[:] = 0
    assert (frame == before).all()


@pytest.mark.parametrize("box", [Rectangle(0, 0, 0, 10), Rectangle(0, 0, 10, -1), Rectangle(float("nan"), 0, 10, 10)])
def test_a_box_without_an_area_is_refused(box: Rectangle) -> None:
    with pytest.raises(ValueError, match="box"):
        crop_face(frame_with_dot(300, 200), box, AS_IS)


@pytest.mark.parametrize("x", [-10.0, 12.0])
def test_of_a_coloured_frame_the_crop_is_that_of_its_grey(x: float) -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    box = Rectangle(x, 5.0, 30.0, 30.0)
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    assert np.array_equal(crop_face(rgb, box, AS_IS), crop_face(grey, box, AS_IS))


@pytest.mark.parametrize("shape", [(48, 48, 4), (0, 48)])
def test_only_a_grey_or_rgb_frame_is_cropped(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="frame"):
        crop_face(np.zeros(shape, np.uint8), Rectangle(0, 0, 10, 10), AS_IS)


def test_a_normalised_crop_has_mean_zero_and_deviation_one(face: np.ndarray) -> None:
    tensor = normalise_crop(face)
    assert tensor.shape == (CROP_PIXELS, CROP_PIXELS, 1)
    assert tensor.dtype == np.float32
    assert tensor.mean() == pytest.approx(0, abs=1e-4)
    assert tensor.std() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 0), (1.0, 60), (1.5, -40)])
def test_the_light_of_the_room_drops_out(face: np.ndarray, gain: float, offset: float) -> None:
    lit = (face * gain + offset).astype(np.uint8)
    assert np.abs(normalise_crop(lit) - normalise_crop(face)).max() < 0.1


def test_a_flat_crop_is_not_blown_up_to_noise() -> None:
    flat = np.full((CROP_PIXELS, CROP_PIXELS), 90, np.uint8)
    flat[::2] += 1
    assert np.abs(normalise_crop(flat)).max() < 0.2


def test_single_bright_points_are_clipped() -> None:
    crop = np.full((CROP_PIXELS, CROP_PIXELS), 90, np.uint8)
    crop[5, 5] = 255
    assert normalise_crop(crop).max() == CLIP
