"""How a face network learns: a teacher from people's words, the network that ships from people's and its teachers'."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from models.training.face_variety import mildly_varied, plain, varied
from models.training.faces import COVERED_SHARE, TAUGHT_SHARE, Faces

Tensor = torch.Tensor

VOTES, LABEL = slice(0, 7), slice(7, 14)
"""What the outputs answer: what ten people would vote, and what the labeller of FER-2013 wrote."""
WARM_UP = 0.04
MIXED_SHARE = 0.5
KEPT_EVERY_SECONDS = 30.0
"""Between two checkpoints, at least; the last epoch leaves one in any case."""


@dataclass(frozen=True, slots=True)
class Course:
    """How long and how hard a network learns."""

    epochs: int
    rate: float
    decay: float
    batch: int
    momentum: bool = False
    """Stochastic gradient descent with Nesterov momentum instead of AdamW."""
    mixing: float = 0.4
    """Both parameters of the beta distribution by which faces are mixed (Zhang et al., mixup, ICLR 2018), or 0."""
    label_counts: float = 1.0
    """What being right about the label counts beside being right about the votes."""
    averaged: float = 0.9985
    """Share of the averaged weights that stays at each step."""
    seconds: float = math.inf
    """The rate has fallen to nothing by then, whatever the epochs."""


@dataclass(frozen=True, slots=True)
class Batch:
    inputs: Tensor
    """float32 [B, 1, S, S]."""
    target: Tensor
    """float32 [B, 14]."""
    trust: Tensor
    """float32 [B]: how much of the votes were for one of our labels."""


@dataclass(frozen=True, slots=True)
class Lessons:
    """The training faces on the device."""

    images: Tensor
    """uint8 [N, 48, 48]."""
    target: Tensor
    """float32 [N, 14], what people said."""
    trust: Tensor
    """float32 [N]."""

    @classmethod
    def of(cls, faces: Faces, device: str) -> Lessons:
        parts = (faces.images, faces.target(), faces.trust)
        return cls(*(torch.from_numpy(part).to(device) for part in parts))

    def batches(self, size: int, pixels: int, strength: float) -> Iterator[Batch]:
        """One epoch of varied faces. What is covered by half is not to be answered surely."""
        order = torch.randperm(len(self.images), device=self.images.device)
        for rows in order[: len(order) // size * size].split(size):
            inputs, covered = varied(self.images[rows], pixels, strength)
            yield Batch(inputs, unsure(self.target[rows], covered), self.trust[rows])

    def taught(self, answers: Tensor, votes: float, label: float) -> Lessons:
        """With these shares of what people said of votes and label replaced by the `answers` [N, 14] of a network."""
        share = self.target.new_tensor([votes] * 7 + [label] * 7)
        return replace(self, target=self.target.lerp(answers, share))

    def mild_batches(self, size: int, pixels: int) -> Iterator[Batch]:
        """One epoch in which half of the faces are shown nearly as they are."""
        order = torch.randperm(len(self.images), device=self.images.device)
        mild = size // 2
        for rows in order[: len(order) // size * size].split(size):
            near = mildly_varied(self.images[rows[:mild]], pixels)
            far, covered = varied(self.images[rows[mild:]], pixels)
            target = torch.cat([self.target[rows[:mild]], unsure(self.target[rows[mild:]], covered)])
            yield Batch(torch.cat([near, far]), target, self.trust[rows])


@dataclass(frozen=True, slots=True)
class Views:
    """Many variations of each training face with what the teachers say of them (Beyer et al., CVPR 2022)."""

    inputs: Tensor
    """int8 [V, N, S, S], standardised; 127 is the clip."""
    target: Tensor
    """float32 [V, N, 14]."""
    trust: Tensor
    """float32 [N]."""

    def batches(self, size: int) -> Iterator[Batch]:
        """One epoch: a view of each face, mirrored or not."""
        count, faces = self.inputs.shape[:2]
        device = self.inputs.device
        order = torch.randperm(faces, device=device)
        for rows in order[: faces // size * size].split(size):
            view = torch.randint(count, (size,), device=device)
            inputs = self.inputs[view, rows][:, None].float() * (3 / 127)
            mirrored = torch.rand(size, 1, 1, 1, device=device) < 0.5
            yield Batch(torch.where(mirrored, inputs.flip(3), inputs), self.target[view, rows], self.trust[rows])


def unsure(target: Tensor, covered: Tensor) -> Tensor:
    """Targets [B, 14], for covered faces mostly that nobody can say."""
    return torch.where(covered[:, None], (1 - COVERED_SHARE) * target + COVERED_SHARE / 7, target)


def views_of(lessons: Lessons, teachers: list[nn.Module], pixels: int, count: int, seconds: float) -> Views:
    """Up to `count` views with the mean of the teachers' answers; fewer when the seconds are over."""
    began, inputs, targets = time.monotonic(), [], []
    while len(inputs) < count and (not inputs or time.monotonic() - began < seconds):
        seen, told = [], []
        for start in range(0, len(lessons.images), 1024):
            rows = slice(start, start + 1024)
            faces, covered = varied(lessons.images[rows], pixels)
            people, answers = lessons.target[rows], answered(teachers, faces)
            told.append(unsure((1 - TAUGHT_SHARE) * people + TAUGHT_SHARE * answers, covered))
            seen.append((faces[:, 0] * (127 / 3)).round().to(torch.int8))
        inputs.append(torch.cat(seen))
        targets.append(torch.cat(told))
        print(f"view {len(inputs)} {time.monotonic() - began:.0f} s", flush=True)
    return Views(torch.stack(inputs), torch.stack(targets), lessons.trust)


