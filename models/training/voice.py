"""Trains the voice model on TESS, RAVDESS and nEMO, quantises it to int8 and measures the file that ships.

    python -m models.training.voice --data DIR [--epochs N] [--resume]

`DIR` holds `tess/`, `ravdess/`, `nemo/` (16 kHz mono), `esc10/` (noise) and `rooms/` (room responses). The varied
inputs are made once and kept in `build/voice/`; every epoch leaves a checkpoint there. The weights of the epoch that is
best on the validation part ship; the test part is touched once, at the end.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import soundfile
import soxr
from scipy.signal import fftconvolve

from device.domain.labels import LABELS
from device.sensing.logmel import CLIP, LogMelSpec, fit, levelled_speech, log_mel, standardise
from models.training.card_writer import write_card
from models.training.measuring import calibration_error, fit_temperature, int8_logits

TESS = {"angry": 0, "disgust": 1, "fear": 2, "happy": 3, "sad": 4, "ps": 5, "neutral": 6}
RAVDESS = {"01": 6, "02": 6, "03": 3, "04": 4, "05": 0, "06": 2, "07": 1, "08": 5}
"""Calm counts as neutral."""
NEMO = {"anger": 0, "fear": 2, "happiness": 3, "sadness": 4, "surprised": 5, "neutral": 6}
CORPORA = ("tess", "ravdess", "nemo")
LICENCES = {"tess": "CC BY-NC-ND 4.0", "ravdess": "CC BY-NC-SA 4.0", "nemo": "CC BY-NC-SA 4.0"}
TRAIN, VALIDATION, TEST = "train", "validation", "test"
REPEATS = {"tess": 1, "ravdess": 3, "nemo": 1}
"""How often a clip is used in an epoch: the corpus with the most speakers counts more."""
VARIANTS = 5
"""Kept versions of each training clip: one as it is, the others varied."""
BATCH = 64
PEAK_RATE = 1.5e-3
WARM_UP = 0.05
WEIGHT_DECAY = 1e-2
SMOOTHING = 0.05
MIXED_SHARE = 0.5
SEED = 7
BUILD = Path("build/voice")
MODEL = Path("models/voice.tflite")
STEP = CLIP / 127
"""Inputs are kept as int8 of this step."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording and where it belongs."""

    path: str
    corpus: str
    label: int
    part: str


# --- data ---------------------------------------------------------------------------------------------------------


def read_clips(data: Path) -> list[Clip]:
    """All recordings of the three corpora with their fixed parts."""
    clips = []
    for path in sorted((data / "tess").glob("*.ogg")):
        _, word, emotion = path.stem.split("_")
        rest = int(hashlib.sha1(word.encode()).hexdigest(), 16) % 10
        clips.append(Clip(str(path), "tess", TESS[emotion], {0: TEST, 1: VALIDATION}.get(rest, TRAIN)))
    for path in sorted((data / "ravdess").glob("*.ogg")):
        fields = path.stem.split("-")
        actor = int(fields[-1])
        part = TEST if actor >= 21 else VALIDATION if actor >= 19 else TRAIN
        clips.append(Clip(str(path), "ravdess", RAVDESS[fields[2]], part))
    for path in sorted((data / "nemo").glob("*.ogg")):
        speaker, emotion, _ = path.stem.split("_")
        part = {"MP0": TEST, "WR0": TEST, "TP0": VALIDATION}.get(speaker, TRAIN)
        clips.append(Clip(str(path), "nemo", NEMO[emotion], part))
    return clips


def read_sound(path: str | Path, rate_hz: int = 16_000) -> np.ndarray:
    """float32 [n] mono at `rate_hz`."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    return mono if rate == rate_hz else soxr.resample(mono, rate, rate_hz).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Noises and rooms that training speech is put into."""

    noises: tuple[np.ndarray, ...]
    rooms: tuple[np.ndarray, ...]


