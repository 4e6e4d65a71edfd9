"""Lets the last layers of the face network learn on while everything before them stays as it is.

What they are given is then the same in every epoch, so it is computed once for a few views of each face, and an epoch
takes seconds on two cores. Faces are shown as they are or nearly so: what comes before has learned to stand variation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from models.training.face_learning import Lessons, answered, loss_of
from models.training.face_networks import Lite
from models.training.face_variety import mildly_varied, plain

Tensor = torch.Tensor
Weights = dict[str, Tensor]

VIEWS = 4
"""Of each face: as it is, mirrored, and moved a little twice."""
BATCH = 512
DECAY = 0.03
DROPOUT = 0.1
LABEL_COUNTS = 0.6
AVERAGED = 0.997
WARM_UP_STEPS = 100


@dataclass(frozen=True, slots=True)
class HeadCourse:
    """One way for the last layers to learn."""

    epochs: int
    """Each goes through all views."""
    rate: float
    told_votes: float
    told_label: float
    """Of what is aimed at, the share of the networks' own answers; the rest is what people said."""


class Head(nn.Module):
    """The last layers of a network: [B, C, H, W] to 14 logits."""

    def __init__(self, network: Lite) -> None:
        super().__init__()
        self.head, self.logits = network.head, network.logits

    def train(self, mode: bool = True) -> Head:
        super().train(mode)
        self.head[1].eval()  # the norm's figures are those of what comes before, which stays
        return self

    def forward(self, maps: Tensor) -> Tensor:
        means = self.head(maps).mean(dim=(2, 3))
        return self.logits(nn.functional.dropout(means, DROPOUT, self.training))


@torch.no_grad()
def maps_of(network: Lite, lessons: Lessons) -> list[Tensor]:
    """What the last layers are given of each face, float16 [N, C, H, W] for each view."""
    made = []
    for view in range(VIEWS):
        some = [network.maps(_shown(faces, view, network.pixels)).half() for faces in lessons.images.split(BATCH)]
        made.append(torch.cat(some))
        print(f"view {view + 1} of {VIEWS}", flush=True)
    return made


def told_by(networks: list[nn.Module], lessons: Lessons, pixels: int) -> Tensor:
    """The mean answer of several networks to each face and its mirror image, float32 [N, 14]."""
    shown = (plain(some, pixels) for some in lessons.images.split(BATCH))
    return torch.cat([(answered(networks, some) + answered(networks, some.flip(3))) / 2 for some in shown])


def learn_head(network: Lite, views: list[Tensor], lessons: Lessons, course: HeadCourse, seed: int) -> Weights:
    """Train the last layers of `network`, which is changed; all its weights, those of the last layers averaged."""
    torch.manual_seed(seed)
    head = Head(network).requires_grad_(True).train()
    optimiser = torch.optim.AdamW(head.parameters(), course.rate, weight_decay=DECAY)
    average = {name: weight.detach().clone() for name, weight in head.state_dict().items()}
    total = course.epochs * VIEWS * (len(lessons.images) // BATCH)
    for step, (maps, rows) in enumerate(_batches(views, course.epochs)):
        for group in optimiser.param_groups:
            group["lr"] = course.rate * min(1.0, step / WARM_UP_STEPS) * 0.5 * (1 + math.cos(math.pi * step / total))
        loss = loss_of(head(maps.float()), lessons.target[rows], lessons.trust[rows], LABEL_COUNTS)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        for name, weight in head.state_dict().items():
            if weight.is_floating_point():
                average[name].lerp_(weight, 1 - min(AVERAGED, (step + 1) / (step + 11)))
    return network.state_dict() | average


def _shown(faces: Tensor, view: int, pixels: int) -> Tensor:
    if view > 1:
        return mildly_varied(faces, pixels)
    return plain(faces, pixels).flip(3) if view else plain(faces, pixels)


def _batches(views: list[Tensor], epochs: int) -> Iterator[tuple[Tensor, Tensor]]:
    """What is given and which faces it is of; each epoch takes the views in another order."""
    for _ in range(epochs):
        for view in torch.randperm(len(views)).tolist():
            count = len(views[view])
            for rows in torch.randperm(count)[: count // BATCH * BATCH].split(BATCH):
                yield views[view][rows], rows
