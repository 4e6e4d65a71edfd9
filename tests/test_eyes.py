"""What the eyes make of the faces in a frame, and how much each is trusted."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import cv2
import numpy as np
import pytest

from device.adapters.cards import read_card
from device.adapters.faces_mediapipe import MediapipeFaceFinder
from device.adapters.tflite import TfliteClassifier
from device.config import Config
from device.domain.labels import LABELS
from device.domain.reading import Modality, Posterior
from device.ports import FaceBox, Frame
from device.sensing.crop import CropGeometry, crop_face
from device.sensing.eyes import MOST_FACES, Eyes
from device.sensing.quality import face_quality
from tests.fakes_eyes import FakeClassifier, FakeFaceFinder

MODELS = Config().paths.models
FRAME_SHAPE = (480, 640)


def only(label: str, share: float = 1.0) -> Posterior:
    rest = (1 - share) / (len(LABELS) - 1)
    return Posterior(tuple(share if name == label else rest for name in LABELS))


def face_at(x: float, y: float, side: float, nose_shift: float = 0.0) -> FaceBox:
    """A face whose nose tip lies `nose_shift` eye distances beside the middle of the eyes."""
    middle, eyes = x + side / 2, 0.44 * side
    points = (
        (middle - eyes / 2, y + 0.36 * side),
        (middle + eyes / 2, y + 0.36 * side),
        (middle + nose_shift * eyes, y + 0.6 * side),
        (middle, y + 0.75 * side),
        (x + 0.1 * side, y + 0.4 * side),
        (x + 0.9 * side, y + 0.4 * side),
    )
    return FaceBox(x, y, side, side, 0.9, points)


def texture(side: float = 120) -> np.ndarray:
    """As light, as contrasty and as detailed as a face of that size in good light, uint8 [480, 640]."""
    noise = np.random.default_rng(1).normal(0, 1, FRAME_SHAPE)
    coarse, fine = cv2.GaussianBlur(noise, (0, 0), side / 10), cv2.GaussianBlur(noise, (0, 0), side / 80)
    mix = coarse / coarse.std() + 0.4 * fine / fine.std()
    return np.clip(130 + 40 * mix / mix.std(), 0, 255).astype(np.uint8)


def quality_of(grey: np.ndarray, box: FaceBox) -> tuple[float, str]:
    return face_quality(crop_face(grey, box, CropGeometry()), box, grey.shape)


def frame_of(grey: np.ndarray, at_seconds: float = 7.0) -> Frame:
    return Frame(np.repeat(grey[..., np.newaxis], 3, axis=2), at_seconds)


# --- quality ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [60, 100, 200])
def test_a_good_frontal_face_is_nearly_perfect(side: float) -> None:
    quality, note = quality_of(texture(side), face_at(200, 150, side))
    assert quality >= 0.9 and note == ""


BOX = face_at(250, 150, 120)


def levels(values: np.ndarray) -> np.ndarray:
    """A grey image that a camera could give."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def moved(grey: np.ndarray, pixels: int) -> np.ndarray:
    """As if the head had moved sideways by so much while the picture was taken."""
    return cv2.filter2D(grey, -1, np.full((1, pixels), 1 / pixels))


def grain(deviation: float) -> np.ndarray:
    """A sensor's noise, as coarse as the crop's pixels."""
    noise = cv2.GaussianBlur(np.random.default_rng(2).normal(0, 1, FRAME_SHAPE), (0, 0), 1.2)
    return deviation * noise / noise.std()


def half_hidden(cover: object, rows: slice = slice(None), columns: slice = slice(None)) -> np.ndarray:
    """The texture with something in front of a part of BOX."""
    grey = texture()
    grey[150:270, 250:370][rows, columns] = cover
    return grey


def in_half_shade(light: float) -> np.ndarray:
    """Lit from one side: the other half of BOX has this share of the light."""
    grey = texture().astype(float)
    grey[:, 310:] *= light
    return levels(grey)


