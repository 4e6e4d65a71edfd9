"""Checks what the tests cannot, which run without PyTorch and TensorFlow: the network's twin, and the variations.

python -m models.training.voice_check
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import torch
from torch import nn

from device.sensing.logmel import CLIP
from models.training.int8 import int8_file
from models.training.measuring import int8_logits
from models.training.voice_corpora import SPEC, Clip, Corpora
from models.training.voice_keras import twin
from models.training.voice_network import Shape, VoiceNetwork
from models.training.voice_recipe import Recipe, answers, stock, train
from models.training.voice_variations import Variety, add_noise, reverberate, stretch

FLOOR_DB = SPEC.floor_db
SHAPES = (Shape(), Shape(widths=(24, 48, 64, 64), units=96))


def check_twin(shape: Shape) -> None:
    """A network with any weights, its twin and its int8 file answer alike."""
    torch.manual_seed(1)
    network = VoiceNetwork(shape).eval()
    for norm in network.norms:
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    for tensor in (*(norm.bias for norm in network.norms), network.lstm.bias_hh_l0, network.dense.bias):
        nn.init.normal_(tensor)
    weights = {name: value.numpy() for name, value in network.state_dict().items() if value.is_floating_point()}
    inputs = np.random.default_rng(1).normal(0, 1.5, (20, shape.frames, shape.bands)).clip(-CLIP, CLIP)
    inputs = inputs.astype(np.float32)
    with torch.no_grad():
        ours = network(torch.from_numpy(inputs)).numpy()
    model = twin(weights, shape)
    apart = np.abs(ours - np.concatenate([model(one[np.newaxis]).numpy() for one in inputs])).max()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "voice.tflite"
        file.write_bytes(int8_file(model, inputs))
        rounded = np.abs(ours - int8_logits(file, inputs)).max()
    print(f"{shape}: the twin is {apart:.1e} apart, the int8 file {rounded:.3f}, of {np.abs(ours).max():.2f}")
    assert apart < 1e-4 and rounded < 0.2


def check_variations() -> None:
    """Rooms add what was said before, noise only adds, and a longer throat moves every band."""
    chance = torch.Generator().manual_seed(4)
    quiet = torch.full((32, SPEC.frames, SPEC.bands), FLOOR_DB)
    clap = quiet.clone()
    clap[:, 50] = 0
    heard = reverberate(clap, chance)
    assert heard[:, :50].max() < FLOOR_DB + 5 and heard[:, 51].min() > -30
    assert (heard[:, 51:60].diff(dim=1) < 0).all()
    tone = quiet.clone()
    tone[:, :, 30] = 0
    moved = stretch(tone, FLOOR_DB, Variety(), chance)
    places = moved[:, SPEC.frames // 2].argmax(dim=1)
    assert len(set(places.tolist())) > 3 and (places - 30).abs().max() <= 4 and moved.min() == FLOOR_DB
    speech, noise = (torch.randn(2, 32, SPEC.frames, SPEC.bands, generator=chance) * 5 - 30).unbind()
    assert (add_noise(speech, noise, (0, 30), chance) >= speech - 1e-3).all()
    print("rooms, throats and noises are as they should be")


def check_learning() -> None:
    """A few steps tell a low voice from a high one, also with teachers."""
    rng = np.random.default_rng(2)
    clips = tuple(Clip(Path("a.ogg"), "tess", label, "OAF", 0, "") for label in (0, 3) for _ in range(40))
    levels = rng.normal(-45, 3, (len(clips), SPEC.frames, SPEC.bands)).astype(np.float16)
    for row, clip in enumerate(clips):
        levels[row, 30:120, 10 + 5 * clip.label : 20 + 5 * clip.label] += 30
    corpora = Corpora(clips, levels, rng.normal(-30, 5, (3, SPEC.frames, SPEC.bands)).astype(np.float16))
    recipe = Recipe(steps=40, averaged=0.8, style_share=0.2, sharpness=0.05, teachers=1)
    here = stock(corpora, "cpu")
    trained = train(here, np.arange(len(clips)), recipe, 1)
    right = (answers(trained, here, np.arange(len(clips))).argmax(axis=1) == corpora.label).mean()
    print(f"{right:.0%} of two kinds of sounds are told apart after {recipe.steps} steps")
    assert right > 0.9


def main() -> None:
    """Check all."""
    check_variations()
    check_learning()
    for shape in SHAPES:
        check_twin(shape)


if __name__ == "__main__":
    main()
