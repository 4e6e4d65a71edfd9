"""A scene stands for camera and microphone: a timeline, in a TOML file, of what the two are given."""

from __future__ import annotations

import math
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import cv2
import numpy as np
import soundfile

from device.domain.labels import MOODS
from device.errors import PeripheralError, SetupError
from device.ports import SAMPLE_RATE_HZ, Chunk, Clock, Frame, Image, Waveform

WIDTH, HEIGHT = 640, 480
WALL_GREY = 150
DARK_GREY = 4
FACE_PIXELS = (24, 480)
ROOM_RMS = 3e-4
"""-70 dB of full scale: no real room is digitally silent."""
NOISE_RMS = 0.03
LOOPED_NOISE_SECONDS = 7
CHUNK_SECONDS = 0.1
LONGEST_CHUNK_SECONDS = 10.0
LOOK_SECONDS = 0.02

FILE, NOBODY, DARK, UNPLUGGED, SILENCE, NOISE = "file", "nobody", "dark", "unplugged", "silence", "noise"
SHOWN = (FILE, NOBODY, DARK, UNPLUGGED)
PLAYED = (FILE, SILENCE, NOISE, UNPLUGGED)


class Picture(Protocol):
    """What a camera entry shows."""

    def at(self, seconds: float) -> Image:
        """The image [480, 640, 3] so long after the entry's beginning."""


@dataclass(frozen=True, slots=True)
class Shot:
    """What the camera sees for a while."""

    from_seconds: float
    to_seconds: float
    show: str
    """One of SHOWN."""
    picture: Picture


@dataclass(frozen=True, slots=True)
class Sound:
    """What the microphone hears for a while, besides the room."""

    from_seconds: float
    to_seconds: float
    play: str
    """One of PLAYED."""
    samples: Waveform
    """With the gain."""
    repeat: bool


@dataclass(frozen=True, slots=True)
class Expectation:
    """What ought to be recognised for a while; an empty label expects nothing."""

    from_seconds: float
    to_seconds: float
    face: str = ""
    voice: str = ""
    mood: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """A timeline; times are seconds after its beginning. After its end nobody is there, or it begins again."""

    title: str
    length_seconds: float
    loop: bool
    shots: tuple[Shot, ...]
    sounds: tuple[Sound, ...]
    expectations: tuple[Expectation, ...]

    def frame_at(self, seconds: float) -> Image:
        """What the camera sees, [480, 640, 3]; PeripheralError while it is unplugged."""
        seconds = self._scene_seconds(seconds)
        for shot in self.shots:
            if shot.from_seconds <= seconds < shot.to_seconds:
                if shot.show == UNPLUGGED:
                    raise PeripheralError("camera: unplugged in the scene")
                return shot.picture.at(seconds - shot.from_seconds)
        return _wall().copy()

    def sound_between(self, from_seconds: float, to_seconds: float) -> Waveform:
        """What the microphone hears; adjoining spans join up. PeripheralError when it is unplugged meanwhile."""
        samples = _room(round(from_seconds * SAMPLE_RATE_HZ), round(to_seconds * SAMPLE_RATE_HZ))
        for offset in self._rounds(from_seconds, to_seconds):
            begin = round((from_seconds - offset) * SAMPLE_RATE_HZ)
            for sound in self.sounds:
                _add(samples, begin, sound)
        return samples

    def _scene_seconds(self, seconds: float) -> float:
        return seconds % self.length_seconds if self.loop else seconds

    def _rounds(self, from_seconds: float, to_seconds: float) -> tuple[float, ...]:
        """When the rounds of the loop began that lie in the span."""
        if not self.loop:
            return (0.0,)
        first, last = math.floor(from_seconds / self.length_seconds), math.floor(to_seconds / self.length_seconds)
        return tuple(number * self.length_seconds for number in range(first, last + 1))


