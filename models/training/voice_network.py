"""The voice network, and its way to a fully int8 file."""

from __future__ import annotations

from typing import Any

import numpy as np

from device.domain.labels import LABELS
from device.sensing.logmel_spec import LogMelSpec

WIDTHS = (16, 32, 48, 48)
STRIDES = ((2, 2), (2, 2), (1, 2), (1, 2))
UNITS = 64


def build(spec: LogMelSpec, batch: int | None = None) -> Any:
    """Convolutions that look at short spans, an LSTM over them, and the mean of what it says: 7 logits."""
    import tensorflow as tf

    layers = tf.keras.layers
    entry = layers.Input((spec.frames, spec.bands), batch_size=batch)
    tensor = layers.Reshape((spec.frames, spec.bands, 1))(entry)
    for depth, (width, stride) in enumerate(zip(WIDTHS, STRIDES, strict=True)):
        size = 3 if depth else 5
        tensor = layers.Conv2D(width, size, strides=stride, padding="same", use_bias=False)(tensor)
        tensor = layers.BatchNormalization(momentum=0.98)(tensor)
        tensor = layers.ReLU(6.0)(tensor)
    steps, height, width = tensor.shape[1:]
    tensor = layers.Reshape((steps, height * width))(tensor)
    tensor = layers.Dropout(0.3)(tensor)
    tensor = layers.LSTM(UNITS, return_sequences=True)(tensor)
    tensor = layers.GlobalAveragePooling1D()(tensor)
    tensor = layers.Dropout(0.4)(tensor)
    return tf.keras.Model(entry, layers.Dense(len(LABELS))(tensor))


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
