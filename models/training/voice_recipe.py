"""How a voice network is trained: speech varied as throats, rooms and microphones do, and corpora drawn alike.

Everything is varied on the log-mels, anew at every step: no clip is ever heard twice the same way, and the recordings
have to be analysed only once.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from device.domain.labels import LABELS
from device.sensing.logmel import CLIP, standardise
from device.sensing.logmel_spec import LogMelSpec
from models.training.voice_corpora import CORPORA, SPEC, Corpora
from models.training.voice_network import build

BATCH = 64
PEAK_RATE = 1.5e-3
WARM_UP = 0.05
WEIGHT_DECAY = 1e-2
CLIP_NORM = 2.0
AVERAGED = 0.99
"""Share of the averaged weights that stays at each step."""
SMOOTHING = 0.05
MIXED_SHARE = 0.4
NOISE_ROWS = 4
"""Rows of a batch that hold noise without speech; nothing is right about them but not to know."""
STRETCH = 0.12
"""Vocal tract and tempo, as the deviation of the logarithm's ends."""
COLOUR_DB = 3.0
NOISE_RATIO_DB = (0.0, 30.0)
LEVEL_DB = 1.5
BEYOND_LIMIT_DB = 50.0


def train(corpora: Corpora, rows: np.ndarray, steps: int, seed: int) -> tuple[Any, LogMelSpec]:
    """Train on `rows`; the network with averaged weights, and the spec with the rows' mean and deviation."""
    import tensorflow as tf

    tf.keras.utils.set_random_seed(seed)
    spec = standardised_spec(corpora.levels[rows])
    model, average = build(spec), build(spec)
    average.set_weights(model.get_weights())
    step = _step(model, average, steps)
    rng = np.random.default_rng(seed)
    chances = even_chances(corpora, rows)
    began, losses = time.monotonic(), []
    for number in range(1, steps + 1):
        values, target = batch(corpora, rng.choice(rows, BATCH, p=chances), spec, rng)
        losses.append(float(step(values, target)))
        if number % 200 == 0 or number == steps:
            print(f"step {number}/{steps} loss {np.mean(losses):.3f} {time.monotonic() - began:.0f} s", flush=True)
            losses.clear()
    return average, spec


def _step(model: Any, average: Any, steps: int) -> Any:
    """One step of AdamW on a cosine schedule, which also moves the averaged weights."""
    import tensorflow as tf

    schedule = tf.keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=PEAK_RATE, warmup_steps=max(1, int(steps * WARM_UP))
    )
    optimiser = tf.keras.optimizers.AdamW(schedule, weight_decay=WEIGHT_DECAY, clipnorm=CLIP_NORM)
    optimiser.build(model.trainable_variables)

    @tf.function
    def step(values: Any, target: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(target, model(values, training=True)))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimiser.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        for kept, new in zip(average.weights, model.weights, strict=True):
            kept.assign(kept * AVERAGED + new * (1 - AVERAGED))
        return loss

    return step


