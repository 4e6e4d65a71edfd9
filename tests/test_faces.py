"""MediaPipe finds faces in a frame, quietly, and says in one line when it cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from device.adapters import faces_mediapipe_blazeface as blazeface
from device.adapters.faces_mediapipe import MediapipeFaceFinder
from device.config import Config
from device.errors import SetupError

ROOT = Config().paths.models.parent
MEDIAPIPE = find_spec("mediapipe")
if MEDIAPIPE is None and not blazeface.MODELS.is_dir():
    pytest.skip("mediapipe and its face detector are missing; run scripts/setup", allow_module_level=True)
needs_mediapipe = pytest.mark.skipif(MEDIAPIPE is None, reason="mediapipe 0.10.18 is missing: none for this Python")
skimage = pytest.importorskip("skimage", reason="scikit-image is missing: it brings the public-domain portrait")


@pytest.fixture(scope="module")
def finder() -> Iterator[MediapipeFaceFinder]:
    with MediapipeFaceFinder("full") as opened:
        yield opened


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """Head and shoulders, [300, 512, 3]; the face is about 104 pixels wide around (225, 120)."""
    return skimage.data.astronaut()[:300]


def room(portrait: np.ndarray, *places: tuple[float, int, int]) -> np.ndarray:
    """A grey room, 640×480, with the portrait at (scale, x, y)."""
    frame = np.full((480, 640, 3), 90, np.uint8)
    for scale, x, y in places:
        small = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        height, width = min(small.shape[0], 480 - y), min(small.shape[1], 640 - x)
        frame[y : y + height, x : x + width] = small[:height, :width]
    return frame


def test_a_face_is_found_in_pixels_with_six_key_points(finder: MediapipeFaceFinder, portrait: np.ndarray) -> None:
    (box,) = finder.find(room(portrait, (1.0, 100, 150)))
    assert 90 < box.width < 120 and 90 < box.height < 120
    assert abs(box.x + box.width / 2 - 325) < 15 and abs(box.y + box.height / 2 - 270) < 15
    assert box.score >= 0.5
    right_eye, left_eye, nose, mouth, right_ear, left_ear = box.key_points
    assert right_ear[0] < right_eye[0] < nose[0] < left_eye[0] < left_ear[0]
    assert right_eye[1] < nose[1] < mouth[1]


def test_the_largest_face_comes_first(finder: MediapipeFaceFinder, portrait: np.ndarray) -> None:
    first, second = finder.find(room(portrait, (0.6, 0, 0), (1.0, 128, 180)))
    assert first.width > 1.3 * second.width


def test_an_empty_room_has_no_faces(finder: MediapipeFaceFinder) -> None:
    assert finder.find(np.full((480, 640, 3), 90, np.uint8)) == ()
    assert finder.find(np.random.default_rng(3).integers(0, 255, (480, 640, 3), dtype=np.uint8)) == ()


def test_frames_of_any_size_and_memory_layout_are_taken(finder: MediapipeFaceFinder, portrait: np.ndarray) -> None:
    mirrored = room(portrait, (1.0, 100, 150))[:, ::-1]
    assert not mirrored.flags["C_CONTIGUOUS"]
    assert len(finder.find(mirrored)) == 1
    assert len(finder.find(portrait[:280, 60:420])) == 1


def test_the_short_range_detector_finds_a_near_face(portrait: np.ndarray) -> None:
    with MediapipeFaceFinder("short") as finder:
        assert len(finder.find(room(portrait, (1.0, 100, 150)))) == 1


def test_finding_faces_prints_nothing() -> None:
    program = (
        "import numpy as np; from device.adapters.faces_mediapipe import MediapipeFaceFinder\n"
        "with MediapipeFaceFinder('full') as finder: finder.find(np.zeros((480, 640, 3), np.uint8))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_what_others_write_while_the_chatter_is_held_back_is_not_lost() -> None:
    program = (
        "import os; from device.quiet import without_chatter\n"
        "with without_chatter():\n"
        "    os.write(2, b'INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\\n')\n"
        "    os.write(2, b'W0000 00:00:1795393216.175435   11219 some_file.cc:114] nothing to see\\n')\n"
        "    os.write(2, b'E0000 00:00:1795393216.175435   11219 some_file.cc:114] real trouble\\n')\n"
        "    os.write(2, b'a line of ours\\n')\n"
        "os.write(2, b'after\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    trouble, ours, after = done.stderr.splitlines()
    assert trouble.endswith("real trouble") and (ours, after) == ("a line of ours", "after")


def test_a_mediapipe_without_a_face_detector_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe.python.solutions.face_detection", None)
    monkeypatch.setattr(blazeface, "MODELS", tmp_path / "gone")
    with pytest.raises(SetupError, match=r"mediapipe: .*from 0\.10\.30 on .*; run scripts/setup"):
        MediapipeFaceFinder("full")


@needs_mediapipe
def test_a_mediapipe_whose_model_file_is_gone_is_named(
    finder: MediapipeFaceFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The open finder has loaded it; as a whole it can't be imported after that.
    face_detection = sys.modules["mediapipe.python.solutions.face_detection"]
    monkeypatch.setattr(face_detection, "_FULL_RANGE_GRAPH_FILE_PATH", "mediapipe/modules/face_detection/gone.binarypb")
    with pytest.raises(SetupError, match=r"mediapipe: .*; run scripts/setup"):
        MediapipeFaceFinder("full")


WHOLE = """
import mediapipe
model = {"short": 0, "full": 1}[sys.argv[1]]
process = mediapipe.solutions.face_detection.FaceDetection(0.5, model).process
find = lambda frame: process(frame).detections or ()
score = lambda face: face.score[0]
"""
OURS = """
from device.adapters.faces_mediapipe import MediapipeFaceFinder
find = MediapipeFaceFinder(sys.argv[1]).find
score = lambda face: face.score
"""


@needs_mediapipe
@pytest.mark.parametrize("detector", ["short", "full"])
def test_faces_are_found_as_by_mediapipe_imported_as_a_whole(
    detector: str, portrait: np.ndarray, tmp_path: Path
) -> None:
    frames = [room(portrait, (scale, 60, 20), (0.7, 250, 200)) for scale in (0.6, 0.8, 1.0, 1.3)]
    np.save(tmp_path / "frames.npy", np.stack(frames))
    whole, ours = (scores_of(program, detector, tmp_path / "frames.npy") for program in (WHOLE, OURS))
    assert whole == ours
    assert sum(map(len, ours)) >= 3


def scores_of(program: str, detector: str, frames: Path) -> list[list[float]]:
    """Of the faces in each frame, found in a process of its own."""
    tell = "\nprint([sorted(map(score, find(frame))) for frame in np.load(sys.argv[2])])\n"
    command = [sys.executable, "-c", "import sys\nimport numpy as np\n" + program + tell, detector, str(frames)]
    ended = subprocess.run(command, cwd=ROOT, check=True, timeout=90, capture_output=True, text=True)
    told: list[list[float]] = json.loads(ended.stdout.splitlines()[-1])
    return told


def test_finding_faces_brings_neither_drawings_nor_hands_along() -> None:
    program = (
        "import sys\n"
        "from device.adapters.faces_mediapipe import MediapipeFaceFinder\n"
        "MediapipeFaceFinder('short').close()\n"
        "ballast = ('matplotlib', 'mediapipe.tasks', 'mediapipe.python.solutions.hands')\n"
        "assert not [name for name in sys.modules if name.startswith(ballast)]\n"
        "import matplotlib.pyplot\n"
        "assert matplotlib.pyplot.figure\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=90)
