"""MediaPipe's face detector gives the same faces without MediaPipe, and says in one line when it cannot."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from device.adapters import faces_mediapipe_blazeface as blazeface
from device.adapters.faces_mediapipe import MediapipeFaceFinder
from device.adapters.faces_mediapipe_blazeface import FULL, NETWORKS, SHORT, BlazeFace, Network
from device.errors import SetupError
from device.ports import FaceBox

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is missing")
skimage = pytest.importorskip("skimage", reason="scikit-image is missing: it brings the public-domain portrait")

MEDIAPIPE = find_spec("mediapipe")
MODELS = Path(MEDIAPIPE.origin).parent / "modules/face_detection" if MEDIAPIPE else blazeface.MODELS
"""The very same files."""
if not MODELS.is_dir():
    pytest.skip("mediapipe and its face detector are missing; run scripts/setup", allow_module_level=True)

TOLD = {
    ("short", "wide"): ((279.15, 229.44, 94.32, 94.32), 0.8901),
    ("short", "tall"): ((38.45, 229.22, 97.54, 97.54), 0.9436),
    ("full", "wide"): ((268.44, 217.99, 109.02, 109.0), 0.9321),
    ("full", "tall"): ((32.57, 218.94, 105.76, 105.78), 0.8805),
}
"""The box (x, y, width, height) and score that MediaPipe 0.10.18 gives on x86-64."""
CUTS = {"wide": slice(None), "tall": slice(240, 480)}


def room() -> np.ndarray:
    """A grey room, 640×480, with the portrait in it."""
    frame = np.full((480, 640, 3), 90, np.uint8)
    frame[150:450, 100:612] = skimage.data.astronaut()[:300]
    return frame


@pytest.mark.parametrize(("detector", "cut"), TOLD)
def test_a_face_lies_where_mediapipe_says_that_it_lies(detector: str, cut: str) -> None:
    network = {"short": SHORT, "full": FULL}[detector]
    (box,) = BlazeFace(network, MODELS).find(room()[:, CUTS[cut]])
    place, score = TOLD[detector, cut]
    assert (box.x, box.y, box.width, box.height) == pytest.approx(place, abs=0.3)
    assert box.score == pytest.approx(score, abs=0.01)


@pytest.mark.parametrize("detector", ["short", "full", "both"])
@pytest.mark.skipif(MEDIAPIPE is None, reason="mediapipe 0.10.18 is missing: none for this Python")
def test_the_faces_are_those_of_mediapipe(detector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = pictures()
    with MediapipeFaceFinder(detector) as finder:
        theirs = [numbers(finder.find(frame)) for frame in frames]
    monkeypatch.setitem(sys.modules, "mediapipe.python.solutions.face_detection", None)
    monkeypatch.setattr(blazeface, "MODELS", MODELS)
    with MediapipeFaceFinder(detector) as finder:
        ours = [numbers(finder.find(frame)) for frame in frames]
    assert [len(found) for found in ours] == [len(found) for found in theirs]
    assert sum(map(len, ours)) >= 12
    np.testing.assert_allclose(np.concatenate(ours), np.concatenate(theirs), atol=0.01)


def pictures() -> list[np.ndarray]:
    """One and two faces, large and small, cut by the rim, dark and grainy, in frames of several shapes."""
    rng = np.random.default_rng(5)
    portrait = skimage.data.astronaut()[:300]
    made = []
    for number, (height, width) in enumerate([(480, 640), (360, 640), (720, 1280), (640, 400)] * 6):
        frame = np.full((height, width, 3), 90, np.uint8)
        for place in range(1 + number % 2):
            small = cv2.resize(portrait, None, fx=rng.uniform(0.5, 1.2), fy=rng.uniform(0.5, 1.2))
            x, y = place * width // 2, int(rng.integers(0, height // 3))
            part = frame[y : y + small.shape[0], x : x + small.shape[1]]
            part[:] = small[: part.shape[0], : part.shape[1]]
        light = (1.0, 0.3)[number % 5 == 4]
        made.append(np.clip(light * frame + rng.normal(0, number % 3 * 6, frame.shape), 0, 255).astype(np.uint8))
    return made


def numbers(found: tuple[FaceBox, ...]) -> np.ndarray:
    """Box, score and key points of each face, [n, 17]."""
    rows = [(box.x, box.y, box.width, box.height, box.score, *np.ravel(box.key_points)) for box in found]
    return np.array(rows).reshape(-1, 17)


def test_the_anchors_fill_each_grid_row_by_row() -> None:
    assert [len(network.anchors) for network in NETWORKS] == [16 * 16 * 2 + 8 * 8 * 6, 48 * 48]
    small = Network("", side_pixels=8, layers=((4, 2),), least_logit=0.0)
    assert small.anchors.tolist() == [[x, y] for y in (0.25, 0.75) for x in (0.25, 0.75) for _ in range(2)]


def test_a_frame_is_put_into_the_middle_of_a_black_square() -> None:
    square = blazeface._letterbox(np.full((100, 200, 3), 255, np.uint8), 40)[0, :, :, 0]
    assert square.shape == (40, 40) and square.dtype == np.float32
    assert (square[:10] == -1).all() and (square[31:] == -1).all() and (square[11:29, :39] == 1).all()


def test_boxes_that_overlap_are_one_face_and_each_counts_by_its_score() -> None:
    boxes = [(0.0, 0.0, 0.4, 0.4), (0.1, 0.0, 0.5, 0.4), (0.6, 0.6, 0.9, 0.9)]
    points = np.array([[[left, top], [right, bottom]] for left, top, right, bottom in boxes], np.float32)
    (first, near), (second, far) = blazeface._blend(np.array([0.9, 0.6, 0.7], np.float32), points)
    assert (first, second) == pytest.approx((0.9, 0.7))
    assert near.ravel().tolist() == pytest.approx([0.04, 0.0, 0.44, 0.4])
    assert far.ravel().tolist() == pytest.approx([0.6, 0.6, 0.9, 0.9])


def test_a_face_without_any_area_is_a_face_of_its_own() -> None:
    points = np.full((2, 2, 2), 0.5, np.float32)
    assert len(list(blazeface._blend(np.array([0.9, 0.8], np.float32), points))) == 2


@pytest.mark.parametrize("content", [None, b"nonsense"])
def test_a_network_that_is_gone_or_broken_is_named(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / SHORT.file).write_bytes(content)
    with pytest.raises(SetupError, match=rf"{SHORT.file}: .*; run scripts/setup"):
        BlazeFace(SHORT, tmp_path)


def test_a_network_that_is_not_the_face_detector_is_named(tmp_path: Path) -> None:
    (tmp_path / SHORT.file).write_bytes((MODELS / FULL.file).read_bytes())
    with pytest.raises(SetupError, match="not MediaPipe's face detector; run scripts/setup"):
        BlazeFace(SHORT, tmp_path)
