"""The eyes: from a frame to one reading of the faces in it; no frame is kept."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from device.domain.reading import Modality, Posterior, Reading, normalised
from device.ports import Classifier, FaceBox, FaceFinder, Frame
from device.sensing.crop import CropGeometry, crop_face, normalise_crop
from device.sensing.quality import face_quality

LEAST_QUALITY = 0.1
"""A worse face says nothing."""
MOST_FACES = 5
"""The largest ones; bounds the time that a full room costs."""


@dataclass(frozen=True, slots=True)
class _Face:
    """One face's contribution."""

    posterior: Posterior
    quality: float
    note: str
    weight: float
    """Box area × quality."""


class Eyes:
    """Sees how the people in a frame look. Use from one thread."""

    def __init__(self, finder: FaceFinder, classifier: Classifier, geometry: CropGeometry) -> None:
        self._finder = finder
        self._classifier = classifier
        self._geometry = geometry

    def look(self, frame: Frame) -> Reading | None:
        """The reading of all faces together; None when nobody is seen well enough."""
        boxes = self._finder.find(frame.rgb)[:MOST_FACES]
        if not boxes:
            return None
        grey = np.asarray(cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        faces = [face for face in (self._read_face(grey, box) for box in boxes) if face]
        return _together(faces, frame.at_seconds) if faces else None

    def _read_face(self, grey: NDArray[np.uint8], box: FaceBox) -> _Face | None:
        crop = crop_face(grey, box, self._geometry)
        quality, note = face_quality(crop, box, grey.shape)
        if quality < LEAST_QUALITY:
            return None
        posterior = self._classifier.classify(normalise_crop(crop))
        return _Face(posterior, quality, note, box.width * box.height * quality)


def _together(faces: list[_Face], at_seconds: float) -> Reading:
    """Mean posterior and mean quality, weighted; the note of the face that counts most."""
    total = sum(face.weight for face in faces)
    posterior = normalised(
        sum(face.weight * value for face, value in zip(faces, values, strict=True))
        for values in zip(*(face.posterior.values for face in faces), strict=True)
    )
    quality = sum(face.weight * face.quality for face in faces) / total
    note = max(faces, key=lambda face: face.weight).note
    return Reading(Modality.FACE, posterior, quality, at_seconds, note)
