"""Finds faces with MediaPipe's BlazeFace, which runs on the box: in MediaPipe, or where that is missing by itself."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType, TracebackType
from typing import Any, Literal, Protocol, Self

import numpy as np

from device.adapters import faces_mediapipe_blazeface as blazeface
from device.errors import SetupError
from device.ports import FaceBox, Image
from device.quiet import without_chatter

MODELS_OF_DETECTOR = {"short": (0,), "full": (1,), "both": (0, 1)}
"""MediaPipe's model numbers, in the order in which they are asked."""
DOORS = ("mediapipe", "mediapipe.python.solutions")
"""Packages whose `__init__` imports everything that MediaPipe has, and matplotlib."""
OPTIONS = "mediapipe.calculators.util.non_max_suppression_calculator_pb2"
"""What the detector's graph says in this type is dropped without a word where the type is not known."""
WARM_UP_SHAPE = (48, 64, 3)


class Detector(Protocol):
    """One of MediaPipe's two models, however it is run."""

    def find(self, rgb: Image) -> tuple[FaceBox, ...]:
        """Faces in `rgb` [H, W, 3] uint8, in pixels with six key points each."""

    def close(self) -> None:
        """Free it; no further `find`."""


class MediapipeFaceFinder:
    """A FaceFinder: faces up to about 2 m ("short") or 5 m ("full") away. Use from one thread.

    "both" asks the second only where the first finds nobody.
    """

    def __init__(self, detector: Literal["short", "full", "both"]) -> None:
        """Load the detector (about a second); SetupError when there is none."""
        os.environ.setdefault("GLOG_minloglevel", "2")
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        with without_chatter():
            self._detectors = [_open(model) for model in MODELS_OF_DETECTOR[detector]]
            # A graph starts, and says so, with the first image.
            for each in self._detectors:
                each.find(np.zeros(WARM_UP_SHAPE, np.uint8))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the detectors; no further `find`."""
        for each in self._detectors:
            each.close()

    def find(self, rgb: Image) -> tuple[FaceBox, ...]:
        """Faces in `rgb` [H, W, 3] uint8, the largest first, in pixels with six key points each."""
        image = np.ascontiguousarray(rgb)
        found = next((found for each in self._detectors if (found := each.find(image))), ())
        usable = [box for box in found if box.width > 0 and box.height > 0]
        return tuple(sorted(usable, key=lambda box: box.width * box.height, reverse=True))


class _Graph:
    """MediaPipe's own face detection."""

    def __init__(self, solution: Any, model: int) -> None:
        # Its min_detection_confidence changes nothing: the graphs keep to 0.5 (short) and 0.6 (full).
        self._detection = solution.FaceDetection(model_selection=model)

    def find(self, rgb: Image) -> tuple[FaceBox, ...]:
        height, width = rgb.shape[:2]
        return tuple(_box(found, width, height) for found in self._detection.process(rgb).detections or ())

    def close(self) -> None:
        self._detection.close()


def _open(model: int) -> Detector:
    """The detector in MediaPipe, whose packages up to 0.10.2x hold the model files; else in ai-edge-litert."""
    try:
        with _beside_the_doors():
            import_module(OPTIONS)
            solution = import_module("mediapipe.python.solutions.face_detection")
        return _Graph(solution, model)
    except ImportError:
        if blazeface.MODELS.is_dir():
            return blazeface.BlazeFace(blazeface.NETWORKS[model], blazeface.MODELS)
        reason = "it is not installed, or too new: from 0.10.30 on it has no face detector inside"
    except (FileNotFoundError, RuntimeError) as error:
        reason = " ".join(str(error).split())
    raise SetupError(f"mediapipe: {reason}; run scripts/setup")


@contextmanager
def _beside_the_doors() -> Iterator[None]:
    """Import one module of MediaPipe's without hands, poses and drawings (50 MB); as a whole it can't be after that."""
    names = [name for name in DOORS if name not in sys.modules]
    try:
        for name in names:
            sys.modules[name] = _bare_package(name)
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)


def _bare_package(name: str) -> ModuleType:
    """A package in which modules are found, but whose own code does not run."""
    spec = find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(name)
    package = ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations)
    return package


def _box(detection: Any, width: int, height: int) -> FaceBox:
    place = detection.location_data.relative_bounding_box
    return FaceBox(
        x=place.xmin * width,
        y=place.ymin * height,
        width=place.width * width,
        height=place.height * height,
        score=detection.score[0],
        key_points=tuple((point.x * width, point.y * height) for point in detection.location_data.relative_keypoints),
    )
