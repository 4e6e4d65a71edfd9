"""The whole voice network in Keras, encoder and head, on its way to the int8 file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from device.domain.labels import LABELS
from models.training.int8 import int8_file
from models.training.measuring import int8_logits
from models.training.voice_corpora import SPEC
from models.training.voice_encoder import HEADS, NORM_EPSILON, STRIDE, WIDTH
from models.training.voice_hearing import POOLED
from models.training.voice_recipe import Trained

Weights = Mapping[str, np.ndarray]


def write_int8(file: Path, encoder: Weights, trained: Trained, examples: np.ndarray) -> None:
    """Write the network as int8; `examples`, float32 [N, frames, bands], set its ranges.

    By how much rounding moves the logits of the examples on average, the last bias is moved back (Nagel et al.,
    Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019).
    """
    model = twin(encoder, trained)
    file.write_bytes(int8_file(model, examples))
    moved = int8_logits(file, examples).mean(axis=0) - exact_logits(model, examples).mean(axis=0)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, bias - moved])
    file.write_bytes(int8_file(model, examples))


def exact_logits(model: Any, inputs: np.ndarray) -> np.ndarray:
    """Float32 [N, 7] for inputs [N, frames, bands], one after the other."""
    import tensorflow as tf

    ask = tf.function(model)
    return np.concatenate([ask(tf.constant(one[np.newaxis], tf.float32)).numpy() for one in inputs])


def twin(encoder: Weights, trained: Trained) -> Any:
    """A Keras model that answers standardised log-mels as encoder and head do; its batch is 1.

    The batch is fixed: with an open one the LSTM's loop cannot be lowered to the fused operator.
    """
    import tensorflow as tf

    layers = tf.keras.layers
    entry = layers.Input((SPEC.frames, SPEC.bands), batch_size=1)
    heard = layers.AveragePooling1D(POOLED, padding="same")(_heard(tf, entry, _standardising(encoder, trained)))
    units = trained.members[0]["lstm.weight_hh_l0"].shape[1]
    listeners = [layers.LSTM(units, return_sequences=True) for _ in trained.members]
    said = layers.Concatenate()([layers.GlobalAveragePooling1D()(listener(heard)) for listener in listeners])
    dense = layers.Dense(len(LABELS))
    model = tf.keras.Model(entry, dense(said))
    for listener, member in zip(listeners, trained.members, strict=True):
        bias = member["lstm.bias_ih_l0"] + member["lstm.bias_hh_l0"]
        listener.set_weights([member["lstm.weight_ih_l0"].T, member["lstm.weight_hh_l0"].T, bias])
    kernel = np.concatenate([member["dense.weight"].T for member in trained.members])
    bias = np.mean([member["dense.bias"] for member in trained.members], axis=0)
    dense.set_weights([kernel / len(trained.members), bias])
    return model


def _standardising(encoder: Weights, trained: Trained) -> dict[str, np.ndarray]:
    """The encoder with a last norm that also standardises, so that all of its values use int8 alike."""
    changed = dict(encoder)
    changed["norm_after.weight"] = encoder["norm_after.weight"] / trained.std
    changed["norm_after.bias"] = (encoder["norm_after.bias"] - trained.mean) / trained.std
    return changed


def _heard(tf: Any, levels: Any, weights: Weights) -> Any:
    """What `voice_encoder.Encoder` does."""

    def convolved(values: Any, name: str, stride: int) -> Any:
        kernel = weights[f"{name}.weight"].transpose(2, 1, 0)[:, np.newaxis]
        summed = tf.nn.conv2d(values[:, :, tf.newaxis], tf.constant(kernel), (1, stride, 1, 1), "SAME")
        return tf.nn.gelu(summed + weights[f"{name}.bias"], approximate=False)[:, :, 0]

    def normed(values: Any, name: str) -> Any:
        apart = values - tf.reduce_mean(values, -1, keepdims=True)
        spread = tf.math.rsqrt(tf.reduce_mean(apart * apart, -1, keepdims=True) + NORM_EPSILON)
        return apart * spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def mapped(values: Any, name: str, scale: float = 1.0) -> Any:
        summed = tf.matmul(values[0], tf.constant(weights[f"{name}.weight"].T * scale))
        if f"{name}.bias" in weights:
            summed = summed + weights[f"{name}.bias"] * scale
        return summed[tf.newaxis]

    def parted(values: Any) -> Any:
        return tf.transpose(tf.reshape(values, (1, -1, HEADS, WIDTH // HEADS)), (0, 2, 1, 3))

    values = convolved(convolved(levels, "conv1", 1), "conv2", STRIDE)
    frames = values.shape[1]
    values = values + weights["positions"][-frames:]
    near = normed(values, "self_attn_layer_norm")
    query = parted(mapped(near, "q_proj", (WIDTH // HEADS) ** -0.5))
    looks = tf.nn.softmax(tf.matmul(query, parted(mapped(near, "k_proj")), transpose_b=True))
    seen = tf.transpose(tf.matmul(looks, parted(mapped(near, "v_proj"))), (0, 2, 1, 3))
    values = values + mapped(tf.reshape(seen, (1, frames, WIDTH)), "out_proj")
    inner = tf.nn.gelu(mapped(normed(values, "final_layer_norm"), "fc1"), approximate=False)
    return normed(values + mapped(inner, "fc2"), "norm_after")
