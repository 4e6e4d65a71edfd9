"""The ears: sound goes in, and once a hop the voice that was heard comes out as a reading."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.domain.reading import Modality, Reading
from device.ports import SAMPLE_RATE_HZ, Chunk, Classifier, SpeechGate, Waveform
from device.sensing.echo import LAG_SECONDS, Cleaned, without_music
from device.sensing.logmel import voice_input
from device.sensing.logmel_spec import LogMelSpec
from device.sensing.own_music import Reference

GAP_SECONDS = 1.0
"""A jump in the chunks' times greater than this: what came before belongs to another moment."""
LONGEST_WAIT_SECONDS = 0.5
"""The fifo of what is played holds two seconds, and a microphone that is gone is to be noticed."""
SPARE_SECONDS = 0.01
"""Whoever wakes a moment too early has to wait for a whole chunk more."""
FULL_SPEECH_SHARE = 0.35
"""From this share of the window on, more speech makes no better reading."""
NOISY_DB, QUIET_DB = -2.0, 6.0
"""Power of the speech over that of all else at which noise leaves LEAST_NOISE_FACTOR of the quality, and all of it."""
LEAST_NOISE_FACTOR = 0.2
"""However loud it is: where nobody is seen a voice that passed the gate has its say, as far as the model is sure."""
LEAST_PAUSE_FRAMES = 15
"""With fewer frames of the window free of speech, what is around is told from its quiet moments."""
FAINT_DBFS, CLEAR_DBFS = -65.0, -42.0
"""Level of the speech at which the quality is 0, and 1."""
CLIPPED_LEVEL = 0.985
CLIPPED_SHARE = 0.05
"""With this share of clipped samples the quality is 0."""
EVEN_DB = 3.0
"""A hop whose loudest moment exceeds the quiet ones by less is an even hum, whatever may be said beneath it."""
NOTED_BELOW = 0.8
LITTLE_MUSIC_SHARE, MUCH_MUSIC_SHARE = 0.5, 0.7
"""Share of the sound that was the speaker's own music: up to the first it is taken out well enough, at the second no
voice counts.

In simulated rooms (`device.lab.own_music --part tune`) speech as loud as the music lies below the first in half of the
windows, and speech 5 dB below it around 0.75.
"""
UNKNOWN_MUSIC_FACTOR = 0.5
DOMINANT_DB = 25.0
"""Speech this far above everything else is not taken for the speaker's own song."""
LEVEL_FRAME_SAMPLES = SAMPLE_RATE_HZ // 50
SILENCE_POWER = 1e-12


@dataclass(frozen=True, slots=True)
class Factor:
    """One reason to trust a window less."""

    note: str
    value: float
    """0 useless … 1 no objection."""


@dataclass(frozen=True, slots=True)
class Levels:
    """How loud the moments of a window are."""

    active_dbfs: float
    """Of its loud moments: the 90th percentile of 20 ms frames."""
    floor_dbfs: float
    """Of its quiet moments: the 10th percentile."""

    @property
    def distance_db(self) -> float:
        """How far the loud moments stand out."""
        return self.active_dbfs - self.floor_dbfs


