"""The recipe of the music model, and its measure: folds in which no artist stands on both sides."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.svm import SVC

from device.analysis import decode, feeling, hearing
from device.analysis.feeling import AROUSAL_SIGN, CLIP, QUADRANTS, VALENCE_SIGN, Feeling, Machine
from device.domain.tracks import TIMBRE_SIZE
from device.errors import SetupError
from device.lab.evaluate import Report

FOLDS = 10
INNER_FOLDS = 5
SEED = 0
CACHE = Path("build/music")
STRANGE_PERCENTILE, STRANGE_REACH = 97.5, 2.5
"""Sounds further from the mean song than this share of the songs count less and less, up to so many times as far."""
PUBLISHED_F1 = 0.764
"""Panda, Malheiro and Paiva, Novel Audio Features for Music Emotion Recognition (IEEE TAC 11, 2018): a support vector
machine on 100 chosen features of 30 s clips, folds not kept apart by artist."""

Labels = NDArray[np.intp]
Rows = NDArray[np.intp]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Songs:
    """The data set, measured."""

    features: Numbers
    """[songs, features]"""
    quadrant: Labels
    """[songs], indices into QUADRANTS."""
    artist: NDArray[np.str_]
    """[songs]"""


def read_songs(data: Path, cache: Path = CACHE) -> Songs:
    """`music4q.csv` of `data` and the features of its clips, which are kept where the folder `cache` exists."""
    path = data / "music4q.csv"
    if not path.is_file():
        raise SetupError(f"{path}: not there; --data names the folder that holds the data sets")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    clips = [data / "music4q" / f"{row['id']}.ogg" for row in rows]
    return Songs(
        _features(clips, cache),
        np.array([QUADRANTS.index(row["quadrant"]) for row in rows], dtype=np.intp),
        np.array([row["artist"] for row in rows]),
    )


def _features(clips: Sequence[Path], cache: Path) -> Numbers:
    probe = np.random.default_rng(0).normal(0, 0.1, 5 * decode.RATE_HZ).astype(np.float32).cumsum() * 0.01
    facts = [*hearing.feature_names(), *(f"{value:.3g}" for value in hearing.describe(probe))]
    key = hashlib.sha256("\n".join([*facts, *(clip.stem for clip in clips)]).encode()).hexdigest()
    kept = cache / "features.npz"
    if kept.is_file():
        with np.load(kept, allow_pickle=False) as arrays:
            if str(arrays["key"]) == key:
                return np.asarray(arrays["features"], dtype=np.float64)
    with ProcessPoolExecutor(2) as pool:
        made = np.array(list(_with_progress(pool.map(features_of, clips, chunksize=8), len(clips))))
    if cache.is_dir():
        np.savez(kept, key=np.array(key), features=made)
    return made


def features_of(clip: Path) -> Numbers:
    """The features of one clip, all of it as one stretch."""
    return hearing.describe(decode.decode(clip).samples)


def _with_progress(values: Iterator[Any], total: int) -> Iterator[Any]:
    show = sys.stderr.isatty()
    for index, value in enumerate(values, start=1):
        yield value
        if show and (index % 20 == 0 or index == total):
            end = "\n" if index == total else ""
            print(f"\rmusic: {index} of {total}", end=end, file=sys.stderr, flush=True)


# --- the recipe ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is made from songs."""

    views: tuple[tuple[str, ...], ...]
    """The groups of features that each machine looks at."""
    gamma: float
    """Of the kernel, times the number of features."""
    cost: float
    """C of the machines."""
    weighing: float
    """C of the layer that weighs their decisions."""


RECIPE = Recipe(
    views=(
        ("sum", "cepstrum", "chords", "melody"),
        ("sum", "cepstrum", "chords", "melody", "together"),
        ("sum", "cepstrum", "melody", "together", "grain", "swell"),
        tuple(name for name in hearing.GROUPS if name != "loudness"),
    ),
    gamma=0.25,
    cost=3.0,
    weighing=0.1,
)


def fit(songs: Songs, rows: Rows, recipe: Recipe = RECIPE) -> Feeling:
    """The model for the songs `rows`; nothing of any other song reaches it."""
    features, quadrant, artist = songs.features[rows], songs.quadrant[rows], songs.artist[rows]
    machines, mean, scale, standard = _machines(features, quadrant, recipe)
    unheard = np.zeros((len(rows), len(feeling.PAIRS) * len(machines)))
    for learn, ask in folds(quadrant, artist, INNER_FOLDS, SEED + 1):
        part, part_mean, part_scale, part_songs = _machines(features[learn], quadrant[learn], recipe)
        asked = np.clip((features[ask] - part_mean) / part_scale, -CLIP, CLIP)
        unheard[ask] = np.concatenate([feeling.decide(machine, part_songs, asked) for machine in part], axis=1)
    layer = LogisticRegression(C=recipe.weighing, max_iter=1000).fit(unheard, quadrant)
    usual = float(np.percentile((standard**2).mean(axis=1), STRANGE_PERCENTILE))
    return Feeling(
        names=hearing.feature_names(),
        mean=mean,
        scale=scale,
        songs=standard.astype(np.float32),
        machines=machines,
        weights=layer.coef_.T,
        bias=layer.intercept_,
        strange=(usual, STRANGE_REACH * usual),
        timbre_axes=_timbre_axes(standard),
    )


