"""The whole voice network in Keras, encoder and head, on its way to the int8 file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from device.domain.labels import LABELS
from models.training.voice_corpora import SPEC
from models.training.voice_encoder import HEADS, NORM_EPSILON, STRIDE, WIDTH
from models.training.voice_hearing import POOLED
from models.training.voice_recipe import Trained

Weights = Mapping[str, np.ndarray]


def twin(encoder: Weights, trained: Trained) -> Any:
    """A Keras model that answers standardised log-mels as encoder and head do; its batch is 1.

    The batch is fixed: with an open one the LSTM's loop cannot be lowered to the fused operator.
    """
    import tensorflow as tf

    layers = tf.keras.layers
    entry = layers.Input((SPEC.frames, SPEC.bands), batch_size=1)
    heard = layers.AveragePooling1D(POOLED, padding="same")(_heard(tf, entry, _standardising(encoder, trained)))
    head = trained.weights
    said = layers.LSTM(head["lstm.weight_hh_l0"].shape[1], return_sequences=True, name="lstm")(heard)
    answer = layers.Dense(len(LABELS), name="dense")(layers.GlobalAveragePooling1D()(said))
    model = tf.keras.Model(entry, answer)
    bias = head["lstm.bias_ih_l0"] + head["lstm.bias_hh_l0"]
    model.get_layer("lstm").set_weights([head["lstm.weight_ih_l0"].T, head["lstm.weight_hh_l0"].T, bias])
    model.get_layer("dense").set_weights([head["dense.weight"].T, head["dense.bias"]])
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