class Ears:
    """Keeps the last window of sound, no more, and reads it once a hop while somebody speaks.

    The speaker's own music is taken out with the help of `reference`, and lowers the quality where much of the sound
    was music. While `playing()` is true, and until what was played then has left the window, the quality is halved
    where the reference tells nothing, unless the speech stands out by DOMINANT_DB.
    """

    def __init__(
        self,
        gate: SpeechGate,
        classifier: Classifier,
        spec: LogMelSpec,
        hop_seconds: float,
        smallest_speech_share: float,
        playing: Callable[[], bool],
        reference: Reference | None = None,
    ) -> None:
        self._gate = gate
        self._classifier = classifier
        self._spec = spec
        self._hop_samples = round(hop_seconds * SAMPLE_RATE_HZ)
        self._smallest_speech_share = smallest_speech_share
        self._playing = playing
        self._reference = reference
        self._window: Waveform
        self._spoken: NDArray[np.bool_]
        """Which samples of the window are speech, as far as they were read."""
        self._unread_samples: int
        self._end_seconds = 0.0
        self._played_seconds = -math.inf
        """When music was last known to be playing."""
        self.forget()

    def hear(self, chunk: Chunk) -> Reading | None:
        """Take in a chunk; a reading at its end when a hop is full and speech was in it."""
        if self._reference:
            self._reference.listen(chunk.at_seconds)
        if self._playing():
            self._played_seconds = chunk.at_seconds
        self._take_in(chunk)
        if self._unread_samples < self._hop_samples:
            return None
        newest_samples, self._unread_samples = self._unread_samples, 0
        return self._read(newest_samples)

    def wait_seconds(self) -> float:
        """From the chunk taken in last to the next: until the hop is full there is nothing to do with sound."""
        missing_seconds = (self._hop_samples - self._unread_samples) / SAMPLE_RATE_HZ
        return min(LONGEST_WAIT_SECONDS, missing_seconds) + SPARE_SECONDS

    def forget(self) -> None:
        """Keep nothing of what was heard; the microphone was closed."""
        self._window = np.zeros(0, dtype=np.float32)
        self._spoken = np.zeros(0, dtype=np.bool_)
        self._unread_samples = 0
        self._gate.forget()

    def _take_in(self, chunk: Chunk) -> None:
        began_seconds = chunk.at_seconds - len(chunk.samples) / SAMPLE_RATE_HZ
        if abs(began_seconds - self._end_seconds) > GAP_SECONDS:
            self.forget()
        self._end_seconds = chunk.at_seconds
        self._window = np.concatenate([self._window, chunk.samples])[-self._spec.window_samples :]
        self._unread_samples += len(chunk.samples)

    def _read(self, newest_samples: int) -> Reading | None:
        """Each sound that stands out passes the gate once; without speech in the newest hop, all was read before."""
        # A microphone's constant part is no sound, and would drown all levels.
        window = self._window - self._window.mean()
        cleaned = self._without_own_music(window)
        heard = cleaned.samples if cleaned else window
        newest = heard[-newest_samples:]
        spoken = self._speech_in(newest, heard)
        self._spoken = np.concatenate([self._spoken, spoken])[-self._spec.window_samples :]
        speech_share = float(self._spoken.sum()) / self._spec.window_samples
        if not spoken.any() or speech_share < self._smallest_speech_share:
            return None
        posterior = self._classifier.classify(voice_input(heard, self._spec))
        quality, note = self._quality(heard, speech_share, cleaned)
        return Reading(Modality.VOICE, posterior, quality, self._end_seconds, note)

    def _speech_in(self, newest: Waveform, heard: Waveform) -> NDArray[np.bool_]:
        """Which samples of the newest hop of what was heard are speech."""
        if stands_out(newest, heard):
            return self._gate.spoken(newest)
        self._gate.forget()
        return np.zeros(len(newest), dtype=np.bool_)

    def _without_own_music(self, window: Waveform) -> Cleaned | None:
        """The window without what was played in it; None when nothing was, or nobody tells what.

        A song that has just been paused is in the window still.
        """
        seconds = len(window) / SAMPLE_RATE_HZ + LAG_SECONDS
        played = self._reference.latest(seconds) if self._reference else None
        return None if played is None else without_music(played, window)

    def _quality(self, heard: Waveform, speech_share: float, cleaned: Cleaned | None) -> tuple[float, str]:
        levels = measure_levels(heard)
        factors = [
            Factor("little speech", min(1.0, speech_share / FULL_SPEECH_SHARE)),
            Factor("noise", _noise_factor(speech_over_rest_db(heard, self._spoken))),
            Factor("faint", _ramp(levels.active_dbfs, FAINT_DBFS, CLEAR_DBFS)),
            Factor("clipped", 1.0 - _ramp(_clipped_share(self._window), 0.0, CLIPPED_SHARE)),
            Factor("own music", self._music_factor(levels, cleaned)),
        ]
        worst = min(factors, key=lambda factor: factor.value)
        quality = float(np.prod([factor.value for factor in factors]))
        return quality, worst.note if worst.value < NOTED_BELOW else ""

    def _music_factor(self, levels: Levels, cleaned: Cleaned | None) -> float:
        if cleaned:
            return 1.0 - _ramp(cleaned.music_share, LITTLE_MUSIC_SHARE, MUCH_MUSIC_SHARE)
        over = self._end_seconds - self._played_seconds > self._spec.window_seconds + LAG_SECONDS
        return 1.0 if over or levels.distance_db >= DOMINANT_DB else UNKNOWN_MUSIC_FACTOR