class _Paced:
    """Hands on what is due by the clock; the scene begins at `began_seconds` of it."""

    def __init__(self, scene: Scene, clock: Clock, began_seconds: float | None) -> None:
        self._scene = scene
        self._clock = clock
        self._began_seconds = clock() if began_seconds is None else began_seconds
        self._last_seconds = 0.0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is held open."""

    def _wait(self, due_seconds: float, timeout_seconds: float, what: str) -> float:
        """The clock once `due_seconds` has come; the timeout is real time, however fast the clock runs."""
        deadline = time.monotonic() + timeout_seconds
        while (now := self._clock()) < due_seconds:
            left_seconds = deadline - time.monotonic()
            if left_seconds <= 0:
                raise PeripheralError(f"{what}: nothing came from the scene for {timeout_seconds:g} s")
            # The real clock can be slept through; how fast another one runs is not known.
            longest_seconds = due_seconds - now if self._clock is time.monotonic else LOOK_SECONDS
            time.sleep(min(longest_seconds, left_seconds))
        return now


class SceneCamera(_Paced):
    """A `ports.Camera` that shows a scene.

    `began_seconds` says when on `clock` the scene began (None: now), so that what is opened anew goes on where the
    scene is, and a camera and a microphone keep together.
    """

    def __init__(self, scene: Scene, clock: Clock, rate_hz: float, began_seconds: float | None = None) -> None:
        super().__init__(scene, clock, began_seconds)
        self._interval_seconds = 1.0 / rate_hz

    def __enter__(self) -> Self:
        now = self._clock()
        self._scene.frame_at(now - self._began_seconds)
        self._last_seconds = now - self._interval_seconds
        return self

    def read(self, timeout_seconds: float) -> Frame:
        """The frame of now, at most `rate_hz` a second; PeripheralError while the scene's camera is unplugged."""
        now = self._wait(self._last_seconds + self._interval_seconds, timeout_seconds, "camera")
        self._last_seconds = now
        return Frame(self._scene.frame_at(now - self._began_seconds), now)


class SceneMicrophone(_Paced):
    """A `ports.Microphone` that plays a scene; see SceneCamera."""

    def __init__(self, scene: Scene, clock: Clock, began_seconds: float | None = None) -> None:
        super().__init__(scene, clock, began_seconds)

    def __enter__(self) -> Self:
        now = self._clock() - self._began_seconds
        self._scene.sound_between(now, now + CHUNK_SECONDS)
        self._last_seconds = now
        return self

    def read(self, timeout_seconds: float) -> Chunk:
        """The sound since the last read; PeripheralError while the scene's microphone is unplugged."""
        due_seconds = self._began_seconds + self._last_seconds + CHUNK_SECONDS
        now = self._wait(due_seconds, timeout_seconds, "microphone") - self._began_seconds
        began = max(self._last_seconds, now - LONGEST_CHUNK_SECONDS)
        self._last_seconds = now
        return Chunk(self._scene.sound_between(began, now), self._began_seconds + now)


def load_scene(path: Path) -> Scene:
    """Read a scene file and all that it names; SetupError says which file, which entry, and what to do."""
    top = _Entry(_read(path), str(path))
    shots = _timeline(top.entries("camera"), path, _shot)
    sounds = _timeline(top.entries("microphone"), path, _sound)
    expectations = _timeline(top.entries("expect"), path, _expectation)
    spans: list[_Span] = [*shots, *sounds, *expectations]
    last_seconds = max((span.to_seconds for span in spans), default=0.0)
    scene = Scene(
        top.text("title", path.stem),
        top.number("length", last_seconds),
        top.flag("loop", False),
        shots,
        sounds,
        expectations,
    )
    top.refuse_the_rest()
    if not spans:
        raise SetupError(f"{path}: no entries; add [[camera]] or [[microphone]] with from and to")
    if scene.length_seconds < last_seconds:
        raise SetupError(f"{path}: length: {scene.length_seconds:g} s, but entries last until {last_seconds:g} s")
    return scene


