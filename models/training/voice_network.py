"""The voice network as it is trained; `voice_keras` has its twin, on the way to the int8 file."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from device.domain.labels import LABELS
from models.training.padding import same_margins

STRIDES = ((2, 2), (2, 2), (1, 2), (1, 2))
NORM_EPSILON = 1e-3
NORM_MOMENTUM = 0.02


@dataclass(frozen=True, slots=True)
class Shape:
    """How wide the network is."""

    frames: int = 151
    bands: int = 64
    widths: tuple[int, int, int, int] = (16, 32, 48, 48)
    """Of the four convolutions."""
    units: int = 64
    """Of the LSTM."""


class VoiceNetwork(nn.Module):
    """Convolutions that look at short spans, an LSTM over them, and the mean of what it says: 7 logits."""

    def __init__(self, shape: Shape, dropouts: tuple[float, float] = (0.3, 0.4)) -> None:
        super().__init__()
        self.shape, self.dropouts = shape, dropouts
        self.convolutions, self.norms, self.margins = nn.ModuleList(), nn.ModuleList(), []
        size, before = (shape.frames, shape.bands), 1
        for depth, (width, stride) in enumerate(zip(shape.widths, STRIDES, strict=True)):
            kernel = 3 if depth else 5
            self.margins.append(same_margins(size[1], kernel, stride[1]) + same_margins(size[0], kernel, stride[0]))
            self.convolutions.append(nn.Conv2d(before, width, kernel, stride, bias=False))
            self.norms.append(nn.BatchNorm2d(width, NORM_EPSILON, NORM_MOMENTUM))
            size, before = (-(-size[0] // stride[0]), -(-size[1] // stride[1])), width
        self.lstm = nn.LSTM(size[1] * before, shape.units, batch_first=True)
        self.dense = nn.Linear(shape.units, len(LABELS))
        self._start()

    def _start(self) -> None:
        """Weights as Keras draws them; one of the LSTM's two biases is enough."""
        for layer in (*self.convolutions, self.dense):
            nn.init.xavier_uniform_(layer.weight)
        nn.init.xavier_uniform_(self.lstm.weight_ih_l0)
        nn.init.orthogonal_(self.lstm.weight_hh_l0)
        for bias in (self.dense.bias, self.lstm.bias_ih_l0, self.lstm.bias_hh_l0):
            nn.init.zeros_(bias)
        nn.init.ones_(self.lstm.bias_ih_l0[self.shape.units : 2 * self.shape.units].detach())
        self.lstm.bias_hh_l0.requires_grad_(False)

    def forward(self, values: Tensor, chance: torch.Generator | None = None) -> Tensor:
        """Logits [n, 7] of standardised log-mels [n, frames, bands]; with a `chance`, some of it is dropped."""
        tensor = values.unsqueeze(1)
        for margins, convolution, norm in zip(self.margins, self.convolutions, self.norms, strict=True):
            tensor = functional.relu6(norm(convolution(functional.pad(tensor, margins))))
        tensor = _dropped(tensor.permute(0, 2, 3, 1).flatten(2), self.dropouts[0], chance)
        said, _ = self.lstm(tensor)
        return self.dense(_dropped(said.mean(dim=1), self.dropouts[1], chance))


def _dropped(tensor: Tensor, share: float, chance: torch.Generator | None) -> Tensor:
    if chance is None:
        return tensor
    stays = torch.rand(tensor.shape, generator=chance, device=tensor.device) >= share
    return tensor * stays / (1 - share)
