"""The part of the voice network that is trained here: LSTMs over what the encoder hears, and the mean of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from device.domain.labels import LABELS
from models.training.voice_weights import WIDTH

MANNERS = ("plain", "convolved", "centred")
"""How heads listen: to moments as they are; to what two convolutions make of them; to how they differ from the mean of
their window, which takes off much of whose voice and which microphone it is."""
CONVOLVED = 128
"""Values of a moment after the convolutions."""
SPANS = (5, 3)
"""Moments that each convolution looks at."""
APART = 2
"""How far those of the second lie apart."""
MASKS = 8
"""Of a batch; drawing one for every clip would take as long as the LSTM."""


class VoiceHead(nn.Module):
    """Logits of seven labels."""

    def __init__(self, manner: str, units: int, dropouts: tuple[float, float] = (0.0, 0.0)) -> None:
        super().__init__()
        self.manner = manner
        self.dropouts = dropouts
        if manner == "convolved":
            self.near = nn.Conv1d(WIDTH, CONVOLVED, SPANS[0], padding="same")
            self.wider = nn.Conv1d(CONVOLVED, CONVOLVED, SPANS[1], padding="same", dilation=APART)
        self.lstm = nn.LSTM(CONVOLVED if manner == "convolved" else WIDTH, units, batch_first=True, bidirectional=True)
        self.dense = nn.Linear(2 * units, len(LABELS))
        for name, weight in self.lstm.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(weight)
            elif name.startswith("weight_hh"):
                nn.init.orthogonal_(weight)
            else:
                nn.init.zeros_(weight)
            if name.startswith("bias_ih"):
                nn.init.ones_(weight[units : 2 * units].detach())
            # One of the two biases is enough, and Keras has but one.
            weight.requires_grad_(not name.startswith("bias_hh"))

    def forward(self, heard: Tensor) -> Tensor:
        """[n, 7] of standardised moments [n, moments, WIDTH]; some of it is dropped while training."""
        values = _dropped(heard, self.dropouts[0]) if self.training else heard
        if self.manner == "centred":
            values = values - values.mean(dim=1, keepdim=True)
        if self.manner == "convolved":
            values = functional.gelu(self.near(values.transpose(1, 2)))
            values = (values + functional.gelu(self.wider(values))).transpose(1, 2)
        said, _ = self.lstm(values)
        return self.dense(functional.dropout(said.mean(dim=1), self.dropouts[1], self.training))


def _dropped(values: Tensor, share: float) -> Tensor:
    """Dropout with the same few masks over and over; n is a multiple of their number."""
    masks = functional.dropout(torch.ones(MASKS, *values.shape[1:]), share)
    return (values.unflatten(0, (-1, MASKS)) * masks).flatten(0, 1)


def head_of(manner: str, weights: dict[str, Tensor]) -> VoiceHead:
    """A head with these weights, to be asked."""
    head = VoiceHead(manner, weights["lstm.weight_hh_l0"].shape[1])
    head.load_state_dict(weights)
    return head.eval()