def standardised_spec(levels: np.ndarray) -> LogMelSpec:
    """The spec with the mean and deviation of each band over `levels` [N, frames, bands]."""
    some = levels[:: max(1, len(levels) // 2000)].astype(np.float32)
    mean, std = some.mean(axis=(0, 1)).round(3), some.std(axis=(0, 1)).round(3)
    return replace(SPEC, mean=tuple(map(float, mean)), std=tuple(map(float, std)))


def even_chances(corpora: Corpora, rows: np.ndarray) -> np.ndarray:
    """Chance of each row to be drawn, float64 [n]: every corpus alike, and within it every label alike."""
    kind = corpora.corpus[rows] * len(LABELS) + corpora.label[rows]
    sizes = np.bincount(kind, minlength=len(CORPORA) * len(LABELS))
    labels = (sizes.reshape(len(CORPORA), len(LABELS)) > 0).sum(axis=1)
    chances = 1 / (sizes[kind] * labels[corpora.corpus[rows]])
    return np.asarray(chances / chances.sum())


def batch(
    corpora: Corpora, rows: np.ndarray, spec: LogMelSpec, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs float32 [n, frames, bands] and targets float32 [n, 7]: speech, varied and mixed, and a little noise."""
    levels = corpora.levels[rows].astype(np.float32)
    target = np.eye(len(LABELS), dtype=np.float32)[corpora.label[rows]] * (1 - SMOOTHING) + SMOOTHING / len(LABELS)
    noise = corpora.noises[rng.integers(len(corpora.noises), size=len(rows))].astype(np.float32)
    levels = vary(levels, noise, spec.floor_db, rng)
    levels[:NOISE_ROWS] = noise[:NOISE_ROWS]
    target[:NOISE_ROWS] = 1 / len(LABELS)
    values = mask(standardise(levels, spec), rng)
    if rng.random() < MIXED_SHARE:
        share = np.float32(rng.beta(0.3, 0.3))
        values, target = (share * one + (1 - share) * one[::-1] for one in (values, target))
    return values, target


# --- variations ---------------------------------------------------------------------------------------------------


def vary(levels: np.ndarray, noise: np.ndarray, floor_db: float, rng: np.random.Generator) -> np.ndarray:
    """The same words as another throat, room and microphone would give them; dB, float32 [n, frames, bands]."""
    levels = stretch(levels, floor_db, rng)
    for share, change in ((0.2, reverberate), (0.5, colour), (0.3, partial(add_noise, noise))):
        rows = np.flatnonzero(rng.random(len(levels)) < share)
        levels[rows] = change(levels[rows], rng)
    levels += rng.normal(0, LEVEL_DB, (len(levels), 1, 1)).astype(np.float32)
    return np.maximum(levels, floor_db)


def stretch(levels: np.ndarray, floor_db: float, rng: np.random.Generator) -> np.ndarray:
    """Another length of throat and another tempo, and elsewhere in the window: nearest two frames and bands mixed."""
    count, frames, bands = levels.shape
    throat, tempo = np.exp(rng.uniform(-STRETCH, STRETCH, (2, count, 1)))
    shift = rng.uniform(-12, 12, (count, 1))
    levels = _resampled(levels, np.arange(bands) * throat, floor_db, axis=2)
    return _resampled(levels, (np.arange(frames) - frames / 2) * tempo + frames / 2 + shift, floor_db, axis=1)


def _resampled(levels: np.ndarray, where: np.ndarray, floor_db: float, axis: int) -> np.ndarray:
    """Levels at the fractional places `where` [n, length] of an axis; the floor beyond its ends."""
    last = levels.shape[axis] - 1
    below = np.clip(np.floor(where), 0, last - 1).astype(int)
    share = np.clip(where - below, 0, 1).astype(np.float32)
    outside = (where < 0) | (where > last)
    shape = (slice(None), np.newaxis) if axis == 2 else (slice(None), slice(None), np.newaxis)
    first = np.take_along_axis(levels, below[shape], axis)
    second = np.take_along_axis(levels, below[shape] + 1, axis)
    return np.where(outside[shape], np.float32(floor_db), first + share[shape] * (second - first))


def reverberate(levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A room whose sound dies away by 60 dB in 0.2 … 0.8 s: each frame keeps some of the power before it."""
    fall = 10 ** (-6 * 0.02 / rng.uniform(0.2, 0.8, (len(levels), 1))).astype(np.float32)
    power = _power(levels)
    tail = np.zeros_like(power[:, 0])
    heard = np.empty_like(power)
    wet = rng.uniform(0.05, 0.5, (len(levels), 1)).astype(np.float32)
    for frame in range(power.shape[1]):
        tail = fall * (tail + wet * power[:, frame])
        heard[:, frame] = power[:, frame] + tail
    return _decibels(heard)


def colour(levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What microphones and codecs do to the spectrum: a smooth curve, and now and then nothing above a limit."""
    count, _, bands = levels.shape
    places, knots = np.linspace(0, bands - 1, 6), rng.normal(0, COLOUR_DB, (count, 6))
    curves = np.stack([np.interp(np.arange(bands), places, row) for row in knots])
    limit = np.where(rng.random((count, 1)) < 0.2, rng.integers(40, bands, (count, 1)), bands)
    curves -= BEYOND_LIMIT_DB * (np.arange(bands) >= limit)
    return levels + curves[:, np.newaxis, :].astype(np.float32)


def add_noise(noises: np.ndarray, levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Speech in one of the noises, which lie 0 … 30 dB below it: powers add up."""
    noise = noises[rng.integers(len(noises), size=len(levels))]
    ratio = rng.uniform(*NOISE_RATIO_DB, (len(levels), 1, 1)).astype(np.float32)
    return _decibels(_power(levels) + _power(noise - ratio))


def _power(levels: np.ndarray) -> np.ndarray:
    return np.exp(levels * np.float32(np.log(10) / 10))


def _decibels(power: np.ndarray) -> np.ndarray:
    return np.log(power) * np.float32(10 / np.log(10))


def mask(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blank two spans of bands and two of frames (Park et al., SpecAugment, 2019)."""
    count, frames, bands = values.shape
    for _ in range(2):
        values = np.where(_spans(rng, count, bands, 9)[:, np.newaxis, :], 0, values)
        values = np.where(_spans(rng, count, frames, 16)[:, :, np.newaxis], 0, values)
    return np.clip(values, -CLIP, CLIP).astype(np.float32)


def _spans(rng: np.random.Generator, count: int, length: int, longest: int) -> np.ndarray:
    """True within one span of each row, bool [count, length]."""
    width = rng.integers(0, longest, (count, 1))
    first = rng.integers(0, length - longest, (count, 1))
    places = np.arange(length)
    return np.asarray((places >= first) & (places < first + width))
