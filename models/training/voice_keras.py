"""The whole voice network in Keras, encoder and head, on its way to the int8 file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from device.domain.labels import LABELS
from models.training.int8 import int8_file
from models.training.measuring import int8_logits
from models.training.voice_corpora import SPEC
from models.training.voice_encoder import NORM_EPSILON, STRIDE
from models.training.voice_hearing import POOLED
from models.training.voice_network import POOLING, SPANS
from models.training.voice_recipe import Trained
from models.training.voice_weights import BLOCKS, HEAD_WIDTH, WIDTH, Weights


def write_int8(file: Path, encoder: Weights, trained: Trained, examples: np.ndarray) -> None:
    """Write the network as int8; `examples`, float32 [N, frames, bands], set its ranges.

    By how much rounding moves the logits of the examples on average, the last bias is moved back (Nagel et al.,
    Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019).
    """
    model = twin(encoder, trained)
    file.write_bytes(int8_file(model, examples))
    moved = int8_logits(file, examples).mean(axis=0) - exact_logits(model, examples).mean(axis=0)
    move_last_bias(file, -moved)


def move_last_bias(file: Path, by: np.ndarray) -> None:
    """Add to the bias of the int8 file's last layer; ValueError if it does not end in a dense one with a bias.

    A new conversion would take a minute, and differ in the range of the output, which stays.
    """
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(file))
    graph = model.subgraphs[0]
    last = graph.operators[-1]
    kind = model.operatorCodes[last.opcodeIndex].builtinCode
    if kind != schema.BuiltinOperator.FULLY_CONNECTED or len(last.inputs) < 3 or last.inputs[2] < 0:
        raise ValueError(f"{file} does not end in a dense layer with a bias")
    bias = graph.tensors[last.inputs[2]]
    buffer = model.buffers[bias.buffer]
    steps = np.round(by / bias.quantization.scale).astype(np.int32)
    buffer.data = (np.frombuffer(bytes(buffer.data), np.int32) + steps).view(np.uint8)
    flatbuffer_utils.write_model(model, str(file))


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
    heard = layers.AveragePooling1D(POOLED, padding="same")(_heard(tf, entry, encoder))
    heard = _standardised(tf, heard, encoder, trained)
    members = trained.members.values()
    said = [_said(tf, heard, manner, member) for manner, member in trained.members.items()]
    dense = layers.Dense(len(LABELS))
    model = tf.keras.Model(entry, dense(layers.Concatenate()([one for part in said for one in part])))
    kernel = np.concatenate([member["dense.weight"].T for member in members])
    bias = np.mean([member["dense.bias"] for member in members], axis=0)
    dense.set_weights([kernel / len(members), bias])
    return model


def _said(tf: Any, heard: Any, manner: str, weights: Weights) -> list[Any]:
    """What goes into the dense layer of a head, [1, n] each; as `VoiceHead` does."""
    if manner == "centred":
        heard = heard - tf.reduce_mean(heard, 1, keepdims=True)
    for number in range(len(SPANS.get(manner, ()))):
        near = _convolved(tf, heard, weights, f"convolutions.{number}", apart=2**number)
        heard = heard + near if number else near
    if manner in POOLING:
        both = tf.concat([tf.reduce_mean(heard, 1, keepdims=True), tf.reduce_max(heard, 1, keepdims=True)], 2)
        kernel = weights["hidden.weight"].T[np.newaxis, np.newaxis]
        return [_gelu(tf, _linear(tf, both, kernel, weights["hidden.bias"]))[:, 0]]
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


def _standardised(tf: Any, heard: Any, encoder: Weights, trained: Trained) -> Any:
    """Gain and shift of the encoder's last norm, and what standardises, so that all values use int8 alike."""
    gain = encoder["norm_after.weight"] / trained.std
    shift = (encoder["norm_after.bias"] - trained.mean) / trained.std
    kernel = tf.constant(gain[np.newaxis, np.newaxis, :, np.newaxis])
    return (tf.nn.depthwise_conv2d(heard[:, :, tf.newaxis], kernel, (1, 1, 1, 1), "SAME") + tf.constant(shift))[:, :, 0]


def _heard(tf: Any, levels: Any, weights: Weights) -> Any:
    """What `voice_encoder.Encoder` does, but for gain and shift of its last norm.

    Written so that rounding costs little: a norm's gain and shift are in the layers that follow, the powers are summed
    in one product, whose sum is of 32 bits, and linear layers are convolutions, whose outputs have a scale each.
    """

    def normed(values: Any) -> Any:
        apart = values - tf.reduce_mean(values, -1, keepdims=True)
        power = tf.matmul(apart[:, :, tf.newaxis], apart[..., tf.newaxis])[..., 0] / WIDTH
        return apart * tf.math.rsqrt(power + NORM_EPSILON)

    def layer(name: str, norm: str = "", scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """Kernel and shift of a linear layer, with gain and shift of the norm before it."""
        matrix = weights[f"{name}.weight"].T * scale
        shift = weights.get(f"{name}.bias", np.zeros(matrix.shape[1], np.float32)) * scale
        if norm:
            shift = shift + weights[f"{norm}.bias"] @ matrix
            matrix = weights[f"{norm}.weight"][:, np.newaxis] * matrix
        return matrix[np.newaxis, np.newaxis], shift

    def parted(values: Any) -> Any:
        return tf.transpose(tf.reshape(values, (1, -1, WIDTH // HEAD_WIDTH, HEAD_WIDTH)), (0, 2, 1, 3))

    def block(values: Any, name: str) -> Any:
        near = normed(values)
        query, key, value = (
            parted(_linear(tf, near, *layer(f"{name}{one}_proj", f"{name}self_attn_layer_norm", scale)))
            for one, scale in (("q", HEAD_WIDTH**-0.5), ("k", 1.0), ("v", 1.0))
        )
        looks = tf.nn.softmax(tf.matmul(query, key, transpose_b=True))
        seen = tf.transpose(tf.matmul(looks, value), (0, 2, 1, 3))
        values = values + _linear(tf, tf.reshape(seen, (1, -1, WIDTH)), *layer(f"{name}out_proj"))
        inner = _gelu(tf, _linear(tf, normed(values), *layer(f"{name}fc1", f"{name}final_layer_norm")))
        return values + _linear(tf, inner, *layer(f"{name}fc2"))

    values = _convolved(tf, levels, weights, "conv1")
    values = _convolved(tf, values, weights, "conv2", stride=STRIDE)
    values = values + weights["positions"]
    for number in range(BLOCKS):
        values = block(values, f"blocks.{number}.")
    return normed(values)


def _convolved(tf: Any, values: Any, weights: Weights, name: str, stride: int = 1, apart: int = 1) -> Any:
    """A convolution over the frames or moments of [1, n, width], and a GELU."""
    kernel = weights[f"{name}.weight"].transpose(2, 1, 0)[:, np.newaxis]
    return _gelu(tf, _linear(tf, values, kernel, weights[f"{name}.bias"], stride, apart))


def _gelu(tf: Any, values: Any) -> Any:
    return tf.nn.gelu(values, approximate=False)


def _linear(tf: Any, values: Any, kernel: np.ndarray, shift: np.ndarray, stride: int = 1, apart: int = 1) -> Any:
    """[1, n, out] of values [1, n, in] and a kernel [near, 1, in, out]."""
    weights = tf.constant(kernel, tf.float32)
    summed = tf.nn.conv2d(values[:, :, tf.newaxis], weights, (1, stride, 1, 1), "SAME", dilations=(1, apart, 1, 1))
    return (summed + tf.constant(shift, tf.float32))[:, :, 0]