class _Entry:
    """A table of the file, taken apart key by key; what is left over is unknown."""

    def __init__(self, table: dict[str, Any], where: str) -> None:
        self._table = dict(table)
        self._known: list[str] = []
        self.where = where

    def error(self, key: str, complaint: str) -> SetupError:
        """The error to raise about a key of this entry."""
        return SetupError(f"{self.where}: {key}: {complaint}")

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number."""
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.error(key, f"a number is needed, not {value!r}")
        return float(value)

    def text(self, key: str, default: str | None = None) -> str:
        """A text."""
        value = self._take(key, default)
        if not isinstance(value, str):
            raise self.error(key, f"a text in quotes is needed, not {value!r}")
        return value

    def word(self, key: str, words: Sequence[str], default: str | None = None) -> str:
        """One of `words`."""
        value = self.text(key, default)
        if value != default and value not in words:
            raise self.error(key, f"{value!r} is not one of {', '.join(words)}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"true or false is needed, not {value!r}")
        return value

    def pair(self, key: str, default: tuple[float, float]) -> tuple[int, int]:
        """Two whole numbers."""
        value = self._take(key, default)
        if not isinstance(value, list | tuple) or len(value) != 2 or not all(isinstance(v, int) for v in value):
            raise self.error(key, f"two whole numbers, [x, y], are needed, not {value!r}")
        return int(value[0]), int(value[1])

    def entries(self, key: str) -> list[_Entry]:
        """The tables of an array of tables, numbered from 1."""
        value = self._take(key, [])
        if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
            raise self.error(key, f"entries are written [[{key}]]")
        return [_Entry(table, f"{self.where}: [[{key}]] {number}") for number, table in enumerate(value, 1)]

    def has(self, key: str) -> bool:
        """Whether the key is there and not yet taken."""
        return key in self._table

    def refuse_the_rest(self) -> None:
        """SetupError for a key that nobody took."""
        for key in self._table:
            raise self.error(key, f"no such key; known here: {', '.join(self._known)}")

    def _take(self, key: str, default: object) -> object:
        self._known.append(key)
        if key not in self._table and default is None:
            raise self.error(key, "is missing")
        return self._table.pop(key, default)


class _Span(Protocol):
    @property
    def from_seconds(self) -> float: ...

    @property
    def to_seconds(self) -> float: ...


Span = TypeVar("Span", bound=_Span)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SetupError(f"{path}: {error.strerror}; name an existing scene file") from None
    except UnicodeDecodeError:
        raise SetupError(f"{path}: not UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise SetupError(f"{path}: not valid TOML: {error}") from None


def _timeline(entries: list[_Entry], path: Path, make: Callable[[_Entry, Path], Span]) -> tuple[Span, ...]:
    """The entries in the order of their times; SetupError when two overlap."""
    spans = []
    for entry in entries:
        spans.append((make(entry, path.parent), entry))
        entry.refuse_the_rest()
    spans.sort(key=lambda pair: pair[0].from_seconds)
    for (before, _), (span, entry) in pairwise(spans):
        if span.from_seconds < before.to_seconds:
            raise entry.error(
                "from", f"{span.from_seconds:g} s, but the entry before lasts until {before.to_seconds:g} s"
            )
    return tuple(span for span, _ in spans)


def _times(entry: _Entry) -> tuple[float, float]:
    begin, end = entry.number("from"), entry.number("to")
    if begin < 0 or end <= begin:
        raise entry.error("to", f"{end:g} s must be later than from, {begin:g} s, which is 0 or more")
    return begin, end


def _shot(entry: _Entry, folder: Path) -> Shot:
    begin, end = _times(entry)
    show = entry.word("show", SHOWN, FILE if entry.has("file") else None)
    picture: Picture = _Still(_dark() if show == DARK else _wall())
    if show == FILE:
        picture = _picture(entry, folder)
    return Shot(begin, end, show, picture)


def _picture(entry: _Entry, folder: Path) -> Picture:
    path = _existing(entry, folder)
    if entry.has("face_pixels"):
        return _face(entry, _read_image(entry, path))
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is not None:
        return _Still(_fit(image))
    return _Video(entry, path)


def _existing(entry: _Entry, folder: Path) -> Path:
    path = folder / entry.text("file")
    if not path.is_file():
        raise entry.error("file", f"{path} is not there; paths are relative to the scene file")
    return path


def _read_image(entry: _Entry, path: Path) -> Image:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise entry.error("file", f"{path} cannot be read as an image; face_pixels needs PNG or JPEG")
    return np.asarray(image, dtype=np.uint8)


def _face(entry: _Entry, image: Image) -> Picture:
    """A face put on the wall: `face_pixels` high, its centre at `at`."""
    height = round(entry.number("face_pixels"))
    if not FACE_PIXELS[0] <= height <= FACE_PIXELS[1]:
        raise entry.error("face_pixels", f"{height} is outside {FACE_PIXELS[0]} … {FACE_PIXELS[1]}")
    width = max(1, round(height * image.shape[1] / image.shape[0]))
    x, y = entry.pair("at", (WIDTH // 2, HEIGHT // 2))
    left, top = x - width // 2, y - height // 2
    if left < 0 or top < 0 or left + width > WIDTH or top + height > HEIGHT:
        raise entry.error("at", f"a face of {width}×{height} at [{x}, {y}] leaves the frame of {WIDTH}×{HEIGHT}")
    return _Still(_put(_rgb(_resized(image, width, height)), left, top))


def _put(face: Image, left: int, top: int) -> Image:
    """The wall with `face` on it; a hard edge hinders MediaPipe least (tried on FER-2013, against soft ones)."""
    frame = _wall().copy()
    frame[top : top + face.shape[0], left : left + face.shape[1]] = face
    return frame


@dataclass(frozen=True, slots=True)
class _Still:
    image: Image

    def at(self, _seconds: float) -> Image:
        return self.image.copy()


class _Video:
    """A video file, read along; it stays on its last frame."""

    def __init__(self, entry: _Entry, path: Path) -> None:
        self._path = path
        self._open()
        self._rate_hz = self._capture.get(cv2.CAP_PROP_FPS) or 25.0
        if not self._advance():
            raise entry.error("file", f"{path} can be read neither as an image nor as a video")

    def at(self, seconds: float) -> Image:
        """The frame of that time; going back starts again from the beginning."""
        wanted = int(seconds * self._rate_hz + 1e-6)
        if wanted < self._index:
            self._open()
        while self._index < wanted and self._advance():
            pass
        return self._frame.copy()

    def _open(self) -> None:
        self._capture = cv2.VideoCapture(str(self._path))
        self._index = -1

    def _advance(self) -> bool:
        there, image = self._capture.read()
        if there:
            self._index += 1
            self._frame = _fit(image)
        return bool(there)


def _fit(image: Any) -> Image:
    """Fit an image (blue, green, red) into the frame whole; its edge pixels fill the rest."""
    height, width = image.shape[:2]
    scale = min(WIDTH / width, HEIGHT / height)
    fitted = _resized(image, max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (WIDTH - fitted.shape[1]) // 2, (HEIGHT - fitted.shape[0]) // 2
    right, bottom = WIDTH - fitted.shape[1] - left, HEIGHT - fitted.shape[0] - top
    return _rgb(cv2.copyMakeBorder(fitted, top, bottom, left, right, cv2.BORDER_REPLICATE))


def _resized(image: Any, width: int, height: int) -> Image:
    method = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)


def _rgb(image: Any) -> Image:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


@lru_cache(maxsize=1)
def _wall() -> Image:
    """A plain wall, a little lighter towards the lamp."""
    light = np.linspace(WALL_GREY + 20, WALL_GREY - 20, HEIGHT, dtype=np.float32)[:, np.newaxis, np.newaxis]
    return np.asarray(np.rint(np.broadcast_to(light, (HEIGHT, WIDTH, 3))), dtype=np.uint8)


def _dark() -> Image:
    noise = np.random.default_rng(1).normal(DARK_GREY, 1.5, (HEIGHT, WIDTH, 3))
    return np.asarray(np.clip(noise, 0, 255), dtype=np.uint8)


def _sound(entry: _Entry, folder: Path) -> Sound:
    begin, end = _times(entry)
    play = entry.word("play", PLAYED, FILE if entry.has("file") else None)
    samples: Waveform = np.zeros(0, dtype=np.float32)
    if play == FILE:
        samples = _recording(entry, _existing(entry, folder))
    elif play == NOISE:
        samples = _noise(NOISE_RMS, seed=3)
    repeat = entry.flag("repeat", False) if play == FILE else True
    if play in (FILE, NOISE):
        samples = samples * np.float32(10 ** (entry.number("gain_db", 0.0) / 20))
    return Sound(begin, end, play, samples, repeat)


def _recording(entry: _Entry, path: Path) -> Waveform:
    """A sound file as SAMPLE_RATE_HZ mono."""
    from scipy.signal import resample_poly

    try:
        frames, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise entry.error("file", f"{path} cannot be read as sound: {error}; use WAV, FLAC, Ogg or MP3") from None
    if not len(frames):
        raise entry.error("file", f"{path} holds no sound")
    shared = math.gcd(rate_hz, SAMPLE_RATE_HZ)
    mono = frames.mean(axis=1)
    return np.asarray(resample_poly(mono, SAMPLE_RATE_HZ // shared, rate_hz // shared), dtype=np.float32)


def _add(samples: Waveform, begin: int, sound: Sound) -> None:
    """Add to `samples`, which begin at sample `begin` of the scene, what of `sound` falls among them."""
    first = max(begin, round(sound.from_seconds * SAMPLE_RATE_HZ))
    last = min(begin + len(samples), round(sound.to_seconds * SAMPLE_RATE_HZ))
    if last <= first:
        return
    if sound.play == UNPLUGGED:
        raise PeripheralError("microphone: unplugged in the scene")
    if not len(sound.samples):
        return
    positions = np.arange(first, last) - round(sound.from_seconds * SAMPLE_RATE_HZ)
    if sound.repeat:
        positions %= len(sound.samples)
    heard = positions < len(sound.samples)
    samples[first - begin : last - begin][heard] += sound.samples[positions[heard]]


def _room(first: int, last: int) -> Waveform:
    """The room's own quiet noise from sample `first` to `last` of the scene."""
    return np.asarray(_ROOM[np.arange(first, max(first, last)) % len(_ROOM)], dtype=np.float32)


def _noise(rms: float, seed: int) -> Waveform:
    samples = np.random.default_rng(seed).normal(0.0, rms, LOOPED_NOISE_SECONDS * SAMPLE_RATE_HZ)
    return np.asarray(samples, dtype=np.float32)


_ROOM = _noise(ROOM_RMS, seed=2)


def _expectation(entry: _Entry, _folder: Path) -> Expectation:
    begin, end = _times(entry)
    labels = [entry.word(key, MOODS, "") for key in ("face", "voice", "mood")]
    if not any(labels):
        raise entry.error("expect", "name a face, a voice or a mood")
    return Expectation(begin, end, *labels)
