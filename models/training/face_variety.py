"""Shows faces as another camera, head and lamp would have: whole batches at once, on a graphics card where possible."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from device.sensing.crop import CLIP, CROP_PIXELS, LEAST_STD

Tensor = torch.Tensor

MILD = 0.35
"""How far heads turn that are shown nearly as they are, beside the full strength."""


def varied(faces: Tensor, pixels: int, strength: float = 1.0) -> tuple[Tensor, Tensor]:
    """Faces (uint8 [B, 48, 48]) varied and enlarged, as the network gets them: float32 [B, 1, pixels, pixels].

    Also which of them are covered by half, bool [B]. `strength` scales how far heads turn and lamps change.
    """
    grey = faces[:, None].float()
    grey = _some(grey, 0.12, _far)
    grey = _some(grey, 0.2, _grain)
    covered = torch.rand(len(grey), device=grey.device) < 0.06
    grey = torch.where(covered[:, None, None, None], _covered(grey), grey)
    grey = _warped(grey, pixels, strength)
    grey = _some(grey, 0.4, lambda some: _gamma(some, strength))
    grey = _some(grey, 0.25, _side_light)
    grey = _some(grey, 0.12, _blurred)
    return _some(standardised(grey.clamp(0, 255)), 0.35, _erased), covered


def mildly_varied(faces: Tensor, pixels: int) -> Tensor:
    """Faces (uint8 [B, 48, 48]) moved a little and mirrored or not, float32 [B, 1, pixels, pixels]."""
    return standardised(_warped(faces[:, None].float(), pixels, MILD).clamp(0, 255))


def plain(faces: Tensor, pixels: int) -> Tensor:
    """Faces (uint8 [B, 48, 48]) as they are, as the box shows them to the network: float32 [B, 1, pixels, pixels]."""
    return F.interpolate(standardised(faces[:, None].float()), (pixels, pixels), mode="bilinear", align_corners=False)


def standardised(grey: Tensor) -> Tensor:
    """`device.sensing.crop.normalise_crop` for a batch [B, 1, S, S] of grey levels."""
    mean = grey.mean(dim=(2, 3), keepdim=True)
    deviation = grey.std(dim=(2, 3), keepdim=True, correction=0).clamp(min=LEAST_STD)
    return ((grey - mean) / deviation).clamp(-CLIP, CLIP)


def _some(grey: Tensor, share: float, change) -> Tensor:
    """`change` this share of the faces."""
    chosen = torch.rand(len(grey), 1, 1, 1, device=grey.device) < share
    return torch.where(chosen, change(grey), grey)


def _between(low: float, high: float, like: Tensor) -> Tensor:
    """A number for each face, [B, 1, 1, 1]."""
    return torch.empty(len(like), 1, 1, 1, device=like.device).uniform_(low, high)


def _far(grey: Tensor) -> Tensor:
    """As a camera with 16 … 40 pixels for it would have seen it; one size a batch."""
    side = int(torch.randint(16, 40, ()))
    small = F.adaptive_avg_pool2d(grey, side)
    return F.interpolate(small, grey.shape[2:], mode="bilinear", align_corners=False)


def _grain(grey: Tensor) -> Tensor:
    """A sensor's noise, up to two fifths of the face's own contrast: little light leaves little contrast."""
    spread = grey.std(dim=(2, 3), keepdim=True) * _between(0.03, 0.4, grey)
    return (grey + spread * torch.randn_like(grey)).clamp(0, 255)


def _covered(grey: Tensor) -> Tensor:
    """Something before about half of the face: plain, in folds, or as rich in detail as another face."""
    count = len(grey)
    mean, deviation = grey.mean(dim=(2, 3), keepdim=True), grey.std(dim=(2, 3), keepdim=True)
    folds = _smoothed(torch.randn_like(grey), float(torch.empty(()).uniform_(0.8, 3.5)))
    folds = folds / folds.std(dim=(2, 3), keepdim=True).clamp(min=1e-3)
    stuff = mean + deviation * (folds * _between(0.0, 1.4, grey) + _between(-1.0, 1.0, grey))
    others = grey.roll(1, 0).rot90(int(torch.randint(1, 4, ())), (2, 3))
    stuff = torch.where(_between(0, 1, grey) < 0.35, others, stuff)
    edge = torch.empty(count, 1, 1, device=grey.device).uniform_(0.38, 0.6) * CROP_PIXELS
    place = torch.arange(CROP_PIXELS, device=grey.device)
    along = torch.where((torch.rand(count, 1, 1, device=grey.device) < 0.5), place[None, :, None], place[None, None, :])
    along = along.expand(count, CROP_PIXELS, CROP_PIXELS)
    flipped = torch.rand(count, 1, 1, device=grey.device) < 0.5
    along = torch.where(flipped, CROP_PIXELS - 1 - along, along)
    return torch.where((along < edge)[:, None], stuff.clamp(0, 255), grey)


def _warped(grey: Tensor, pixels: int, strength: float) -> Tensor:
    """Turn by up to 12°, scale by up to 12 %, stretch, shift by up to 8 %; mirror one in two."""
    count, device = len(grey), grey.device

    def draw(limit: float) -> Tensor:
        return torch.empty(count, device=device).uniform_(-limit, limit) * strength

    angle, mirror = draw(math.radians(12)), torch.where(torch.rand(count, device=device) < 0.5, -1.0, 1.0)
    scale, stretch = torch.exp(draw(0.12)), torch.exp(draw(0.06))
    shear = draw(0.08)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = [
        torch.stack([cos * stretch * mirror, -sin + shear, draw(0.16)], 1),
        torch.stack([sin * mirror, cos / stretch, draw(0.16)], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [count, 1, pixels, pixels], align_corners=False)
    return F.grid_sample(grey, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _gamma(grey: Tensor, strength: float) -> Tensor:
    return (grey / 255).clamp(0, 1) ** torch.exp(_between(-0.45, 0.45, grey) * strength) * 255


def _side_light(grey: Tensor) -> Tensor:
    """Brighter on one side than on the other."""
    ramp = torch.linspace(-1, 1, grey.shape[-1], device=grey.device)
    light = 1 + _between(-0.35, 0.35, grey) * ramp + _between(-0.35, 0.35, grey) * ramp[:, None]
    return grey * light


def _blurred(grey: Tensor) -> Tensor:
    """Out of focus by 0.4 … 1 pixel of the crop; one width a batch."""
    return _smoothed(grey, grey.shape[-1] / CROP_PIXELS * float(torch.empty(()).uniform_(0.4, 1.0)))


def _smoothed(grey: Tensor, width: float) -> Tensor:
    """A Gaussian of this width in pixels over [B, 1, S, S]."""
    reach = min(math.ceil(3 * width), grey.shape[-1] - 1)
    place = torch.arange(-reach, reach + 1, device=grey.device, dtype=grey.dtype)
    kernel = torch.exp(-(place**2) / (2 * width**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(grey, (reach,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


def _erased(inputs: Tensor) -> Tensor:
    """A random rectangle of each blank."""
    side = inputs.shape[-1]
    place = torch.arange(side, device=inputs.device)
    inside = torch.ones_like(inputs, dtype=torch.bool)
    for shape in ((-1, 1), (1, -1)):
        length = _between(side / 6, side / 2.2, inputs)
        first = _between(0, 1, inputs) * (side - length)
        along = place.view(1, 1, *shape)
        inside = inside & (along >= first) & (along < first + length)
    return torch.where(inside, _between(-1, 1, inputs), inputs)
