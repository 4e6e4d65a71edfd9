"""How a voice network is trained: speech varied anew at every step, corpora drawn alike, on a graphics card or without.

All log-mels lie where the network does. What is drawn is drawn beforehand, and a step reads its own line of that; so
nothing has to be waited for within a step, and a graphics card can be given the whole step at once.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from device.domain.labels import LABELS
from device.sensing.logmel import CLIP
from device.sensing.logmel_spec import LogMelSpec
from models.training.voice_corpora import Corpora
from models.training.voice_drawing import draw, smoothed, standardised_spec
from models.training.voice_network import Shape, VoiceNetwork
from models.training.voice_variations import Variety, mask, mix_styles, vary

EAGER_STEPS = 4
"""Before a graphics card is given the step as a whole."""
SHAPE = Shape(widths=(24, 48, 64, 64), units=96)
TEACHER_SHAPE = Shape(widths=(32, 64, 96, 96), units=128)
VARIETY = Variety()
TOLD_EACH = 1500
"""Steps between two lines that tell the loss."""
AT_ONCE = 256
"""Clips that a network reads at once when it is measured."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides how a network is trained; what is set here is judged by the protocols."""

    shape: Shape = SHAPE
    steps: int = 4500
    batch: int = 64
    peak_rate: float = 1.5e-3
    warm_up: float = 0.05
    weight_decay: float = 1e-2
    clip_norm: float = 2.0
    averaged: float = 0.99
    """Share of the averaged weights that stays at each step."""
    dropouts: tuple[float, float] = (0.3, 0.4)
    smoothing: float = 0.05
    sharpness: float = 0.0
    """How far around the weights the loss has to be low (Foret et al., Sharpness-Aware Minimization, ICLR 2021)."""
    crowd: float = 0.25
    """With 0 every corpus is drawn alike, with 1 every speaker."""
    mixed_share: float = 0.4
    """Of the batches whose clips are mixed two and two."""
    style_share: float = 0.5
    """Of the batches whose clips are given one another's colour."""
    style_beta: float = 0.4
    noise_share: float = 1 / 16
    """Rows of a batch that hold noise without speech; nothing is right about them but not to know."""
    variety: Variety = VARIETY
    teachers: int = 0
    """Networks trained first, whose mean answer is learned along (Hinton et al., Distilling the Knowledge, 2015)."""
    teacher_shape: Shape = TEACHER_SHAPE
    taught: float = 0.7
    """What the teachers' answer counts; the label counts the rest."""

    @property
    def mark(self) -> str:
        """Eight letters that no recipe shares with another; steps apart."""
        return hashlib.sha1(repr(replace(self, steps=0)).encode()).hexdigest()[:8]


SHIPPED = Recipe(teachers=3)
"""What ships. The protocols go without teachers, which would take five times as long for every fold."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training leaves."""

    weights: dict[str, np.ndarray]
    """Of a VoiceNetwork of this shape."""
    shape: Shape
    spec: LogMelSpec
    """With the mean and deviation of what it was trained on."""


@dataclass(frozen=True, slots=True)
class Stock:
    """The corpora where the networks are trained."""

    corpora: Corpora
    levels: Tensor
    """float16 [N, frames, bands]."""
    noises: Tensor
    whole_steps: bool
    """Whether a graphics card is given each step as one piece of work."""

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return self.levels.device


def stock(corpora: Corpora, device: str, whole_steps: bool = True) -> Stock:
    """Carry the corpora there; steps are whole only on a graphics card."""
    levels, noises = (torch.from_numpy(levels).to(device) for levels in (corpora.levels, corpora.noises))
    return Stock(corpora, levels, noises, whole_steps and device == "cuda")


