"""Trains voice networks, many side by side, best on a graphics card: to try recipes, for the protocols and to ship.

    python -m models.training.voice_lab pack    --levels FILE --data DIR
    python -m models.training.voice_lab explore --levels FILE --out DIR [--recipes NAME ...] [--seed N]
    python -m models.training.voice_lab folds   --levels FILE --out DIR [--only TEXT]
    python -m models.training.voice_lab ship    --levels FILE --out DIR [--seeds N]

Only `pack` needs the recordings: it writes their log-mels to a file, which the others read. `explore` measures recipes
on voices and corpora they have not heard, never on the test part; one JSON line for each network. `folds` and `ship`
leave the weights in `DIR/folds` and `DIR/ship`; in `build/voice`, `scripts/train voice` finds them. What `DIR` has
already is not made again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from models.training.voice_corpora import CORPORA, pack, unpack
from models.training.voice_folds import Fold, folds, steps_of, trials
from models.training.voice_network import Shape
from models.training.voice_recipe import (
    SHAPE,
    SHIPPED,
    Recipe,
    Stock,
    Trained,
    answers,
    best_device,
    lessons,
    side_by_side,
    stock,
)
from models.training.voice_shelf import keep, kept, name_of

SEED = 7
LANES = 8
FIRST = Recipe(shape=Shape(), teacher_shape=SHAPE, crowd=0.0, style_share=0.0)
"""What version 2.0.0 was trained by."""
RECIPES = {
    "first": FIRST,
    "crowd": replace(FIRST, crowd=0.5),
    "style": replace(FIRST, style_share=0.5),
    "taught": replace(FIRST, teachers=3),
    "sharp": replace(FIRST, sharpness=0.05),
    "crowd-style": replace(FIRST, crowd=0.5, style_share=0.5),
    "wide-crowd-style": Recipe(crowd=0.5),
    "untaught": Recipe(),
    "ships": SHIPPED,
}
"""Tries, each told in `models/voice_training.md`."""


@dataclass(frozen=True, slots=True)
class Job:
    """A network to train."""

    name: str
    fold: Fold
    recipe: Recipe
    seed: int


def explore(shelf: Stock, arguments: argparse.Namespace) -> None:
    """Measure recipes on what they have not heard."""
    path = arguments.out / f"explore{arguments.share[0]}.jsonl"
    lines = [line for file in arguments.out.glob("explore*.jsonl") for line in file.read_text().splitlines()]
    known = {json.loads(line)["job"] for line in lines}
    jobs = []
    for name in arguments.recipes or RECIPES:
        recipe = shortened(RECIPES[name], arguments.steps)
        for fold in trials(shelf.corpora):
            if arguments.only in fold.protocol:
                steps = steps_of(fold, shelf.corpora, recipe.steps)
                jobs.append(
                    Job(
                        f"{name}, {fold.name}, {steps} steps, seed {arguments.seed}",
                        fold,
                        replace(recipe, steps=steps),
                        arguments.seed,
                    )
                )

    def tell(job: Job, trained: Trained) -> None:
        line = {
            "job": job.name,
            "recipe": job.name.split(",")[0],
            "fold": job.fold.name,
            **measured(trained, shelf, job.fold),
        }
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)

    run([job for job in jobs if job.name not in known], shelf, arguments, tell)
    print(overview(arguments.out))


def overview(folder: Path) -> str:
    """What was found in a folder: a line for each recipe, the mean over its networks for each trial and corpus."""
    found: dict[str, dict[str, list[float]]] = {}
    for file in sorted(folder.glob("explore*.jsonl")):
        for line in map(json.loads, file.read_text().splitlines()):
            for corpus in (name for name in CORPORA if name in line):
                column = f"{line['fold']}: {corpus}" if corpus not in line["fold"] else line["fold"]
                column = column.replace("strangers 1", "strangers").replace("strangers 2", "strangers")
                found.setdefault(line["recipe"], {}).setdefault(column, []).append(line[corpus])
    columns = sorted({column for row in found.values() for column in row})
    lines = [" | ".join(["recipe", *columns])]
    for recipe, row in found.items():
        cells = [f"{sum(row[column]) / len(row[column]):.1f}" if column in row else "" for column in columns]
        lines.append(" | ".join([recipe, *cells]))
    return "\n".join(lines)


def measured(trained: Trained, shelf: Stock, fold: Fold) -> dict[str, float]:
    """Accuracy in percent of each corpus in a fold's measured part."""
    right = answers(trained, shelf, fold.test).argmax(axis=1) == shelf.corpora.label[fold.test]
    corpus = shelf.corpora.corpus[fold.test]
    return {
        name: round(100 * float(right[corpus == number].mean()), 2)
        for number, name in enumerate(CORPORA)
        if (corpus == number).any()
    }