@pytest.mark.parametrize(
    ("grey", "box", "note"),
    [
        (texture(24), face_at(250, 150, 24), "small"),
        (levels(texture() * 0.12 - 12), BOX, "dark"),
        (levels(texture() * 0.1 + 232), BOX, "glare"),
        (levels(128 + (texture() - 128.0) * 0.05), BOX, "no contrast"),
        (levels(texture() * 0.2 + grain(6)), BOX, "grainy"),
        (cv2.GaussianBlur(texture(), (0, 0), 8), BOX, "blurred"),
        (levels(cv2.GaussianBlur(texture(), (0, 0), 8) + grain(3)), BOX, "blurred"),
        (moved(texture(), 19), BOX, "blurred"),
        (moved(texture().T, 19).T, BOX, "blurred"),
        (half_hidden(0, rows=slice(60, None)), BOX, "half covered"),
        (half_hidden(150, columns=slice(60)), BOX, "half covered"),
        (texture(), face_at(250, 150, 120, nose_shift=1.0), "turned away"),
        (texture(), face_at(250, -80, 120), "cut off"),
    ],
)
def test_a_poor_face_says_what_is_worst(grey: np.ndarray, box: FaceBox, note: str) -> None:
    quality, said = quality_of(grey, box)
    assert quality < 0.2 and said == note


@pytest.mark.parametrize(
    "grey",
    [
        levels(texture() * 0.25),
        levels(128 + (texture() - 128.0) * 0.25),
        levels(texture() * 0.25 + 180),
        in_half_shade(0.15),
        levels(texture() + grain(3)),
    ],
    ids=["dark skin or little light", "soft light", "bright", "light from one side", "some grain"],
)
def test_what_the_models_input_does_not_show_does_not_count(grey: np.ndarray) -> None:
    quality, note = quality_of(grey, BOX)
    assert quality >= 0.8 and note == ""


def test_quality_falls_as_grain_blur_and_cover_grow() -> None:
    for worse in (
        [levels(texture() + grain(deviation)) for deviation in (0, 10, 20, 35)],
        [cv2.GaussianBlur(texture(), (0, 0), width) for width in (0.1, 1.0, 1.5, 2.0)],
        [half_hidden(120, rows=slice(top, None)) for top in (115, 90, 80, 70)],
    ):
        qualities = [quality_of(grey, BOX)[0] for grey in worse]
        assert qualities == sorted(qualities, reverse=True)
        assert qualities[0] > 0.9 and qualities[-1] < 0.1


def test_grain_does_not_pass_for_sharpness() -> None:
    quality, note = quality_of(levels(cv2.GaussianBlur(texture(), (0, 0), 5) + grain(8)), BOX)
    assert quality < 0.12 and note == "blurred"


def test_quality_grows_with_the_face_and_falls_with_turning() -> None:
    sizes = [quality_of(texture(side), face_at(200, 150, side))[0] for side in (24, 32, 44, 60)]
    assert sizes == sorted(set(sizes)) and sizes[0] < 0.2
    turns = [quality_of(texture(), face_at(200, 150, 120, shift))[0] for shift in (0.0, 0.5, 0.7, 1.1)]
    assert turns == sorted(turns, reverse=True) and turns[-1] == 0


def test_turning_either_way_and_tilting_count_alike() -> None:
    left, right = (quality_of(texture(), face_at(200, 150, 120, shift)) for shift in (-0.7, 0.7))
    assert left == right
    upright = face_at(200, 150, 120)
    tilted = replace(upright, key_points=tuple((200 + y, 150 + x) for x, y in upright.key_points))
    assert quality_of(texture(), tilted)[0] >= 0.9


@pytest.mark.parametrize(
    "box",
    [
        FaceBox(300, 200, 80, 80, 0.9),
        FaceBox(300, 200, 80, 80, 0.9, ((1.0, 1.0),) * 6),
        FaceBox(-500, -500, 80, 80, 0.9),
        FaceBox(600, 440, 400, 300, 0.9),
    ],
)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_quality_stays_between_0_and_1_whatever_the_box(box: FaceBox, level: int) -> None:
    for grey in (texture(), np.full(FRAME_SHAPE, level, np.uint8)):
        assert 0.0 <= quality_of(grey, box)[0] <= 1.0