def read_surroundings(data: Path) -> Surroundings:
    """Noise clips, and room responses cut to 0.5 s and brought to unit energy."""
    noises = tuple(read_sound(path) for path in sorted((data / "esc10").glob("*.ogg")))
    rooms = []
    for path in sorted((data / "rooms").glob("*.wav")):
        response = read_sound(path)
        response = response[np.argmax(np.abs(response)) :][:8000]
        rooms.append((response / np.sqrt(np.sum(response**2))).astype(np.float32))
    return Surroundings(noises, tuple(rooms))


def vary(speech: np.ndarray, around: Surroundings, rng: np.random.Generator) -> np.ndarray:
    """The same words as another throat, room and microphone would have given them; float32 [n]."""
    if rng.random() < 0.8:
        speech = soxr.resample(speech, 16_000, 16_000 * np.exp(rng.uniform(-0.13, 0.13))).astype(np.float32)
    if rng.random() < 0.35:
        speech = fftconvolve(speech, around.rooms[rng.integers(len(around.rooms))])[: len(speech) + 1600]
    if rng.random() < 0.3:
        speech = _tilt(speech, rng.uniform(-0.6, 0.6))
    if rng.random() < 0.5:
        noise = around.noises[rng.integers(len(around.noises))]
        speech = _add_noise(speech, noise, rng.uniform(5, 30), rng)
    if rng.random() < 0.3:
        start, stop = rng.uniform(0, 0.12), rng.uniform(0.88, 1)
        speech = speech[int(start * len(speech)) : int(stop * len(speech))]
    return speech.astype(np.float32)


def _tilt(speech: np.ndarray, strength: float) -> np.ndarray:
    """Brighter or duller: a first-order difference or sum."""
    return speech - strength * np.concatenate([[0], speech[:-1]])


def _add_noise(speech: np.ndarray, noise: np.ndarray, ratio_db: float, rng: np.random.Generator) -> np.ndarray:
    noise = np.resize(np.roll(noise, rng.integers(len(noise))), len(speech))
    power = np.mean(noise**2)
    if power < 1e-10:
        return speech
    return speech + noise * np.sqrt(np.mean(speech**2) / power * 10 ** (-ratio_db / 10))


def levels_of(clip: Clip, variants: int, around: Surroundings, spec: LogMelSpec) -> np.ndarray:
    """Log-mel of a clip and its variants in dB, float32 [variants, frames, bands]."""
    speech = read_sound(clip.path)
    rng = np.random.default_rng([SEED, int(hashlib.sha1(Path(clip.path).name.encode()).hexdigest()[:8], 16)])
    made = [speech, *(vary(speech, around, rng) for _ in range(variants - 1))]
    return np.stack([log_mel(fit(levelled_speech(one, spec), spec.window_samples), spec) for one in made])


@dataclass(frozen=True, slots=True)
class Inputs:
    """Model inputs of one part, kept as int8."""

    values: np.ndarray
    """int8 [N, variants, frames, bands], in steps of STEP."""
    label: np.ndarray
    corpus: np.ndarray
    """Index into CORPORA."""


def make_inputs(clips: Sequence[Clip], data: Path) -> tuple[dict[str, Inputs], LogMelSpec]:
    """Inputs of all parts, and the spec with the training part's mean and deviation; from the cache when it fits."""
    cache = BUILD / "inputs.npz"
    spec = LogMelSpec()
    key = hashlib.sha1(repr((spec, VARIANTS, SEED, len(clips))).encode()).hexdigest()
    if cache.exists() and str(np.load(cache)["key"]) == key:
        kept = np.load(cache)
        spec = replace(spec, mean=tuple(kept["mean"].tolist()), std=tuple(kept["std"].tolist()))
        parts = {
            p: Inputs(kept[f"{p}_values"], kept[f"{p}_label"], kept[f"{p}_corpus"]) for p in (TRAIN, VALIDATION, TEST)
        }
        return parts, spec
    levels = {
        part: _all_levels([c for c in clips if c.part == part], part, data, spec) for part in (TRAIN, VALIDATION, TEST)
    }
    plain = levels[TRAIN][:, 0].astype(np.float32)
    spec = replace(
        spec,
        mean=tuple(float(v) for v in plain.mean(axis=(0, 1)).round(3)),
        std=tuple(float(v) for v in plain.std(axis=(0, 1)).round(3)),
    )
    parts = {}
    for part, values in levels.items():
        kept_clips = [c for c in clips if c.part == part]
        stored = np.empty(values.shape, np.int8)
        for index in range(len(values)):
            stored[index] = np.round(standardise(values[index].astype(np.float32), spec) / STEP)
        parts[part] = Inputs(
            stored,
            np.array([c.label for c in kept_clips]),
            np.array([CORPORA.index(c.corpus) for c in kept_clips]),
        )
    BUILD.mkdir(parents=True, exist_ok=True)
    arrays = {f"{p}_{n}": getattr(i, n) for p, i in parts.items() for n in ("values", "label", "corpus")}
    np.savez(cache, key=key, mean=np.array(spec.mean), std=np.array(spec.std), **arrays)
    return parts, spec