def keep_folds(shelf: Stock, arguments: argparse.Namespace) -> None:
    """Train for every fold of the protocols."""
    recipe = shortened(chosen(arguments, Recipe()), arguments.steps)
    jobs = []
    for fold in folds(shelf.corpora, SEED):
        if arguments.only in fold.protocol:
            shorter = replace(recipe, steps=steps_of(fold, shelf.corpora, recipe.steps))
            jobs.append(Job(name_of(fold.stem, shorter), fold, shorter, SEED))
    jobs.sort(key=lambda job: -job.recipe.steps)
    _run_and_keep("folds", jobs, shelf, arguments)


def keep_seeds(shelf: Stock, arguments: argparse.Namespace) -> None:
    """Train on the training part, from several beginnings."""
    recipe = shortened(chosen(arguments, SHIPPED), arguments.steps)
    fold = next(trials(shelf.corpora))
    jobs = [Job(name_of(f"seed_{seed}", recipe), fold, recipe, seed) for seed in range(SEED, SEED + arguments.seeds)]
    _run_and_keep("ship", jobs, shelf, arguments)


def _run_and_keep(label: str, jobs: list[Job], shelf: Stock, arguments: argparse.Namespace) -> None:
    folder = arguments.out / label
    known = kept(folder)

    def put_away(job: Job, trained: Trained) -> None:
        keep(job.name, trained, folder, f"{label}{arguments.share[0]}")
        print(f"{job.name}: {measured(trained, shelf, job.fold)}", flush=True)

    run([job for job in jobs if job.name not in known], shelf, arguments, put_away)


def chosen(arguments: argparse.Namespace, usual: Recipe) -> Recipe:
    """The usual recipe, or the try that was named."""
    return RECIPES[arguments.recipes[0]] if arguments.recipes else usual


def shortened(recipe: Recipe, steps: int | None) -> Recipe:
    """The recipe with other steps, if any are asked for."""
    return replace(recipe, steps=steps) if steps else recipe


def run(jobs: list[Job], shelf: Stock, arguments: argparse.Namespace, done: Callable[[Job, Trained], None]) -> None:
    """Train side by side until all is done or the time is over."""
    first, each = arguments.share
    mine = {job.name: job for job in jobs[first::each]}
    courses = {job.name: lessons(shelf, job.fold.train, job.recipe, job.seed) for job in mine.values()}
    began = time.monotonic()
    print(f"{len(mine)} to train on {shelf.device}", flush=True)
    for count, (name, trained) in enumerate(side_by_side(courses, shelf, arguments.lanes, arguments.seconds), start=1):
        done(mine[name], trained)
        print(f"{count} of {len(mine)} done, {time.monotonic() - began:.0f} s", flush=True)


def _share(text: str) -> tuple[int, int]:
    first, each = text.split("/")
    return int(first), int(each)


def main() -> None:
    """Pack, explore, or train for the protocols or to ship."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pack", "explore", "folds", "ship"))
    parser.add_argument("--data", type=Path, help="folder with the data sets, to pack")
    parser.add_argument("--levels", type=Path, required=True, help="the packed log-mels")
    parser.add_argument("--out", type=Path, default=Path("build/voice"), help="folder for what is made")
    parser.add_argument("--recipes", nargs="*", metavar="NAME", choices=RECIPES, help="tries by name; else what ships")
    parser.add_argument("--only", default="", metavar="TEXT", help="protocols with this in their name")
    parser.add_argument("--steps", type=int, help="other than the recipe's")
    parser.add_argument("--seed", type=int, default=SEED, help="of the tries")
    parser.add_argument("--seeds", type=int, default=5, help="networks of which the best by validation ships")
    parser.add_argument("--lanes", type=int, default=LANES, help="networks side by side")
    parser.add_argument("--share", type=_share, default=(0, 1), metavar="I/N", help="each Nth network, from the Ith on")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no step after this")
    parser.add_argument("--eager", action="store_true", help="do not give a graphics card whole steps")
    arguments = parser.parse_args()
    if arguments.what == "pack":
        from models.training.voice_recordings import read_corpora

        pack(read_corpora(arguments.data, Path("build/voice")), arguments.levels)
        return
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    shelf = stock(unpack(arguments.levels), best_device(), not arguments.eager)
    {"explore": explore, "folds": keep_folds, "ship": keep_seeds}[arguments.what](shelf, arguments)


if __name__ == "__main__":
    main()
