"""The first layers of a speech network that has heard much: Whisper's two convolutions and its first blocks.

A. Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022 (Whisper, MIT).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.training.voice_corpora import SPEC
from models.training.voice_weights import BLOCKS, HEAD_WIDTH, WIDTH, pretrained

NORM_EPSILON = 1e-5
STRIDE = 2
"""Of the second convolution."""
PLACES = (SPEC.frames + 1) // STRIDE
"""Frames of what the encoder gives."""


class Encoder(nn.Module):
    """Frames of 10 ms become half as many of WIDTH values, each of which has looked at all others in every block."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(SPEC.bands, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=STRIDE, padding=1)
        self.register_buffer("positions", torch.zeros(PLACES, WIDTH))
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.norm_after = nn.LayerNorm(WIDTH, NORM_EPSILON)

    def forward(self, levels: Tensor) -> Tensor:
        """[n, (frames + 1) // 2, WIDTH] of standardised log-mels [n, frames, bands]."""
        values = functional.gelu(_convolved(levels, self.conv1, 1))
        values = functional.gelu(_convolved(values, self.conv2, STRIDE)) + self.positions
        for block in self.blocks:
            values = block(values)
        return self.norm_after(values)


class Block(nn.Module):
    """Each frame looks at all, then at itself."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn_layer_norm = nn.LayerNorm(WIDTH, NORM_EPSILON)
        self.q_proj, self.v_proj, self.out_proj = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.k_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.final_layer_norm = nn.LayerNorm(WIDTH, NORM_EPSILON)
        self.fc1, self.fc2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, values: Tensor) -> Tensor:
        values = values + self._looked_around(self.self_attn_layer_norm(values))
        return values + self.fc2(functional.gelu(self.fc1(self.final_layer_norm(values))))

    def _looked_around(self, values: Tensor) -> Tensor:
        count, frames, _ = values.shape
        query, key, value = (
            layer(values).view(count, frames, WIDTH // HEAD_WIDTH, HEAD_WIDTH).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        seen = functional.scaled_dot_product_attention(query, key, value)
        return self.out_proj(seen.transpose(1, 2).reshape(count, frames, WIDTH))


def _convolved(values: Tensor, layer: nn.Conv1d, stride: int) -> Tensor:
    """The convolution over the frames of [n, frames, width] as one product, which a processor does faster."""
    frames = values.shape[1]
    padded = functional.pad(values, (0, 0, 1, 1))
    near = torch.cat([padded[:, start : start + frames : stride] for start in range(3)], dim=2)
    return near @ layer.weight.permute(2, 1, 0).flatten(0, 1) + layer.bias


def encoder() -> Encoder:
    """The encoder with its weights, to be asked."""
    network = Encoder().eval()
    network.load_state_dict({name: torch.tensor(value) for name, value in pretrained(PLACES).items()})
    return network
