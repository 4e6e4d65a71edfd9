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
from models.training.voice_network import APART
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
    members = trained.members.values()
    said = [_said(tf, heard, manner, member) for manner, member in trained.members.items()]
    dense = layers.Dense(len(LABELS))
    model = tf.keras.Model(entry, dense(layers.Concatenate()([one for both in said for one in both])))
    kernel = np.concatenate([member["dense.weight"].T for member in members])
    bias = np.mean([member["dense.bias"] for member in members], axis=0)
    dense.set_weights([kernel / len(members), bias])
    return model


def _said(tf: Any, heard: Any, manner: str, weights: Weights) -> list[Any]:
    """What both LSTMs of a head say in the mean over all moments, [1, units] each; as `VoiceHead` does."""
    if manner == "centred":
        heard = heard - tf.reduce_mean(heard, 1, keepdims=True)
    if manner == "convolved":
        heard = _convolved(tf, heard, weights, "near")
        heard = heard + _convolved(tf, heard, weights, "wider", apart=APART)
    units = weights["lstm.weight_hh_l0"].shape[1]
    said = []
    for direction in ("", "_reverse"):
        listener = tf.keras.layers.LSTM(units, return_sequences=True, go_backwards=bool(direction))
        said.append(tf.keras.layers.GlobalAveragePooling1D()(listener(heard)))
        into, back, *biases = (
            weights[f"lstm.{name}_l0{direction}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        listener.set_weights([into.T, back.T, sum(biases)])
    return said


def _standardising(encoder: Weights, trained: Trained) -> dict[str, np.ndarray]:
    """The encoder with a last norm that also standardises, so that all of its values use int8 alike."""
    changed = dict(encoder)
    changed["norm_after.weight"] = encoder["norm_after.weight"] / trained.std
    changed["norm_after.bias"] = (encoder["norm_after.bias"] - trained.mean) / trained.std
    return changed


def _heard(tf: Any, levels: Any, weights: Weights) -> Any:
    """What `voice_encoder.Encoder` does."""

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

    values = _convolved(tf, _convolved(tf, levels, weights, "conv1"), weights, "conv2", stride=STRIDE)
    frames = values.shape[1]
    values = values + weights["positions"][-frames:]
    near = normed(values, "self_attn_layer_norm")
    query = parted(mapped(near, "q_proj", (WIDTH // HEADS) ** -0.5))
    looks = tf.nn.softmax(tf.matmul(query, parted(mapped(near, "k_proj")), transpose_b=True))
    seen = tf.transpose(tf.matmul(looks, parted(mapped(near, "v_proj"))), (0, 2, 1, 3))
    values = values + mapped(tf.reshape(seen, (1, frames, WIDTH)), "out_proj")
    inner = tf.nn.gelu(mapped(normed(values, "final_layer_norm"), "fc1"), approximate=False)
    return normed(values + mapped(inner, "fc2"), "norm_after")


def _convolved(tf: Any, values: Any, weights: Weights, name: str, stride: int = 1, apart: int = 1) -> Any:
    """A convolution over the frames or moments of [1, n, width], and a GELU."""
    kernel = weights[f"{name}.weight"].transpose(2, 1, 0)[:, np.newaxis]
    steps, distances = (1, stride, 1, 1), (1, apart, 1, 1)
    summed = tf.nn.conv2d(values[:, :, tf.newaxis], tf.constant(kernel), steps, "SAME", dilations=distances)
    return tf.nn.gelu(summed + weights[f"{name}.bias"], approximate=False)[:, :, 0]
