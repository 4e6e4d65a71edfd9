"""Fakes of what the eyes and the sense loop stand on, and a picamera2 that enforces the real one's signatures."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec

import numpy as np

from device.domain.labels import LABELS
from device.domain.reading import Posterior
from device.errors import PeripheralError
from device.ports import FaceBox


class FakeFaceFinder:
    """Sees the boxes it was told to see."""

    def __init__(self, *boxes: FaceBox) -> None:
        self.boxes = boxes

    def find(self, rgb: np.ndarray) -> tuple[FaceBox, ...]:
        return tuple(sorted(self.boxes, key=lambda box: box.width * box.height, reverse=True))


class FakeClassifier:
    """Gives the posteriors it was told, one after the other, and keeps the shapes it was given."""

    def __init__(self, *posteriors: Posterior) -> None:
        self.posteriors = list(posteriors)
        self.shapes: list[tuple[int, ...]] = []

    def classify(self, model_input: np.ndarray) -> Posterior:
        self.shapes.append(model_input.shape)
        return self.posteriors.pop(0)


class AlwaysSure:
    """Sees the same label in every face, with probability 0.95."""

    def __init__(self, label: str) -> None:
        others = 0.05 / (len(LABELS) - 1)
        self.posterior = Posterior(tuple(0.95 if name == label else others for name in LABELS))

    def classify(self, model_input: np.ndarray) -> Posterior:
        return self.posterior


class FakeSource:
    """Counts its own items; absent, silent or slow as told. Shared by all `with` blocks, as the hardware is."""

    def __init__(self) -> None:
        self.absent = ""
        self.open = False
        self.opened = 0
        self.items = 0
        self.gives: int | None = None
        """So many items in each `with` block, then it is lost; None: without end."""
        self.waiting = False
        """A read is waiting in vain."""
        self.stuck = threading.Event()
        """Cleared: no item comes."""
        self.stuck.set()

    def __enter__(self) -> FakeSource:
        if self.absent:
            raise PeripheralError(self.absent)
        self.open = True
        self.opened += 1
        self._left = self.gives
        return self

    def __exit__(self, *_: object) -> None:
        self.open = False

    def read(self, timeout_seconds: float) -> int:
        self.waiting = not self.stuck.is_set()
        if self.absent or not self.stuck.wait(timeout_seconds):
            raise PeripheralError(self.absent or f"no item for {timeout_seconds:g} s")
        if self._left is not None:
            if not self._left:
                raise PeripheralError("the plug is loose")
            self._left -= 1
        self.items += 1
        return self.items


class StubPicamera2:
    """As much of picamera2.Picamera2 (0.3) as the speaker uses, with its signatures and its refusals."""

    present = True
    wedged = False
    unplugged = False
    stride = 64
    """Rows are padded to a multiple of this, as on a real Pi."""
    webcams: tuple[dict[str, str], ...]
    """libcamera lists those on USB, too."""
    made: list[StubPicamera2]

    @staticmethod
    def global_camera_info() -> list[dict[str, str]]:
        module = {"Model": "imx708", "Id": "/base/soc/i2c0mux/i2c@1/imx708@1a"}
        return [*StubPicamera2.webcams, *([module] if StubPicamera2.present else [])]

    def __init__(self, camera_num=0, verbose_console=None, tuning=None) -> None:
        if not StubPicamera2.present:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.camera_num = camera_num
        self.config: dict | None = None
        self.started = False
        self.closed = False
        StubPicamera2.made.append(self)

    def create_video_configuration(
        self, main={}, lores=None, raw={}, transform=None, colour_space=None, buffer_count=6, controls={},  # noqa: B006
        display="main", encode="main", queue=True,
    ) -> dict:  # fmt: skip
        for stream in (main, lores):
            assert set(stream) <= {"format", "size"}
            assert type(stream["size"]) is tuple
            assert not stream["size"][0] % 2 and not stream["size"][1] % 2
        return {"main": main, "lores": lores, "controls": controls, "queue": queue, "colour_space": colour_space}

    def configure(self, camera_config="preview") -> None:
        main, lores = camera_config["main"]["size"], camera_config["lores"]["size"]
        if lores[0] > main[0] or lores[1] > main[1]:
            raise RuntimeError("lores stream dimensions may not exceed main stream")
        self.config = camera_config

    def camera_configuration(self) -> dict:
        assert self.config
        return self.config

    def start(self, config=None, show_preview=False) -> None:
        self.started = True

    def capture_array(self, name="main", wait=None, signal_function=None) -> np.ndarray:
        assert self.started and self.config
        if StubPicamera2.unplugged:
            raise OSError(5, "Input/output error")
        if StubPicamera2.wedged:
            assert wait and wait is not True, "without a time limit this would hang for ever"
            raise TimeoutError
        width, height = self.config[name]["size"]
        padded = -(-width // self.stride) * self.stride
        planes = np.zeros((height * 3 // 2, padded), np.uint8)
        # Video range: 81, 90, 240 is pure red in BT.601.
        planes[:height, :width] = 81
        chroma = planes[height:].reshape(2, -1)
        chroma[0], chroma[1] = 90, 240
        return planes

    def close(self) -> None:
        self.closed = True
        if StubPicamera2.unplugged:
            raise RuntimeError("Unable to stop preview.")


@contextmanager
def stub_picamera2() -> Iterator[type[StubPicamera2]]:
    """Put the stub where `import picamera2` and `import libcamera` find it."""
    StubPicamera2.present, StubPicamera2.wedged, StubPicamera2.unplugged = True, False, False
    StubPicamera2.webcams, StubPicamera2.made = (), []
    picamera2, libcamera = types.ModuleType("picamera2"), types.ModuleType("libcamera")
    picamera2.__spec__ = ModuleSpec("picamera2", None)
    picamera2.Picamera2 = StubPicamera2  # type: ignore[attr-defined]
    libcamera.ColorSpace = types.SimpleNamespace(Smpte170m=lambda: "SMPTE170M")  # type: ignore[attr-defined]
    before = {name: sys.modules.get(name) for name in ("picamera2", "libcamera")}
    sys.modules.update(picamera2=picamera2, libcamera=libcamera)
    try:
        yield StubPicamera2
    finally:
        for name, module in before.items():
            if module:
                sys.modules[name] = module
            else:
                del sys.modules[name]
