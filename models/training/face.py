"""Trains the face model on FER-2013 and FER+, quantises it to int8 and measures the file that ships.

    python -m models.training.face --data DIR [--epochs SMALL MIDDLE LARGE] [--resume] [--build DIR]
                                   [--start DIR ...] [--rate R] [--seed N] [--teachers FILE ...]

`DIR` holds `fer2013.npz` (images uint8 [N, 48, 48], label, split, ferplus_votes). A network that knows ImageNet learns
faces, first enlarged to 64 pixels, then to 80 and 96, which is cheaper than 96 from the start and ends alike. It
answers two questions at once: what ten people would vote (FER+), and what the labeller of FER-2013 wrote; they agree on
two faces of three. Every epoch leaves a checkpoint in the build folder. The rate is a cosine with warm-up; the weights
that ship are a moving average. A later run may start from the mean of earlier ones (Wortsman et al., Model soups, 2022)
and learn from several models' answers together; without epochs it only writes that mean down.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import numpy as np
import tensorflow as tf

from device.sensing.crop import CROP_PIXELS
from models.training.card_writer import write_card
from models.training.face_network import build, count_macs, enlarged, for_the_box, load_imagenet
from models.training.faces import LABELS, Faces, Parts, batches, read_parts, tensors
from models.training.measuring import calibration_error, fit_temperature, fit_temperature_to_shares, int8_logits

PIXELS = (64, 80, 96)
"""What the crops are enlarged to, one phase after the other."""
EPOCHS = (10, 8, 12)
BATCH = 64
PEAK_RATE = 8e-4
WEIGHT_DECAY = 0.02
WARM_UP = 0.04
MEMORY = 0.999
"""Of the moving average, for one step."""
HEADS = ("votes", "label")
"""What the outputs answer, seven each."""
VOTES, LABEL = slice(0, 7), slice(7, 14)
"""The two among the outputs."""
SEED = 20130
BUILD = Path("build/face")
MODEL = Path("models/face.tflite")
CARD = MODEL.with_suffix(".card.json")


# --- training -----------------------------------------------------------------------------------------------------


class Trainer:
    """Owns the network, its moving average, the optimiser and their checkpoint."""

    def __init__(
        self,
        epochs: Sequence[int],
        steps_per_epoch: int,
        folder: Path,
        start: Sequence[Path] = (),
        peak_rate: float = PEAK_RATE,
        seed: int = SEED,
    ) -> None:
        self.model = build()
        self.average = build()
        if start:
            self.model.set_weights(mean_of(start))
        else:
            load_imagenet(self.model)
        self.average.set_weights(self.model.get_weights())
        self.peak_rate = peak_rate
        self.seed = seed
        self.optimiser = tf.keras.optimizers.AdamW(peak_rate, weight_decay=WEIGHT_DECAY)
        self.optimiser.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
        self.optimiser.build(self.model.trainable_variables)
        self.epoch = tf.Variable(0, dtype=tf.int64)
        self.pixels = [size for size, count in zip(PIXELS, epochs, strict=True) for _ in range(count)]
        self.steps_per_epoch = steps_per_epoch
        self.checkpoint = tf.train.Checkpoint(
            model=self.model, average=self.average, optimiser=self.optimiser, epoch=self.epoch
        )
        self.keeper = tf.train.CheckpointManager(self.checkpoint, str(folder), max_to_keep=3)

    def restore(self) -> bool:
        """Go back to the last checkpoint, if there is one."""
        if self.keeper.latest_checkpoint:
            self.checkpoint.restore(self.keeper.latest_checkpoint).assert_existing_objects_matched()
        return bool(self.keeper.latest_checkpoint)

    def rate(self, step: int) -> float:
        """Cosine with a linear warm-up (Loshchilov and Hutter, SGDR, 2017)."""
        done = step / (len(self.pixels) * self.steps_per_epoch)
        if done < WARM_UP:
            return self.peak_rate * done / WARM_UP
        return float(self.peak_rate * 0.5 * (1 + np.cos(np.pi * (done - WARM_UP) / (1 - WARM_UP))))

    @tf.function
    def step(self, images: tf.Tensor, target: tf.Tensor, momentum: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One step; returns the loss and the share whose label is the target's."""
        with tf.GradientTape() as tape:
            logits = self.model(images, training=True)
            losses = [
                tf.nn.softmax_cross_entropy_with_logits(target[:, head], logits[:, head]) for head in (VOTES, LABEL)
            ]
            loss = tf.reduce_mean(tf.add_n(losses))
        variables = self.model.trainable_variables
        self.optimiser.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        for kept, new in zip(self.average.weights, self.model.weights, strict=True):
            kept.assign(kept * momentum + new * (1 - momentum))
        agrees = tf.equal(tf.argmax(logits[:, LABEL], 1), tf.argmax(target[:, LABEL], 1))
        return loss, tf.reduce_mean(tf.cast(agrees, tf.float32))

    def run_epoch(self, faces: Faces) -> tuple[float, float]:
        """Train one epoch; mean loss and mean agreement."""
        figures = []
        epoch = int(self.epoch.numpy())
        step = epoch * self.steps_per_epoch
        rng = np.random.default_rng([self.seed, epoch])
        for images, target in batches(faces, self.pixels[epoch], BATCH, rng):
            self.optimiser.learning_rate.assign(self.rate(step))
            momentum = min(MEMORY, (1 + step) / (10 + step))
            loss, agreement = self.step(tf.constant(images), tf.constant(target), tf.constant(momentum, tf.float32))
            figures.append((float(loss), float(agreement)))
            step += 1
        self.epoch.assign_add(1)
        return tuple(np.mean(figures, axis=0))  # type: ignore[return-value]


