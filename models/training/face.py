"""Trains the face model on FER-2013 and FER+, quantises it to int8 and measures the file that ships.

    python -m models.training.face --data DIR [--epochs SHALLOW DEEP SETTLE LONG] [--resume]

`DIR` holds `fer2013.npz` (images uint8 [N, 48, 48], label, split, ferplus_votes). A shallow network learns first,
cheaply; then it grows by residual blocks that start as the identity, and the deep one learns on; then it settles on
less varied faces, and at last it is trained long again, with more variety. It answers two questions at once: what ten
people would vote (FER+), and what the labeller of FER-2013 wrote; they agree on two faces of three. Every epoch leaves
a checkpoint in `build/face/<phase>/`. The rate is a cosine with warm-up; the weights that ship are a moving average.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import numpy as np
import tensorflow as tf

from device.sensing.crop import CROP_PIXELS, normalise_crop
from models.training.card_writer import write_card
from models.training.measuring import calibration_error, fit_temperature, fit_temperature_to_shares, int8_logits

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
VOTE_COLUMNS = (4, 5, 6, 1, 3, 2, 0)
"""Columns of the FER+ votes in the order of LABELS; contempt, unknown and no-face are left out."""
WRONG_VOTES = (5274, 33200)
"""Rows whose FER+ votes belong to another image."""
WIDTHS = (32, 48, 96, 208)
BATCH = 128
WARM_UP = 0.05
HEADS = ("votes", "label")
"""What the outputs answer, seven each."""
VOTES, LABEL = slice(0, 7), slice(7, 14)
"""The two among the outputs."""
SMOOTHING = 0.05
SEED = 20130
BUILD = Path("build/face")
MODEL = Path("models/face.tflite")
GEOMETRY = BUILD / "geometry.json"


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of training with its own network and rate."""

    name: str
    depths: tuple[int, ...]
    """Residual blocks per stage."""
    epochs: int
    """How many are run."""
    schedule: int
    """How many the cosine is laid out for; more than `epochs` where the next phase takes over before it ends."""
    peak_rate: float
    small_epochs: int
    """The first epochs, on 40×40 crops: 0.7 of the time for nearly the same lesson."""
    erase: float
    """Chance that a rectangle of a crop is blanked."""
    variety: float = 1.0
    """How far the faces are turned, scaled, shifted and relit, against the most."""
    label_share: float = 0.6
    """Weight of the FER label in the target; the rest is the FER+ votes'."""
    weight_decay: float = 5e-4
    memory: float = 0.998
    """Of the moving average, for one step."""


PHASES = (
    Phase("shallow", (1, 1, 1), epochs=37, schedule=44, peak_rate=0.1, small_epochs=20, erase=0.5),
    Phase("deep", (1, 2, 2), epochs=14, schedule=14, peak_rate=0.04, small_epochs=0, erase=0.25),
    Phase(
        "settle",
        (1, 2, 2),
        epochs=18,
        schedule=18,
        peak_rate=0.03,
        small_epochs=6,
        erase=0.1,
        variety=0.6,
        label_share=0.85,
        weight_decay=2e-4,
    ),
    Phase(
        "long",
        (1, 2, 2),
        epochs=44,
        schedule=44,
        peak_rate=0.05,
        small_epochs=21,
        erase=0.35,
        variety=0.85,
        label_share=0.85,
        memory=0.999,
    ),
)
SMALL_PIXELS = 40


@dataclass(frozen=True, slots=True)
class Faces:
    """One part of the data set."""

    images: np.ndarray
    """uint8 [N, 48, 48]."""
    label: np.ndarray
    """int64 [N], index into LABELS."""
    votes: np.ndarray
    """float32 [N, 7], shares of the FER+ votes; the label where there are none."""
    majority: np.ndarray
    """int64 [N], what most of the ten people voted; -1 where that is none of LABELS."""

    def target(self, label_share: float) -> np.ndarray:
        """What training aims at, float32 [N, 14]: the votes, and the smoothed label with some of them.

        Barsoum et al., "Training deep networks for facial expression recognition with crowd-sourced label
        distribution", ICMI 2016, trains on the votes.
        """
        label = label_share * smoothed(self.label) + (1 - label_share) * self.votes
        return np.concatenate([self.votes, label], axis=1)