def answered(teachers: list[nn.Module], inputs: Tensor) -> Tensor:
    """The mean answer of several networks, float32 [B, 14]."""
    with torch.no_grad(), half(inputs):
        logits = [teacher(inputs).float() for teacher in teachers]
    return torch.stack([torch.cat([one[:, head].softmax(1) for head in (VOTES, LABEL)], 1) for one in logits]).mean(0)


def half(tensor: Tensor) -> AbstractContextManager[None]:
    """bfloat16 where a graphics card computes."""
    return torch.autocast(tensor.device.type, torch.bfloat16, enabled=tensor.is_cuda)


def learn(
    network: nn.Module,
    batches: Callable[[], Iterator[Batch]],
    steps: int,
    course: Course,
    judged: Faces,
    kept: Path,
) -> nn.Module:
    """Train to the end; the network with averaged weights. A line each epoch, now and then a checkpoint in `kept`.

    `batches` gives an epoch of `steps` of them. Goes on from `kept` where that is there.
    """
    network = network.to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).requires_grad_(False)
    optimiser = _optimiser(network, course)
    parts = {"network": network, "average": average, "optimiser": optimiser}
    step = _restored(parts, kept)
    ours, theirs = _moving(average), _moving(network)
    began, resumed, kept_at = time.monotonic(), step, time.monotonic()
    while (done := _done(step, steps, resumed, began, course)) < 1:
        started, losses = time.monotonic(), []
        network.train()
        for batch in batches():
            done = _done(step, steps, resumed, began, course)
            for group in optimiser.param_groups:
                group["lr"] = course.rate * _share(done)
            losses.append(_step(network, optimiser, batch, course))
            step += 1
            torch._foreach_lerp_(ours, theirs, 1 - min(course.averaged, step / (step + 10)))
        epoch = step // steps
        label, votes = accuracies(average, judged)
        print(
            f"{kept.stem} epoch {epoch} {done:.0%} loss {float(torch.stack(losses).mean()):.4f} "
            f"public {label:.4f} ferplus {votes:.4f} {time.monotonic() - started:.1f} s",
            flush=True,
        )
        over = _done(step, steps, resumed, began, course) >= 1
        if over or time.monotonic() - kept_at > KEPT_EVERY_SECONDS:
            kept_at = time.monotonic()
            kept.parent.mkdir(parents=True, exist_ok=True)
            torch.save({name: part.state_dict() for name, part in parts.items()} | {"step": step}, kept)
    return average.eval()


