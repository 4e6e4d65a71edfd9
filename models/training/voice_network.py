"""The part of the voice network that is trained here: an LSTM over what the encoder hears, and the mean of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from device.domain.labels import LABELS
from models.training.voice_encoder import WIDTH

MASKS = 8
"""Of a batch; drawing one for every clip would take as long as the LSTM."""


class VoiceHead(nn.Module):
    """Logits of seven labels."""

    def __init__(self, units: int, dropouts: tuple[float, float] = (0.0, 0.0)) -> None:
        super().__init__()
        self.dropouts = dropouts
        self.lstm = nn.LSTM(WIDTH, units, batch_first=True)
        self.dense = nn.Linear(units, len(LABELS))
        nn.init.xavier_uniform_(self.dense.weight)
        nn.init.xavier_uniform_(self.lstm.weight_ih_l0)
        nn.init.orthogonal_(self.lstm.weight_hh_l0)
        for bias in (self.dense.bias, self.lstm.bias_ih_l0, self.lstm.bias_hh_l0):
            nn.init.zeros_(bias)
        nn.init.ones_(self.lstm.bias_ih_l0[units : 2 * units].detach())
        # One of the two biases is enough, and Keras has but one.
        self.lstm.bias_hh_l0.requires_grad_(False)

    def forward(self, heard: Tensor) -> Tensor:
        """[n, 7] of standardised moments [n, moments, 384]; some of it is dropped while training."""
        said, _ = self.lstm(_dropped(heard, self.dropouts[0]) if self.training else heard)
        return self.dense(functional.dropout(said.mean(dim=1), self.dropouts[1], self.training))


def _dropped(values: Tensor, share: float) -> Tensor:
    """Dropout with the same few masks over and over; n is a multiple of their number."""
    masks = functional.dropout(torch.ones(MASKS, *values.shape[1:]), share)
    return (values.unflatten(0, (-1, MASKS)) * masks).flatten(0, 1)


def head_of(weights: dict[str, Tensor]) -> VoiceHead:
    """A head with these weights, to be asked."""
    head = VoiceHead(weights["lstm.weight_hh_l0"].shape[1])
    head.load_state_dict(weights)
    return head.eval()
