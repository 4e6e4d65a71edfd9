"""Trained voice networks in a few files, so that they can be trained on one machine and converted on another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from models.training.voice_corpora import SPEC
from models.training.voice_network import Shape
from models.training.voice_recipe import Recipe, Trained

FULL_BYTES = 10_000_000
"""A file of this size gets no more networks."""


def name_of(stem: str, recipe: Recipe) -> str:
    """Of a network trained by this recipe; another recipe's has another name."""
    return f"{stem}--{recipe.steps}--{recipe.mark}"


def kept(folder: Path) -> dict[str, Trained]:
    """All networks in the files of a folder, by name."""
    return {name: trained for path in sorted(folder.glob("*.npz")) for name, trained in _read(path)}


def keep(name: str, trained: Trained, folder: Path, label: str) -> None:
    """Add a network to the last file with this label, or to a new one when that is full."""
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob(f"{label}-*.npz"))) or 1
    path = folder / f"{label}-{number}.npz"
    if path.exists() and path.stat().st_size > FULL_BYTES:
        path = folder / f"{label}-{number + 1}.npz"
    networks = dict(_read(path)) if path.exists() else {}
    _write(path, networks | {name: trained})


def _write(path: Path, networks: dict[str, Trained]) -> None:
    facts = {
        name: {"shape": asdict(trained.shape), "mean": trained.spec.mean, "std": trained.spec.std}
        for name, trained in networks.items()
    }
    weights = {
        f"{name}/{weight}": value for name, trained in networks.items() for weight, value in trained.weights.items()
    }
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        np.savez(file, facts=json.dumps(facts), **weights)
    unfinished.replace(path)


def _read(path: Path) -> Iterator[tuple[str, Trained]]:
    with np.load(path) as file:
        for name, facts in json.loads(str(file["facts"])).items():
            weights = {key.removeprefix(f"{name}/"): file[key] for key in file.files if key.startswith(f"{name}/")}
            shape = Shape(**facts["shape"] | {"widths": tuple(facts["shape"]["widths"])})
            spec = replace(SPEC, mean=tuple(facts["mean"]), std=tuple(facts["std"]))
            yield name, Trained(weights, shape, spec)
