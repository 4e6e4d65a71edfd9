"""Turns notes into stereo sound: additive voices, drums, reverb and loudness, all in numpy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, oaconvolve, sosfilt

RATE_HZ = 32_000
LOUDNESS_DB = -19.0
"""Mean level of every piece after the ear's weighting, in dB of full scale."""
LIMIT = 0.89
"""No sample exceeds this: room for what lossy coding adds."""

Sound = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Voice:
    """How an instrument sounds."""

    partials: tuple[tuple[float, float, float], ...]
    """(multiple of the pitch, level, decay per second) of each sine."""
    attack_seconds: float = 0.005
    release_seconds: float = 0.12
    detune_cents: float = 0.0
    """Two copies this far above and below the pitch, for width."""
    vibrato_cents: float = 0.0
    drive: float = 0.0
    """Soft clipping, 0 none … 4 hard."""


def _harmonic(
    slope: float, count: int, decay: float = 0.0, spread: float = 0.0
) -> tuple[tuple[float, float, float], ...]:
    """`count` harmonics falling with k^-slope; the k-th decays by `decay` + k × `spread` per second."""
    return tuple((float(k), k**-slope, decay + spread * k) for k in range(1, count + 1))


VOICES = {
    "keys": Voice(((1, 1.0, 1.6), (2, 0.35, 2.6), (3, 0.12, 4.0), (7, 0.10, 11.0), (14, 0.03, 20.0)), 0.004, 0.25, 2.0),
    "pluck": Voice(_harmonic(1.25, 9, 1.8, 1.3), 0.003, 0.2, 1.5),
    "marimba": Voice(((1, 1.0, 5.0), (3.93, 0.25, 12.0), (9.2, 0.06, 25.0)), 0.002, 0.1),
    "bell": Voice(((1, 1.0, 1.4), (2.0, 0.4, 2.2), (2.76, 0.22, 3.5), (5.4, 0.10, 6.0)), 0.002, 0.6),
    "flute": Voice(((1, 1.0, 0.0), (2, 0.28, 0.0), (3, 0.10, 0.0), (4, 0.04, 0.0)), 0.06, 0.16, 0.0, 7.0),
    "reed": Voice(((1, 1.0, 0.1), (3, 0.30, 0.1), (5, 0.14, 0.2), (7, 0.05, 0.3)), 0.04, 0.14, 1.0, 6.0),
    "strings": Voice(_harmonic(1.5, 8), 0.22, 0.5, 5.0, 4.0),
    "pad": Voice(_harmonic(2.0, 6), 0.7, 1.2, 5.0),
    "glass": Voice(((1, 1.0, 0.25), (2, 0.30, 0.4), (4, 0.12, 0.8), (6, 0.04, 1.2)), 0.35, 1.2, 4.0),
    "bass": Voice(_harmonic(1.4, 6, 1.0, 0.8), 0.006, 0.08),
    "deep": Voice(((1, 1.0, 0.5), (2, 0.22, 0.8), (3, 0.06, 1.5)), 0.03, 0.25),
    "growl": Voice(_harmonic(1.05, 10, 0.6, 0.5), 0.004, 0.05, 5.0, 0.0, 1.6),
    "edge": Voice(_harmonic(1.0, 12, 0.3, 0.15), 0.005, 0.06, 7.0, 0.0, 2.0),
    "siren": Voice(_harmonic(1.2, 10, 0.1, 0.1), 0.02, 0.12, 5.0, 10.0, 1.2),
}


@dataclass(frozen=True, slots=True)
class Note:
    """One note or drum hit of a score."""

    voice: str
    """A key of VOICES or DRUMS."""
    start_seconds: float
    seconds: float
    pitch: int
    """MIDI note number; ignored for drums."""
    level: float
    pan: float = 0.0
    """-1 left … 1 right."""


@dataclass(frozen=True, slots=True)
class Room:
    """The reverberation of a piece."""

    share: float
    """How much of the sound is reverberated."""
    seconds: float
    """Time to fall by 60 dB."""
    cutoff_hz: float
    """Everything above is dulled: the piece's brightness."""