@dataclass(frozen=True, slots=True)
class Parts:
    """The three official parts; `train` without the rows that also stand in the other two."""

    train: Faces
    public: Faces
    private: Faces
    private_is_copy: np.ndarray
    """bool [N]: pixels of this PrivateTest row also occur in an earlier part."""
    removed_duplicates: int


# --- data ---------------------------------------------------------------------------------------------------------


def read_parts(folder: Path) -> Parts:
    """Read FER-2013 and drop every training row whose pixels occur in either test part."""
    archive = np.load(folder / "fer2013.npz")
    images, label, split = archive["images"], archive["label"].astype(np.int64), archive["split"]
    votes = vote_shares(label, archive["ferplus_votes"])
    majority = most_voted(archive["ferplus_votes"])
    pixels = [image.tobytes() for image in images]
    tested = {content for content, part in zip(pixels, split, strict=True) if part != 0}
    copied = np.array([part == 0 and content in tested for content, part in zip(pixels, split, strict=True)])
    blank = images.reshape(len(images), -1).std(axis=1) < 1

    def part(rows: np.ndarray) -> Faces:
        return Faces(images[rows], label[rows], votes[rows], majority[rows])

    return Parts(
        train=part((split == 0) & ~copied & ~blank),
        public=part(split == 1),
        private=part(split == 2),
        private_is_copy=archive["dup_of_earlier_split"][split == 2].astype(bool),
        removed_duplicates=int(copied.sum()),
    )


def smoothed(label: np.ndarray) -> np.ndarray:
    """One-hot labels with a little for every other label; float32 [N, 7]."""
    return np.eye(len(LABELS), dtype=np.float32)[label] * (1 - SMOOTHING) + np.float32(SMOOTHING / len(LABELS))


def vote_shares(label: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """Shares of the FER+ votes over LABELS, the smoothed label where there are none; float32 [N, 7]."""
    counts = votes[:, VOTE_COLUMNS].astype(np.float32)
    counts[list(WRONG_VOTES)] = 0
    total = counts.sum(axis=1, keepdims=True)
    return np.where(total > 0, counts / np.maximum(total, 1), smoothed(label)).astype(np.float32)


def most_voted(votes: np.ndarray) -> np.ndarray:
    """The label with the most FER+ votes, int64 [N]; -1 where contempt, "unknown" or "no face" has them, or none."""
    label_of = np.full(votes.shape[1], -1)
    label_of[list(VOTE_COLUMNS)] = np.arange(len(LABELS))
    return np.where(votes.sum(axis=1) > 0, label_of[votes.argmax(axis=1)], -1)


def tensors(images: np.ndarray) -> np.ndarray:
    """Normalised crops, float32 [N, S, S, 1]."""
    return np.stack([normalise_crop(image) for image in images])


def vary(image: np.ndarray, pixels: int, variety: float, rng: np.random.Generator) -> np.ndarray:
    """One face as another camera, head and lamp could have given it; uint8 [pixels, pixels]."""
    image = _warp(image, pixels, variety, rng)
    if rng.random() < 0.5 * variety:
        image = _gamma(image, float(np.exp(rng.uniform(-0.4, 0.4))))
    if rng.random() < 0.3 * variety:
        image = _side_light(image, rng)
    if rng.random() < 0.15 * variety:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 0.9))
    if rng.random() < 0.15 * variety:
        image = np.clip(image + rng.normal(0, rng.uniform(2, 8), image.shape), 0, 255).astype(np.uint8)
    return image


