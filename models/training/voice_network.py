"""The part of the voice network that is trained here: heads that listen, each in its manner, to the encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from device.domain.labels import LABELS
from models.training.voice_weights import WIDTH

MANNERS = ("plain", "convolved", "centred", "unordered", "layered")
"""How heads listen, with LSTMs: to moments as they are; to what two convolutions make of them; to how they differ from
the mean of their window, which takes off much of whose voice and which microphone it is. Without: to each moment by
itself; to what three convolutions make of them."""
SPANS = {"convolved": (5, 3), "unordered": (1,), "layered": (5, 3, 3)}
"""Moments that each convolution of a head looks at; they lie twice as far apart as those of the one before."""
POOLING = ("unordered", "layered")
"""Heads that have no LSTM, but go by mean and highest over the window."""
CONVOLVED = 128
"""Values of a moment after a convolution, and of the hidden layer of heads without an LSTM."""
MASKS = 8
"""Of a batch; drawing one for every clip would take as long as the LSTM."""


class VoiceHead(nn.Module):
    """Logits of seven labels; `units` of each LSTM, if there is any."""

    def __init__(self, manner: str, units: int, dropouts: tuple[float, float] = (0.0, 0.0)) -> None:
        super().__init__()
        self.manner = manner
        self.dropouts = dropouts
        spans = SPANS.get(manner, ())
        self.convolutions = nn.ModuleList(
            nn.Conv1d(CONVOLVED if number else WIDTH, CONVOLVED, span, padding="same", dilation=2**number)
            for number, span in enumerate(spans)
        )
        if manner in POOLING:
            self.hidden = nn.Linear(2 * CONVOLVED, CONVOLVED)
        else:
            self.lstm = nn.LSTM(CONVOLVED if spans else WIDTH, units, batch_first=True, bidirectional=True)
        self.dense = nn.Linear(CONVOLVED if manner in POOLING else 2 * units, len(LABELS))
        # Last, as the heads that ship were begun: in another order chance draws other weights.
        if manner not in POOLING:
            _begin(self.lstm)

    def forward(self, heard: Tensor) -> Tensor:
        """[n, 7] of standardised moments [n, moments, WIDTH]; some of it is dropped while training."""
        values = _dropped(heard, self.dropouts[0]) if self.training else heard
        if self.manner == "centred":
            values = values - values.mean(dim=1, keepdim=True)
        for number, convolution in enumerate(self.convolutions):
            near = functional.gelu(convolution(values.transpose(1, 2))).transpose(1, 2)
            values = values + near if number else near
        said = self._pooled(values) if self.manner in POOLING else self.lstm(values)[0].mean(dim=1)
        return self.dense(self._some(said))

    def _pooled(self, values: Tensor) -> Tensor:
        both = torch.cat([values.mean(dim=1), values.amax(dim=1)], dim=1)
        return functional.gelu(self.hidden(self._some(both)))

    def _some(self, values: Tensor) -> Tensor:
        return functional.dropout(values, self.dropouts[1], self.training)


def _begin(lstm: nn.LSTM) -> None:
    """Weights to begin with, as Keras has them."""
    for name, weight in lstm.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(weight)
        elif name.startswith("weight_hh"):
            nn.init.orthogonal_(weight)
        else:
            nn.init.zeros_(weight)
        if name.startswith("bias_ih"):
            nn.init.ones_(weight[lstm.hidden_size : 2 * lstm.hidden_size].detach())
        # One of the two biases is enough, and Keras has but one.
        weight.requires_grad_(not name.startswith("bias_hh"))


def _dropped(values: Tensor, share: float) -> Tensor:
    """Dropout with the same few masks over and over; n is a multiple of their number."""
    masks = functional.dropout(torch.ones(MASKS, *values.shape[1:]), share)
    return (values.unflatten(0, (-1, MASKS)) * masks).flatten(0, 1)


def head_of(manner: str, weights: dict[str, Tensor]) -> VoiceHead:
    """A head with these weights, to be asked."""
    head = VoiceHead(manner, 0 if manner in POOLING else weights["lstm.weight_hh_l0"].shape[1])
    head.load_state_dict(weights)
    return head.eval()