def render(notes: Sequence[Note], seconds: float, room: Room, seed: int) -> Sound:
    """Mix `notes` to [n, 2] at RATE_HZ: reverberated, faded at both ends, at LOUDNESS_DB."""
    mix = np.zeros((2, int(seconds * RATE_HZ)), dtype=np.float32)
    for note in notes:
        _add(mix, note)
    dulled = sosfilt(butter(2, room.cutoff_hz, fs=RATE_HZ, output="sos"), mix, axis=1)
    wet = oaconvolve(dulled, _echoes(room, seed), axes=1)[:, : mix.shape[1]]
    return _level(_fade(np.asarray(dulled + room.share * wet, dtype=np.float32))).T


def weighted_level_db(sound: Sound) -> float:
    """Mean level of `sound` [n, 2] as the ear weighs it (BS.1770's two filters, simplified), in dB of full scale."""
    mono = sound.mean(axis=1)
    rumble_free = sosfilt(butter(2, 60.0, "highpass", fs=RATE_HZ, output="sos"), mono)
    bright = sosfilt(butter(1, 1500.0, "highpass", fs=RATE_HZ, output="sos"), rumble_free)
    return float(10 * np.log10(np.mean((rumble_free + 0.58 * bright) ** 2) + 1e-12))


def _add(mix: Sound, note: Note) -> None:
    wave = drum(note.voice) if note.voice in DRUMS else tone(note.voice, note.pitch, round(note.seconds, 3))
    start = int(note.start_seconds * RATE_HZ)
    wave = wave[: max(0, mix.shape[1] - start)]
    angle = (note.pan + 1) * np.pi / 4
    mix[0, start : start + len(wave)] += np.float32(note.level * np.cos(angle)) * wave
    mix[1, start : start + len(wave)] += np.float32(note.level * np.sin(angle)) * wave


@lru_cache(maxsize=512)
def tone(name: str, pitch: int, seconds: float) -> Sound:
    """One note of VOICES[name], release included, [n] with its peak near 1."""
    voice = VOICES[name]
    length = int((seconds + voice.release_seconds) * RATE_HZ)
    t = np.arange(length, dtype=np.float32) / np.float32(RATE_HZ)
    cents = (-voice.detune_cents, voice.detune_cents) if voice.detune_cents else (0.0,)
    hertz = 440.0 * 2 ** ((pitch - 69) / 12)
    wave = sum((_partials(voice, hertz * 2 ** (c / 1200), t, pitch + c) for c in cents), np.zeros(length, np.float32))
    if voice.drive:
        wave = np.tanh(wave * np.float32(voice.drive / max(1e-6, np.abs(wave).max()) * 2))
    wave *= _envelope(voice, length)
    return np.asarray(wave / max(1e-6, float(np.abs(wave).max())), dtype=np.float32)


def _partials(voice: Voice, hertz: float, t: Sound, phase_seed: float) -> Sound:
    wave = np.zeros_like(t)
    turn = np.float32(2 * np.pi * hertz) * t
    if voice.vibrato_cents:
        depth = hertz * voice.vibrato_cents / 1200 * np.log(2) / 5.2
        turn += np.float32(depth) * np.sin(np.float32(2 * np.pi * 5.2) * t) * np.minimum(1, t * 3)
    for ratio, level, decay in voice.partials:
        if ratio * hertz > 0.42 * RATE_HZ:
            break
        sine = np.sin(np.float32(ratio) * turn + np.float32(phase_seed * ratio))
        wave += np.float32(level) * (sine * np.exp(np.float32(-decay) * t) if decay else sine)
    return wave


def _envelope(voice: Voice, length: int) -> Sound:
    envelope = np.ones(length, dtype=np.float32)
    attack = min(length, max(1, int(voice.attack_seconds * RATE_HZ)))
    release = min(length, max(1, int(voice.release_seconds * RATE_HZ)))
    envelope[:attack] *= np.sin(np.linspace(0, np.pi / 2, attack, dtype=np.float32)) ** 2
    envelope[-release:] *= np.cos(np.linspace(0, np.pi / 2, release, dtype=np.float32)) ** 2
    return envelope


