"""What chance decides about a training before it begins: which clips, noises and mixtures each step gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from device.domain.labels import LABELS
from models.training.voice_corpora import CORPORA, Corpora

if TYPE_CHECKING:
    from models.training.voice_recipe import Recipe


@dataclass(frozen=True, slots=True)
class Drawn:
    """A line for each step."""

    rows: np.ndarray
    """Clips, int64 [steps, n]."""
    variants: np.ndarray
    """Which variant of all, int64 [steps]."""
    noises: np.ndarray
    """A noise for each, int64 [steps, n]."""
    others: np.ndarray
    """Another of the batch for each, int64 [steps, n]."""
    styles: np.ndarray
    """How much of the other's manner it is given, float32 [steps, n]."""
    shares: np.ndarray
    """How much of a clip stays when it is mixed, float32 [steps]."""
    rates: np.ndarray
    """Of learning, float32 [steps]."""


def draw(corpora: Corpora, rows: np.ndarray, recipe: Recipe, seed: int) -> Drawn:
    """All that chance decides for whole clips and batches."""
    rng = np.random.default_rng(seed)
    size = (recipe.steps, recipe.batch)
    shares = np.where(rng.random(recipe.steps) < recipe.mixed_share, rng.beta(0.3, 0.3, recipe.steps), 1)
    styled = rng.random((recipe.steps, 1)) < recipe.style_share
    styles = np.where(styled, rng.beta(recipe.style_beta, recipe.style_beta, size), 0)
    return Drawn(
        rng.choice(rows, size, p=even_chances(corpora, rows, recipe.crowd)),
        rng.integers(recipe.variants, size=recipe.steps),
        rng.integers(len(corpora.noises), size=size),
        rng.permuted(np.tile(np.arange(recipe.batch), (recipe.steps, 1)), axis=1),
        styles.astype(np.float32),
        shares.astype(np.float32),
        rates(recipe),
    )


def smoothed(label: np.ndarray, smoothing: float) -> np.ndarray:
    """What is right about each clip, and a little of everything; float32 [N, 7]."""
    return np.eye(len(LABELS), dtype=np.float32)[label] * (1 - smoothing) + smoothing / len(LABELS)


def rates(recipe: Recipe) -> np.ndarray:
    """A cosine with a linear warm-up (Loshchilov and Hutter, SGDR, 2017); float32 [steps]."""
    done = (np.arange(recipe.steps) + 1) / recipe.steps
    cosine = 0.5 * (1 + np.cos(np.pi * (done - recipe.warm_up) / (1 - recipe.warm_up)))
    return (recipe.peak_rate * np.where(done < recipe.warm_up, done / recipe.warm_up, cosine)).astype(np.float32)


def even_chances(corpora: Corpora, rows: np.ndarray, crowd: float = 0.0) -> np.ndarray:
    """Chance of each row to be drawn, float64 [n]: every corpus alike, and within it every label alike.

    A `crowd` above 0 gives corpora with more speakers more, with 1 as much to every speaker.
    """
    kind = corpora.corpus[rows] * len(LABELS) + corpora.label[rows]
    sizes = np.bincount(kind, minlength=len(CORPORA) * len(LABELS))
    labels = (sizes.reshape(len(CORPORA), len(LABELS)) > 0).sum(axis=1)
    speakers = np.array(
        [len({corpora.clips[row].speaker for row in rows[corpora.corpus[rows] == i]}) for i in range(3)]
    )
    chances = (speakers**crowd)[corpora.corpus[rows]] / (sizes[kind] * labels[corpora.corpus[rows]])
    return np.asarray(chances / chances.sum())