def _warp(image: np.ndarray, pixels: int, variety: float, rng: np.random.Generator) -> np.ndarray:
    """Turn by up to 12°, scale by up to 12 %, shift by up to 10 %, each times `variety`; mirror one in two."""
    scale = pixels / CROP_PIXELS * np.exp(variety * rng.uniform(-0.12, 0.12))
    matrix = cv2.getRotationMatrix2D(((CROP_PIXELS - 1) / 2,) * 2, variety * rng.uniform(-12, 12), scale)
    matrix[:, 2] += (pixels - CROP_PIXELS) / 2 + variety * rng.uniform(-0.1, 0.1, 2) * pixels
    warped = cv2.warpAffine(image, matrix, (pixels, pixels), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return warped[:, ::-1] if rng.random() < 0.5 else warped


def _gamma(image: np.ndarray, gamma: float) -> np.ndarray:
    return cv2.LUT(image, (np.linspace(0, 1, 256) ** gamma * 255).astype(np.uint8))


def _side_light(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brighter on one side than on the other."""
    ramp = np.linspace(-1, 1, image.shape[0], dtype=np.float32)
    across, down = rng.uniform(-0.35, 0.35, 2).astype(np.float32)
    return np.clip(image * (1 + across * ramp[np.newaxis, :] + down * ramp[:, np.newaxis]), 0, 255).astype(np.uint8)


def _erase(tensor: np.ndarray, chance: float, rng: np.random.Generator) -> None:
    """Blank a random rectangle, in place, at times."""
    if rng.random() < chance:
        side = tensor.shape[0]
        height, width = rng.integers(side // 6, side // 2.4, 2)
        top, left = rng.integers(0, side - height), rng.integers(0, side - width)
        tensor[top : top + height, left : left + width] = rng.uniform(-1, 1)


def batches(
    faces: Faces, pixels: int, phase: Phase, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One epoch of varied batches (float32 [128, S, S, 1], float32 [128, 14]), made ahead by a thread."""
    ready: queue.Queue[tuple[np.ndarray, np.ndarray] | None] = queue.Queue(maxsize=6)
    order = rng.permutation(len(faces.images))
    target = faces.target(phase.label_share)

    def fill() -> None:
        for start in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            made = np.stack([normalise_crop(vary(faces.images[row], pixels, phase.variety, rng)) for row in rows])
            for tensor in made:
                _erase(tensor, phase.erase, rng)
            ready.put((made, target[rows]))
        ready.put(None)

    threading.Thread(target=fill, daemon=True).start()
    while (batch := ready.get()) is not None:
        yield batch


# --- network ------------------------------------------------------------------------------------------------------


def build(depths: tuple[int, ...], pixels: int | None = None) -> tf.keras.Model:
    """A small residual network: [S, S, 1] to 7 logits for each of HEADS; ReLU6 keeps the ranges narrow for int8."""
    layers = tf.keras.layers
    entry = layers.Input((pixels, pixels, 1))
    tensor = _convolve(entry, "stem", WIDTHS[0], stride=2)
    tensor = _convolve(tensor, "entry", WIDTHS[1])
    for stage, (width, depth) in enumerate(zip(WIDTHS[1:], depths, strict=True)):
        tensor = _residual(tensor, f"stage{stage}_0", width, stride=1 if stage == 0 else 2)
        for block in range(1, depth):
            tensor = _residual(tensor, f"stage{stage}_{block}", width, gain="zeros")
    tensor = layers.GlobalAveragePooling2D()(tensor)
    tensor = layers.Dropout(0.3)(tensor)
    return tf.keras.Model(entry, layers.Dense(len(HEADS) * len(LABELS), dtype="float32", name="logits")(tensor))


def _convolve(
    tensor: Any, name: str, width: int, stride: int = 1, size: int = 3, active: bool = True, gain: str = "ones"
) -> Any:
    layers = tf.keras.layers
    convolution = layers.Conv2D(width, size, strides=stride, padding="same", use_bias=False, name=f"{name}_conv")
    tensor = convolution(tensor)
    tensor = layers.BatchNormalization(momentum=0.98, gamma_initializer=gain, name=f"{name}_norm")(tensor)
    return layers.ReLU(6.0)(tensor) if active else tensor


def _residual(tensor: Any, name: str, width: int, stride: int = 1, gain: str = "ones") -> Any:
    """Two convolutions and a way around them; with `gain` "zeros" the block begins as the identity."""
    layers = tf.keras.layers
    branch = _convolve(tensor, f"{name}_a", width, stride)
    branch = _convolve(branch, f"{name}_b", width, active=False, gain=gain)
    if stride != 1:
        tensor = layers.AveragePooling2D(stride)(tensor)
    if tensor.shape[-1] != width:
        tensor = _convolve(tensor, f"{name}_around", width, size=1, active=False)
    return layers.ReLU(6.0)(layers.Add()([branch, tensor]))


def inherit(heir: tf.keras.Model, elder: tf.keras.Model) -> None:
    """Copy the weights of every layer of `elder` to the layer of `heir` with the same name.

    New blocks begin as the identity, so both then answer alike (Chen et al., Net2Net, ICLR 2016).
    """
    for layer in elder.layers:
        if layer.weights:
            heir.get_layer(layer.name).set_weights(layer.get_weights())


def count_macs(model: tf.keras.Model) -> int:
    """Multiplications of one pass at the model's input size."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.Conv2D):
            total += int(np.prod(layer.output_shape[1:3]) * np.prod(layer.kernel.shape))
        elif isinstance(layer, tf.keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape))
    return total


# --- training -----------------------------------------------------------------------------------------------------


class Trainer:
    """Owns the network of one phase, its moving average, the optimiser and their checkpoint."""

    def __init__(self, phase: Phase, steps_per_epoch: int) -> None:
        # bfloat16 steps took 0.7 of the time of float32 ones on a Zen 4 processor; variables stay float32.
        tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
        self.model = build(phase.depths)
        tf.keras.mixed_precision.set_global_policy("float32")
        self.average = build(phase.depths, CROP_PIXELS)
        self.average.set_weights(self.model.get_weights())
        self.optimiser = tf.keras.optimizers.SGD(phase.peak_rate, momentum=0.9, nesterov=True)
        self.optimiser.build(self.model.trainable_variables)
        self.epoch = tf.Variable(0, dtype=tf.int64)
        self.phase = phase
        self.steps_per_epoch = steps_per_epoch
        self.checkpoint = tf.train.Checkpoint(
            model=self.model, average=self.average, optimiser=self.optimiser, epoch=self.epoch
        )
        self.keeper = tf.train.CheckpointManager(self.checkpoint, str(BUILD / phase.name), max_to_keep=3)

    def restore(self) -> bool:
        """Go back to the last checkpoint, if there is one."""
        if self.keeper.latest_checkpoint:
            self.checkpoint.restore(self.keeper.latest_checkpoint).assert_existing_objects_matched()
        return bool(self.keeper.latest_checkpoint)

    def rate(self, step: int) -> float:
        """Cosine with a linear warm-up (Loshchilov and Hutter, SGDR, 2017)."""
        peak, done = self.phase.peak_rate, step / (self.phase.schedule * self.steps_per_epoch)
        if done < WARM_UP:
            return peak * done / WARM_UP
        return float(peak * 0.5 * (1 + np.cos(np.pi * (done - WARM_UP) / (1 - WARM_UP))))

    @tf.function(reduce_retracing=True)
    def step(self, images: tf.Tensor, target: tf.Tensor, momentum: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One step; returns the loss and the share whose label is the target's."""
        with tf.GradientTape() as tape:
            logits = self.model(images, training=True)
            losses = [
                tf.nn.softmax_cross_entropy_with_logits(target[:, head], logits[:, head]) for head in (VOTES, LABEL)
            ]
            loss = tf.reduce_mean(tf.add_n(losses))
        variables = self.model.trainable_variables
        gradients = tape.gradient(loss, variables)
        decayed = [
            gradient + self.phase.weight_decay * variable if "kernel" in variable.name else gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        self.optimiser.apply_gradients(zip(decayed, variables, strict=True))
        for kept, new in zip(self.average.weights, self.model.weights, strict=True):
            kept.assign(kept * momentum + new * (1 - momentum))
        agrees = tf.equal(tf.argmax(logits[:, LABEL], 1), tf.argmax(target[:, LABEL], 1))
        return loss, tf.reduce_mean(tf.cast(agrees, tf.float32))

    def run_epoch(self, faces: Faces) -> tuple[float, float]:
        """Train one epoch; mean loss and mean agreement."""
        figures = []
        epoch = int(self.epoch.numpy())
        step = epoch * self.steps_per_epoch
        pixels = SMALL_PIXELS if epoch < self.phase.small_epochs else CROP_PIXELS
        rng = np.random.default_rng([SEED, len(self.phase.name), epoch])
        for images, target in batches(faces, pixels, self.phase, rng):
            self.optimiser.learning_rate.assign(self.rate(step))
            momentum = min(self.phase.memory, (1 + step) / (10 + step))
            loss, agreement = self.step(tf.constant(images), tf.constant(target), tf.constant(momentum, tf.float32))
            figures.append((float(loss), float(agreement)))
            step += 1
        self.epoch.assign_add(1)
        return tuple(np.mean(figures, axis=0))  # type: ignore[return-value]


def train(parts: Parts, phases: Sequence[Phase], resume: bool) -> Trainer:
    """Train every phase on from the one before; with `resume`, from the last checkpoint."""
    *earlier, phase = phases
    trainer = Trainer(phase, len(parts.train.images) // BATCH)
    if not (resume and trainer.restore()) and earlier:
        inherit(trainer.model, train(parts, earlier, resume).average)
        trainer.average.set_weights(trainer.model.get_weights())
    run(trainer, parts)
    return trainer


def run(trainer: Trainer, parts: Parts) -> None:
    """Train a phase to its end; a line and a checkpoint every epoch."""
    public = tensors(parts.public.images)
    phase = trainer.phase
    while int(trainer.epoch.numpy()) < phase.epochs:
        began = time.monotonic()
        loss, agreement = trainer.run_epoch(parts.train)
        label, votes = float_accuracies(trainer.average, public, parts.public)
        epoch = int(trainer.epoch.numpy())
        trainer.keeper.save(epoch)
        print(
            f"{phase.name} {epoch}/{phase.epochs} loss {loss:.4f} agrees {agreement:.4f} "
            f"public {label:.4f} ferplus {votes:.4f} {time.monotonic() - began:.0f} s",
            flush=True,
        )


# --- int8 ---------------------------------------------------------------------------------------------------------


def for_one(model: tf.keras.Model) -> tf.keras.Model:
    """The same network for one face at a time."""
    entry = tf.keras.layers.Input((CROP_PIXELS, CROP_PIXELS, 1), batch_size=1)
    return tf.keras.Model(entry, model(entry))


def quantise(model: tf.keras.Model, examples: np.ndarray) -> bytes:
    """Convert to TFLite with int8 weights, activations, input and output.

    `examples` (float32 [N, 48, 48, 1], normalised crops) set the ranges.
    """
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([example[np.newaxis]] for example in examples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return bytes(converter.convert())


# --- measuring ----------------------------------------------------------------------------------------------------


def measures(logits: np.ndarray, label: np.ndarray, temperature: float) -> dict[str, Any]:
    """Accuracy, macro F1, calibration error and recall per label."""
    guess = logits.argmax(axis=1)
    f1 = []
    recall = {}
    for index, name in enumerate(LABELS):
        hits = int(((guess == index) & (label == index)).sum())
        f1.append(2 * hits / max(int((guess == index).sum() + (label == index).sum()), 1))
        recall[name] = round(hits / max(int((label == index).sum()), 1), 4)
    return {
        "accuracy": round(float((guess == label).mean()), 4),
        "macro_f1": round(float(np.mean(f1)), 4),
        "ece": round(calibration_error(logits, label, temperature), 4),
        "recall": recall,
    }


def export(parts: Parts, average: tf.keras.Model, phases: Sequence[Phase], private: bool) -> None:
    """Write `models/face.tflite` and its card, and print what was measured."""
    rows = np.random.default_rng(SEED).choice(len(parts.train.images), 600, replace=False)
    MODEL.write_bytes(quantise(for_one(average), tensors(parts.train.images[rows])))
    logits = int8_logits(MODEL, tensors(parts.public.images))
    clear = parts.public.majority >= 0
    temperatures = {
        "votes": fit_temperature_to_shares(logits[clear][:, VOTES], parts.public.votes[clear]),
        "label": fit_temperature(logits[:, LABEL], parts.public.label),
    }
    measured = measure(parts.public, "public", average, temperatures, logits)
    if private:
        measured |= measure(parts.private, "private", average, temperatures)
        right = int8_logits(MODEL, tensors(parts.private.images))[:, LABEL].argmax(1) == parts.private.label
        fresh = round(float(right[~parts.private_is_copy].mean()), 4)
        measured["fer2013_private"]["accuracy_without_duplicates"] = fresh
    write_card(MODEL, facts(parts, average, temperatures, phases, measured))
    print(json.dumps(measured, indent=1))


def measure(
    faces: Faces, name: str, average: tf.keras.Model, temperatures: dict[str, float], logits: np.ndarray | None = None
) -> dict[str, Any]:
    """Both heads on one part: the label's against the labels, the votes' against the clear majorities."""
    inputs = tensors(faces.images)
    if logits is None:
        logits = int8_logits(MODEL, inputs)
    clear = faces.majority >= 0
    label, votes = float_accuracies(average, inputs, faces)
    return {
        f"fer2013_{name}": measures(logits[:, LABEL], faces.label, temperatures["label"]) | {"float_accuracy": label},
        f"ferplus_{name}": measures(logits[clear][:, VOTES], faces.majority[clear], temperatures["votes"])
        | {"float_accuracy": votes},
    }


def float_accuracies(average: tf.keras.Model, inputs: np.ndarray, faces: Faces) -> tuple[float, float]:
    """Accuracy of both heads before quantisation: on the labels, on the clear majorities."""
    logits = average.predict(inputs, batch_size=BATCH, verbose=0)
    clear = faces.majority >= 0
    votes = (logits[:, VOTES].argmax(1) == faces.majority)[clear].mean()
    return round(float((logits[:, LABEL].argmax(1) == faces.label).mean()), 4), round(float(votes), 4)


def facts(
    parts: Parts,
    average: tf.keras.Model,
    temperatures: dict[str, float],
    phases: Sequence[Phase],
    measured: dict[str, Any],
) -> dict[str, Any]:
    """What the card says about this model."""
    geometry = json.loads(GEOMETRY.read_text()) if GEOMETRY.exists() else {"scale": 1.0, "shift_x": 0.0, "shift_y": 0.0}
    rows = len(parts.train.images)
    return {
        "name": "moodify-face",
        "modality": "face",
        "version": "2.0.0",
        "labels": list(LABELS),
        "input": {
            "shape": [1, CROP_PIXELS, CROP_PIXELS, 1],
            "dtype": "int8",
            "normalisation": "per-crop standardisation, clipped to ±3",
        },
        "output": {"shape": [1, len(HEADS) * len(LABELS)], "dtype": "int8", "meaning": "logits, seven a head"},
        "heads": [{"name": name, "temperature": round(temperatures[name], 4)} for name in HEADS],
        "crop": {"size": CROP_PIXELS, **geometry},
        "parameters": int(average.count_params()),
        "macs": count_macs(average),
        "training": {
            "data": [
                {"name": "FER-2013", "rows": rows, "licence": "no licence by the makers found"},
                {"name": "FER+", "rows": rows, "licence": "MIT"},
            ],
            "command": f"scripts/train face --data DIR --epochs {' '.join(str(phase.epochs) for phase in phases)}",
            "seed": SEED,
            "epochs": sum(phase.epochs for phase in phases),
            "removed_duplicates": parts.removed_duplicates,
        },
        "measured": measured,
        "licence_note": "The weights are our own work. The makers of FER-2013 published no licence, so the data sets "
        "limit what the weights may be used for: research and private use.",
    }


def main() -> None:
    """Train, quantise, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with fer2013.npz")
    parser.add_argument(
        "--epochs",
        type=int,
        nargs=len(PHASES),
        default=[phase.epochs for phase in PHASES],
        metavar=tuple(phase.name.upper() for phase in PHASES),
        help="of each phase",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument(
        "--export-only", action="store_true", help="convert the last checkpoint, leave PrivateTest alone"
    )
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    tf.config.threading.set_intra_op_parallelism_threads(2)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    tf.keras.utils.set_random_seed(SEED)
    parts = read_parts(arguments.data)
    phases = [replace(phase, epochs=epochs) for phase, epochs in zip(PHASES, arguments.epochs, strict=True)]
    if arguments.export_only:
        trainer = Trainer(phases[-1], 1)
        trainer.restore()
    else:
        trainer = train(parts, phases, arguments.resume)
    export(parts, trainer.average, phases, private=not arguments.export_only)


if __name__ == "__main__":
    main()