def best_device() -> str:
    """A graphics card, if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def train(stock: Stock, rows: np.ndarray, recipe: Recipe, seed: int) -> Trained:
    """Train on `rows`."""
    return next(side_by_side({"": lessons(stock, rows, recipe, seed)}, stock, 1))[1]


Lessons = Generator[None, None, "Trained"]


def side_by_side(
    courses: Mapping[str, Lessons], stock: Stock, lanes: int, seconds: float = float("inf")
) -> Iterator[tuple[str, Trained]]:
    """Take the courses' steps by turns, so many courses at a time; each one's name and outcome as soon as it ends.

    After so many seconds what has not ended is left.

    Each lane is a stream of its own to a graphics card, which works on all of them at once.
    """
    waiting = list(courses.items())[::-1]
    running: list[tuple[str, Lessons] | None] = [None] * lanes
    streams = [torch.cuda.Stream() if stock.device.type == "cuda" else None for _ in range(lanes)]
    began = time.monotonic()
    while (waiting or any(running)) and time.monotonic() - began < seconds:
        for lane, stream in enumerate(streams):
            if running[lane] is None and waiting:
                running[lane] = waiting.pop()
            if running[lane] is None:
                continue
            name, course = running[lane]
            with torch.cuda.stream(stream):
                outcome = _advanced(course)
            if outcome is not None:
                running[lane] = None
                yield name, outcome


def _advanced(course: Lessons) -> Trained | None:
    """What the course leaves, if this was its end."""
    try:
        next(course)
    except StopIteration as end:
        return end.value
    return None


def lessons(stock: Stock, rows: np.ndarray, recipe: Recipe, seed: int) -> Lessons:
    """`train` a step at a time, so that several networks can be trained side by side."""
    spec = standardised_spec(stock.corpora.levels, rows)
    teachers = []
    for number in range(recipe.teachers):
        alone = replace(recipe, shape=recipe.teacher_shape, teachers=0)
        learned = yield from lessons(stock, rows, alone, seed + 101 * (number + 1))
        teachers.append(network_of(learned, stock.device))
    course = _Course(stock, rows, recipe, spec, seed, teachers)
    yield from course.run()
    return Trained(course.averaged_weights(), recipe.shape, spec)


def network_of(trained: Trained, device: torch.device | str) -> VoiceNetwork:
    """The network, to be asked."""
    network = VoiceNetwork(trained.shape)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in trained.weights.items()}, strict=False)
    return network.to(device).eval()


@torch.no_grad()
def answers(trained: Trained, stock: Stock, rows: np.ndarray) -> np.ndarray:
    """Logits, float32 [n, 7], for clips as they are."""
    network, standard = network_of(trained, stock.device), _Standard(trained.spec, stock.device)
    parts = [
        network(standard(stock.levels[torch.from_numpy(some).to(stock.device)].float()))
        for some in np.array_split(rows, -(-len(rows) // AT_ONCE))
    ]
    return torch.cat(parts).cpu().numpy()


# --- a training ---------------------------------------------------------------------------------------------------


class _Course:
    """Owns a network, its averaged weights, the optimiser and all that was drawn for it."""

    def __init__(
        self,
        stock: Stock,
        rows: np.ndarray,
        recipe: Recipe,
        spec: LogMelSpec,
        seed: int,
        teachers: Sequence[VoiceNetwork],
    ) -> None:
        torch.manual_seed(seed)
        self.stock, self.recipe, self.floor_db, self.teachers = stock, recipe, spec.floor_db, teachers
        self.network = VoiceNetwork(recipe.shape, recipe.dropouts).to(stock.device).train()
        self.learned = [weight for weight in self.network.parameters() if weight.requires_grad]
        self.followed = [tensor for tensor in self.network.state_dict().values() if tensor.is_floating_point()]
        self.average = [tensor.clone() for tensor in self.followed]
        self.chance = torch.Generator(stock.device).manual_seed(seed)
        self.standard = _Standard(spec, stock.device)
        self.target = torch.from_numpy(smoothed(stock.corpora.label, recipe.smoothing)).to(stock.device)
        drawn = draw(stock.corpora, rows, recipe, seed)
        self.drawn = {name: torch.from_numpy(getattr(drawn, name)).to(stock.device) for name in drawn.__slots__}
        self.number = torch.zeros(1, dtype=torch.int64, device=stock.device)
        self.losses = torch.zeros(1, device=stock.device)
        self.rate = torch.zeros((), device=stock.device)
        on_card = stock.device.type == "cuda"
        self.optimiser = torch.optim.AdamW(
            self.learned, self.rate, eps=1e-7, weight_decay=recipe.weight_decay, fused=True, capturable=on_card
        )

    def run(self) -> Iterator[None]:
        """All steps."""
        whole = None
        for number in range(1, self.recipe.steps + 1):
            if whole is not None:
                whole.replay()
            else:
                self.step()
                if self.stock.whole_steps and number == EAGER_STEPS:
                    whole = self._as_a_whole()
            if number % TOLD_EACH == 0:
                print(f"step {number}/{self.recipe.steps} loss {float(self.losses) / TOLD_EACH:.3f}", flush=True)
                self.losses.zero_()
            yield

    def _as_a_whole(self) -> torch.cuda.CUDAGraph:
        """The step as one piece of work for the graphics card, which costs the processor next to nothing."""
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.chance)
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream(), capture_error_mode="thread_local"):
            self.step()
        return graph

    def step(self) -> None:
        """One step of AdamW, which also moves the averaged weights."""
        self.rate.copy_(self.line("rates"))
        with torch.no_grad():
            values, target = self.batch()
        gradients = self.gradients(values, target)
        if self.recipe.sharpness:
            gradients = self.gradients_uphill(gradients, values, target)
        with torch.no_grad():
            shares = (self.recipe.clip_norm / (_norms(gradients) + 1e-6)).clamp_max(1)
            torch._foreach_mul_(gradients, list(shares.unbind()))
            for weight, gradient in zip(self.learned, gradients, strict=True):
                weight.grad = gradient
            self.optimiser.step()
            torch._foreach_lerp_(self.average, self.followed, 1 - self.recipe.averaged)
            self.number.add_(1)

    def gradients(self, values: Tensor, target: Tensor) -> list[Tensor]:
        """Of the loss, which is added up."""
        with half(values):
            logits = self.network(values, self.chance)
        loss = functional.cross_entropy(logits.float(), target)
        self.losses.add_(loss.detach())
        return list(torch.autograd.grad(loss, self.learned))

    def gradients_uphill(self, gradients: list[Tensor], values: Tensor, target: Tensor) -> list[Tensor]:
        """The gradients where the loss is worst nearby."""
        with torch.no_grad():
            away = torch._foreach_mul(gradients, self.recipe.sharpness / (_norms(gradients).norm() + 1e-12))
            torch._foreach_add_(self.learned, away)
        there = self.gradients(values, target)
        with torch.no_grad():
            torch._foreach_sub_(self.learned, away)
        return there

    def batch(self) -> tuple[Tensor, Tensor]:
        """Inputs float32 [n, frames, bands] and targets float32 [n, 7]: speech, varied and mixed, and some noise."""
        recipe = self.recipe
        rows, noise_rows, others = self.line("rows"), self.line("noises"), self.line("others")
        target = self.target[rows]
        noise = self.stock.noises[noise_rows].float()
        levels = vary(self.stock.levels[rows].float(), noise[others], self.floor_db, recipe.variety, self.chance)
        silent = round(recipe.noise_share * recipe.batch)
        levels[:silent] = noise[:silent]
        target[:silent] = 1 / len(LABELS)
        values = self.standard(levels)
        if recipe.style_share:
            values = mix_styles(values, others, self.line("styles")).clamp(-CLIP, CLIP)
        values = mask(values, recipe.variety, self.chance)
        share = self.line("shares")
        values, target = (share * one + (1 - share) * one.flip(0) for one in (values, target))
        if self.teachers:
            with half(values):
                said = [teacher(values).float() for teacher in self.teachers]
            told = functional.softmax(torch.stack(said), dim=2).mean(dim=0)
            target = recipe.taught * told + (1 - recipe.taught) * target
        return values, target

    def line(self, name: str) -> Tensor:
        """What was drawn for this step."""
        return self.drawn[name].index_select(0, self.number).squeeze(0)

    def averaged_weights(self) -> dict[str, np.ndarray]:
        """The averaged weights by name."""
        names = [name for name, tensor in self.network.state_dict().items() if tensor.is_floating_point()]
        return {name: weight.cpu().numpy() for name, weight in zip(names, self.average, strict=True)}


def half(tensor: Tensor) -> torch.autocast:
    """bfloat16 where the processor has units for it, which halves the time of a step."""
    fit = tensor.device.type == "cpu" and torch.cpu.get_capabilities().get("amx_bf16", False)
    return torch.autocast(tensor.device.type, torch.bfloat16, enabled=fit)


def _norms(gradients: list[Tensor]) -> Tensor:
    return torch.stack(torch._foreach_norm(gradients))


class _Standard:
    """What `logmel.standardise` does, where the network is."""

    def __init__(self, spec: LogMelSpec, device: torch.device) -> None:
        self.mean = torch.tensor(spec.mean, device=device)
        self.std = torch.tensor(spec.std, device=device)

    def __call__(self, levels: Tensor) -> Tensor:
        return ((levels - self.mean) / self.std).clamp(-CLIP, CLIP)
