"""The microphone, by PyAudio: ALSA, and through it PulseAudio, PipeWire and JACK."""

from __future__ import annotations

import ctypes
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import pyaudio
from numpy.typing import NDArray

from device.config import MicrophoneConfig
from device.errors import PeripheralError
from device.ports import SAMPLE_RATE_HZ, Chunk, Clock, Waveform

CALLBACKS_PER_SECOND = 20
KEPT_CALLBACKS = 10 * CALLBACKS_PER_SECOND
"""Who does not read for ten seconds loses the oldest sound, not the memory."""
DEAD_SILENCE_SECONDS = 10.0
OPEN_SECONDS = 5.0
FIRST_SOUND_SECONDS = 3.0
"""PulseAudio lets a second pass before a new stream delivers."""
CLOSE_SECONDS = 2.0
LOOK_SECONDS = 0.1
MOST_CHANNELS = 8

Samples = NDArray[np.int16]
Result = TypeVar("Result")


class PyAudioMicrophone:
    """A `ports.Microphone`, to be opened again and again.

    Each opening starts PortAudio afresh, which is how it notices what was plugged in since.

    A removed PulseAudio source looks like a healthy one that delivers zeros for ever, so perfect silence for
    `dead_silence_seconds` counts as a loss; opening it again then succeeds only when something else is heard.
    """

    def __init__(
        self, config: MicrophoneConfig, clock: Clock, dead_silence_seconds: float = DEAD_SILENCE_SECONDS
    ) -> None:
        self._device = config.device
        self._clock = clock
        self._dead_silence_seconds = dead_silence_seconds
        self._line: _Line | None = None
        self._still_seconds = 0.0
        self._was_dead = False

    def __enter__(self) -> Self:
        self._line = _CALLS.make(lambda: _open_line(self._device, self._clock), OPEN_SECONDS, _Line.close)
        self._still_seconds = 0.0
        with ExitStack() as undo:
            undo.callback(self._close)
            self._wait_for_first_sound(self._line)
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def read(self, timeout_seconds: float) -> Chunk:
        """All sound since the last read; waits for some, PeripheralError when none comes or the device is gone."""
        if self._line is None:
            raise PeripheralError("microphone: not open")
        deadline_seconds = time.monotonic() + timeout_seconds
        waveform: Waveform = np.zeros(0, dtype=np.float32)
        while not waveform.size:
            if not self._line.wait(deadline_seconds):
                raise PeripheralError(f"microphone: it has delivered nothing for {timeout_seconds:g} s")
            samples, at_seconds = self._line.take()
            self._watch_for_dead_silence(samples, self._line)
            waveform = self._line.convert(samples)
        return Chunk(waveform, at_seconds)

    def _wait_for_first_sound(self, line: _Line) -> None:
        deadline_seconds = time.monotonic() + FIRST_SOUND_SECONDS
        if not line.wait(deadline_seconds):
            raise PeripheralError(f"microphone: opened, but it has delivered nothing for {FIRST_SOUND_SECONDS:g} s")
        while self._was_dead:
            if not line.wait(deadline_seconds):
                raise PeripheralError(_DEAD)
            samples, _ = line.take()
            self._was_dead = _is_still(samples)

    def _watch_for_dead_silence(self, samples: Samples, line: _Line) -> None:
        self._still_seconds = self._still_seconds + len(samples) / line.rate_hz if _is_still(samples) else 0.0
        if self._still_seconds > self._dead_silence_seconds:
            self._was_dead = True
            raise PeripheralError(_DEAD)

    def _close(self) -> None:
        line, self._line = self._line, None
        if line:
            _CALLS.make(line.close, CLOSE_SECONDS, lambda _: None)


_DEAD = "microphone: it delivers only digital silence; check that it is plugged in and not muted"