def _all_levels(clips: Sequence[Clip], part: str, data: Path, spec: LogMelSpec) -> np.ndarray:
    work = partial(levels_of, variants=VARIANTS if part == TRAIN else 1, around=read_surroundings(data), spec=spec)
    made = []
    with ProcessPoolExecutor(2) as pool:
        for index, levels in enumerate(pool.map(work, clips, chunksize=64), start=1):
            made.append(levels.astype(np.float16))
            if index % 1000 == 0 or index == len(clips):
                print(f"{part}: {index} of {len(clips)} clips", flush=True)
    return np.stack(made)


def batches(inputs: Inputs, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One epoch of batches: float32 [64, frames, bands], targets float32 [64, 7]."""
    order = np.concatenate([np.repeat(np.flatnonzero(inputs.corpus == i), REPEATS[c]) for i, c in enumerate(CORPORA)])
    rng.shuffle(order)
    for start in range(0, len(order) - BATCH + 1, BATCH):
        rows = order[start : start + BATCH]
        values = inputs.values[rows, rng.integers(inputs.values.shape[1], size=BATCH)].astype(np.float32) * STEP
        for value in values:
            mask(value, rng)
        target = np.eye(len(LABELS), dtype=np.float32)[inputs.label[rows]] * (1 - SMOOTHING) + SMOOTHING / len(LABELS)
        if rng.random() < MIXED_SHARE:
            share = np.float32(rng.beta(0.3, 0.3))
            values = share * values + (1 - share) * values[::-1]
            target = share * target + (1 - share) * target[::-1]
        yield values, target


def mask(value: np.ndarray, rng: np.random.Generator) -> None:
    """Shift in time, and blank bands and spans, in place (Park et al., SpecAugment, 2019)."""
    frames, bands = value.shape
    value[:] = np.roll(value, rng.integers(-30, 31), axis=0)
    for _ in range(2):
        width = rng.integers(0, 9)
        first = rng.integers(0, bands - width)
        value[:, first : first + width] = 0
        length = rng.integers(0, 31)
        begin = rng.integers(0, frames - length)
        value[begin : begin + length] = 0
    if rng.random() < 0.15:
        value[:, rng.integers(36, 60) :] = value.min()


# --- network ------------------------------------------------------------------------------------------------------


def build(spec: LogMelSpec, batch: int | None = None) -> Any:
    """Convolutions that look at short spans, an LSTM over them, and the mean of what it says: 7 logits."""
    import tensorflow as tf

    layers = tf.keras.layers

    def convolve(tensor: Any, width: int, size: tuple[int, int], stride: tuple[int, int]) -> Any:
        tensor = layers.Conv2D(width, size, strides=stride, padding="same", use_bias=False)(tensor)
        tensor = layers.BatchNormalization(momentum=0.98)(tensor)
        return layers.ReLU(6.0)(tensor)

    entry = layers.Input((spec.frames, spec.bands), batch_size=batch)
    tensor = layers.Reshape((spec.frames, spec.bands, 1))(entry)
    tensor = convolve(tensor, 24, (5, 5), (2, 2))
    tensor = convolve(tensor, 32, (3, 3), (2, 2))
    tensor = layers.SpatialDropout2D(0.1)(tensor)
    tensor = convolve(tensor, 48, (3, 3), (1, 2))
    tensor = convolve(tensor, 64, (3, 3), (1, 2))
    steps, height, width = tensor.shape[1:]
    tensor = layers.Reshape((steps, height * width))(tensor)
    tensor = layers.Dropout(0.3)(tensor)
    tensor = layers.LSTM(96, return_sequences=True)(tensor)
    tensor = layers.GlobalAveragePooling1D()(tensor)
    tensor = layers.Dropout(0.4)(tensor)
    return tf.keras.Model(entry, layers.Dense(len(LABELS))(tensor))


def train(parts: dict[str, Inputs], spec: LogMelSpec, epochs: int, resume: bool) -> Any:
    """Train; returns the network with the weights of the best epoch on the validation part."""
    import tensorflow as tf

    tf.keras.utils.set_random_seed(SEED)
    model, average = build(spec), build(spec)
    average.set_weights(model.get_weights())
    per_epoch = sum((parts[TRAIN].corpus == i).sum() * REPEATS[c] for i, c in enumerate(CORPORA)) // BATCH
    total = int(epochs * per_epoch)
    schedule = tf.keras.optimizers.schedules.CosineDecay(
        0.0, total, warmup_target=PEAK_RATE, warmup_steps=int(total * WARM_UP)
    )
    optimiser = tf.keras.optimizers.AdamW(schedule, weight_decay=WEIGHT_DECAY, clipnorm=2.0)
    optimiser.build(model.trainable_variables)
    epoch_done, best = tf.Variable(0), tf.Variable(0.0)
    checkpoint = tf.train.Checkpoint(model=model, average=average, optimiser=optimiser, epoch=epoch_done, best=best)
    keeper = tf.train.CheckpointManager(checkpoint, str(BUILD / "checkpoints"), max_to_keep=2)
    if resume and keeper.latest_checkpoint:
        checkpoint.restore(keeper.latest_checkpoint).expect_partial()

    @tf.function
    def step(values: Any, target: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = model(values, training=True)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(target, logits))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimiser.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        for kept, new in zip(average.weights, model.weights, strict=True):
            kept.assign(kept * 0.99 + new * 0.01)
        return loss

    for epoch in range(int(epoch_done.numpy()), epochs):
        began = time.monotonic()
        losses = [float(step(v, t)) for v, t in batches(parts[TRAIN], np.random.default_rng([SEED, epoch]))]
        figures = accuracies(predict(average, parts[VALIDATION]), parts[VALIDATION])
        mean = float(np.mean(list(figures.values())))
        if mean >= float(best.numpy()):
            best.assign(mean)
            average.save_weights(str(BUILD / "best.weights.h5"))
        epoch_done.assign(epoch + 1)
        keeper.save()
        shown = " ".join(f"{name} {value:.4f}" for name, value in figures.items())
        print(
            f"epoch {epoch + 1}/{epochs} loss {np.mean(losses):.4f} {shown} mean {mean:.4f} "
            f"best {float(best.numpy()):.4f} {time.monotonic() - began:.0f} s",
            flush=True,
        )
    average.load_weights(str(BUILD / "best.weights.h5"))
    return average


def plain(inputs: Inputs) -> np.ndarray:
    """The clips as they are, float32 [N, frames, bands]."""
    return inputs.values[:, 0].astype(np.float32) * STEP


def predict(model: Any, inputs: Inputs) -> np.ndarray:
    """Float logits [N, 7] of the plain inputs."""
    parts = np.array_split(inputs.values[:, 0], max(1, len(inputs.values) // 256))
    return np.concatenate([model(part.astype(np.float32) * STEP, training=False).numpy() for part in parts])


def accuracies(logits: np.ndarray, inputs: Inputs) -> dict[str, float]:
    """Accuracy per corpus."""
    right = logits.argmax(axis=1) == inputs.label
    return {c: float(right[inputs.corpus == i].mean()) for i, c in enumerate(CORPORA) if (inputs.corpus == i).any()}


# --- int8 ---------------------------------------------------------------------------------------------------------


def quantise(trained: Any, spec: LogMelSpec, examples: np.ndarray) -> bytes:
    """TFLite with int8 weights, activations, input and output; `examples` (float32 [N, frames, bands]) set the ranges.

    The batch is fixed to 1: with an open one the LSTM's loop cannot be lowered to the fused operator.
    """
    import tensorflow as tf

    model = build(spec, batch=1)
    model.set_weights(trained.get_weights())
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([example[np.newaxis]] for example in examples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return bytes(converter.convert())


# --- measuring ----------------------------------------------------------------------------------------------------


def even_weights(inputs: Inputs) -> np.ndarray:
    """Weights of the rows with which every corpus counts the same."""
    return 1 / np.bincount(inputs.corpus, minlength=len(CORPORA))[inputs.corpus]


def export(parts: dict[str, Inputs], spec: LogMelSpec, model: Any, clips: Sequence[Clip], epochs: int) -> None:
    """Write `models/voice.tflite` and its card, and print what was measured."""
    train_values = parts[TRAIN].values
    rows = np.random.default_rng(SEED).choice(len(train_values), 400, replace=False)
    MODEL.write_bytes(quantise(model, spec, train_values[rows, 0].astype(np.float32) * STEP))
    validation = parts[VALIDATION]
    logits = int8_logits(MODEL, plain(validation))
    temperature = fit_temperature(logits, validation.label, even_weights(validation))
    test = parts[TEST]
    test_logits = int8_logits(MODEL, plain(test))
    measured: dict[str, Any] = {
        "validation": {k: round(v, 4) for k, v in accuracies(logits, validation).items()},
        **{f"{k}_test": {"accuracy": round(v, 4)} for k, v in accuracies(test_logits, test).items()},
        "ece": round(calibration_error(test_logits, test.label, temperature), 4),
        "float": {f"{k}_test": round(v, 4) for k, v in accuracies(predict(model, test), test).items()},
    }
    write_card(MODEL, facts(spec, model, clips, temperature, epochs, measured))
    print(json.dumps(measured, indent=1))


def facts(
    spec: LogMelSpec, model: Any, clips: Sequence[Clip], temperature: float, epochs: int, measured: dict[str, Any]
) -> dict[str, Any]:
    """What the card says about this model."""
    return {
        "name": "moodify-voice",
        "modality": "voice",
        "version": "1.0.0",
        "labels": list(LABELS),
        "input": {
            "shape": [1, spec.frames, spec.bands],
            "dtype": "int8",
            "normalisation": "log-mel in dB, standardised per band by the training part, clipped to ±4",
        },
        "output": {"shape": [1, len(LABELS)], "dtype": "int8", "meaning": "logits"},
        "heads": [{"name": "label", "temperature": round(temperature, 4)}],
        "features": asdict(spec),
        "parameters": int(model.count_params()),
        "training": {
            "data": [
                {
                    "name": {"tess": "TESS", "ravdess": "RAVDESS speech", "nemo": "nEMO"}[corpus],
                    "clips": sum(c.corpus == corpus and c.part == TRAIN for c in clips),
                    "licence": LICENCES[corpus],
                }
                for corpus in CORPORA
            ],
            "command": f"python -m models.training.voice --data DIR --epochs {epochs}",
            "seed": SEED,
            "epochs": epochs,
            "split": "test: TESS words with sha1 mod 10 = 0, RAVDESS actors 21–24, nEMO speakers MP0 and WR0; "
            "validation: TESS words with sha1 mod 10 = 1, RAVDESS actors 19–20, nEMO speaker TP0",
        },
        "measured": measured,
        "licence_note": "The weights are our own work. The data sets are licensed for non-commercial use, which limits "
        "what the weights may be used for: research and private use.",
    }


def main() -> None:
    """Make the inputs, train, quantise, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    arguments = parser.parse_args()
    clips = read_clips(arguments.data)
    BUILD.mkdir(parents=True, exist_ok=True)
    parts, spec = make_inputs(clips, arguments.data)
    export(parts, spec, train(parts, spec, arguments.epochs, arguments.resume), clips, arguments.epochs)


if __name__ == "__main__":
    main()