def _machines(
    features: Numbers, quadrant: Labels, recipe: Recipe
) -> tuple[tuple[Machine, ...], Numbers, Numbers, Numbers]:
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    standard = np.clip((features - mean) / scale, -CLIP, CLIP)
    return tuple(_machine(standard, quadrant, view, recipe) for view in recipe.views), mean, scale, standard


def _machine(standard: Numbers, quadrant: Labels, view: Sequence[str], recipe: Recipe) -> Machine:
    columns = np.array([i for i, group in enumerate(hearing.feature_groups()) if group in view], dtype=np.intp)
    gamma = recipe.gamma / len(columns)
    machine = SVC(C=recipe.cost, gamma=gamma, decision_function_shape="ovo").fit(standard[:, columns], quadrant)
    weights = np.zeros((len(standard), len(feeling.PAIRS)))
    starts = np.concatenate([[0], np.cumsum(machine.n_support_)])
    for pair, (first, second) in enumerate(feeling.PAIRS):
        # libsvm keeps, for a song of one class, its weight against each of the other classes in their order.
        for ours, other in ((first, second), (second, first)):
            held = slice(starts[ours], starts[ours + 1])
            row = other - 1 if other > ours else other
            weights[machine.support_[held], pair] += machine.dual_coef_[row, held]
    return Machine(columns, gamma, weights, machine.intercept_.astype(np.float64))


def _timbre_axes(standard: Numbers) -> Numbers:
    """Principal axes of the features that tell a sound's colour; the widest fills a signed byte at 3.5 deviations."""
    colours = np.array([group in ("cepstrum", "grain") for group in hearing.feature_groups()])
    _, sizes, axes = np.linalg.svd(standard[:, colours], full_matrices=False)
    turned = axes[:TIMBRE_SIZE].T
    turned = turned * np.sign(turned[np.abs(turned).argmax(axis=0), np.arange(TIMBRE_SIZE)])
    whole = np.zeros((standard.shape[1], TIMBRE_SIZE))
    whole[colours] = turned * 127 / (3.5 * sizes[0] / np.sqrt(len(standard)))
    return whole


# --- the measure --------------------------------------------------------------------------------------------------


def folds(quadrant: Labels, artist: NDArray[np.str_], count: int, seed: int) -> list[tuple[Rows, Rows]]:
    """(learned from, asked) rows; every artist stands in one fold, the quadrants are spread evenly."""
    maker = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    return list(maker.split(np.zeros(len(quadrant)), quadrant, artist))


def cross_validate(songs: Songs, recipe: Recipe = RECIPE, seed: int = SEED) -> tuple[Numbers, list[Rows]]:
    """Posteriors [songs, 4], each from a model that never heard the artist, and the folds' rows."""
    posteriors = np.zeros((len(songs.quadrant), len(QUADRANTS)))
    asked = []
    for learn, ask in folds(songs.quadrant, songs.artist, FOLDS, seed):
        model = fit(songs, learn, recipe)
        kept = feeling.unpacked(model.names, feeling.packed(model))
        posteriors[ask] = [kept.posterior(songs.features[row : row + 1]) for row in ask]
        asked.append(ask)
    return posteriors, asked


def figures_of(posteriors: Numbers, quadrant: Labels) -> dict[str, Any]:
    """Figures of merit over the rows."""
    guess = posteriors.argmax(axis=1)
    confusion = np.zeros((4, 4), dtype=int)
    np.add.at(confusion, (quadrant, guess), 1)
    sums = confusion.sum(axis=0) + confusion.sum(axis=1)
    places = [feeling.place(posterior) for posterior in posteriors]
    truth = feeling.TYPICAL * np.stack([VALENCE_SIGN, AROUSAL_SIGN], axis=1)[quadrant]
    away = np.hypot(
        truth[:, 0] - np.array([affect.valence for affect, _ in places]),
        truth[:, 1] - np.array([affect.arousal for affect, _ in places]),
    )
    return {
        "quadrant_f1": round(float(np.mean(2 * np.diag(confusion) / np.maximum(sums, 1))), 4),
        "quadrant_accuracy": round(float(np.mean(guess == quadrant)), 4),
        "arousal_accuracy": _halves(posteriors, quadrant, AROUSAL_SIGN),
        "valence_accuracy": _halves(posteriors, quadrant, VALENCE_SIGN),
        "nll": round(float(-np.log(posteriors[np.arange(len(guess)), quadrant] + 1e-9).mean()), 4),
        "within_uncertainty": round(float(np.mean(away <= [radius for _, radius in places])), 4),
        "confusion": confusion.tolist(),
    }