class _Line:
    """One open stream, and the sound that it has delivered and nobody has taken."""

    def __init__(self, host: pyaudio.PyAudio, index: int, rate_hz: int, channels: int, clock: Clock) -> None:
        self.rate_hz = rate_hz
        self._channels = channels
        self._clock = clock
        self._heard: deque[tuple[bytes, float]] = deque(maxlen=KEPT_CALLBACKS)
        self._news = threading.Event()
        self._resampler = _Resampler(rate_hz) if rate_hz != SAMPLE_RATE_HZ else None
        self._host = host
        self._stream = host.open(
            rate=rate_hz,
            channels=channels,
            format=pyaudio.paInt16,
            input=True,
            input_device_index=index,
            frames_per_buffer=rate_hz // CALLBACKS_PER_SECOND,
            stream_callback=self._hear,
        )

    def wait(self, deadline_seconds: float) -> bool:
        """True as soon as there is sound, False at the deadline; PeripheralError when the stream has ended."""
        while not self._heard:
            if not self._stream.is_active():
                raise PeripheralError("microphone: it is gone, or the sound server is; plug it in or start the server")
            left_seconds = deadline_seconds - time.monotonic()
            if left_seconds <= 0:
                return False
            self._news.wait(min(left_seconds, LOOK_SECONDS))
            self._news.clear()
        return True

    def take(self) -> tuple[Samples, float]:
        """All untaken sound (there is some), mono at the device's rate, and the time of its last sample."""
        parts: list[bytes] = []
        at_seconds = 0.0
        while self._heard:
            part, at_seconds = self._heard.popleft()
            parts.append(part)
        return _mono(np.frombuffer(b"".join(parts), dtype=np.int16).reshape(-1, self._channels)), at_seconds

    def convert(self, samples: Samples) -> Waveform:
        """The samples at SAMPLE_RATE_HZ in -1 … 1; with resampling, a few milliseconds come with the next call."""
        waveform = samples.astype(np.float32) / np.float32(32768.0)
        return self._resampler.feed(waveform) if self._resampler else waveform

    def close(self) -> None:
        """Close the stream and end PortAudio."""
        self._stream.close()
        self._host.terminate()

    def _hear(self, sound: bytes, _frames: int, _times: Mapping[str, float], _status: int) -> tuple[None, int]:
        """PortAudio's callback, in a thread that must not wait: keep the bytes, nothing else."""
        self._heard.append((sound, self._clock()))
        self._news.set()
        return None, pyaudio.paContinue


class _Resampler:
    """Polyphase resampling of a stream in pieces, equal to resampling it whole."""

    def __init__(self, rate_hz: int) -> None:
        from scipy.signal import resample_poly

        self._resample = resample_poly
        shared = math.gcd(rate_hz, SAMPLE_RATE_HZ)
        self._up, self._down = SAMPLE_RATE_HZ // shared, rate_hz // shared
        reach = 10 * max(self._up, self._down) / self._up
        self._margin_blocks = math.ceil(reach / self._down)
        """Blocks of `down` samples on each side that scipy's filter can see."""
        self._pending = np.zeros(self._margin_blocks * self._down, dtype=np.float32)

    def feed(self, samples: Waveform) -> Waveform:
        """What can be resampled now; the margin's worth stays for the next call."""
        self._pending = np.concatenate([self._pending, samples])
        blocks = len(self._pending) // self._down - 2 * self._margin_blocks
        if blocks <= 0:
            return np.zeros(0, dtype=np.float32)
        used = self._pending[: (blocks + 2 * self._margin_blocks) * self._down]
        start = self._margin_blocks * self._up
        resampled = self._resample(used, self._up, self._down)[start : start + blocks * self._up]
        self._pending = self._pending[blocks * self._down :]
        return np.asarray(resampled, dtype=np.float32)


class _BoundedCalls:
    """Runs calls into PortAudio in threads of their own: a frozen sound server never lets them return."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def make(self, work: Callable[[], Result], timeout_seconds: float, undo: Callable[[Result], None]) -> Result:
        """`work`'s result or error; PeripheralError after the timeout, and `undo` once the result comes after all."""
        if self._thread and self._thread.is_alive():
            raise PeripheralError("microphone: the sound server still does not answer")
        future: Future[Result] = Future()
        self._thread = threading.Thread(target=_relay, args=(work, future), name="portaudio", daemon=True)
        self._thread.start()
        # Its end is waited for, not the result alone: who calls again at once must not find it still ending.
        self._thread.join(timeout_seconds)
        if future.done():
            return future.result()
        future.add_done_callback(lambda late: None if late.exception() else undo(late.result()))
        raise PeripheralError("microphone: the sound server does not answer")


_CALLS = _BoundedCalls()
"""One for the process, as PortAudio is."""


def input_devices() -> tuple[str, ...]:
    """Names of the input devices that are there now; PeripheralError when the sound server does not answer."""
    return _CALLS.make(_input_names, OPEN_SECONDS, lambda _: None)


