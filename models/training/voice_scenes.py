"""Recordings as a microphone hears them across a room: another voice, echoes, noise or music, cut as windows are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt

from device.demo.composer import CALM, HAPPY, SAD, TENSE, compose
from device.demo.synth import RATE_HZ, render
from device.lab.evaluate import everyday_noises, read_clip
from device.lab.sound import resampled
from device.ports import SAMPLE_RATE_HZ, Waveform
from device.sensing.logmel import speech_span
from models.training.voice_corpora import SPEC

ROOMS = 200
SONGS = 16
FIRST_SONG = 100
"""Seed; the demo's own pieces and those that the own music is measured with have smaller ones."""
LONGEST_RESPONSE_SECONDS = 1.0
MOST_BOUNCES = 24
PERCENT = 100


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What chance may do to a recording."""

    length_percent: tuple[int, int] = (88, 114)
    """Played faster or slower: pitch, throat and tempo together."""
    room_share: float = 0.6
    noise_share: float = 0.35
    noise_ratio_db: tuple[float, float] = (0.0, 25.0)
    music_share: float = 0.15
    music_ratio_db: tuple[float, float] = (0.0, 20.0)
    hiss_ratio_db: tuple[float, float] = (20.0, 50.0)
    """Every microphone has some."""
    narrow_share: float = 0.15
    narrow_hz: tuple[float, float] = (3000.0, 7000.0)
    cut_share: float = 0.3
    """Of the windows that lose some of the words …"""
    longest_cut: float = 0.35
    """… at most this much of them."""


SURROUNDINGS = Surroundings()


@dataclass(frozen=True, slots=True)
class World:
    """What surrounds people who speak; all at 16 kHz."""

    responses: Sequence[Waveform]
    noises: Sequence[Waveform]
    songs: Sequence[Waveform]


def responses(count: int, seed: int) -> list[Waveform]:
    """How rooms of chance answer, float32 [n] of energy 1 each: boxes whose sound dies away in 0.2 … 0.9 s."""
    import pyroomacoustics

    rng = np.random.default_rng(seed)
    found: list[Waveform] = []
    while len(found) < count:
        sides = rng.uniform((2.5, 2.5, 2.3), (8.0, 6.0, 3.2))
        try:
            absorbed, order = pyroomacoustics.inverse_sabine(float(rng.uniform(0.2, 0.9)), sides)
        except ValueError:  # No wall is so soft.
            continue
        walls = pyroomacoustics.Material(absorbed)
        room = pyroomacoustics.ShoeBox(sides, SAMPLE_RATE_HZ, materials=walls, max_order=min(order, MOST_BOUNCES))
        room.add_source(rng.uniform(0.4, sides - 0.4))
        room.add_microphone(rng.uniform(0.4, sides - 0.4))
        room.compute_rir()
        response = room.rir[0][0][: round(LONGEST_RESPONSE_SECONDS * SAMPLE_RATE_HZ)]
        response = response[int(np.argmax(np.abs(response) > np.abs(response).max() / 10)) :]
        found.append((response / np.sqrt((response**2).sum())).astype(np.float32))
    return found


def world(data: Path) -> World:
    """Rooms of chance, the everyday noises that train, and music as the demo composes it; the same every time."""
    return World(
        responses(ROOMS, seed=1),
        [read_clip(path) for path in everyday_noises(data, trained=True)],
        [_song(number) for number in range(SONGS)],
    )


def _song(number: int) -> Waveform:
    """The first 20 s of a piece."""
    piece = compose((HAPPY, TENSE, SAD, CALM)[number % 4], FIRST_SONG + number)
    first = [note for note in piece.notes if note.start_seconds < 18.0]
    return resampled(render(first, 20.0, piece.room, number).mean(axis=1), RATE_HZ)


def overheard(speech: Waveform, world: World, ways: Surroundings, rng: np.random.Generator) -> Waveform:
    """A window, float32 [SPEC.window_samples], in which somebody speaks somewhere in the world."""
    window = SPEC.window_samples
    span = speech_span(speech, SAMPLE_RATE_HZ)
    spoken = resample_poly(speech[span.start : span.stop], int(rng.integers(*ways.length_percent)), PERCENT)
    sound = np.pad(spoken, window).astype(np.float32)
    if rng.random() < ways.room_share:
        sound = fftconvolve(sound, world.responses[rng.integers(len(world.responses))])[: len(sound)]
    level = np.sqrt(np.mean(sound[window:-window] ** 2))
    sound = sound + _beneath(_hiss(len(sound), rng), level, ways.hiss_ratio_db, rng)
    if rng.random() < ways.noise_share:
        sound = sound + _beneath(_piece(world.noises, len(sound), rng), level, ways.noise_ratio_db, rng)
    if rng.random() < ways.music_share:
        sound = sound + _beneath(_piece(world.songs, len(sound), rng), level, ways.music_ratio_db, rng)
    if rng.random() < ways.narrow_share:
        sound = sosfilt(butter(4, rng.uniform(*ways.narrow_hz), fs=SAMPLE_RATE_HZ, output="sos"), sound)
    start = window_start(len(spoken), window, ways, rng)
    return np.asarray(sound[start : start + window], dtype=np.float32)


def window_start(spoken: int, window: int, ways: Surroundings, rng: np.random.Generator) -> int:
    """The sample at which a window begins; the words, `spoken` samples, begin at `window`, with quiet on both sides."""
    lost = round(spoken * rng.uniform(0, ways.longest_cut)) if rng.random() < ways.cut_share else 0
    spare = window - (spoken - lost)
    if spare < 0:
        return window + int(rng.integers(0, spoken - window + 1))
    if lost == 0:
        return window - int(rng.integers(0, spare + 1))
    return window + lost if rng.random() < 0.5 else window - spare


def _beneath(noise: Waveform, level: float, ratio_db: tuple[float, float], rng: np.random.Generator) -> Waveform:
    """The noise so far beneath a level."""
    own = np.sqrt(np.mean(noise**2))
    return np.asarray(noise * (level / max(own, 1e-6) * 10 ** (-rng.uniform(*ratio_db) / 20)), dtype=np.float32)


def _piece(sounds: Sequence[Waveform], samples: int, rng: np.random.Generator) -> Waveform:
    """A piece of one of them, from anywhere, repeated if it is too short."""
    sound = sounds[rng.integers(len(sounds))]
    return np.resize(np.roll(sound, -int(rng.integers(len(sound)))), samples)


def _hiss(samples: int, rng: np.random.Generator) -> Waveform:
    """Noise between white and brown."""
    white = rng.standard_normal(samples, dtype=np.float32)
    kept = rng.uniform(0, 0.95)
    return np.asarray(sosfilt(np.array([[1.0, 0, 0, 1, -kept, 0]]), white), dtype=np.float32)
