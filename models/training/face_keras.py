"""The twin in Keras of the face network that ships, on its way to the int8 file."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from device.sensing.crop import CROP_PIXELS
from models.training.face_networks import (
    EPSILON,
    OUTPUTS,
    SHIPPED,
    SHIPPED_HEAD_WIDTH,
    STEM_WIDTH,
    Block,
    Lite,
    Normed,
    Stage,
)


def build(pixels: int | None = None) -> tf.keras.Model:
    """[S, S, 1] to 14 logits."""
    layers = tf.keras.layers
    entry = layers.Input((pixels, pixels, 1))
    tensor = _normed(layers.Conv2D(STEM_WIDTH, 3, 2, "same", use_bias=False, name="stem"), entry, "stem_norm")
    index = 0
    for stage in SHIPPED:
        for block in range(stage.blocks):
            tensor = _block(tensor, f"block{index}", stage, stage.stride if block == 0 else 1)
            index += 1
    tensor = _normed(layers.Conv2D(SHIPPED_HEAD_WIDTH, 1, use_bias=False, name="head"), tensor, "head_norm")
    tensor = layers.GlobalAveragePooling2D()(tensor)
    return tf.keras.Model(entry, layers.Dense(OUTPUTS, name="logits")(tensor))


def for_the_box(model: tf.keras.Model, pixels: int) -> tf.keras.Model:
    """The same network for one crop [1, 48, 48, 1], which it enlarges to `pixels` itself."""
    entry = tf.keras.layers.Input((CROP_PIXELS, CROP_PIXELS, 1), batch_size=1)
    return tf.keras.Model(entry, model(enlarged(entry, pixels)))


def enlarged(crops: Any, pixels: int) -> Any:
    """Crops [N, 48, 48, 1] as [N, pixels, pixels, 1]."""
    return tf.image.resize(crops, (pixels, pixels), method="bilinear")


def _block(tensor: Any, name: str, stage: Stage, stride: int) -> Any:
    """`face_networks.Block`."""
    layers = tf.keras.layers
    inner, width = tensor, tensor.shape[-1]
    if stage.expand > 1:
        wide = layers.Conv2D(width * stage.expand, 1, use_bias=False, name=f"{name}_expand")
        inner = _normed(wide, inner, f"{name}_expand_norm")
    each = layers.DepthwiseConv2D(stage.kernel, stride, "same", use_bias=False, name=f"{name}_depthwise")
    inner = _normed(each, inner, f"{name}_depthwise_norm")
    narrow = layers.Conv2D(stage.width, 1, use_bias=False, name=f"{name}_project")
    inner = _normed(narrow, inner, f"{name}_project_norm", active=False)
    if stride != 1 or width != stage.width:
        return inner
    return layers.Add(name=f"{name}_add")([tensor, inner])


def _normed(convolution: tf.keras.layers.Layer, tensor: Any, name: str, active: bool = True) -> Any:
    tensor = tf.keras.layers.BatchNormalization(epsilon=EPSILON, name=name)(convolution(tensor))
    return tf.keras.layers.ReLU(6.0)(tensor) if active else tensor


# --- weights ------------------------------------------------------------------------------------------------------


def take_weights(twin: tf.keras.Model, network: Lite) -> None:
    """Give the twin the weights of the trained network."""
    _take(twin, "stem", network.stem)
    for index, block in enumerate(network.blocks):
        assert isinstance(block, Block)
        if isinstance(block.expand, Normed):
            _take(twin, f"block{index}_expand", block.expand)
        _take(twin, f"block{index}_depthwise", block.depthwise)
        _take(twin, f"block{index}_project", block.project)
    _take(twin, "head", network.head)
    twin.get_layer("logits").set_weights(
        [network.logits.weight.detach().numpy().T, network.logits.bias.detach().numpy()]
    )


def _take(twin: tf.keras.Model, name: str, layer: Normed) -> None:
    """Kernels go from [out, in, height, width] to [height, width, in, out], depthwise to [height, width, in, 1]."""
    kernel = layer[0].weight.detach().numpy()
    each = isinstance(twin.get_layer(name), tf.keras.layers.DepthwiseConv2D)
    twin.get_layer(name).set_weights([kernel.transpose(2, 3, 0, 1) if each else kernel.transpose(2, 3, 1, 0)])
    figures = (layer[1].weight, layer[1].bias, layer[1].running_mean, layer[1].running_var)
    twin.get_layer(f"{name}_norm").set_weights([figure.detach().numpy() for figure in figures])


# --- cost ---------------------------------------------------------------------------------------------------------


def count_macs(model: tf.keras.Model) -> int:
    """Multiplications of one pass at the model's input size, without the enlargement."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.DepthwiseConv2D):
            total += int(np.prod(layer.output_shape[1:]) * np.prod(layer.kernel_size))
        elif isinstance(layer, tf.keras.layers.Conv2D):
            total += int(np.prod(layer.output_shape[1:3]) * np.prod(layer.kernel.shape))
        elif isinstance(layer, tf.keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape))
    return total