def mean_of(runs: Sequence[Path]) -> list[np.ndarray]:
    """The mean of the averages that several runs' last checkpoints hold; they must stem from one another."""
    kept = build()
    found = []
    for run in runs:
        newest = tf.train.latest_checkpoint(str(run))
        if newest is None:
            raise SystemExit(f"no checkpoint in {run}: give the folder that an earlier run had as --build")
        tf.train.Checkpoint(average=kept).restore(newest).expect_partial()
        found.append(kept.get_weights())
    return [np.mean(weights, axis=0) for weights in zip(*found, strict=True)]


def epochs_of(runs: Sequence[Path]) -> int:
    """How many epochs the runs took together."""
    return sum(
        int(tf.train.load_variable(tf.train.latest_checkpoint(str(run)), "epoch/.ATTRIBUTES/VARIABLE_VALUE"))
        for run in runs
    )


def train(parts: Parts, trainer: Trainer) -> None:
    """Train to the end; a line and a checkpoint every epoch."""
    epochs = len(trainer.pixels)
    while (done := int(trainer.epoch.numpy())) < epochs:
        began, pixels = time.monotonic(), trainer.pixels[done]
        loss, agreement = trainer.run_epoch(parts.train)
        label, votes = float_accuracies(trainer.average, parts.public, pixels)
        trainer.keeper.save(done + 1)
        print(
            f"{done + 1}/{epochs} {pixels} px loss {loss:.4f} agrees {agreement:.4f} "
            f"public {label:.4f} ferplus {votes:.4f} {time.monotonic() - began:.0f} s",
            flush=True,
        )


def answers_of(teachers: Sequence[Path], images: np.ndarray, cache: Path) -> np.ndarray:
    """The mean answer of several of our int8 models to every image and its mirror image, float32 [N, 14].

    Kept in `cache`, as it takes minutes.
    """
    if not cache.exists():
        crops = tensors(images)
        views = (crops, np.ascontiguousarray(crops[:, :, ::-1]))
        answers = [_shares(int8_logits(teacher, view)) for teacher in teachers for view in views]
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.save(cache, np.mean(answers, axis=0, dtype=np.float32))
    return np.load(cache)


def _shares(logits: np.ndarray) -> np.ndarray:
    return np.concatenate([tf.nn.softmax(logits[:, head]).numpy() for head in (VOTES, LABEL)], axis=1)


# --- int8 ---------------------------------------------------------------------------------------------------------


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


def export(parts: Parts, average: tf.keras.Model, command: str, epochs: int, private: bool) -> None:
    """Write `models/face.tflite` and its card, and print what was measured."""
    rows = np.random.default_rng(SEED).choice(len(parts.train.images), 600, replace=False)
    MODEL.write_bytes(quantise(for_the_box(average, PIXELS[-1]), tensors(parts.train.images[rows])))
    logits = int8_logits(MODEL, tensors(parts.public.images))
    clear = parts.public.majority >= 0
    temperatures = {
        "votes": fit_temperature_to_shares(logits[clear][:, VOTES], parts.public.votes[clear]),
        "label": fit_temperature(logits[:, LABEL], parts.public.label),
    }
    measured = measure(parts.public, "public", average, temperatures, logits)
    if private:
        logits = int8_logits(MODEL, tensors(parts.private.images))
        measured |= measure(parts.private, "private", average, temperatures, logits)
        right = logits[:, LABEL].argmax(1) == parts.private.label
        fresh = round(float(right[~parts.private_is_copy].mean()), 4)
        measured["fer2013_private"]["accuracy_without_duplicates"] = fresh
    write_card(MODEL, facts(parts, average, temperatures, command, epochs, measured))
    print(json.dumps(measured, indent=1))


