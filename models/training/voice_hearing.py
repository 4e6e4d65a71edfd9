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

from device.lab.evaluate import read_clip
from models.training.voice_corpora import SPEC, Corpora
from models.training.voice_encoder import PLACES, Encoder, encoder
from models.training.voice_recordings import levels_of, read_corpora
from models.training.voice_scenes import SURROUNDINGS, World, overheard, world
from models.training.voice_variations import VARIETY, Variety, mask, vary
from models.training.voice_weights import BLOCKS, WIDTH, wheels

VARIED = range(1, 9)
"""Of each recording: varied on its log-mel; what chance begins from."""
SCENES = range(5, 13)
"""Of each recording: heard across a room, with some variety more."""
KINDS = ("plain", *(f"varied-{number}" for number in VARIED), *(f"scene-{number}" for number in SCENES))
IN_SCENES = Variety(stretch=0.06, shift_frames=8.0, room_share=0.0, noise_share=0.0)
POOLED = 4
"""Frames of the encoder that are heard as one: 80 ms."""
MOMENTS = -(-PLACES // POOLED)
AT_ONCE = 64
TOLD_EACH = 50


@dataclass(frozen=True, slots=True)
class Heard:
    """All recordings, and after them the noises, as the encoder hears them."""

    corpora: Corpora
    folder: Path
    """Where it is, and what is trained on it."""
    variants: tuple[np.ndarray, ...]
    """Each float16 [N + M, moments, WIDTH], on the disk; the first is as they are."""

    def take(self, variant: int, rows: np.ndarray) -> np.ndarray:
        """Float32 [n, moments, WIDTH]; rows beyond the clips are noises."""
        return self.variants[variant][rows].astype(np.float32)


def listen(data: Path, build: Path) -> Heard:
    """Have everything heard in `build`, a variant on each core at a time; what is there already is not made again."""
    corpora = read_corpora(data, build)
    names = [clip.path.name for clip in corpora.clips]
    made_by = ([wheel.name for wheel in wheels()], BLOCKS, SPEC, VARIETY, IN_SCENES, SURROUNDINGS, POOLED, names)
    key = hashlib.sha1(repr(made_by).encode()).hexdigest()
    folder = build / f"heard-{key[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = {kind: folder / f"{kind}.npy" for kind in KINDS}
    missing = [kind for kind, path in paths.items() if not path.exists()]
    if missing:
        with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as workers:
            running = [workers.submit(_listen_once, data, build, kind, paths[kind]) for kind in missing]
            for done in as_completed(running):
                print(f"heard: {done.result()}, kept in {folder}", flush=True)
    return Heard(corpora, folder, tuple(np.load(path, mmap_mode="r") for path in paths.values()))


def _listen_once(data: Path, build: Path, kind: str, path: Path) -> str:
    """Everything once, in a process of its own, on one thread."""
    torch.set_num_threads(1)
    corpora = read_corpora(data, build)
    network = encoder().to(best_type())
    way, _, number = kind.partition("-")
    around = world(data) if way == "scene" else None
    chance = torch.Generator().manual_seed({"plain": 0, "varied": 1000, "scene": 2000}[way] + int(number or 0))
    unfinished = path.with_suffix(".part")
    count = len(corpora.clips)
    size = (count + len(corpora.noises), MOMENTS, WIDTH)
    heard = np.lib.format.open_memmap(unfinished, "w+", np.float16, size)
    noises = torch.from_numpy(corpora.noises).float()
    for start in range(0, count, AT_ONCE):
        rows = range(start, min(start + AT_ONCE, count))
        some = torch.from_numpy(_scenes(corpora, rows, around, int(number)) if around else corpora.levels[rows]).float()
        if way != "plain":
            some = varied_levels(some, noises, IN_SCENES if around else VARIETY, chance)
        heard[rows] = moments(network, some).numpy()
        if start // AT_ONCE % TOLD_EACH == 0:
            print(f"{kind}: {start} of {count}", flush=True)
    for start in range(0, len(noises), AT_ONCE):
        some = noises[start : start + AT_ONCE]
        heard[count + start : count + start + len(some)] = moments(network, some).numpy()
    heard.flush()
    unfinished.replace(path)
    return kind


def _scenes(corpora: Corpora, rows: range, around: World, number: int) -> np.ndarray:
    """Levels float32 [n, frames, bands] of these recordings, each somewhere in the world."""
    sounds = (
        overheard(read_clip(corpora.clips[row].path), around, SURROUNDINGS, np.random.default_rng((number, row)))
        for row in rows
    )
    return np.stack([levels_of(sound) for sound in sounds])


def varied_levels(levels: Tensor, noises: Tensor, variety: Variety, chance: torch.Generator) -> Tensor:
    """Levels [n, frames, bands] as other throats, rooms and microphones give them, with spans blanked."""
    noise = noises[torch.randint(len(noises), (len(levels),), generator=chance)]
    return mask(vary(levels, noise, SPEC.floor_db, variety, chance), variety, chance)


@torch.no_grad()
def moments(network: Encoder, levels: Tensor) -> Tensor:
    """What a network hears in levels in dB [n, frames, bands]: float16 [n, moments, WIDTH]."""
    standard = (levels - SPEC.mean[0]) / SPEC.std[0]
    heard = network(standard.to(network.positions.dtype)).float().transpose(1, 2)
    pooled = functional.avg_pool1d(heard, POOLED, ceil_mode=True, count_include_pad=False)
    return pooled.transpose(1, 2).half()


def best_type() -> torch.dtype:
    """bfloat16 where the processor has units for it (AMX, AVX-512), which takes half the time."""
    can = torch.cpu.get_capabilities()
    return torch.bfloat16 if can.get("amx_bf16") or can.get("avx512_bf16") else torch.float32
