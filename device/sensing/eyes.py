"""The eyes: from a frame to one reading of the people in it; no frame is kept."""

from __future__ import annotations

import math

from device.domain.people import Sighting, Track, follow, reading_of
from device.domain.reading import Reading
from device.ports import Classifier, FaceBox, FaceFinder, Frame, Image
from device.sensing.crop import CropGeometry, crop_face, normalise_crop
from device.sensing.quality import face_quality

LEAST_QUALITY = 0.1
"""A worse face says nothing."""
MOST_FACES = 5
"""The largest ones; bounds the time that a full room costs."""


class Eyes:
    """Sees how the people in view look, and follows each while in view. Use from one thread."""

    def __init__(self, finder: FaceFinder, classifier: Classifier, geometry: CropGeometry) -> None:
        self._finder = finder
        self._classifier = classifier
        self._geometry = geometry
        self._tracks: tuple[Track, ...] = ()

    def forget(self) -> None:
        """Start afresh: nobody has been seen."""
        self._tracks = ()

    def look(self, frame: Frame) -> Reading | None:
        """The reading of all people together; None when nobody is seen well enough."""
        boxes = self._finder.find(frame.rgb)[:MOST_FACES]
        sightings = [sighting for sighting in (self._read_face(frame.rgb, box) for box in boxes) if sighting]
        return self._follow(sightings, frame.at_seconds)

    def _follow(self, sightings: list[Sighting], at_seconds: float) -> Reading | None:
        self._tracks = follow(self._tracks, sightings, at_seconds)
        return reading_of(self._tracks, at_seconds) if sightings else None

    def _read_face(self, rgb: Image, box: FaceBox) -> Sighting | None:
        crop = crop_face(rgb, box, self._geometry)
        quality, note = face_quality(crop, box, rgb.shape)
        if quality < LEAST_QUALITY:
            return None
        posterior = self._classifier.classify(normalise_crop(crop))
        x, y, side = box.x + box.width / 2, box.y + box.height / 2, math.sqrt(box.width * box.height)
        return Sighting(x, y, side, posterior, quality, note)