# --- eyes ---------------------------------------------------------------------------------------------------------


def test_one_good_face_gives_its_posterior_at_the_frames_time() -> None:
    classifier = FakeClassifier(only("happy", 0.8))
    reading = Eyes(FakeFaceFinder(face_at(200, 150, 100)), classifier, CropGeometry()).look(frame_of(texture()))
    assert reading is not None
    assert (reading.modality, reading.at_seconds, reading.note) == (Modality.FACE, 7.0, "")
    assert reading.posterior.label == "happy" and reading.posterior.top == pytest.approx(0.8)
    assert reading.quality >= 0.9
    assert classifier.shapes == [(48, 48, 1)]


def test_nobody_gives_no_reading() -> None:
    assert Eyes(FakeFaceFinder(), FakeClassifier(), CropGeometry()).look(frame_of(texture())) is None


def test_a_face_too_poor_to_read_is_not_even_classified() -> None:
    classifier = FakeClassifier()
    finder = FakeFaceFinder(face_at(200, 150, 12))
    assert Eyes(finder, classifier, CropGeometry()).look(frame_of(texture())) is None
    assert classifier.shapes == []


def test_several_faces_count_by_area_and_quality() -> None:
    finder = FakeFaceFinder(face_at(20, 20, 200), face_at(400, 200, 100))
    reading = Eyes(finder, FakeClassifier(only("happy"), only("sad")), CropGeometry()).look(frame_of(texture(170)))
    assert reading is not None
    assert reading.posterior.values[LABELS.index("happy")] == pytest.approx(0.8, abs=0.02)
    assert reading.posterior.values[LABELS.index("sad")] == pytest.approx(0.2, abs=0.02)


def test_a_large_face_that_is_turned_away_does_not_outvote_a_good_one() -> None:
    finder = FakeFaceFinder(face_at(20, 20, 130, nose_shift=0.91), face_at(400, 200, 100))
    reading = Eyes(finder, FakeClassifier(only("angry"), only("happy")), CropGeometry()).look(frame_of(texture()))
    assert reading is not None
    assert reading.posterior.label == "happy" and reading.note == ""


def test_a_crowd_costs_no_more_than_its_largest_faces() -> None:
    boxes = [face_at(10 + 60 * n, 100, 56 + n) for n in range(MOST_FACES + 4)]
    classifier = FakeClassifier(*[only("happy")] * len(boxes))
    Eyes(FakeFaceFinder(*boxes), classifier, CropGeometry()).look(frame_of(texture()))
    assert len(classifier.shapes) == MOST_FACES


def test_no_frame_is_kept() -> None:
    class Picture(np.ndarray):
        """An array that can be watched."""

    rgb = frame_of(texture()).rgb.view(Picture)
    watched = weakref.ref(rgb)
    eyes = Eyes(FakeFaceFinder(face_at(200, 150, 100)), FakeClassifier(only("happy")), CropGeometry())
    reading = eyes.look(Frame(rgb, 1.0))
    del rgb
    gc.collect()
    assert reading and watched() is None


def test_the_real_finder_and_the_shipped_model_read_a_smile() -> None:
    skimage = pytest.importorskip("skimage", reason="scikit-image is missing: it brings the public-domain portrait")
    if not (MODELS / "face.card.json").exists():
        pytest.skip("models/face.card.json is missing")
    card = read_card(MODELS, Modality.FACE)
    rgb = np.full((480, 640, 3), 90, np.uint8)
    rgb[150:450, 64:576] = skimage.data.astronaut()[:300]
    with MediapipeFaceFinder("full") as finder:
        reading = Eyes(finder, TfliteClassifier(card), card.crop).look(Frame(rgb, 1.0))
    assert reading is not None
    assert reading.posterior.label == "happy"
    assert reading.quality >= 0.9 and reading.note == ""
