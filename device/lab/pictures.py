"""Draws what an evaluation found: confusion, reliability, coverage, and what becomes of faces that are seen badly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from device.domain.labels import LABELS
from device.errors import SetupError

DOTS_PER_INCH = 110
RIGHT, WRONG, UNKNOWN = "#3a7d44", "#c8553d", "#c9ccd1"
LINES = ("#2f5d8a", "#c8553d", "#3a7d44", "#8a6d2f")
TITLES = {
    "ferplus": "what most people voted (FER+)",
    "fer2013_private": "what the labeller wrote (FER-2013)",
    "tess_test": "TESS, unseen words",
    "ravdess_test": "RAVDESS, unseen actors",
    "nemo_test": "nEMO, unseen speakers",
    "all": "all three",
}


def draw(modality: str, figures: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the pictures of an evaluation's figures to `folder` as PNG; returns their paths.

    SetupError when the folder cannot be written.
    """
    made = {"confusion": confusion(figures), "reliability": reliability(figures), "coverage": coverage(figures)}
    if "degraded" in figures:
        made["degraded"] = degraded(figures["degraded"])
    return [_save(figure, folder / f"{modality}_{name}.png") for name, figure in made.items()]


def confusion(figures: Mapping[str, Any]) -> Figure:
    """A confusion matrix for each test part, in percent of the true label."""
    parts = {name: figures[name] for name in TITLES if name in figures and name != "all"}
    figure, axes = _canvas(len(parts), height=4.6)
    for place, (name, part) in zip(axes, parts.items(), strict=True):
        _matrix(place, np.array(part["confusion"], dtype=float))
        place.set_title(f"{TITLES[name]}\n{100 * part['accuracy']:.1f} % of {part['count']} right")
    axes[0].set_ylabel("true")
    return figure


def reliability(figures: Mapping[str, Any]) -> Figure:
    """How often answers of a given confidence are right; on the diagonal, confidence is what it says."""
    parts = {TITLES[name]: figures[name] for name in TITLES if name in figures}
    if "ferplus" in figures:
        parts[TITLES["ferplus"]] = figures["ferplus"]["votes"]
    figure, axes = _canvas(len(parts), height=4.2)
    for place, (title, part) in zip(axes, parts.items(), strict=True):
        bins = part["reliability"]
        place.plot((0, 1), (0, 1), color="grey", linewidth=0.8, linestyle="--")
        place.bar([one["confidence"] for one in bins], [one["share"] for one in bins], 0.05, color=UNKNOWN)
        place.plot([one["confidence"] for one in bins], [one["accuracy"] for one in bins], "o-", color=LINES[0])
        place.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", title=f"{title}\nECE {part['ece']:.3f}")
    axes[0].set_ylabel("right, or agreeing with the votes" if "ferplus" in figures else "right")
    return figure


def coverage(figures: Mapping[str, Any]) -> Figure:
    """What is right of the answers that are left when the least confident are dropped."""
    figure, (place,) = _canvas(1, height=4.2, width=6.0)
    for colour, (name, part) in zip(LINES, figures["coverage"].items(), strict=False):
        shares, accuracies = zip(*part["accuracy_at"], strict=True)
        told = f"{TITLES[name]}: {_percent_at(part, 0.75):.1f} % at 75 %, AURC {part['aurc']:.3f}"
        place.plot([100 * share for share in shares], [100 * right for right in accuracies], color=colour, label=told)
    place.axvline(75, color="grey", linewidth=0.8, linestyle="--")
    place.set(xlim=(5, 100), xlabel="% of answers kept, the surest first", ylabel="% of them right")
    place.legend(loc="lower left", fontsize=8)
    return figure


def degraded(outcomes: Mapping[str, Mapping[str, float]]) -> Figure:
    """Right, unknown and wrong for every way of seeing a face badly."""
    figure, (place,) = _canvas(1, height=0.32 * len(outcomes) + 1.4, width=8.0)
    names = list(outcomes)
    start = np.zeros(len(names))
    for key, colour in (("right", RIGHT), ("unknown", UNKNOWN), ("wrong", WRONG)):
        shares = np.array([100 * outcomes[name][key] for name in names])
        place.barh(names, shares, left=start, color=colour, label=key)
        start += shares
    trusted = [100 - 100 * outcomes[name]["wrong_without_quality"] for name in names]
    place.plot(trusted, names, "|", color="black", markersize=12, label="wrong from here on if always trusted")
    place.set_ylim(len(names) - 0.5, -0.5)
    place.set(xlim=(0, 100), xlabel="% of faces")
    place.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, fontsize=8)
    return figure


def fusion_rows(outcomes: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Draw what became of every row by every way to join face and voice; returns `path`.

    SetupError when it cannot be written.
    """
    ways = list(outcomes[0]["ways"])
    figure, axes = _canvas(len(ways), height=0.3 * len(outcomes) + 1.4, width=2.2)
    places = range(len(outcomes))
    for place, way in zip(axes, ways, strict=True):
        left = np.zeros(len(outcomes))
        for share, colour in (("right", RIGHT), ("wrong", WRONG), ("unknown", UNKNOWN)):
            values = np.array([100 * outcome["ways"][way][share] for outcome in outcomes])
            place.barh(places, values, left=left, color=colour, label=share)
            left += values
        place.set_title(way)
        place.set_yticks(places, [outcome["row"] for outcome in outcomes] if place is axes[0] else [])
        place.set_ylim(len(outcomes) - 0.5, -0.5)
        place.set_xlim(0, 100)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False, fontsize=8)
    return _save(figure, path)


def _canvas(count: int, height: float, width: float = 4.6) -> tuple[Figure, list[Axes]]:
    """A figure with so many places side by side; sizes in inches."""
    figure = Figure(figsize=(width * count, height), dpi=DOTS_PER_INCH, layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def _matrix(place: Axes, counts: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(100 * counts, totals, out=np.zeros_like(counts), where=totals > 0)
    place.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    place.set_xticks(range(len(LABELS)), LABELS, rotation=45, ha="right")
    place.set_yticks(range(len(LABELS)), LABELS)
    place.set_xlabel("guessed")
    for (row, column), share in np.ndenumerate(shares):
        if totals[row, 0]:
            colour = "white" if share > 50 else "black"
            place.text(column, row, f"{share:.0f}", ha="center", va="center", color=colour, fontsize=8)


def _percent_at(part: Mapping[str, Any], wanted: float) -> float:
    pairs: Sequence[Sequence[float]] = part["accuracy_at"]
    return 100 * min(pairs, key=lambda pair: abs(pair[0] - wanted))[1]


def _save(figure: Figure, path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Without the version, two runs with the same figures give the same file.
        figure.savefig(path, metadata={"Software": None})
    except OSError as error:
        raise SetupError(f"{path}: {error.strerror}; name another folder with --pictures") from None
    return path