@lru_cache(maxsize=32)
def drum(name: str) -> Sound:
    """One hit of DRUMS[name], [n] with its peak at 1."""
    seconds, tone_hz, sweep_hz, tone_decay, noise, noise_decay, band = DRUMS[name]
    t = np.arange(int(seconds * RATE_HZ), dtype=np.float64) / RATE_HZ
    body = np.sin(2 * np.pi * (tone_hz * t + sweep_hz / 40 * (1 - np.exp(-40 * t)))) * np.exp(-tone_decay * t)
    hiss = np.random.default_rng(len(name) * 7919).standard_normal(len(t))
    hiss = sosfilt(butter(2, band, "bandpass", fs=RATE_HZ, output="sos"), hiss) * np.exp(-noise_decay * t)
    hit = (body if tone_hz else 0) + noise * hiss
    hit *= np.minimum(1, t / 0.001) * np.minimum(1, (t[-1] - t) / 0.01)
    return np.asarray(hit / np.abs(hit).max(), dtype=np.float32)


DRUMS = {
    # seconds, tone Hz, sweep Hz, tone decay/s, noise share, noise decay/s, noise band Hz
    "kick": (0.30, 48.0, 110.0, 13.0, 0.05, 90.0, (900.0, 4000.0)),
    "thud": (0.40, 44.0, 60.0, 10.0, 0.02, 90.0, (300.0, 1500.0)),
    "snare": (0.22, 185.0, 40.0, 26.0, 1.2, 20.0, (1200.0, 9000.0)),
    "clap": (0.20, 0.0, 0.0, 1.0, 1.0, 22.0, (1000.0, 5000.0)),
    "rim": (0.08, 820.0, 0.0, 70.0, 0.4, 90.0, (1500.0, 6000.0)),
    "hat": (0.07, 0.0, 0.0, 1.0, 1.0, 70.0, (7000.0, 14000.0)),
    "open": (0.30, 0.0, 0.0, 1.0, 1.0, 13.0, (6500.0, 14000.0)),
    "shaker": (0.10, 0.0, 0.0, 1.0, 1.0, 40.0, (4500.0, 11000.0)),
    "brush": (0.35, 0.0, 0.0, 1.0, 1.0, 11.0, (1800.0, 7000.0)),
    "tom": (0.40, 90.0, 45.0, 9.0, 0.1, 60.0, (400.0, 2500.0)),
}


def _echoes(room: Room, seed: int) -> Sound:
    """A stereo impulse response: decaying noise after a short gap, dulled like the room."""
    length, gap = int(room.seconds * RATE_HZ), int(0.018 * RATE_HZ)
    t = np.arange(length, dtype=np.float32) / RATE_HZ
    noise = np.random.default_rng(seed).standard_normal((2, length)) * np.exp(-6.9 * t / room.seconds)
    band = (180.0, min(5200.0, room.cutoff_hz))
    echoes = np.zeros((2, gap + length), dtype=np.float32)
    echoes[:, gap:] = sosfilt(butter(1, band, "bandpass", fs=RATE_HZ, output="sos"), noise, axis=1)
    echoes /= np.sqrt((echoes**2).sum(axis=1, keepdims=True))
    return echoes


def _fade(mix: Sound) -> Sound:
    rise, fall = int(0.02 * RATE_HZ), int(2.5 * RATE_HZ)
    mix[:, :rise] *= np.linspace(0, 1, rise, dtype=np.float32)
    mix[:, -fall:] *= np.cos(np.linspace(0, np.pi / 2, fall, dtype=np.float32)) ** 2
    return mix


def _level(mix: Sound) -> Sound:
    """Bring to LOUDNESS_DB; peaks above half of full scale are bent below LIMIT."""
    for _ in range(2):
        mix = mix * np.float32(10 ** ((LOUDNESS_DB - weighted_level_db(mix.T)) / 20))
        knee = 0.5
        over = np.abs(mix) > knee
        bent = knee + (LIMIT - knee) * np.tanh((np.abs(mix[over]) - knee) / (LIMIT - knee))
        mix[over] = np.sign(mix[over]) * bent
    return mix
