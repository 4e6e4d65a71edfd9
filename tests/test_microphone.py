"""The microphone against a real PulseAudio server, through ALSA and PortAudio as on the box."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from device.adapters.microphone_pyaudio import PyAudioMicrophone, _Resampler, input_devices
from device.config import MicrophoneConfig
from device.errors import PeripheralError
from device.ports import SAMPLE_RATE_HZ
from tests.pulse import PulseServer, missing
from tests.speaker import ROOT

LACKING = missing()
WAIT_SECONDS = 30.0

needs_pulse = pytest.mark.skipif(bool(LACKING), reason=f"not installed: {LACKING}")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PulseServer]:
    with PulseServer(tmp_path) as server:
        monkeypatch.setenv("ALSA_CONFIG_PATH", str(server.alsa_config))
        yield server


def microphone(device: str = "", dead_silence_seconds: float = 3600.0) -> PyAudioMicrophone:
    return PyAudioMicrophone(MicrophoneConfig(device=device), time.monotonic, dead_silence_seconds)


def write_tones(path: Path, seconds: float = 3.0, rate_hz: int = 44_100) -> Path:
    at = np.arange(int(seconds * rate_hz)) / rate_hz
    sound = 0.2 * np.sin(2 * np.pi * 440 * at) + 0.1 * np.sin(2 * np.pi * 3000 * at)
    soundfile.write(path, sound.astype(np.float32), rate_hz, subtype="PCM_16")
    return path


def hear_until(source: PyAudioMicrophone, enough) -> np.ndarray:
    """Everything heard until `enough(all of it)`, or until the patience ends."""
    heard = np.zeros(0, dtype=np.float32)
    deadline = time.monotonic() + WAIT_SECONDS
    while not enough(heard) and time.monotonic() < deadline:
        heard = np.concatenate([heard, source.read(5.0).samples])
    assert enough(heard)
    return heard


def is_loud_for(seconds: float):
    return lambda heard: np.count_nonzero(np.abs(heard) > 0.05) > seconds * SAMPLE_RATE_HZ / 2


def peaks_hz(heard: np.ndarray) -> list[float]:
    """The frequencies of the two strongest lines, lowest first."""
    loud = heard[np.abs(heard).argmax() :][: SAMPLE_RATE_HZ // 2]
    spectrum = np.abs(np.fft.rfft(loud * np.hanning(len(loud)), 65536))
    first = int(spectrum.argmax())
    spectrum[max(0, first - 200) : first + 200] = 0
    return sorted(peak * SAMPLE_RATE_HZ / 65536 for peak in (first, int(spectrum.argmax())))


def read_until_lost(source: PyAudioMicrophone, timeout_seconds: float = 5.0) -> PeripheralError:
    deadline = time.monotonic() + WAIT_SECONDS
    with pytest.raises(PeripheralError) as lost:
        while time.monotonic() < deadline:
            source.read(timeout_seconds)
    return lost.value


@needs_pulse
def test_what_is_played_in_the_room_is_what_is_heard(server: PulseServer, tmp_path: Path) -> None:
    with microphone() as source:
        server.play(write_tones(tmp_path / "tones.wav"))
        heard = hear_until(source, is_loud_for(1.0))
    assert heard.dtype == np.float32
    assert peaks_hz(heard) == pytest.approx([440, 3000], abs=5)
    assert 0.2 < np.abs(heard).max() < 0.4


@needs_pulse
def test_sound_comes_in_real_time_and_its_chunks_join_up(server: PulseServer) -> None:
    with microphone() as source:
        first = source.read(5.0)
        chunks = [source.read(5.0) for _ in range(40)]
    heard_seconds = sum(len(chunk.samples) for chunk in chunks) / SAMPLE_RATE_HZ
    assert heard_seconds == pytest.approx(chunks[-1].at_seconds - first.at_seconds, abs=1.0)
    assert all(one.at_seconds <= two.at_seconds for one, two in pairwise(chunks))


@needs_pulse
def test_a_device_is_chosen_by_part_of_its_name(server: PulseServer, tmp_path: Path) -> None:
    with microphone("DES") as source:
        server.play(write_tones(tmp_path / "tones.wav"))
        hear_until(source, is_loud_for(0.3))


@needs_pulse
def test_the_input_devices_that_are_there_now_are_listed(server: PulseServer) -> None:
    assert sorted(input_devices()) == ["default", "desk"]


@needs_pulse
def test_an_unknown_device_is_refused_with_the_names_of_those_that_are_there(server: PulseServer) -> None:
    with pytest.raises(PeripheralError, match=r"no input device has 'Yeti' in its name; there are .*'desk'"):
        microphone("Yeti").__enter__()


@needs_pulse
def test_a_killed_sound_server_is_noticed_and_the_next_opening_works(server: PulseServer, tmp_path: Path) -> None:
    source = microphone()
    with source:
        source.read(5.0)
        server.kill()
        killed_at = time.monotonic()
        assert "gone" in str(read_until_lost(source, timeout_seconds=20.0))
        assert time.monotonic() - killed_at < 10.0
    with pytest.raises(PeripheralError):
        source.__enter__()
    server.start()
    with source:
        server.play(write_tones(tmp_path / "tones.wav"))
        assert peaks_hz(hear_until(source, is_loud_for(1.0))) == pytest.approx([440, 3000], abs=5)


@needs_pulse
def test_a_frozen_sound_server_is_noticed_and_does_not_hold_the_closing_up(server: PulseServer) -> None:
    source = microphone()
    with pytest.raises(PeripheralError, match="does not answer"), source:
        source.read(5.0)
        server.freeze()
        assert "delivered nothing for 2 s" in str(read_until_lost(source, timeout_seconds=2.0))
    with pytest.raises(PeripheralError, match="still does not answer"):
        source.__enter__()
    server.thaw()
    reopened = False
    deadline = time.monotonic() + WAIT_SECONDS
    while not reopened and time.monotonic() < deadline:
        try:
            with source:
                reopened = len(source.read(5.0).samples) > 0
        except PeripheralError:
            time.sleep(0.2)
    assert reopened


@needs_pulse
def test_a_removed_source_is_noticed_while_the_server_lives_on(server: PulseServer, tmp_path: Path) -> None:
    source = microphone(dead_silence_seconds=1.0)
    with source:
        server.play(write_tones(tmp_path / "tones.wav", seconds=20.0))
        server.remove_source()
        lost = read_until_lost(source, timeout_seconds=20.0)
    assert "digital silence" in str(lost) or "gone" in str(lost)


@needs_pulse
def test_a_silent_source_stays_lost_until_it_is_heard_again(server: PulseServer, tmp_path: Path) -> None:
    source = microphone(dead_silence_seconds=1.0)
    with source:
        assert "digital silence; check that it is plugged in and not muted" in str(read_until_lost(source))
    with pytest.raises(PeripheralError, match="digital silence"):
        source.__enter__()
    server.play(write_tones(tmp_path / "tones.wav", seconds=30.0))
    with source:
        hear_until(source, is_loud_for(0.3))


@needs_pulse
def test_absent_devices_are_not_written_about_on_stderr(server: PulseServer, capfd: pytest.CaptureFixture[str]) -> None:
    server.kill()
    with pytest.raises(PeripheralError):
        microphone().__enter__()
    assert capfd.readouterr().err == ""


def test_a_microphone_that_is_not_open_says_so() -> None:
    with pytest.raises(PeripheralError, match="not open"):
        microphone().read(0.1)


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000])
def test_resampling_in_pieces_equals_resampling_the_whole(rate_hz: int) -> None:
    sound = np.random.default_rng(7).normal(0, 0.1, rate_hz).astype(np.float32)
    resampler = _Resampler(rate_hz)
    pieces = np.split(sound, np.sort(np.random.default_rng(8).integers(0, len(sound), 40)))
    together = np.concatenate([resampler.feed(piece) for piece in pieces])
    whole = resample_poly(sound, SAMPLE_RATE_HZ, rate_hz)[: len(together)]
    assert len(together) > 0.97 * SAMPLE_RATE_HZ
    assert np.abs(together - whole).max() < 1e-5


LOOK_FOR_A_MICROPHONE = """
import sys
from pathlib import Path
from device.adapters.microphone_pyaudio import input_devices

def resident_kib():
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0])

for _ in range(50):
    input_devices()
before = resident_kib()
for _ in range(200):
    input_devices()
print(resident_kib() - before)
"""


def test_to_look_for_a_microphone_again_and_again_costs_no_memory() -> None:
    # With the plugins of this machine's ALSA, which a test's own configuration would leave out.
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ALSA", "PULSE"))}
    looked = subprocess.run(
        [sys.executable, "-c", LOOK_FOR_A_MICROPHONE],
        check=False,
        env=clean,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert looked.returncode == 0, looked.stderr
    assert int(looked.stdout) < 600
