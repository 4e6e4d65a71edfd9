"""MediaPipe's face detector without MediaPipe: its networks in ai-edge-litert, and faces from what they answer.

Where MediaPipe 0.10.18 has no wheel (Python 3.13) `scripts/setup` takes only the networks out of one. What they expect
and what their numbers mean is in MediaPipe's published graph options; anchors and blending are those of Bazarevsky et
al., "BlazeFace" (2019), arXiv:1907.05047.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from device.errors import SetupError
from device.ports import FaceBox, Image

Floats = NDArray[np.float32]

MODELS = Path(sys.prefix, "share", "moodify")
"""Where `scripts/setup` puts the networks."""


@dataclass(frozen=True, slots=True)
class Network:
    """One of the two, as MediaPipe 0.10.18 uses it."""

    file: str
    side_pixels: int
    """Of its square input."""
    layers: tuple[tuple[int, int], ...]
    """The grids of anchors: the side of a cell in pixels, and the anchors in each, all at its centre."""
    least_logit: float
    """What is less sure is no face."""

    @property
    def anchors(self) -> Floats:
        """Where each answer is counted from, (x, y) in 0 … 1 of the input, [n, 2]."""
        grids: list[Floats] = []
        for stride_pixels, each in self.layers:
            cells = self.side_pixels // stride_pixels
            row, column = np.divmod(np.arange(cells * cells), cells)
            centres = ((np.stack([column, row], axis=1) + 0.5) / cells).astype(np.float32)
            grids.append(np.repeat(centres, each, axis=0))
        return np.concatenate(grids)


SHORT = Network("face_detection_short_range.tflite", 128, ((8, 2), (16, 6)), least_logit=0.0)
"""Up to about 2 m; a score of 0.5."""
FULL = Network("face_detection_full_range_sparse.tflite", 192, ((4, 1),), least_logit=float(np.log(0.6 / 0.4)))
"""Up to about 5 m; a score of 0.6."""
NETWORKS = (SHORT, FULL)
"""By MediaPipe's model number."""

SAME_FACE = 0.3
"""Boxes whose intersection is more than this share of their union show one face."""
POINTS = 8
"""Of an answer: the box's upper left and lower right corner, then six key points."""
TINY = np.finfo(np.float32).tiny


class BlazeFace:
    """One network, faces out. Use from one thread."""

    def __init__(self, network: Network, folder: Path) -> None:
        """Load it from `folder`; SetupError when it is not there or not this network."""
        self._network = network
        self._anchors = network.anchors
        self._interpreter = _load(folder / network.file)
        (entry,), exits = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        count, side = len(self._anchors), network.side_pixels
        places = {tuple(tensor["shape"].tolist()): tensor["index"] for tensor in exits}
        expected = {(1, count, 2 * POINTS), (1, count, 1)}
        if tuple(entry["shape"].tolist()) != (1, side, side, 3) or set(places) != expected:
            raise SetupError(f"{folder / network.file}: not MediaPipe's face detector; run scripts/setup")
        self._entry_index = entry["index"]
        self._regressions_index, self._logits_index = places[1, count, 2 * POINTS], places[1, count, 1]

    def close(self) -> None:
        """Nothing to free."""

    def find(self, rgb: Image) -> tuple[FaceBox, ...]:
        """Faces in `rgb` [H, W, 3] uint8, the surest first, in pixels with six key points each."""
        height, width = rgb.shape[:2]
        side = max(height, width)
        margins = ((side - width) / 2, (side - height) / 2)
        self._interpreter.set_tensor(self._entry_index, _letterbox(rgb, self._network.side_pixels))
        self._interpreter.invoke()
        return tuple(_box(score, points * side - margins) for score, points in _blend(*self._answers()))

    def _answers(self) -> tuple[Floats, Floats]:
        """Scores [n] and points [n, POINTS, 2] in 0 … 1 of the input, the surest first."""
        logits = self._interpreter.get_tensor(self._logits_index)[0, :, 0]
        sure = np.flatnonzero(logits >= self._network.least_logit)
        sure = sure[np.argsort(-logits[sure], kind="stable")]
        offsets = self._interpreter.get_tensor(self._regressions_index)[0, sure].reshape(-1, POINTS, 2)
        offsets = offsets / self._network.side_pixels
        points = offsets + self._anchors[sure, np.newaxis]
        # The network's first two points are the box's centre and its size.
        centre, half = points[:, 0].copy(), offsets[:, 1] / 2
        points[:, 0], points[:, 1] = centre - half, centre + half
        proper = (half >= 0).all(axis=1)
        scores = 1 / (1 + np.exp(-logits[sure]))
        return scores[proper], points[proper]


def _load(model: Path) -> Any:
    if not model.exists():
        raise SetupError(f"{model}: no such file; run scripts/setup")
    try:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=str(model), num_threads=1)
        interpreter.allocate_tensors()
    except ImportError:
        raise SetupError("ai-edge-litert: not installed for this Python; run scripts/setup") from None
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise SetupError(f"{model}: not a model that can be run: {reason}; run scripts/setup") from None
    return interpreter


def _letterbox(rgb: Image, side: int) -> Floats:
    """`rgb` as a whole in the middle of a black square, float32 [1, side, side, 3] in -1 … 1."""
    height, width = rgb.shape[:2]
    longer = max(height, width)
    scale = side / longer
    place = np.array([[scale, 0, scale * (longer - width) / 2], [0, scale, scale * (longer - height) / 2]])
    square = cv2.warpAffine(rgb, place, (side, side), flags=cv2.INTER_LINEAR)
    return (square.astype(np.float32) * np.float32(2 / 255) - 1)[np.newaxis]


def _blend(scores: Floats, points: Floats) -> Iterator[tuple[float, Floats]]:
    """One answer a face: the surest's score, and the means of the points of all that overlap it, weighted by score."""
    while len(scores):
        same = _overlap(points) > SAME_FACE
        same[0] = True
        yield float(scores[0]), np.average(points[same], axis=0, weights=scores[same])
        scores, points = scores[~same], points[~same]


def _overlap(points: Floats) -> Floats:
    """Intersection over union of each box with the first, 0 … 1, [n]."""
    upper, lower = points[:, 0], points[:, 1]
    sides = np.minimum(lower, lower[0]) - np.maximum(upper, upper[0])
    shared: Floats = np.prod(np.maximum(sides, 0), axis=1)
    areas: Floats = np.prod(lower - upper, axis=1)
    share: Floats = shared / np.maximum(areas + areas[0] - shared, TINY)
    return share


def _box(score: float, points: Floats) -> FaceBox:
    (x, y), (right, bottom), *key_points = points.tolist()
    return FaceBox(x, y, right - x, bottom - y, score, tuple((across, down) for across, down in key_points))
