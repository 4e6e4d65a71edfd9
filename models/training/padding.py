"""How TensorFlow pads a convolution "same", for the networks that are trained in PyTorch and ship through it."""

from __future__ import annotations


def same_margins(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis, so that its output has length / stride, rounded up; the odd one comes after."""
    surplus = max(0, (-(-length // stride) - 1) * stride + kernel - length)
    return surplus // 2, surplus - surplus // 2
