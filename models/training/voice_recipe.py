"""How the voice network's heads are trained on what the encoder has heard: corpora drawn alike, clips mixed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from device.domain.labels import LABELS
from models.training.voice_drawing import Drawn, draw, smoothed
from models.training.voice_hearing import AT_ONCE, KINDS, Heard, best_type
from models.training.voice_network import MANNERS, VoiceHead, head_of
from models.training.voice_variations import mix_styles

TOLD_EACH = 500
"""Steps between two lines that tell the loss."""
STANDARD_CLIPS = 2000
"""By which the moments are standardised."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides how a head is trained; what is set here is judged by the trials."""

    manners: tuple[str, ...] = MANNERS
    """Of the heads whose mean answers."""
    units: int = 96
    """Of each LSTM; a head that has any has one for either direction."""
    steps: int = 1500
    batch: int = 64
    peak_rate: float = 1.5e-3
    warm_up: float = 0.05
    weight_decay: float = 1e-2
    clip_norm: float = 2.0
    averaged: float = 0.99
    """Share of the averaged weights that stays at each step."""
    dropouts: tuple[float, float] = (0.3, 0.4)
    smoothing: float = 0.05
    crowd: float = 0.25
    """With 0 every corpus is drawn alike, with 1 every speaker."""
    mixed_share: float = 0.4
    """Of the batches whose clips are mixed two and two."""
    style_share: float = 0.5
    """Of the batches whose clips are given one another's manner."""
    style_beta: float = 0.4
    noise_rows: int = 4
    """Rows of a batch that hold noise without speech; nothing is right about them but not to know."""
    variants: int = len(KINDS)
    """Of each clip that are drawn from."""
    seed: int = 21
    """What chance begins from, of the first head; every further one has the next number."""

    @property
    def mark(self) -> str:
        """Eight letters that no recipe shares with another; steps apart."""
        return hashlib.sha1(repr(replace(self, steps=0)).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training leaves."""

    members: dict[str, dict[str, np.ndarray]]
    """The weights of a head for each manner."""
    mean: np.ndarray
    """Of the moments that were trained on; float32 [WIDTH]."""
    std: np.ndarray


def train(heard: Heard, rows: np.ndarray, recipe: Recipe) -> Trained:
    """Train on `rows` of the clips."""
    some = heard.take(0, rows[:: max(1, len(rows) // STANDARD_CLIPS)])
    mean, std = some.mean(axis=(0, 1)), some.std(axis=(0, 1))
    members = {
        manner: _member(heard, rows, recipe, manner, seed, mean, std)
        for seed, manner in enumerate(recipe.manners, start=recipe.seed)
    }
    return Trained(members, mean, std)


def _member(
    heard: Heard, rows: np.ndarray, recipe: Recipe, manner: str, seed: int, mean: np.ndarray, std: np.ndarray
) -> dict[str, np.ndarray]:
    torch.manual_seed(seed)
    head = VoiceHead(manner, recipe.units, recipe.dropouts).train()
    learned = [weight for weight in head.parameters() if weight.requires_grad]
    average = [weight.detach().clone() for weight in learned]
    optimiser = torch.optim.AdamW(learned, weight_decay=recipe.weight_decay)
    drawn = draw(heard.corpora, rows, recipe, seed)
    target = torch.from_numpy(smoothed(heard.corpora.label, recipe.smoothing))
    told = 0.0
    for step in range(recipe.steps):
        for group in optimiser.param_groups:
            group["lr"] = float(drawn.rates[step])
        values, wanted = _batch(heard, drawn, step, target, mean, std, recipe.noise_rows)
        with torch.autocast("cpu", torch.bfloat16, enabled=best_type() == torch.bfloat16):
            logits = head(values)
        loss = functional.cross_entropy(logits.float(), wanted)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, recipe.clip_norm)
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, learned, 1 - recipe.averaged)
        told += float(loss.detach())
        if (step + 1) % TOLD_EACH == 0:
            print(f"{manner}, seed {seed}, step {step + 1}/{recipe.steps} loss {told / TOLD_EACH:.3f}", flush=True)
            told = 0.0
    with torch.no_grad():
        for weight, averaged in zip(learned, average, strict=True):
            weight.copy_(averaged)
    return {name: weight.numpy() for name, weight in head.state_dict().items()}


def _batch(
    heard: Heard, drawn: Drawn, step: int, target: Tensor, mean: np.ndarray, std: np.ndarray, noise_rows: int
) -> tuple[Tensor, Tensor]:
    """Moments [n, moments, WIDTH] and targets [n, 7]: speech, and some noise, all mixed."""
    rows = drawn.rows[step]
    wanted = target[torch.from_numpy(rows)]
    wanted[:noise_rows] = 1 / len(LABELS)
    rows = np.concatenate([len(heard.corpora.clips) + drawn.noises[step][:noise_rows], rows[noise_rows:]])
    values = torch.from_numpy((heard.take(int(drawn.variants[step]), rows) - mean) / std)
    if drawn.styles[step].any():
        values = mix_styles(values, torch.from_numpy(drawn.others[step]), torch.from_numpy(drawn.styles[step]))
    share = float(drawn.shares[step])
    values, wanted = (share * one + (1 - share) * one.flip(0) for one in (values, wanted))
    return values, wanted


@torch.no_grad()
def answers(trained: Trained, heard: Heard, rows: np.ndarray, variant: int = 0) -> np.ndarray:
    """Logits, float32 [n, 7], for clips as they are, or another variant of them: the mean of the members'."""
    heads = [
        head_of(manner, {name: torch.from_numpy(weight) for name, weight in weights.items()})
        for manner, weights in trained.members.items()
    ]
    parts = []
    for some in np.array_split(rows, -(-len(rows) // AT_ONCE)):
        values = torch.from_numpy((heard.take(variant, some) - trained.mean) / trained.std)
        parts.append(torch.stack([head(values) for head in heads]).mean(dim=0))
    return torch.cat(parts).numpy()