def _restored(parts: dict[str, nn.Module | torch.optim.Optimizer], kept: Path) -> int:
    """The step of the checkpoint, whose state `parts` then have; 0 where there is none."""
    if not kept.exists():
        return 0
    state = torch.load(kept, map_location="cpu", weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["step"])


def _done(step: int, steps: int, resumed: int, began: float, course: Course) -> float:
    """Share of the course behind us, by steps or by the clock, whichever is further."""
    ahead = 1 - resumed / (steps * course.epochs)
    by_clock = 1 - ahead + ahead * (time.monotonic() - began) / course.seconds
    return max(step / (steps * course.epochs), by_clock)


def _share(done: float) -> float:
    """Cosine with a linear warm-up (Loshchilov and Hutter, SGDR, 2017)."""
    if done < WARM_UP:
        return done / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - WARM_UP) / (1 - WARM_UP))))


def _optimiser(network: nn.Module, course: Course) -> torch.optim.Optimizer:
    """Weights of convolutions and dense layers decay, norms and biases do not."""
    matrices = [weight for weight in network.parameters() if weight.ndim > 1]
    others = [weight for weight in network.parameters() if weight.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": course.decay}, {"params": others, "weight_decay": 0.0}]
    fused = matrices[0].is_cuda
    if course.momentum:
        return torch.optim.SGD(groups, course.rate, momentum=0.9, nesterov=True, fused=fused)
    return torch.optim.AdamW(groups, course.rate, fused=fused)


def _step(network: nn.Module, optimiser: torch.optim.Optimizer, batch: Batch, course: Course) -> Tensor:
    """One step on the batch, mixed with itself or not; its loss, still on the device."""
    inputs, target, trust = batch.inputs, batch.target, batch.trust
    if course.mixing and torch.rand(()) < MIXED_SHARE:
        share = float(torch.distributions.Beta(course.mixing, course.mixing).sample())
        order = torch.randperm(len(inputs), device=inputs.device)
        inputs, target, trust = (share * one + (1 - share) * one[order] for one in (inputs, target, trust))
    with half(inputs):
        logits = network(inputs.contiguous(memory_format=torch.channels_last))
    loss = loss_of(logits.float(), target, trust, course.label_counts)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 5.0, foreach=True)
    optimiser.step()
    return loss.detach()


def loss_of(logits: Tensor, target: Tensor, trust: Tensor, label_counts: float) -> Tensor:
    """Mean cross entropy of both answers [N, 14]: the votes' by how far they are trusted [N], the label's as given."""
    votes, label = (-(target[:, head] * logits[:, head].log_softmax(1)).sum(1) for head in (VOTES, LABEL))
    return (trust * votes + label_counts * label).mean()


def _moving(network: nn.Module) -> list[Tensor]:
    """What is averaged: weights, and the norms' figures."""
    return [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]


# --- judging ------------------------------------------------------------------------------------------------------


@torch.no_grad()
def logits_of(network: nn.Module, faces: Faces) -> Tensor:
    """What the network says of faces as they are, float32 [N, 14]."""
    device = next(network.parameters()).device
    network.eval()
    said = []
    for some in torch.from_numpy(faces.images).split(512):
        inputs = plain(some.to(device), network.pixels)
        with half(inputs):
            said.append(network(inputs.contiguous(memory_format=torch.channels_last)).float().cpu())
    return torch.cat(said)


def accuracies(network: nn.Module, faces: Faces) -> tuple[float, float]:
    """Of both answers: on the labels, on the clear majorities."""
    return right_shares(logits_of(network, faces), faces)


def right_shares(logits: Tensor, faces: Faces) -> tuple[float, float]:
    """How many of the labels and of the clear majorities are met, for logits or posteriors [N, 14]."""
    label, votes = logits[:, LABEL].argmax(1).numpy(), logits[:, VOTES].argmax(1).numpy()
    clear = faces.most_voted >= 0
    return float((label == faces.label).mean()), float((votes == faces.most_voted)[clear].mean())
