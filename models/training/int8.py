"""From a trained Keras network to the int8 file: what both models' exports share."""

from __future__ import annotations

from typing import Any

import numpy as np


def int8_file(model: Any, examples: np.ndarray) -> bytes:
    """TFLite with int8 weights, activations, input and output; `examples` (float32 [N, …], inputs) set the ranges."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([example[np.newaxis]] for example in examples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return bytes(converter.convert())
