"""Trained heads on the disk beside what they were trained on, each in a file, so that a stopped run goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.training.voice_hearing import Heard
from models.training.voice_recipe import Recipe, Trained, train


def name_of(stem: str, recipe: Recipe) -> str:
    """Of a head trained by this recipe; another recipe's has another name."""
    return f"{stem}--{recipe.steps}--{recipe.mark}"


def kept_or_trained(stem: str, heard: Heard, rows: np.ndarray, recipe: Recipe) -> Trained:
    """The head of this name, which is trained now if there is none."""
    path = heard.folder / "heads" / f"{name_of(stem, recipe)}.npz"
    if path.exists():
        return _read(path)
    trained = train(heard, rows, recipe)
    _write(trained, path)
    return trained


def _read(path: Path) -> Trained:
    with np.load(path) as file:
        members: dict[str, dict[str, np.ndarray]] = {}
        for entry in file.files:
            if "/" in entry:
                member, name = entry.split("/")
                members.setdefault(member, {})[name] = file[entry]
        return Trained(members, file["mean"], file["std"])


def _write(trained: Trained, path: Path) -> None:
    """A file that is there is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {f"{m}/{name}": weight for m, member in trained.members.items() for name, weight in member.items()}
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        np.savez(file, mean=trained.mean, std=trained.std, **weights)
    unfinished.replace(path)
