"""The floats of a network that shipped, out of its int8 file: what learns on where the checkpoints were not kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import torch
from torch import nn

from models.training.face_networks import Lite, Normed
from models.training.face_plan import PIXELS, shipped
from models.training.face_variety import plain

KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Operators with weights. The converter has folded each norm into the convolution before it."""
ENTRY = [1, PIXELS, PIXELS, 1]
"""What the first convolution is given."""
BATCH = 128

Weights = tuple[torch.Tensor, torch.Tensor]
"""Kernel [out, in, height, width] (of the last layer [out, in]) and bias [out]."""


def recovered(file: Path, images: np.ndarray) -> Lite:
    """The network of `file`, ready to be asked; faces uint8 [N, 48, 48] set the figures of its norms.

    Rounding to int8 is all that is lost. Each norm gets the mean and deviation of what it is given for these faces,
    and a scale and shift that undo them: the answers stay, and what learns on finds its steps of the usual size.
    """
    interpreter = _opened(file)
    network = shipped().eval().requires_grad_(False)
    convolutions = [part for part in network.modules() if isinstance(part, Normed)]
    found = list(_weights(interpreter))
    expected = [*(part[0].weight for part in convolutions), network.logits.weight]
    alike = [kernel.shape for kernel, _ in found] == [weight.shape for weight in expected]
    if not alike or not any(tensor["shape"].tolist() == ENTRY for tensor in interpreter.get_tensor_details()):
        raise SystemExit(f"{file}: not a network like the one that ships; versions from 4.0.0 on are")
    *layers, (kernel, bias) = found
    for convolution, weights in zip(convolutions, layers, strict=True):
        _fold_out(convolution, weights)
    network.logits.weight.copy_(kernel)
    network.logits.bias.copy_(bias)
    _give_figures(network, convolutions, images)
    return network


def _opened(file: Path) -> Any:
    import tensorflow as tf

    try:
        return tf.lite.Interpreter(str(file))
    except ValueError as error:
        raise SystemExit(f"{file}: no TFLite file; git show COMMIT:models/face.tflite >FILE makes one") from error


def _weights(interpreter: Any) -> Iterator[Weights]:
    """Of every operator that has any, in the order in which they are computed."""
    details = {each["index"]: each for each in interpreter.get_tensor_details()}

    def floats(index: int) -> np.ndarray:
        facts = details[index]["quantization_parameters"]
        shape = [1] * len(details[index]["shape"])
        shape[facts["quantized_dimension"]] = -1
        centred = interpreter.get_tensor(index).astype(np.float32) - facts["zero_points"].reshape(shape)
        return np.asarray(centred * facts["scales"].reshape(shape), dtype=np.float32)

    for operator in interpreter._get_ops_details():
        if operator["op_name"] in KINDS:
            _, kernel, bias = operator["inputs"]
            values = floats(kernel)
            if operator["op_name"] == "DEPTHWISE_CONV_2D":  # [1, height, width, out]
                values = values.transpose(3, 0, 1, 2)
            elif operator["op_name"] == "CONV_2D":  # [out, height, width, in]
                values = values.transpose(0, 3, 1, 2)
            yield torch.from_numpy(np.ascontiguousarray(values)), torch.from_numpy(floats(bias))


def _fold_out(convolution: Normed, weights: Weights) -> None:
    """The kernel, and a norm that adds the bias and does nothing else."""
    kernel, bias = weights
    convolution[0].weight.copy_(kernel)
    _set_norm(convolution[1], torch.zeros_like(bias), torch.ones_like(bias), bias)


def _set_norm(norm: nn.BatchNorm2d, mean: torch.Tensor, variance: torch.Tensor, bias: torch.Tensor) -> None:
    """Figures of what it is given, with the scale and shift that leave it as it is but for `bias`."""
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_((variance + norm.eps).sqrt())
    norm.bias.copy_(bias + mean)


def _give_figures(network: Lite, convolutions: list[Normed], images: np.ndarray) -> None:
    """Each norm's mean and variance of what the convolution before it answers to these faces."""
    sums = [torch.zeros(2, part[1].num_features, dtype=torch.float64) for part in convolutions]
    counts = [0] * len(convolutions)

    def note(index: int, answer: torch.Tensor) -> None:
        sums[index] += torch.stack([answer.sum((0, 2, 3)), answer.square().sum((0, 2, 3))]).double()
        counts[index] += answer.numel() // answer.shape[1]

    hooks = [
        part[0].register_forward_hook(lambda _, __, answer, index=index: note(index, answer))
        for index, part in enumerate(convolutions)
    ]
    for some in torch.from_numpy(images).split(BATCH):
        network(plain(some, PIXELS))
    for hook in hooks:
        hook.remove()
    for part, (total, squares), count in zip(convolutions, sums, counts, strict=True):
        mean = total / count
        variance = squares / count - mean.square()
        _set_norm(part[1], mean.float(), variance.clamp(min=0).float(), part[1].bias.clone())
