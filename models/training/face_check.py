"""Checks what the tests cannot, which run without PyTorch and TensorFlow: the face network's twin, and its input.

python -m models.training.face_check
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import torch

from models.training.face import mixed
from models.training.face_export import MODEL
from models.training.face_head import BATCH, VIEWS, learn_head
from models.training.face_keras import build, count_macs, for_the_box, take_weights
from models.training.face_learning import Lessons
from models.training.face_plan import FIRST, HEADS, PIXELS, shipped
from models.training.face_recovered import recovered
from models.training.face_variety import plain, standardised, varied
from models.training.faces import tensors
from models.training.measuring import int8_logits

COUNT = 16


def check_input(faces: np.ndarray) -> None:
    """Training standardises faces as the box does."""
    ours = standardised(torch.from_numpy(faces)[:, None].float())[:, 0].numpy()
    assert np.abs(ours - tensors(faces)[..., 0]).max() < 1e-4


def check_variety(faces: np.ndarray) -> None:
    """Variations have the network's size and range, and differ each time."""
    first, second = (varied(torch.from_numpy(faces), PIXELS)[0] for _ in range(2))
    assert first.shape == (COUNT, 1, PIXELS, PIXELS)
    assert float(first.abs().max()) <= 3.0
    assert not torch.allclose(first, second)


def check_twin(faces: np.ndarray) -> None:
    """The twin in Keras answers as the network does, from a crop as the box gives it."""
    network = shipped()
    for name, values in network.state_dict().items():
        if values.is_floating_point():
            values.uniform_(0.5, 1.5) if name.endswith("running_var") else values.normal_(0, 0.2)
    network.eval()
    twin = build(PIXELS)
    take_weights(twin, network)
    whole = for_the_box(twin, PIXELS)
    theirs = np.concatenate([whole(crop[np.newaxis], training=False).numpy() for crop in tensors(faces)])
    with torch.no_grad():
        ours = network(plain(torch.from_numpy(faces), PIXELS)).numpy()
    print(f"twin: at most {np.abs(ours - theirs).max() / np.abs(ours).max():.1e} of the largest answer apart")
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(ours).max()
    assert count_macs(twin) <= 150e6


def check_fixed(faces: np.ndarray) -> None:
    """What is fixed stays as it is while the rest learns, weights and norms alike."""
    network, blocks = shipped(), FIRST.rounds[0].settlings[0].fixed_blocks
    network.fix(blocks)
    before = {name: values.clone() for name, values in network.state_dict().items()}
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    network.train()(varied(torch.from_numpy(faces), PIXELS)[0]).square().mean().backward()
    optimiser.step()
    moved = {name for name, values in network.state_dict().items() if not torch.equal(values, before[name])}
    fixed = ("stem.", *(f"blocks.{index}." for index in range(blocks)))
    assert moved and not any(name.startswith(fixed) for name in moved), sorted(moved)
    assert {f"blocks.{blocks}.expand.0.weight", f"blocks.{blocks}.expand.1.running_mean"} <= moved


def check_mild(faces: np.ndarray) -> None:
    """Mild batches show the first half of the faces nearly as they are, and ask for what they were asked for."""
    said = np.random.default_rng(2).random((COUNT, 14), dtype=np.float32)
    lessons = Lessons(torch.from_numpy(faces), torch.from_numpy(said), torch.ones(COUNT))
    (batch,) = lessons.mild_batches(COUNT, PIXELS)
    assert batch.inputs.shape == (COUNT, 1, PIXELS, PIXELS)
    assert batch.target.shape == (COUNT, 14)
    halved = lessons.taught(torch.zeros(COUNT, 14), votes=0.5, label=0.5).target
    assert torch.equal(halved, lessons.target / 2)


def check_head(_: np.ndarray) -> None:
    """The last layers learn by themselves, their norm's figures and everything before them stay."""
    network = shipped().eval().requires_grad_(False)
    before = {name: values.clone() for name, values in network.state_dict().items()}
    with torch.no_grad():
        channels, height, width = network.maps(torch.zeros(1, 1, PIXELS, PIXELS)).shape[1:]
    views = [torch.randn(BATCH, channels, height, width).half() for _ in range(VIEWS)]
    said = torch.rand(BATCH, 14).softmax(1)
    lessons = Lessons(torch.zeros(BATCH, 48, 48, dtype=torch.uint8), said, torch.ones(BATCH))
    after = learn_head(network, views, lessons, HEADS[0], seed=1)
    moved = {name for name, values in after.items() if not torch.equal(values, before[name])}
    assert moved == {"head.0.weight", "head.1.weight", "head.1.bias", "logits.weight", "logits.bias"}, sorted(moved)


def check_recovered(faces: np.ndarray) -> None:
    """What comes out of the file that ships answers as the file does, and its norms expect what they are given."""
    network = recovered(MODEL, faces)
    inputs = plain(torch.from_numpy(faces), PIXELS)
    with torch.no_grad():
        ours = network(inputs)
    theirs = int8_logits(MODEL, tensors(faces))
    print(f"recovered: {np.abs(ours.numpy() - theirs).mean():.3f} of a logit apart in the mean")
    assert np.abs(ours.numpy() - theirs).mean() < 0.15
    norms = [part for part in network.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.train()
    with torch.no_grad():
        assert torch.allclose(network(inputs), ours, atol=0.02)


def check_mixed(_: np.ndarray) -> None:
    """The mean of weights counts each with its share, and leaves whole numbers alone."""
    before = {"weight": torch.tensor([1.0, 0.0]), "steps": torch.tensor(7)}
    ways = [{"weight": torch.tensor(values), "steps": torch.tensor(9)} for values in ([3.0, 1.0], [5.0, 0.0])]
    outcome = mixed(before, ways, share_of_before=0.5)
    assert torch.allclose(outcome["weight"], torch.tensor([2.5, 0.25]))
    assert int(outcome["steps"]) == 7


def main() -> None:
    """All checks."""
    torch.manual_seed(1)
    faces = np.random.default_rng(1).integers(0, 255, (COUNT, 48, 48)).astype(np.uint8)
    for check in (
        check_input,
        check_variety,
        check_mild,
        check_fixed,
        check_head,
        check_mixed,
        check_twin,
        check_recovered,
    ):
        check(faces)
        print(f"{check.__name__}: good")


if __name__ == "__main__":
    main()
