"""The lab's simulated rooms and gate, and the echo cancellers that the box configures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from device.config import Config
from device.domain.fusion import FusionSettings
from device.domain.reading import Modality, Posterior, Reading
from device.lab.gate import noise_passed, speech_passed, spoken_windows
from device.lab.own_music import LAG_SECONDS, WINDOW_SECONDS, Listener, Scene, outcomes
from device.lab.sound import at_level, delayed, in_room, mixed, power, through_loudspeaker
from device.ports import SAMPLE_RATE_HZ
from device.sensing.echo import without_music
from device.sensing.logmel_spec import LogMelSpec
from tests.pulse import PulseServer, missing
from tests.sounds import music, noise, rms

FIRMWARE_CONFIG = Path(__file__).parents[1] / "firmware_config"
SPEC = LogMelSpec(mean=(-40.0,) * 64, std=(15.0,) * 64)
SECOND = SAMPLE_RATE_HZ


class LoudIsSpeech:
    """A gate that takes every loud sample for speech."""

    def spoken(self, samples: np.ndarray) -> np.ndarray:
        return np.abs(samples) > 0.01

    def forget(self) -> None:
        pass


def response(seed: int) -> np.ndarray:
    """A small room: a direct sound and a tail of a third of a second."""
    at = np.arange(SECOND // 3) / SECOND
    tail = np.random.default_rng(seed).normal(0, 0.05, len(at)) * np.exp(-20 * at)
    tail[0] = 1.0
    return (tail / np.sqrt((tail**2).sum())).astype(np.float32)


def scene(speaks: bool) -> Scene:
    dry = music(4.0, seed=3)
    echo = at_level(in_room(delayed(through_loudspeaker(dry), 0.1), response(1)), -30.0)
    speech = np.concatenate([np.zeros(SECOND), noise(3.0, 0.1)]).astype(np.float32) if speaks else np.zeros_like(dry)
    return Scene(dry, echo, in_room(speech, response(2)), 3, noise(4.0, 0.0005))


def share(heard: np.ndarray, one: Scene) -> float:
    return without_music(one.dry, heard[-WINDOW_SECONDS * SECOND :]).music_share


def test_a_bent_and_delayed_song_in_a_room_is_still_the_speakers_own() -> None:
    one = scene(speaks=False)
    assert LAG_SECONDS > 0.1
    assert share(one.heard(0), one) > 0.7


@pytest.mark.parametrize(("speech_db", "least", "most"), [(10, 0.0, 0.15), (0, 0.25, 0.6), (-10, 0.6, 1.0)])
def test_the_louder_the_speech_the_less_is_the_speakers_own(speech_db: float, least: float, most: float) -> None:
    one = scene(speaks=True)
    assert least <= share(one.heard(speech_db), one) <= most


def test_without_the_song_nothing_is_the_speakers_own() -> None:
    one = scene(speaks=True)
    assert share(one.heard(None), one) < 0.1


def test_a_mixture_has_the_level_it_was_asked_for() -> None:
    speech, beneath = noise(2.0, 0.05, seed=1), noise(1.0, 0.2, seed=2)
    added = mixed(speech, beneath, 10.0) - speech
    assert 10 * np.log10(power(speech) / power(added)) == pytest.approx(10.0, abs=0.1)


def test_a_loudspeaker_plays_no_bass_and_adds_harmonics() -> None:
    at = np.arange(SECOND) / SECOND
    bass, tone = (0.5 * np.sin(2 * np.pi * hz * at).astype(np.float32) for hz in (40, 500))
    assert rms(through_loudspeaker(bass)) < 0.2 * rms(bass)
    spectrum = np.abs(np.fft.rfft(through_loudspeaker(tone)[SECOND // 4 : SECOND // 4 + SECOND // 2]))
    assert 0.005 < spectrum[750] / spectrum[250] < 0.1


def test_a_window_counts_as_speech_where_its_newest_hop_and_a_quarter_of_it_are_spoken() -> None:
    silent, loud = np.zeros(SECOND, dtype=np.float32), noise(1.0, 0.1)
    half = np.concatenate([loud[: SECOND // 2], silent[: SECOND // 2]])
    sound = np.concatenate([silent, loud, half, silent, half])
    assert spoken_windows(sound, 1.0, 3.0) == [False, True, True, False, True]
    assert spoken_windows(np.concatenate([silent, silent, half]), 1.0, 3.0) == [False, False, False]


def test_readings_are_counted_of_noise_and_of_speech_through_the_ears() -> None:
    faint, syllables = noise(3.0, 0.0003), np.repeat(np.tile([1.0, 1.0, 1.0, 0.01], 15), SECOND // 20)
    loud = (noise(3.0, 0.1) * syllables).astype(np.float32)
    passed = noise_passed([faint], LoudIsSpeech(), SPEC, Config())
    assert (passed.readings, passed.windows) == (0, 3)
    passed = speech_passed([(loud, loud), (loud, faint)], LoudIsSpeech(), SPEC, Config())
    assert (passed.readings, passed.windows) == (3, 6)


@pytest.mark.parametrize(
    ("quality", "top", "label", "becomes"),
    [
        (1.0, 0.9, 3, "right"),
        (1.0, 0.9, 4, "wrong"),
        (FusionSettings().smallest_weight, 0.9, 3, "unknown"),
        (1.0, 0.3, 3, "unknown"),
    ],
)
def test_a_voice_that_has_no_weight_or_no_clear_answer_is_unknown(
    quality: float, top: float, label: int, becomes: str
) -> None:
    others = (1 - top) / 6
    posterior = Posterior(tuple(top if index == 3 else others for index in range(7)))
    assert Listener(Config()).outcome(Reading(Modality.VOICE, posterior, quality, 1.0), label) == becomes


def test_no_reading_is_unknown_and_shares_sum_to_one() -> None:
    assert Listener(Config()).outcome(None, 3) == "unknown"
    found = outcomes([("right", True), ("wrong", False), ("unknown", True), ("right", True)])
    assert (found.right, found.wrong, found.unknown, found.likeliest) == (0.5, 0.25, 0.25, 0.75)


@pytest.mark.skipif(missing() != "", reason=f"not installed: {missing()}")
def test_pulseaudios_echo_canceller_becomes_what_is_heard_and_played_by_default(tmp_path: Path) -> None:
    with PulseServer(tmp_path) as server:
        server.add_microphone()
        server.configure(FIRMWARE_CONFIG / "pulseaudio-echo-cancel.pa")
        assert server.defaults() == ("moodify_room", "moodify_speaker")
