"""The voice network's twin in Keras, on its way to the int8 file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from device.domain.labels import LABELS
from models.training.voice_network import NORM_EPSILON, STRIDES, Shape


def twin(weights: Mapping[str, np.ndarray], shape: Shape) -> Any:
    """A Keras model that answers as the `VoiceNetwork` with these weights; its batch is 1.

    The batch is fixed: with an open one the LSTM's loop cannot be lowered to the fused operator.
    """
    model = _build(shape)
    model.set_weights(_carried(weights))
    return model


def _build(shape: Shape) -> Any:
    import tensorflow as tf

    layers = tf.keras.layers
    entry = layers.Input((shape.frames, shape.bands), batch_size=1)
    tensor = layers.Reshape((shape.frames, shape.bands, 1))(entry)
    for depth, (width, stride) in enumerate(zip(shape.widths, STRIDES, strict=True)):
        size = 3 if depth else 5
        tensor = layers.Conv2D(width, size, strides=stride, padding="same", use_bias=False)(tensor)
        tensor = layers.BatchNormalization(epsilon=NORM_EPSILON)(tensor)
        tensor = layers.ReLU(6.0)(tensor)
    steps, height, width = tensor.shape[1:]
    tensor = layers.Reshape((steps, height * width))(tensor)
    said = layers.LSTM(shape.units, return_sequences=True)(tensor)
    heard = layers.GlobalAveragePooling1D()(said)
    return tf.keras.Model(entry, layers.Dense(len(LABELS))(heard))


def _carried(weights: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The weights in Keras's order and layout."""
    carried = []
    for depth in range(len(STRIDES)):
        carried.append(weights[f"convolutions.{depth}.weight"].transpose(2, 3, 1, 0))
        carried += [weights[f"norms.{depth}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")]
    carried += [weights["lstm.weight_ih_l0"].T, weights["lstm.weight_hh_l0"].T]
    carried.append(weights["lstm.bias_ih_l0"] + weights["lstm.bias_hh_l0"])
    return [*carried, weights["dense.weight"].T, weights["dense.bias"]]
