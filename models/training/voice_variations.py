"""Speech varied as throats, rooms and microphones do, on log-mels, a whole batch at a time and where the batch lies.

Every function but `mix_styles` takes levels in dB, float32 [n, frames, bands], and the generator chance comes from.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

BEYOND_LIMIT_DB = 50.0
KNOTS = 6
"""Of the smooth curve that a microphone draws over the bands."""
FRAME_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Variety:
    """How much is varied."""

    stretch: float = 0.12
    """Vocal tract and tempo, as the deviation of the logarithm's ends."""
    shift_frames: float = 24.0
    room_share: float = 0.2
    colour_share: float = 0.5
    colour_db: float = 3.0
    noise_share: float = 0.3
    noise_ratio_db: tuple[float, float] = (0.0, 30.0)
    level_db: float = 1.5
    blank_bands: int = 11
    """Blanked spans are shorter than this."""
    blank_frames: int = 32


VARIETY = Variety()


def vary(levels: Tensor, noise: Tensor, floor_db: float, variety: Variety, chance: Generator) -> Tensor:
    """The same words as another throat, room and microphone would give them."""
    levels = stretch(levels, floor_db, variety, chance)
    levels = _some(variety.room_share, levels, reverberate, chance)
    levels = _some(variety.colour_share, levels, lambda some, c: colour(some, variety.colour_db, c), chance)
    levels = _some(
        variety.noise_share, levels, lambda some, c: add_noise(some, noise, variety.noise_ratio_db, c), chance
    )
    level = variety.level_db * torch.randn((len(levels), 1, 1), generator=chance, device=levels.device)
    return (levels + level).clamp_min(floor_db)


def _some(share: float, levels: Tensor, change: Callable[[Tensor, Generator], Tensor], chance: Generator) -> Tensor:
    """A share of the rows changed."""
    changed = _uniform(0, 1, (len(levels), 1, 1), levels, chance) < share
    return torch.where(changed, change(levels, chance), levels)


def _uniform(low: float, high: float, size: tuple[int, ...], like: Tensor, chance: Generator) -> Tensor:
    return low + (high - low) * torch.rand(size, generator=chance, device=like.device)


def stretch(levels: Tensor, floor_db: float, variety: Variety, chance: Generator) -> Tensor:
    """Another length of throat and another tempo, and elsewhere in the window: nearest two frames and bands mixed."""
    count, frames, bands = levels.shape
    throat, tempo = _uniform(-variety.stretch, variety.stretch, (2, count, 1), levels, chance).exp()
    shift = _uniform(-variety.shift_frames, variety.shift_frames, (count, 1), levels, chance)
    band = torch.arange(bands, device=levels.device) * throat
    frame = (torch.arange(frames, device=levels.device) - frames / 2) * tempo + frames / 2 + shift
    return floor_db + _places(frame, frames).transpose(1, 2) @ (levels - floor_db) @ _places(band, bands)


def _places(where: Tensor, length: int) -> Tensor:
    """What each of `length` old places gives to new ones, which lie `where` [n, m] among them; [n, length, m].

    Nothing beyond the ends.
    """
    inside = (where >= 0) & (where <= length - 1)
    distance = where.unsqueeze(1) - torch.arange(length, device=where.device).unsqueeze(1)
    return (1 - distance.abs()).clamp_min(0) * inside.unsqueeze(1)


def reverberate(levels: Tensor, chance: Generator) -> Tensor:
    """A room whose sound dies away by 60 dB in 0.2 … 0.8 s: each frame keeps some of the power before it."""
    count, frames, _ = levels.shape
    seconds = _uniform(0.2, 0.8, (count, 1, 1), levels, chance)
    wet = _uniform(0.05, 0.5, (count, 1, 1), levels, chance)
    frame = torch.arange(frames, device=levels.device)
    age = frame.unsqueeze(1) - frame
    fall = -6 * math.log(10) * FRAME_SECONDS / seconds
    kept = wet * ((age + 1).clamp_min(0) * fall).exp() * (age >= 0)
    power = _power(levels)
    return _decibels(power + kept @ power)


def colour(levels: Tensor, colour_db: float, chance: Generator) -> Tensor:
    """What microphones and codecs do to the spectrum: a smooth curve, and now and then nothing above a limit."""
    count, _, bands = levels.shape
    band = torch.arange(bands, device=levels.device)
    knots = colour_db * torch.randn((count, KNOTS), generator=chance, device=levels.device)
    places = (band * ((KNOTS - 1) / (bands - 1))).clamp_max(KNOTS - 1).unsqueeze(0)
    curve = knots @ _places(places, KNOTS).squeeze(0)
    limit = _uniform(40, bands, (count, 1), levels, chance).floor()
    limited = _uniform(0, 1, (count, 1), levels, chance) < 0.2
    return levels + (curve - BEYOND_LIMIT_DB * (limited & (band >= limit))).unsqueeze(1)


def add_noise(levels: Tensor, noise: Tensor, ratio_db: tuple[float, float], chance: Generator) -> Tensor:
    """Speech in a noise of its own each (as many as there are levels), which lies so far below it: powers add up."""
    ratio = _uniform(*ratio_db, (len(levels), 1, 1), levels, chance)
    return _decibels(_power(levels) + _power(noise - ratio))


def _power(levels: Tensor) -> Tensor:
    return (levels * (math.log(10) / 10)).exp()


def _decibels(power: Tensor) -> Tensor:
    return power.log() * (10 / math.log(10))


def mask(levels: Tensor, variety: Variety, chance: Generator) -> Tensor:
    """Give two spans of bands and two of frames the mean level (Park et al., SpecAugment, 2019)."""
    count, frames, bands = levels.shape
    blank = _spans(count, bands, variety.blank_bands, levels, chance).unsqueeze(1)
    blank = blank | _spans(count, frames, variety.blank_frames, levels, chance).unsqueeze(2)
    return torch.where(blank, levels.mean(dim=(1, 2), keepdim=True), levels)


def _spans(count: int, length: int, longest: int, like: Tensor, chance: Generator) -> Tensor:
    """True within two spans of each row, bool [count, length]."""
    width = _uniform(0, longest, (count, 2, 1), like, chance).floor()
    first = _uniform(0, length - longest, (count, 2, 1), like, chance).floor()
    places = torch.arange(length, device=like.device)
    return ((places >= first) & (places < first + width)).any(dim=1)


def mix_styles(values: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """Each row with the mean and deviation of its values moved by a `share` [n] towards the `other` row's.

    Zhou et al., MixStyle, ICLR 2021.
    """
    mean = values.mean(dim=1, keepdim=True)
    deviation = ((values * values).mean(dim=1, keepdim=True) - mean * mean).clamp_min(0).sqrt()
    other_deviation, other_mean = deviation[other], mean[other]
    share = share.view(-1, 1, 1)
    new_deviation = (1 - share) * deviation + share * other_deviation
    new_mean = (1 - share) * mean + share * other_mean
    return (values - mean) / (deviation + 1e-3) * new_deviation + new_mean