def _halves(posteriors: Numbers, quadrant: Labels, sign: NDArray[np.float64]) -> float:
    return round(float(np.mean((posteriors @ sign > 0) == (sign[quadrant] > 0))), 4)


def measure(songs: Songs, recipe: Recipe = RECIPE, seed: int = SEED) -> dict[str, Any]:
    """The figures of the grouped cross-validation, with their spread over the folds."""
    posteriors, asked = cross_validate(songs, recipe, seed)
    each = [figures_of(posteriors[rows], songs.quadrant[rows]) for rows in asked]
    names = ("quadrant_f1", "arousal_accuracy", "valence_accuracy")
    spread = {name: _spread([one[name] for one in each]) for name in names}
    return {
        **figures_of(posteriors, songs.quadrant),
        "folds": {"count": FOLDS, "artists": len(set(songs.artist)), "seed": seed, **spread},
        "chance": chance(songs.quadrant),
        "published_quadrant_f1": PUBLISHED_F1,
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": round(float(np.mean(values)), 4), "std": round(float(np.std(values)), 4)}


def chance(quadrant: Labels) -> dict[str, float]:
    """What always naming the most frequent answer would reach."""
    shares = np.bincount(quadrant, minlength=4) / len(quadrant)
    halves = {
        name: round(float(max(shares[sign > 0].sum(), shares[sign < 0].sum())), 4)
        for name, sign in (("arousal_accuracy", AROUSAL_SIGN), ("valence_accuracy", VALENCE_SIGN))
    }
    most = float(shares.max())
    return {"quadrant_accuracy": round(most, 4), "quadrant_f1": round(2 * most / (1 + most) / 4, 4), **halves}


def evaluate_music(models: Path, data: Path) -> Report:
    """The recipe's grouped cross-validation, and size, time and memory of the shipped model."""
    card = feeling.read_music_card(models)
    feeling.load(models)
    songs = read_songs(data)
    figures = {**measure(songs), "count": len(songs.quadrant), **_cost(data, models)}
    figures["model"] = {
        "file": card.model.name, "version": card.version, "bytes": card.bytes, "sha256": card.sha256,
    }  # fmt: skip
    return Report(figures, _text(figures))


def _cost(data: Path, models: Path) -> dict[str, float]:
    """Seconds a song and peak memory of a process of its own that hears three songs of four minutes."""
    clips = sorted((data / "music4q").glob("*.ogg"))[:48]
    with tempfile.TemporaryDirectory() as folder:
        songs = [_song(Path(folder) / f"{number}.flac", clips[number::3]) for number in range(3)]
        command = [sys.executable, "-m", "device.analysis", "--cost", "--models", str(models), *map(str, songs)]
        told = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    if told.returncode:
        raise SetupError(f"{data / 'music4q'}: {told.stderr.strip().splitlines()[-1:]}; restore the data set")
    cost: dict[str, float] = json.loads(told.stdout)
    return cost


def _song(path: Path, clips: Sequence[Path]) -> Path:
    """Four minutes at 44.1 kHz, stereo, made of clips."""
    parts = [soxr.resample(decode.decode(clip).samples, decode.RATE_HZ, 44_100) for clip in clips]
    samples = np.concatenate(parts)
    soundfile.write(path, np.stack([samples, samples], axis=1), 44_100)
    return path


def _text(figures: dict[str, Any]) -> str:
    by, base = figures["folds"], figures["chance"]
    rows = [
        ("quadrant macro-F1", "quadrant_f1"),
        ("arousal halves", "arousal_accuracy"),
        ("valence halves", "valence_accuracy"),
    ]
    lines = [
        f"{name:<18} {100 * figures[key]:5.1f} %  folds {100 * by[key]['mean']:.1f} ± {100 * by[key]['std']:.1f}  "
        f"chance {100 * base[key]:.1f}"
        for name, key in rows
    ]
    lines += [
        f"quadrant accuracy  {100 * figures['quadrant_accuracy']:5.1f} %",
        f"published macro-F1 {100 * figures['published_quadrant_f1']:5.1f} %  (30 s clips, artists not kept apart)",
        f"songs              {figures['count']} by {by['artists']} artists in {by['count']} folds",
        f"cost               {figures['seconds_per_song']:.2f} s a song, {figures['peak_rss_mb']:.0f} MB at most",
        f"model              {figures['model']['file']}, {figures['model']['bytes']:,} bytes",
        "",
        "true \\ guessed " + "".join(f"{name:>6}" for name in QUADRANTS),
    ]
    for name, row in zip(QUADRANTS, figures["confusion"], strict=True):
        lines.append(f"{name:<14} " + "".join(f"{count:6}" for count in row))
    return "\n".join(lines)