def _input_names() -> tuple[str, ...]:
    with ExitStack() as undo:
        host = _start_portaudio()
        undo.callback(host.terminate)
        return tuple(str(device["name"]) for device in _inputs(host))


def _relay(work: Callable[[], Result], future: Future[Result]) -> None:
    try:
        future.set_result(work())
    except (OSError, PeripheralError) as error:
        future.set_exception(error)


def _open_line(name: str, clock: Clock) -> _Line:
    """Start PortAudio and open the device; PeripheralError when there is none, or none of that name."""
    try:
        with ExitStack() as undo:
            host = _start_portaudio()
            undo.callback(host.terminate)
            line = _open_device(host, _choose(host, name), clock)
            undo.pop_all()
            return line
    except OSError as error:
        raise PeripheralError(f"microphone: cannot be opened: {error.strerror or error}") from None


def _choose(host: pyaudio.PyAudio, name: str) -> Mapping[str, Any]:
    """The default input device, or the first whose name contains `name`."""
    inputs = list(_inputs(host))
    if not inputs:
        raise PeripheralError("microphone: there is no input device; plug one in or start the sound server")
    if not name:
        default: Mapping[str, Any] = host.get_default_input_device_info()
        return default
    for device in inputs:
        if name.casefold() in str(device["name"]).casefold():
            return device
    known = ", ".join(repr(device["name"]) for device in inputs)
    raise PeripheralError(f"microphone.device: no input device has {name!r} in its name; there are {known}")


def _inputs(host: pyaudio.PyAudio) -> Iterator[Mapping[str, Any]]:
    for index in range(host.get_device_count()):
        device = host.get_device_info_by_index(index)
        if device["maxInputChannels"] > 0:
            yield device


def _open_device(host: pyaudio.PyAudio, device: Mapping[str, Any], clock: Clock) -> _Line:
    """Open it at 16 kHz mono, or as near to that as it can do."""
    refused: OSError | None = None
    for rate_hz, channels in _shapes(int(device["defaultSampleRate"]), int(device["maxInputChannels"])):
        try:
            return _Line(host, int(device["index"]), rate_hz, channels, clock)
        except OSError as error:
            refused = error
    assert refused is not None
    raise refused


def _shapes(default_rate_hz: int, most_channels: int) -> Iterator[tuple[int, int]]:
    """Rates and channel counts to try, best first."""
    for channels in sorted({1, min(2, most_channels), min(MOST_CHANNELS, most_channels)}):
        for rate_hz in dict.fromkeys((SAMPLE_RATE_HZ, default_rate_hz)):
            yield rate_hz, channels


def _mono(frames: Samples) -> Samples:
    """[n, channels] to [n]: a stereo pair's mean; an array's first channel, as its others may be playback."""
    if frames.shape[1] == 2:
        return np.asarray(frames.mean(axis=1), dtype=np.int16)
    return frames[:, 0]


def _is_still(samples: Samples) -> bool:
    return bool(samples.min() == samples.max())


def _start_portaudio() -> pyaudio.PyAudio:
    """Quiet, and as little as possible of what the plugins leak each time."""
    _hush()
    with suppress(OSError):
        ctypes.CDLL(_STAYS_LOADED)
    return pyaudio.PyAudio()


def _hush() -> None:
    """Keep ALSA's and JACK's remarks about devices that are not there off stderr.

    Their error handlers are replaced by a C function that does nothing visible, whatever its arguments: a Python
    callback would be called from sound threads that may not wait for the interpreter.
    """
    os.environ.setdefault("JACK_NO_START_SERVER", "1")
    nothing = ctypes.cast(ctypes.CDLL(None).getppid, ctypes.c_void_p)
    for library, setters in _REMARKS.items():
        try:
            loaded = ctypes.CDLL(library)
        except OSError:
            continue
        for setter in setters:
            getattr(loaded, setter)(nothing)


_STAYS_LOADED = "libpixman-1.so.0"
"""ALSA's plugin for AC-3 brings it along, and it never gives back what it takes while it is loaded: 12 kB each time
that PortAudio starts, 70 MB a day where there is no microphone. So it is loaded once, and stays."""
_REMARKS = {
    "libasound.so.2": ("snd_lib_error_set_handler",),
    "libjack.so.0": ("jack_set_error_function", "jack_set_info_function"),
}
