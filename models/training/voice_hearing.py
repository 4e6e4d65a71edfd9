"""What the encoder makes of every recording, as it is and varied: made once, since it is the same for every fold."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.training.voice_corpora import SPEC, Corpora
from models.training.voice_encoder import WIDTH, Encoder, encoder, wheel
from models.training.voice_variations import VARIETY, Variety, mask, vary

VARIANTS = 9
"""Of each recording; the first is as it is."""
POOLED = 4
"""Frames of the encoder that are heard as one: 80 ms."""
MOMENTS = -(-((SPEC.frames + 1) // 2) // POOLED)
AT_ONCE = 64
TOLD_EACH = 50


@dataclass(frozen=True, slots=True)
class Heard:
    """All recordings, and after them the noises, as the encoder hears them."""

    corpora: Corpora
    variants: tuple[np.ndarray, ...]
    """Each float16 [N + M, moments, 384], on the disk."""

    def take(self, variant: int, rows: np.ndarray) -> np.ndarray:
        """Float32 [n, moments, 384]; rows beyond the clips are noises."""
        return self.variants[variant][rows].astype(np.float32)


def listen(corpora: Corpora, build: Path) -> Heard:
    """Have everything heard in `build`, a variant on each core at a time; what is there already is not made again."""
    names = [clip.path.name for clip in corpora.clips]
    key = hashlib.sha1(repr((wheel().name, SPEC, VARIETY, POOLED, names)).encode()).hexdigest()
    folder = build / f"heard-{key[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{variant}.npy" for variant in range(VARIANTS)]
    missing = [variant for variant, path in enumerate(paths) if not path.exists()]
    if missing:
        with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as workers:
            running = [workers.submit(_listen_once, corpora, variant, paths[variant]) for variant in missing]
            for done in as_completed(running):
                print(f"heard: variant {done.result()}, kept in {folder}", flush=True)
    return Heard(corpora, tuple(np.load(path, mmap_mode="r") for path in paths))


def _listen_once(corpora: Corpora, variant: int, path: Path) -> int:
    """One variant of everything, in a process of its own, on one thread."""
    torch.set_num_threads(1)
    network = encoder().to(best_type())
    chance = torch.Generator().manual_seed(1000 + variant)
    unfinished = path.with_suffix(".part")
    count = len(corpora.clips)
    size = (count + len(corpora.noises), MOMENTS, WIDTH)
    heard = np.lib.format.open_memmap(unfinished, "w+", np.float16, size)
    noises = torch.from_numpy(corpora.noises).float()
    parts = [(corpora.levels, 0, variant > 0), (corpora.noises, count, False)]
    for levels, first, varied in parts:
        for number, start in enumerate(range(0, len(levels), AT_ONCE)):
            some = torch.from_numpy(levels[start : start + AT_ONCE]).float()
            if varied:
                some = varied_levels(some, noises, VARIETY, chance)
            heard[first + start : first + start + len(some)] = moments(network, some).numpy()
            if number % TOLD_EACH == 0:
                print(f"variant {variant}: {first + start} of {size[0]}", flush=True)
    heard.flush()
    unfinished.replace(path)
    return variant


def varied_levels(levels: Tensor, noises: Tensor, variety: Variety, chance: torch.Generator) -> Tensor:
    """Levels [n, frames, bands] as other throats, rooms and microphones give them, with spans blanked."""
    noise = noises[torch.randint(len(noises), (len(levels),), generator=chance)]
    return mask(vary(levels, noise, SPEC.floor_db, variety, chance), variety, chance)


@torch.no_grad()
def moments(network: Encoder, levels: Tensor) -> Tensor:
    """What a network hears in levels in dB [n, frames, bands]: float16 [n, moments, 384]."""
    standard = (levels - SPEC.mean[0]) / SPEC.std[0]
    heard = network(standard.to(network.positions.dtype)).float().transpose(1, 2)
    pooled = functional.avg_pool1d(heard, POOLED, ceil_mode=True, count_include_pad=False)
    return pooled.transpose(1, 2).half()


def best_type() -> torch.dtype:
    """bfloat16 where the processor has units for it, which takes half the time."""
    return torch.bfloat16 if torch.cpu.get_capabilities().get("amx_bf16", False) else torch.float32