def measure(
    faces: Faces, name: str, average: tf.keras.Model, temperatures: dict[str, float], logits: np.ndarray
) -> dict[str, Any]:
    """Both heads on one part: the label's against the labels, the votes' against the clear majorities."""
    clear = faces.majority >= 0
    label, votes = float_accuracies(average, faces, PIXELS[-1])
    return {
        f"fer2013_{name}": measures(logits[:, LABEL], faces.label, temperatures["label"]) | {"float_accuracy": label},
        f"ferplus_{name}": measures(logits[clear][:, VOTES], faces.majority[clear], temperatures["votes"])
        | {"float_accuracy": votes},
    }


def float_accuracies(average: tf.keras.Model, faces: Faces, pixels: int) -> tuple[float, float]:
    """Accuracy of both heads before quantisation: on the labels, on the clear majorities."""
    crops = tensors(faces.images)
    logits = np.concatenate(
        [
            average(enlarged(crops[start : start + 256], pixels), training=False).numpy()
            for start in range(0, len(crops), 256)
        ]
    )
    clear = faces.majority >= 0
    votes = (logits[:, VOTES].argmax(1) == faces.majority)[clear].mean()
    return round(float((logits[:, LABEL].argmax(1) == faces.label).mean()), 4), round(float(votes), 4)


def facts(
    parts: Parts,
    average: tf.keras.Model,
    temperatures: dict[str, float],
    command: str,
    epochs: int,
    measured: dict[str, Any],
) -> dict[str, Any]:
    """What the card says about this model."""
    crop = json.loads(CARD.read_text(encoding="utf-8"))["crop"]
    rows = len(parts.train.images)
    return {
        "name": "moodify-face",
        "modality": "face",
        "version": "3.1.0",
        "labels": list(LABELS),
        "input": {
            "shape": [1, CROP_PIXELS, CROP_PIXELS, 1],
            "dtype": "int8",
            "normalisation": "per-crop standardisation, clipped to ±3",
        },
        "output": {"shape": [1, len(HEADS) * len(LABELS)], "dtype": "int8", "meaning": "logits, seven a head"},
        "heads": [{"name": name, "temperature": round(temperatures[name], 4)} for name in HEADS],
        "crop": crop,
        "parameters": int(average.count_params()),
        "macs": count_macs(build(PIXELS[-1])),
        "training": {
            "data": [
                {"name": "FER-2013", "rows": rows, "licence": "no licence by the makers found"},
                {"name": "FER+", "rows": rows, "licence": "MIT"},
                {"name": "ImageNet-1k, through the weights of EfficientNet-Lite0", "licence": "Apache-2.0 (weights)"},
            ],
            "command": command,
            "seed": SEED,
            "epochs": epochs,
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
        nargs=len(PIXELS),
        default=EPOCHS,
        metavar=("SMALL", "MIDDLE", "LARGE"),
        help=f"at {', '.join(map(str, PIXELS))} pixels",
    )
    parser.add_argument("--build", type=Path, default=BUILD, help="folder for the checkpoints")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument(
        "--export-only", action="store_true", help="convert the last checkpoint, leave PrivateTest alone"
    )
    parser.add_argument("--start", type=Path, nargs="+", default=(), metavar="DIR", help="earlier runs' checkpoints")
    parser.add_argument("--rate", type=float, default=PEAK_RATE, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=SEED, help="of the order and the variation of the pictures")
    parser.add_argument("--teachers", type=Path, nargs="+", default=(), metavar="FILE", help="models to learn from")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    tf.config.threading.set_intra_op_parallelism_threads(2)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    tf.keras.utils.set_random_seed(SEED)
    parts = read_parts(arguments.data)
    if arguments.teachers:
        taught = answers_of(arguments.teachers, parts.train.images, arguments.build / "taught.npy")
        parts = replace(parts, train=replace(parts.train, taught=taught))
    steps = len(parts.train.images) // BATCH
    trainer = Trainer(arguments.epochs, steps, arguments.build, arguments.start, arguments.rate, arguments.seed)
    if arguments.resume or arguments.export_only:
        trainer.restore()
    if not arguments.export_only:
        train(parts, trainer)
    epochs = epochs_of(arguments.start) + sum(arguments.epochs)
    export(parts, trainer.average, command_of(arguments), epochs, private=not arguments.export_only)


def command_of(arguments: argparse.Namespace) -> str:
    """The command that trains the same again, for the card."""
    words = ["scripts/train face --data DIR --epochs", *arguments.epochs]
    if arguments.start:
        words += ["--start", *(f"build/{run.name}" for run in arguments.start)]
        words += ["--rate", arguments.rate, "--seed", arguments.seed] if sum(arguments.epochs) else []
    if arguments.teachers:
        words += ["--teachers", *(teacher.name for teacher in arguments.teachers)]
    return " ".join(map(str, words))


if __name__ == "__main__":
    main()