def speech_over_rest_db(window: Waveform, spoken: NDArray[np.bool_]) -> float:
    """How far speech stands out: mean power of the frames of `window` (float32 [n]) in which somebody speaks over that
    of those in which nobody does, in dB; `spoken` [n] tells which samples are speech.
    """
    powers = frame_powers(window)
    shares = _frame_means(spoken.astype(np.float64))
    speech, rest = powers[shares == 1], powers[shares == 0]
    loud = speech.mean() if len(speech) else np.quantile(powers, 0.9)
    around = rest.mean() if len(rest) >= LEAST_PAUSE_FRAMES else np.quantile(powers, 0.1)
    return float(10 * np.log10((loud + SILENCE_POWER) / (around + SILENCE_POWER)))


def measure_levels(window: Waveform) -> Levels:
    """Levels of the loud and the quiet moments of `window` (float32 [n]), in dB of full scale."""
    levels = _frame_levels(window)
    if not len(levels):
        return Levels(-120.0, -120.0)
    quiet, loud = np.quantile(levels, (0.1, 0.9))
    return Levels(float(loud), float(quiet))


def stands_out(newest: Waveform, window: Waveform) -> bool:
    """Whether any moment of `newest` is neither faint nor like the quiet moments of `window`, which it ends.

    What does not is no speech, or too faint or too deep in noise to be read: the gate, which costs a hundred times as
    much, need not ask.
    """
    levels = _frame_levels(newest)
    if not len(levels):
        return True
    loudest_dbfs = float(levels.max())
    # The whole window is measured only where that decides: most rooms are silent most of the time.
    return loudest_dbfs > FAINT_DBFS and loudest_dbfs > float(np.quantile(_frame_levels(window), 0.1)) + EVEN_DB


def frame_powers(window: Waveform) -> NDArray[np.float64]:
    """Mean power of each whole 20 ms of `window` (float32 [n]), the last ones ending with it."""
    return _frame_means(window.astype(np.float64) ** 2)


def _frame_levels(window: Waveform) -> NDArray[np.float64]:
    """The same in dB of full scale."""
    return np.asarray(10 * np.log10(frame_powers(window) + SILENCE_POWER))


def _frame_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    whole = len(values) // LEVEL_FRAME_SAMPLES * LEVEL_FRAME_SAMPLES
    return np.asarray(values[len(values) - whole :].reshape(-1, LEVEL_FRAME_SAMPLES).mean(axis=1))


def _noise_factor(speech_over_rest_db: float) -> float:
    return LEAST_NOISE_FACTOR + (1.0 - LEAST_NOISE_FACTOR) * _ramp(speech_over_rest_db, NOISY_DB, QUIET_DB)


def _clipped_share(window: Waveform) -> float:
    return float(np.mean(np.abs(window) >= CLIPPED_LEVEL))


def _ramp(value: float, nothing: float, everything: float) -> float:
    return float(np.clip((value - nothing) / (everything - nothing), 0.0, 1.0))
