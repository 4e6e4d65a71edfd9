"""Checks what the tests cannot, which run without PyTorch and TensorFlow: the encoder, its twin, and the variations.

python -m models.training.voice_check
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import torch

from models.training.measuring import int8_logits
from models.training.voice_corpora import SPEC, Clip, Corpora
from models.training.voice_encoder import PLACES, encoder
from models.training.voice_hearing import MOMENTS, Heard, moments
from models.training.voice_keras import exact_logits, twin, write_int8
from models.training.voice_network import MANNERS, VoiceHead
from models.training.voice_recipe import Recipe, Trained, answers, train
from models.training.voice_variations import VARIETY, add_noise, mask, reverberate, stretch
from models.training.voice_weights import WIDTH, pretrained

FLOOR_DB = SPEC.floor_db


def sounds(count: int, rng: np.random.Generator) -> np.ndarray:
    """Made-up voices, float32 [n, frames, bands] in dB: harmonics that glide, in syllables."""
    frame, band = np.arange(SPEC.frames), np.arange(SPEC.bands)
    pitch = rng.uniform(4, 9, (count, 1, 1)) * (1 + 0.2 * np.sin(frame * rng.uniform(0.02, 0.1, (count, 1))))[..., None]
    harmonics = np.cos(2 * np.pi * band / pitch) * 12 - band / 3
    syllables = 15 * np.sin(frame * rng.uniform(0.1, 0.3, (count, 1)))[..., None]
    return np.maximum(harmonics + syllables - 10, FLOOR_DB).astype(np.float32)


def check_twin() -> None:
    """Encoder and head in PyTorch, their twin and its int8 file answer alike."""
    torch.manual_seed(1)
    levels = sounds(20, np.random.default_rng(1))
    heard = moments(encoder(), torch.from_numpy(levels)).float().numpy()
    mean, std = heard.mean(axis=(0, 1)), heard.std(axis=(0, 1)) + 1e-3
    heads = [VoiceHead(manner, Recipe().units).eval() for manner in MANNERS]
    members = {head.manner: {name: weight.numpy() for name, weight in head.state_dict().items()} for head in heads}
    trained = Trained(members, mean, std)
    with torch.no_grad():
        ours = torch.stack([head(torch.from_numpy((heard - mean) / std)) for head in heads]).mean(dim=0).numpy()
    inputs = (levels - SPEC.mean[0]) / SPEC.std[0]
    weights = pretrained(PLACES)
    model = twin(weights, trained)
    apart = np.abs(ours - exact_logits(model, inputs)).max()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "voice.tflite"
        write_int8(file, weights, trained, inputs)
        difference = int8_logits(file, inputs) - ours
    rounded, moved = np.abs(difference).mean(), np.abs(difference.mean(axis=0)).max()
    largest = np.abs(ours).max()
    print(
        f"of {largest:.2f}, the twin is {apart:.1e} apart, the int8 file {rounded:.4f} in the mean ({moved:.4f} always)"
    )
    assert apart < 1e-3 * largest and moved < 0.02 * largest and rounded < 0.06 * largest


def check_variations() -> None:
    """Rooms add what was said before, noise only adds, a longer throat moves every band, blanks have the mean level."""
    chance = torch.Generator().manual_seed(4)
    quiet = torch.full((32, SPEC.frames, SPEC.bands), FLOOR_DB)
    clap = quiet.clone()
    clap[:, 100] = 0
    heard = reverberate(clap, chance)
    assert heard[:, :100].max() < FLOOR_DB + 8 and heard[:, 101].min() > -30
    assert (heard[:, 101:120].diff(dim=1) < 0).all()
    tone = quiet.clone()
    tone[:, :, 30] = 0
    moved = stretch(tone, FLOOR_DB, VARIETY, chance)
    places = moved[:, SPEC.frames // 2].argmax(dim=1)
    assert len(set(places.tolist())) > 3 and (places - 30).abs().max() <= 4 and moved.min() == FLOOR_DB
    speech, noise = (torch.randn(2, 32, SPEC.frames, SPEC.bands, generator=chance) * 5 - 30).unbind()
    assert (add_noise(speech, noise, (0, 30), chance) >= speech - 1e-3).all()
    blanked = mask(speech, VARIETY, chance)
    changed = blanked != speech
    assert 0 < changed.float().mean() < 0.5
    assert (blanked - speech.mean(dim=(1, 2), keepdim=True))[changed].abs().max() < 1e-4
    print("rooms, throats, noises and blanks are as they should be")


def check_learning() -> None:
    """A few steps tell what is heard at the beginning from what is heard at the end."""
    rng = np.random.default_rng(2)
    clips = tuple(Clip(Path("a.ogg"), "tess", label, "OAF", 0, "") for label in (0, 3) for _ in range(40))
    heard = rng.normal(0, 1, (len(clips) + 3, MOMENTS, WIDTH)).astype(np.float16)
    for row, clip in enumerate(clips):
        heard[row, : MOMENTS // 2, 10 + clip.label] += 3
    nothing = np.empty((len(clips), 0, 0), np.float16)
    corpora = Corpora(clips, nothing, nothing[:3])
    recipe = Recipe(manners=("plain", "convolved", "unordered"), seed=3, steps=60, averaged=0.8, variants=1)
    known = Heard(corpora, Path(), (heard,))
    right = answers(train(known, np.arange(len(clips)), recipe), known, np.arange(len(clips))).argmax(axis=1)
    share = (right == corpora.label).mean()
    print(f"{share:.0%} of two kinds of sounds are told apart after {recipe.steps} steps")
    assert share > 0.9


def main() -> None:
    """Check all."""
    check_variations()
    check_learning()
    check_twin()


if __name__ == "__main__":
    main()
